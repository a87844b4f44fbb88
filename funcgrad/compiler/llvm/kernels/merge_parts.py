"""What the chunks of a kernel have each gathered, combined into the result in a fixed order."""

from __future__ import annotations

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.kernels import combine as combining
from funcgrad.compiler.llvm.kernels.registers import (
    alignment,
    from_memory,
    is_half,
    memory_type,
    register_type,
    round_half,
    to_memory,
)
from funcgrad.compiler.llvm.types import Value, constant, vector
from funcgrad.compiler.lowering.graph import Reduce
from funcgrad.compiler.lowering.reductions import accumulator_dtype

LANES = 16


def write_merge(f: Function, node: Reduce, parts: Value, out: Value, count: int) -> None:
    """`out[j] = parts[0][j] + parts[1][j] + ...` for a reduction whose parts are `count` arrays in a row."""
    size = node.type.size
    whole = size - size % LANES
    if whole:
        with f.loop(constant("i64", 0), constant("i64", whole), LANES, "merge") as loop:
            merge_at(f, node, parts, out, count, loop.index, LANES)
    if whole < size:
        with f.loop(constant("i64", whole), constant("i64", size), 1, "merge") as loop:
            merge_at(f, node, parts, out, count, loop.index, 0)


def merge_at(
    f: Function, node: Reduce, parts: Value, out: Value, count: int, index: Value, lanes: int
) -> None:
    """One element (or vector) of the result."""
    dtype, size = accumulator_dtype(node), node.type.size
    element = memory_type(dtype)

    def load(place: Value) -> Value:
        raw = f.load(vector(lanes, element), f.gep(parts, place, element), alignment(dtype))
        return from_memory(f, dtype, raw)

    first = load(index)
    if count > 1:
        with f.loop(constant("i64", 1), constant("i64", count), 1, "part") as loop:
            total = f.carry(loop, first)
            place = f.op("add", f.op("mul", loop.index, constant("i64", size)), index)
            first = f.update(
                loop, total, combining.combine(f, node.combine, dtype, total, load(place))
            )
    if is_half(node.dtype):
        first = round_half(f, node.dtype, first)
    assert first.type == vector(lanes, register_type(dtype))
    f.store(
        to_memory(f, node.dtype, first),
        f.gep(out, index, memory_type(node.dtype)),
        alignment(node.dtype),
    )
