"""Vectors in memory of which some lanes are off, or whose elements lie anywhere.

Elements of 16 bytes, which have no such instructions, move as two of 8.
"""

from __future__ import annotations

import numpy as np

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.kernels.registers import BFLOAT16
from funcgrad.compiler.llvm.types import (
    Value,
    constant,
    element_of,
    lanes_of,
    mangled,
    vector,
    with_element,
    zero,
)

WIDE, HALF = "i128", "double"

# All take the alignment as an operand: LLVM before 22 knows no other form, and later ones read it.


def first_lanes(lanes: int, count: int) -> Value:
    """The mask of the first `count` of so many lanes."""
    bits = ", ".join(f"i1 {'true' if lane < count else 'false'}" for lane in range(lanes))
    return Value(vector(lanes, "i1"), f"<{bits}>")


def masked_load(
    f: Function, type: str, pointer: Value, align: int, mask: Value, off: Value | None = None
) -> Value:
    """Elements next to each other; `off`, or 0, in the lanes that are off."""
    if element_of(type) == WIDE:
        halves = halves_type(type)
        off = None if off is None else f.cast("bitcast", off, halves)
        raw = masked_load(f, halves, pointer, align, twice(f, mask), off)
        return f.cast("bitcast", raw, type)
    arguments = [pointer, constant("i32", align), mask, off or zero(type)]
    return f.intrinsic("llvm.masked.load", type, arguments, mangled(type) + ".p0")


def off_lanes(type: str, dtype: np.dtype) -> Value | None:
    """What lanes that are off hold of floating and complex numbers: 1, of which no function warns.

    Besides, LLVM 22 takes 0 / 0 for 0 where it knows lanes, and leaves out the choice of other numbers for them.

    Args:
        type: of the vector in memory.
        dtype: of its elements.
    """
    if dtype.kind not in "fc" and dtype != BFLOAT16:
        return None
    element = element_of(type)
    if element in ("float", "double"):
        return constant(type, 1)
    bits = int.from_bytes(np.ones((), dtype).tobytes(), "little")
    number = f"0xH{bits:04X}" if element == "half" else str(bits)
    return Value(type, f"splat ({element} {number})")


def masked_store(f: Function, value: Value, pointer: Value, align: int, mask: Value) -> None:
    if element_of(value.type) == WIDE:
        raw = f.cast("bitcast", value, halves_type(value.type))
        masked_store(f, raw, pointer, align, twice(f, mask))
        return
    if mask.text == first_lanes(lanes_of(mask.type), 1).text:
        # Of a vector that was narrowed, LLVM 22 would store this lane as wide as it was before.
        f.store(f.extract(value, 0), pointer, align)
        return
    arguments = [value, pointer, constant("i32", align), mask]
    f.intrinsic("llvm.masked.store", "void", arguments, mangled(value.type) + ".p0")


def gather(
    f: Function,
    type: str,
    pointers: Value,
    align: int,
    mask: Value | None,
    off: Value | None = None,
) -> Value:
    """Elements at a vector of addresses; `off`, or 0, in the lanes that are off."""
    lanes = lanes_of(type)
    if element_of(type) == WIDE:
        # Both halves of a number of two doubles are off in the same lanes, and may hold the same there.
        part = None if off is None else constant(vector(lanes, HALF), 1)
        first, second = (
            gather(f, vector(lanes, HALF), place, align, mask, part) for place in ends(f, pointers)
        )
        order = [lane + half for lane in range(lanes) for half in (0, lanes)]
        return f.cast("bitcast", f.shuffle(first, second, order), type)
    mask = mask or constant(vector(lanes, "i1"), 1)
    arguments = [pointers, constant("i32", align), mask, off or zero(type)]
    return f.intrinsic("llvm.masked.gather", type, arguments, f"{mangled(type)}.v{lanes}p0")


def scatter(f: Function, value: Value, pointers: Value, align: int, mask: Value | None) -> None:
    lanes = lanes_of(value.type)
    if element_of(value.type) == WIDE:
        raw = f.cast("bitcast", value, halves_type(value.type))
        for half, place in enumerate(ends(f, pointers)):
            part = f.shuffle(raw, raw, range(half, 2 * lanes, 2))
            scatter(f, part, place, align, mask)
        return
    mask = mask or constant(vector(lanes, "i1"), 1)
    arguments = [value, pointers, constant("i32", align), mask]
    suffix = f"{mangled(value.type)}.v{lanes}p0"
    f.intrinsic("llvm.masked.scatter", "void", arguments, suffix)


def halves_type(type: str) -> str:
    return vector(2 * lanes_of(type), HALF)


def twice(f: Function, mask: Value) -> Value:
    """Each lane of a mask two times."""
    return f.shuffle(mask, mask, [lane // 2 for lane in range(2 * lanes_of(mask.type))])


def ends(f: Function, pointers: Value) -> list[Value]:
    """The addresses of both halves."""
    type = with_element(pointers.type, "ptr")
    moved = f.emit(type, f"getelementptr {HALF}, {pointers}, i64 1")
    return [pointers, moved]
