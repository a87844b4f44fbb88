"""What a reduction has gathered so far, in registers."""

from __future__ import annotations

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.kernels import combine as combining
from funcgrad.compiler.llvm.kernels.registers import register_type
from funcgrad.compiler.llvm.types import Value, constant, vector
from funcgrad.compiler.lowering.graph import Reduce
from funcgrad.compiler.lowering.reductions import POSITIONS, accumulator_dtype


class Accumulator:
    """A register for each unrolled copy of a loop; two for positions."""

    def __init__(self, node: Reduce, lanes: int) -> None:
        self.node = node
        self.dtype = accumulator_dtype(node)
        self.type = vector(lanes, register_type(self.dtype))
        self.is_position = node.combine in POSITIONS

    def start(self) -> tuple[Value, ...]:
        first = combining.start(self.node.combine, self.dtype, self.type)
        if not self.is_position:
            return (first,)
        return first, constant(combining.position_type(self.type), combining.LAST)

    def combine(self, f: Function, a: tuple[Value, ...], b: tuple[Value, ...]) -> tuple[Value, ...]:
        if self.is_position:
            return combining.better(f, self.node.combine, self.dtype, a, b)
        return (combining.combine(f, self.node.combine, self.dtype, a[0], b[0]),)

    def across_lanes(self, f: Function, parts: tuple[Value, ...]) -> tuple[Value, ...]:
        if self.is_position:
            return combining.best_lane(f, self.node.combine, self.dtype, parts)
        return (combining.across_lanes(f, self.node.combine, self.dtype, parts[0]),)
