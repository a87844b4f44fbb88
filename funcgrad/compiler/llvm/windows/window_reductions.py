"""Sums, extrema and positions of extrema of sliding windows in native code."""

from __future__ import annotations

import math

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.kernels.registers import register_type
from funcgrad.compiler.llvm.strided import index, repeat
from funcgrad.compiler.llvm.types import Value, constant, vector, zero
from funcgrad.compiler.llvm.windows.window_planes import (
    EXTREMA,
    MOST_UNROLLED,
    POSITIONS,
    WindowWriter,
)
from funcgrad.ops.segments import greatest, least
from funcgrad.ops.windows import position_dtype


class Reductions(WindowWriter):
    """Sums, extrema, and positions of extrema."""

    def clear(self, f: Function, scratch: Value) -> None:
        """What lies around the planes stays the same."""
        type = register_type(self.spec.dtype)
        neutral = constant(type, self.neutral())
        with repeat(f, index(0), index(math.prod(self.padded))) as loop:
            f.store(neutral, f.gep(scratch, loop.index, type), self.size)

    def neutral(self) -> float:
        if self.spec.what == "add":
            return 0
        return (least if EXTREMA[self.spec.what] else greatest)(self.spec.dtype)

    def plane(
        self, f: Function, number: Value, operands: list[Value], scratch: Value | None
    ) -> None:
        x, out = operands
        is_position = self.spec.what in POSITIONS
        out_size = position_dtype(self.window).itemsize if is_position else self.size
        x = self.start(f, x, number, self.shape, self.size)
        out = self.start(f, out, number, self.places, out_size)
        if scratch is not None:
            self.copy_plane(f, x, scratch, back=False)
            x = scratch

        def row(offset: Value, first: Value) -> None:
            line = f.gep(x, f.op("mul", offset, index(self.size)))
            to = f.gep(out, f.op("mul", first, index(out_size)))
            self.lanes.each(f, lambda t, active: self.vector(f, line, to, t, active))

        self.rows(f, row)

    def vector(self, f: Function, line: Value, to: Value, first: Value, active: int) -> None:
        """The windows at some places side by side."""
        lanes = self.lanes
        line = f.gep(line, f.op("mul", first, index(self.window[-1].stride * self.size)))
        best = lanes.load_apart(f, line, active)
        position = zero(vector(lanes.count, "i32"))
        if self.spec.elements <= MOST_UNROLLED:
            for k, offset in enumerate(self.offsets()[1:], 1):
                part = lanes.load_apart(f, f.gep(line, offset * self.size), active)
                best, position = self.combine(f, best, position, part, constant("i32", k))
        else:
            best, position = self.loop(f, line, best, position, active)
        if self.spec.what in POSITIONS:
            size = position_dtype(self.window).itemsize
            if size == 1:
                position = f.cast("trunc", position, vector(lanes.count, "i8"))
            lanes.store(f, position, f.gep(to, f.op("mul", first, index(size))), active)
        else:
            lanes.store(f, best, f.gep(to, f.op("mul", first, index(self.size))), active)

    def loop(
        self, f: Function, line: Value, best: Value, position: Value, active: int
    ) -> tuple[Value, Value]:
        table = self.offset_table()
        with f.loop(index(1), index(self.spec.elements)) as loop:
            carried = f.carry(loop, best), f.carry(loop, position)
            offset = f.load("i64", f.gep(table, loop.index, "i64"), 8)
            address = f.gep(line, f.op("mul", offset, index(self.size)))
            part = self.lanes.load_apart(f, address, active)
            number = f.cast("trunc", loop.index, "i32")
            found = self.combine(f, *carried, part, number)
            best, position = (f.update(loop, a, b) for a, b in zip(carried, found, strict=True))
        return best, position

    def combine(
        self, f: Function, best: Value, position: Value, part: Value, number: Value
    ) -> tuple[Value, Value]:
        """With one more element of each window; its number is that of the element."""
        is_float = self.spec.dtype.kind == "f"
        if self.spec.what == "add":
            return f.op("fadd" if is_float else "add", best, part), position
        largest = EXTREMA[self.spec.what]
        if is_float:
            # The first NaN wins against all others.
            better = f.fcmp("ugt" if largest else "ult", part, best)
            better = f.op("and", better, f.fcmp("ord", best, best))
        else:
            sign = "s" if self.spec.dtype.kind == "i" else "u"
            better = f.icmp(sign + ("gt" if largest else "lt"), part, best)
        numbers = f.splat(number, self.lanes.count)
        return f.select(better, part, best), f.select(better, numbers, position)
