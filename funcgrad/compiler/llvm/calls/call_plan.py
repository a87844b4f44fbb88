"""Plans: a known call as instructions for the native dispatcher, one after another: check, run, build the result.

A plan is an array of 64-bit words: numbers, and addresses of Python objects that the plan keeps alive. Values live in
numbered *slots*: first the arguments as CPython passes them, then whatever an instruction appends. *Data* words hold
the addresses of inputs and outputs of the program, and small numbers.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from funcgrad.ir.types import ArrayType

MAX_WORDS = 1 << 14  # of slots and data together: they lie on the C stack


class Unsupported(Exception):
    """This call cannot be made natively."""


class NativeProgram(Protocol):
    """Machine code of a Program: `i32 function(ptr inputs, ptr outputs)` at `address`; 0 is success.

    `in_place` has (output, input) for outputs that may lie in the memory of donated inputs. While the number in
    `spared` is not 0, none shall.
    """

    address: int
    input_types: Sequence[ArrayType]
    output_types: Sequence[ArrayType]
    releases_gil: bool
    in_place: Sequence[tuple[int, int]]
    spared: np.ndarray

    def handle(self, code: int) -> Any:
        """Raise the exception for an error code other than 1, which says that one is set."""


class Op(enum.IntEnum):
    """The instructions, with their operands. Those before `CONSTANT` may answer "not this call"."""

    TYPE = enum.auto()  # slot, type: the exact class
    TUPLE = enum.auto()  # slot, count: appends the items; also of a namedtuple
    LIST = enum.auto()  # slot, count: appends the items
    DICT = enum.auto()  # slot, count, keys: appends the values
    IS = enum.auto()  # slot, object
    EQUAL = enum.auto()  # slot, object: of the same type and equal
    DATA = enum.auto()  # slot, object: equal as static data of a tree
    ATTRIBUTE = enum.auto()  # slot, name: appends it
    CALL = enum.auto()  # slot, function: appends function(value)
    ITEM = enum.auto()  # slot, key: appends the value in a dict, if there is one
    ELEMENT = enum.auto()  # slot, index: appends the element of a list, if there is one
    GLOBAL = enum.auto()  # namespace, name, object: the name means the object
    CELL = enum.auto()  # cell, object: the cell holds the object
    SAME = enum.auto()  # slot, slot: one object
    DISTINCT = enum.auto()  # count, bits, data, slots: all different; a table of 2**bits data words
    ARRAY = enum.auto()  # slot, input, dtype, ndim, shape: contiguous and aligned
    NUMBER = enum.auto()  # slot, input, type: a number that keeps its bytes inside
    INTEGER = enum.auto()  # slot, input, data: an int of 64 bits
    BOOLEAN = enum.auto()  # slot, input, data
    OWNED = enum.auto()  # slot: an array that owns memory which may be written to
    APART = enum.auto()  # count, count, bits, data, slots: the first arrays differ, none of the others is a view of one
    CONSTANT = enum.auto()  # object: appends it
    ALLOCATE = enum.auto()  # data, dtype, bytes, ndim, shape: appends a new array for an output
    TAKE = enum.auto()  # slot, references, spared, as ALLOCATE: the same in the memory of an array, if it may be taken
    GIVE = enum.auto()  # name of the function, spared, count, slots: these arrays are given up
    SPACE = enum.auto()  # data, data: the first holds the address of the second
    RUN = (
        enum.auto()
    )  # function, data of inputs, data of outputs, handler, whether it releases the GIL
    SCALAR = enum.auto()  # data, dtype: appends a NumPy scalar
    COPY = enum.auto()  # slot: appends it once more
    MAKE_TUPLE = enum.auto()  # count: the last values become one
    MAKE_NAMED = enum.auto()  # count, type: the same for a namedtuple
    MAKE_LIST = enum.auto()  # count
    MAKE_DICT = enum.auto()  # count, a dict with these keys, keys
    APPLY = enum.auto()  # count, function: the last values become function(*values)
    RETURN = enum.auto()  # the last value


class Header(enum.IntEnum):
    """The first words of a plan."""

    POSITIONAL = 0  # number of positional arguments
    NAMED = 1  # number of keyword arguments
    SLOTS = 2  # how many slots there are
    DATA = 3  # how many data words
    START = 4  # the place of the first instruction
    NAMES = 5  # the names of the keyword arguments, then the instructions


class Plan:
    """Writes the instructions for one known call."""

    def __init__(self, program: NativeProgram, positional: int, names: Sequence[str]) -> None:
        self.program = program
        self.words = [positional, len(names), 0, 0, Header.NAMES + len(names)]
        self.objects: list[Any] = [program]
        self.words += [self.reference(name) for name in names]
        self.slots = self.most_slots = positional + len(names)
        self.data = len(program.input_types) + len(program.output_types)

    def reference(self, value: Any) -> int:
        """The address of an object, which lives as long as the plan."""
        self.objects.append(value)
        return id(value)

    def write(self, op: Op, *operands: int) -> None:
        self.words += [op, *operands]

    def append(self, count: int = 1) -> int:
        """Account for values that the last instruction appends; the number of the first slot."""
        first = self.slots
        self.need(count)
        self.slots += count
        return first

    def need(self, count: int = 1) -> None:
        """Account for values that the next instruction holds meanwhile."""
        self.most_slots = max(self.most_slots, self.slots + count)

    def remove(self, count: int) -> None:
        """Account for values that the last instruction takes away."""
        self.slots -= count

    def reserve(self, count: int) -> int:
        """Data words of its own; the number of the first."""
        first = self.data
        self.data += count
        return first

    @functools.cached_property
    def memory(self) -> np.ndarray:
        """The words as native code reads them; no instruction can follow."""
        self.words[Header.SLOTS], self.words[Header.DATA] = self.most_slots, self.data
        if self.most_slots + self.data > MAX_WORDS:
            raise Unsupported("too many values")
        return np.array(self.words, np.uint64)
