"""Elements at given positions of sliding windows in native code: reading them, and adding to them."""

from __future__ import annotations

import math

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.kernels.registers import register_type
from funcgrad.compiler.llvm.strided import index
from funcgrad.compiler.llvm.types import Value, constant, zero
from funcgrad.compiler.llvm.windows.conv_copy import fill
from funcgrad.compiler.llvm.windows.window_planes import (
    MOST_UNROLLED,
    WindowWriter,
)
from funcgrad.ops.windows import position_dtype


class Choices(WindowWriter):
    """Elements at positions: an index each, found in a table by the position."""

    def clear(self, f: Function, scratch: Value) -> None:
        """Positions outside of the array give 0."""
        fill(f, scratch, self.plane_bytes)

    @property
    def is_apart(self) -> bool:
        """Whether no two windows share an element, so that vectors can write them and what lies between them."""
        return (
            all(w.size <= w.stride and w.dilation == 1 for w in self.window)
            and self.places[-1] * self.window[-1].stride <= self.padded[-1]
            and self.lanes.count > 1
            and self.spec.elements <= MOST_UNROLLED
        )

    @property
    def covers(self) -> bool:
        """Whether such vectors write each element of a plane."""
        *outer, last = zip(self.shape, self.places, self.window, strict=True)
        return (
            self.is_apart
            and all(n == places * w.size for n, places, w in outer)
            and last[0] == last[1] * last[2].stride
        )

    def plane(
        self, f: Function, number: Value, operands: list[Value], scratch: Value | None
    ) -> None:
        x, positions, out = operands
        puts = self.spec.what == "put"
        sizes = (self.places, self.shape) if puts else (self.shape, self.places)
        x = self.start(f, x, number, sizes[0], self.size)
        out = self.start(f, out, number, sizes[1], self.size)
        itemsize = position_dtype(self.window).itemsize
        positions = self.start(f, positions, number, self.places, itemsize)
        plane = out if puts else x
        if scratch is not None:
            if puts:
                self.clear(f, scratch)
            else:
                self.copy_plane(f, x, scratch, back=False)
            plane = scratch
        elif puts and not self.covers:
            fill(f, out, math.prod(self.shape) * self.size)
        if puts and self.is_apart and math.prod(self.places):
            self.rows(f, lambda offset, first: self.put_row(f, x, positions, plane, offset, first))
        elif math.prod(self.places):
            arrays = (plane, x, positions) if puts else (plane, out, positions)
            self.rows(f, lambda offset, first: self.move_row(f, arrays, offset, first))
        if scratch is not None and puts:
            if any(w.kept(n)[0] != slice(0, n) for w, n in self.pairs):
                fill(f, out, math.prod(self.shape) * self.size)
            self.copy_plane(f, out, scratch, back=True)

    def position(self, f: Function, positions: Value, number: Value) -> Value:
        size = position_dtype(self.window).itemsize
        type = f"i{8 * size}"
        return f.cast("zext", f.load(type, f.gep(positions, number, type), size), "i64")

    def move_row(
        self, f: Function, arrays: tuple[Value, Value, Value], offset: Value, first: Value
    ) -> None:
        """Place after place: add to an element of the plane, or read one."""
        plane, values, positions = arrays
        type = register_type(self.spec.dtype)
        table = self.offset_table()
        with f.loop(index(0), index(self.places[-1])) as loop:
            number = f.op("add", first, loop.index)
            within = f.gep(table, self.position(f, positions, number), "i64")
            step = index(self.window[-1].stride * self.steps[-1])
            start = f.op("add", offset, f.op("mul", loop.index, step))
            element = f.gep(plane, f.op("add", start, f.load("i64", within, 8)), type)
            value = f.gep(values, number, type)
            if self.spec.what == "take":
                f.store(f.load(type, element, self.size), value, self.size)
            else:
                add = "fadd" if self.spec.dtype.kind == "f" else "add"
                summed = f.op(add, f.load(type, element, self.size), f.load(type, value, self.size))
                f.store(summed, element, self.size)

    def put_row(
        self, f: Function, x: Value, positions: Value, plane: Value, offset: Value, first: Value
    ) -> None:
        """Windows that share nothing: each element is written once, the value or 0."""
        lanes, last = self.lanes, self.window[-1]
        size = position_dtype(self.window).itemsize
        outer = self.offsets()[:: last.size]
        x = f.gep(x, f.op("mul", first, index(self.size)))
        positions = f.gep(positions, f.op("mul", first, index(size)))
        line = f.gep(plane, f.op("mul", offset, index(self.size)))

        def put(t: Value, active: int) -> None:
            value = lanes.load(f, f.gep(x, f.op("mul", t, index(self.size))), active)
            chosen = lanes.load(
                f, f.gep(positions, f.op("mul", t, index(size))), active, f"i{8 * size}"
            )
            to = f.gep(line, f.op("mul", t, index(last.stride * self.size)))
            nothing = zero(value.type)
            for row, start in enumerate(outer):
                parts = []
                for k in range(last.stride):
                    number = constant(chosen.type, row * last.size + k)
                    is_here = f.icmp("eq", chosen, number)
                    parts.append(f.select(is_here, value, nothing) if k < last.size else nothing)
                lanes.store_apart(f, parts, f.gep(to, start * self.size), active)

        lanes.each(f, put)
