"""Stacks of unknown length with their axes in another order, with a repeated axis, or summed over one."""

from __future__ import annotations

import hashlib
import math
from typing import Any

from funcgrad.compiler.llvm.builder import Function, Module
from funcgrad.compiler.llvm.kernels.combine import combine
from funcgrad.compiler.llvm.kernels.registers import (
    alignment,
    from_memory,
    memory_type,
    register_type,
    to_memory,
)
from funcgrad.compiler.llvm.program import copy_bytes
from funcgrad.compiler.llvm.steps.stacks import (
    ENTRY_BYTES,
    WORDS,
    ZERO,
    load_entry,
    return_if,
    store_entry,
    write_reserve,
)
from funcgrad.compiler.llvm.types import Value, constant, zero
from funcgrad.compiler.lowering.graph import Step
from funcgrad.compiler.lowering.ragged import level_count, row_bytes
from funcgrad.ir.types import ArrayType
from funcgrad.ops.reduce import accumulator


def axes_function(module: Module, step: Step) -> str:
    """`i1 (ptr slots, ptr operands...)`: fills a stack from the one with this header. True if there is no memory.

    A mask comes before the header.
    """
    name, given, made = step.params["name"], step.operands[-1].type, step.types[0]
    axes, summed = axes_of(name, len(given.shape), step.params)
    masked = step.params["axes"] if name == "mask_stack" else None
    key = repr((str(given), str(made), axes, summed, masked)).encode()
    function = f"fg_{name}_{hashlib.blake2b(key, digest_size=8).hexdigest()}"
    if not module.defines(function):
        f = module.function(function, "i1", ["ptr"] * (1 + len(step.operands)), "internal")
        _Axes(f, given, made, axes, summed, masked).write()
    return function


def axes_of(
    name: str, rank: int, params: dict[str, Any]
) -> tuple[tuple[int | None, ...], int | None]:
    """Per axis of the result that of the operand, None for a new one; and the axis that is summed."""
    if name == "transpose":
        return tuple(params["permutation"]), None
    if name == "mask_stack":
        return tuple(range(rank)), None
    axis, others = params["axis"], list(range(rank))
    if name == "repeat_stack":
        return (*others[:axis], None, *others[axis:]), None
    return (*others[:axis], *others[axis + 1 :]), axis


class _Axes:
    """One such function: a loop for each axis of the result, outermost first.

    Attributes:
        index: where the loops are, by axis of the operand.
    """

    def __init__(
        self,
        f: Function,
        given: ArrayType,
        made: ArrayType,
        axes: tuple[int | None, ...],
        summed: int | None,
        masked: tuple[int, ...] | None,
    ) -> None:
        self.f = f
        self.masked = masked
        self.given, self.made = given, made
        self.axes, self.summed = axes, summed
        self.slots, self.mask, self.header = f.arguments[0], f.arguments[1], f.arguments[-1]
        self.index: dict[int, Value] = {}
        self.levels = level_count(made.shape)
        self.nothing = f.alloca("i64", ENTRY_BYTES // 8, 8)
        self.dtype = made.dtype

    def write(self) -> None:
        f = self.f
        store_entry(f, self.nothing, ZERO, ZERO)
        length = f.load("i64", self.header, 8)
        with f.when(f.icmp("ne", length, ZERO)):
            self.write_level(0, self.length(0))
        f.ret(constant("i1", 0))

    def slot(self, level: int) -> Value:
        return self.f.gep(self.slots, WORDS * level, "i64")

    def write_level(self, level: int, length: Value) -> None:
        """Elements of one level, behind those that are there."""
        f, slot = self.f, self.slot(level)
        is_last = level == self.levels - 1
        width = constant("i64", row_bytes(self.made) if is_last else ENTRY_BYTES)
        count = f.load("i64", f.gep(slot, 1, "i64"), 8)
        after = f.op("add", count, length)
        write_reserve(f, slot, after, width, return_if(f))
        f.store(after, f.gep(slot, 1, "i64"), 8)
        with (
            f.when(f.icmp("sgt", length, ZERO)),
            f.loop(ZERO, length, hint="level") as loop,
        ):
            self.bind(level, loop.index)
            place = f.op("mul", f.op("add", count, loop.index), width)
            target = f.gep(f.load("ptr", slot, 8), place)
            if is_last:
                self.write_row(self.levels, target)
            else:
                following = self.length(level + 1)
                first = f.load("i64", f.gep(self.slot(level + 1), 1, "i64"), 8)
                store_entry(f, target, first, following)
                self.write_level(level + 1, following)
        self.unbind(level)

    def bind(self, axis: int, index: Value) -> None:
        """A loop over an axis of the result has come to an index."""
        of = self.axes[axis]
        if of is not None:
            self.index[of] = index

    def unbind(self, axis: int) -> None:
        """The loop over an axis is over."""
        of = self.axes[axis]
        if of is not None:
            self.index.pop(of, None)

    # --- rows, whose axes have known lengths ---

    def write_row(self, axis: int, target: Value) -> None:
        """The elements from an axis of the result on."""
        f, shape = self.f, self.made.shape
        size = math.prod(shape[axis:]) * self.dtype.itemsize
        if not size:
            return
        if self.is_contiguous(axis):
            self.copy(target, size)
            return
        if axis == len(shape):
            self.write_sum(target)
            return
        stride = constant("i64", size // shape[axis])
        with f.loop(ZERO, constant("i64", shape[axis]), hint="axis") as loop:
            self.bind(axis, loop.index)
            self.write_row(axis + 1, f.gep(target, f.op("mul", loop.index, stride)))
        self.unbind(axis)

    def is_contiguous(self, axis: int) -> bool:
        """Whether the elements from an axis of the result on lie in the operand as in the result."""
        if self.summed is not None or any(masked >= axis for masked in self.masked or ()):
            return False
        rank, first = len(self.given.shape), len(self.given.shape) - (len(self.made.shape) - axis)
        return self.axes[axis:] == tuple(range(first, rank)) and first >= level_count(
            self.given.shape
        )

    def copy(self, target: Value, size: int) -> None:
        f = self.f
        is_there, source = self.element()
        with f.when(is_there):
            copy_bytes(f, target, source, size)
        with f.when(f.op("xor", is_there, constant("i1", 1))):
            f.module.declare("llvm.memset.p0.i64", "void", ["ptr", "i8", "i64", "i1"])
            given = [target, constant("i8", 0), constant("i64", size), constant("i1", 0)]
            f.call("llvm.memset.p0.i64", "void", given)

    def write_sum(self, target: Value) -> None:
        """One element, the sum over the axis that goes."""
        f, dtype, axis = self.f, self.dtype, self.summed
        assert axis is not None
        wide, element = accumulator(dtype), memory_type(dtype)
        slot = f.alloca(register_type(wide), 1, 16)
        f.store(zero(register_type(wide)), slot, 16)
        if self.given.shape[axis]:
            with f.loop(ZERO, constant("i64", self.given.shape[axis]), hint="sum") as loop:
                self.index[axis] = loop.index
                is_there, source = self.element()
                with f.when(is_there):
                    x = from_memory(f, dtype, f.load(element, source, alignment(dtype)))
                    total = f.load(register_type(wide), slot, 16)
                    f.store(combine(f, "add", wide, total, x), slot, 16)
            del self.index[axis]
        total = f.load(register_type(wide), slot, 16)
        f.store(to_memory(f, dtype, total), target, alignment(dtype))

    # --- the operand ---

    def length(self, axis: int) -> Value:
        """The length of an axis of the result, at the current place in its outer ones."""
        known = self.made.shape[axis]
        if known is not None:
            return constant("i64", known)
        of = self.axes[axis]
        assert of is not None  # a new axis has a known length
        return self.entry(of)[1]

    def entry(self, level: int) -> tuple[Value, Value]:
        """Where the elements of a level of the operand begin at the current place, and how many there are.

        For axes whose loops are not open yet the first element stands for all. Without one there are none.
        """
        f = self.f
        first, count = ZERO, f.load("i64", self.header, 8)
        for outer in range(level):
            index = self.index.get(outer, ZERO)
            base = f.load("ptr", f.gep(self.header, 1 + outer, "i64"), 8)
            place = f.op("mul", f.op("add", first, index), constant("i64", ENTRY_BYTES))
            is_there = f.icmp("slt", index, count)
            first, count = load_entry(f, f.select(is_there, f.gep(base, place), self.nothing))
        return first, count

    def element(self) -> tuple[Value, Value]:
        """Whether there is an element at the current place, and its address."""
        f, shape = self.f, self.given.shape
        last = level_count(shape) - 1
        first, count = self.entry(last)
        index = self.index.get(last, ZERO)
        base = f.load("ptr", f.gep(self.header, 1 + last, "i64"), 8)
        row = constant("i64", row_bytes(self.given))
        place = f.op("mul", f.op("add", first, index), row)
        for axis in range(last + 1, len(shape)):
            stride = constant("i64", math.prod(shape[axis + 1 :]) * self.dtype.itemsize)
            place = f.op("add", place, f.op("mul", self.index.get(axis, ZERO), stride))
        is_there = f.icmp("slt", index, count)
        if self.masked is not None:
            is_there = f.op("and", is_there, self.is_kept())
        return is_there, f.gep(base, place)

    def is_kept(self) -> Value:
        """Whether the mask holds at the current place."""
        f, place = self.f, ZERO
        assert self.masked is not None
        for axis in self.masked:
            length = self.given.shape[axis]
            assert length is not None  # masks run along axes of examples
            place = f.op("mul", place, constant("i64", length))
            place = f.op("add", place, self.index[axis])
        return f.icmp("ne", f.load("i8", f.gep(self.mask, place)), constant("i8", 0))
