"""Runs of contiguous elements in steps: in vectors, and the rest in ever smaller ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.kernels.registers import (
    alignment,
    from_memory,
    memory_type,
    register_bytes,
    to_memory,
)
from funcgrad.compiler.llvm.target import host
from funcgrad.compiler.llvm.types import Value, constant, vector

Body = Callable[[Value, int], None]


def row_lanes(dtype: np.dtype) -> int:
    """Elements that fill a vector register."""
    return host().vector_bytes // register_bytes(dtype)


def pieces(count: int, lanes: int) -> list[tuple[int, int]]:
    """Where the vectors lie that fill what whole vectors leave of a row, and their lanes (0: a single element)."""
    start, found = count - count % lanes, []
    while start < count:
        lanes //= 2
        if start + lanes <= count:
            found.append((start, lanes if lanes > 1 else 0))
            start += lanes
    return found


def each_vector(f: Function, count: int, lanes: int, body: Body) -> None:
    """Call `body(index, lanes)` for all of a row of `count` elements."""
    whole = count - count % lanes
    if whole == lanes:
        body(constant("i64", 0), lanes)
    elif whole:
        with f.loop(constant("i64", 0), constant("i64", whole), lanes, "row") as loop:
            body(loop.index, lanes)
    for start, width in pieces(count, lanes):
        body(constant("i64", start), width)


def each_vector_between(
    f: Function, start: Value, stop: Value, count: int, lanes: int, body: Body
) -> None:
    """The same for a part of the row; `start`, and `stop` unless it is `count`, are multiples of `lanes`."""
    whole = constant("i64", count - count % lanes)
    last = f.intrinsic("llvm.smin", "i64", [stop, whole])
    with (
        f.when(f.icmp("slt", start, last)),
        f.loop(start, last, lanes, "row") as loop,
    ):
        body(loop.index, lanes)
    if count % lanes:
        with f.when(f.icmp("eq", stop, constant("i64", count))):
            for place, width in pieces(count, lanes):
                body(constant("i64", place), width)


def load_at(f: Function, base: Value, place: Value | int, dtype: np.dtype, lanes: int) -> Value:
    """An element (or vector) of a row in registers."""
    element = memory_type(dtype)
    pointer = f.gep(base, place, element)
    return from_memory(f, dtype, f.load(vector(lanes, element), pointer, alignment(dtype)))


def store_at(f: Function, value: Value, base: Value, place: Value | int, dtype: np.dtype) -> None:
    pointer = f.gep(base, place, memory_type(dtype))
    f.store(to_memory(f, dtype, value), pointer, alignment(dtype))
