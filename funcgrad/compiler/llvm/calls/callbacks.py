"""The way from machine code back into Python: primitives without native code, on views of the program's memory."""

from __future__ import annotations

import ctypes
import functools
import itertools
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.compiler.llvm.runtime import system
from funcgrad.ir.program import Equation
from funcgrad.ir.quiet import quiet
from funcgrad.ir.types import ArrayType

# The steps of all programs alive, by number: what native code names them by.
_calls: weakref.WeakValueDictionary[int, LibraryCall] = weakref.WeakValueDictionary()
_numbers = itertools.count(1)
_lock = threading.Lock()
TABLE = "library_numbers"
FUNCTION = "fg_library_function"


class LibraryCall:
    """One equation: reads operands at addresses, and writes results to others."""

    def __init__(self, equation: Equation, function: Callable[..., Any]) -> None:
        self.function = function
        self.multiple = equation.primitive.multiple
        self.is_quiet = equation.is_quiet
        self.source = equation.source
        self.inputs = [atom.type.strong() for atom in equation.inputs]
        self.weak = [atom.type.weak for atom in equation.inputs]
        self.outputs = [variable.type.strong() for variable in equation.outputs]
        with _lock:
            self.number = next(_numbers)
            _calls[self.number] = self

    def __call__(self, inputs: Any, outputs: Any) -> None:
        arrays = [
            number(x) if weak else x[()]
            for x, weak in zip(map(view, inputs, self.inputs), self.weak, strict=True)
        ]
        if self.is_quiet:
            with quiet():
                found = self.function(*arrays)
        else:
            found = self.function(*arrays)
        for result, address, type in zip(
            found if self.multiple else (found,),
            outputs[: len(self.outputs)],
            self.outputs,
            strict=True,
        ):
            if address:
                target = view(address, type)
                target.flags.writeable = True
                target[...] = result


def fill_number(loaded: Any, name: str, value: int) -> None:
    """Set a 64-bit number of loaded code."""
    ctypes.c_int64.from_address(loaded.address(name)).value = value


def number(x: np.ndarray) -> Any:
    """A 0-d array as the Python number that it stands for."""
    return x.item()


def view(address: int | None, type: ArrayType) -> np.ndarray:
    """Memory as an array."""
    size = max(1, type.size * type.dtype.itemsize)
    buffer: Any = (ctypes.c_char * size).from_address(address or 0)
    array = np.frombuffer(buffer, np.uint8, count=type.size * type.dtype.itemsize)
    return array.view(type.dtype).reshape(type.shape)


def run_call(number: int, inputs: int, count: int, outputs: int, results: int) -> None:
    """Run a step for compiled code, which calls this through CPython's C API: exceptions stay set in the thread."""
    try:
        call = _calls[number]
        sources = (ctypes.c_void_p * count).from_address(inputs) if count else ()
        targets = (ctypes.c_void_p * results).from_address(outputs) if results else ()
        call(list(sources), list(targets))
    except BaseException as error:
        note_source(error, number)
        raise


def note_source(error: BaseException, number: int) -> None:
    call = _calls.get(number)
    if call is not None and call.source is not None:
        call.source.explain(error)


@functools.cache
def register() -> None:
    """Make the way back into Python known to the loader."""
    system.add_symbol(
        FUNCTION, id(run_call)
    )  # the object itself: a module's function lives for ever


def fill_numbers(loaded: Any, calls: Sequence[LibraryCall]) -> None:
    """Tell loaded code the numbers of its library steps."""
    if calls:
        table = (ctypes.c_int64 * len(calls)).from_address(loaded.address(TABLE))
        table[:] = [call.number for call in calls]
