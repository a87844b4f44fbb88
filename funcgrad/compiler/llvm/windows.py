"""Reductions over sliding windows in native code: pooling, the positions of extrema, and the elements at positions.

Axes before the first that is slid over count planes, which threads divide. A plane with elements around it or between
its elements is first copied to scratch. The vector runs over places along the last axis.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from funcgrad.compiler.llvm.builder import Function, Module, Value, constant, vector, zero
from funcgrad.compiler.llvm.conv_copy import fill, place
from funcgrad.compiler.llvm.conv_spec import contiguous, total
from funcgrad.compiler.llvm.conv_tasks import (
    LEAST_BYTES,
    TaskWriter,
    flag,
    share,
    unless_stopped,
)
from funcgrad.compiler.llvm.elements import register_type
from funcgrad.compiler.llvm.lane_access import Lanes
from funcgrad.compiler.llvm.matrix_copy import at, index, repeat
from funcgrad.compiler.llvm.target import host
from funcgrad.ops.sliding import ALONE, Window
from funcgrad.ops.windows import WINDOW_MAX, WINDOW_MIN, position_dtype

# Windows of more elements are loops.
MOST_UNROLLED = 16
# Windows of more elements are left to NumPy, which combines them axis by axis.
MOST_ELEMENTS = 1024
EXTREMA = {"maximum": True, "minimum": False, "largest": True, "smallest": False}
POSITIONS = ("largest", "smallest")
CHOICES = ("take", "put")


@dataclass(frozen=True)
class WindowSpec:
    """Windows of an array in C order.

    Attributes:
        what: "add", "maximum" or "minimum" of windows; the position of the "largest" or "smallest" element of each;
            "take" elements at positions, or "put" them there, adding.
        dtype: of the elements.
        shape: of the array that the windows slide over.
        window: a `Sliding` for each axis.
    """

    what: str
    dtype: np.dtype
    shape: tuple[int, ...]
    window: Window

    @property
    def places(self) -> tuple[int, ...]:
        return tuple(w.places(n) for w, n in zip(self.window, self.shape, strict=True))

    @property
    def elements(self) -> int:
        return math.prod(w.size for w in self.window)


def supports(spec: WindowSpec) -> bool:
    """Whether there is native code for it."""
    names = ("float32", "float64", "int32", "int64", "uint32", "uint64")
    return bool(spec.shape) and spec.dtype.name in names and spec.elements <= MOST_ELEMENTS


def windows(module: Module, spec: WindowSpec) -> str:
    """The name of a function `void (ptr x, ptr out)`, or `void (ptr x, ptr positions, ptr out)` for "take" and "put".

    For "put", x has the shape of the places and out that of the array. Large work is divided among threads; poll
    for Ctrl-C afterwards.

    Args:
        module: gets the function, once for each spec.
        spec: what to compute, which must be something that `supports`.
    """
    name = "fg_windows_" + hashlib.sha256(repr(spec).encode()).hexdigest()[:20]
    if not module.defines(name):
        pointers = 3 if spec.what in CHOICES else 2
        f = module.function(name, "void", ["ptr"] * pointers, "internal")
        if math.prod(spec.places) or (spec.what == "put" and math.prod(spec.shape)):
            kind = _Choices if spec.what in CHOICES else _Reductions
            kind(module, name, spec).write(f)
        f.ret()
    return name


class _Writer(TaskWriter):
    """What all share: planes, and scratch with the elements around them."""

    def __init__(self, module: Module, name: str, spec: WindowSpec) -> None:
        super().__init__(module, name)
        self.spec = spec
        self.size = spec.dtype.itemsize
        slid = [i for i, w in enumerate(spec.window) if w != ALONE]
        first = min(slid[0] if slid else 0, len(spec.shape) - 1)
        self.planes = math.prod(spec.shape[:first])
        self.shape, self.window = spec.shape[first:], spec.window[first:]
        self.places = spec.places[first:]
        self.pairs = list(zip(self.window, self.shape, strict=True))
        self.padded = tuple(max(w.padded(n), 0) for w, n in self.pairs)
        self.is_padded = not all(w.is_unpadded for w in self.window)
        self.steps = contiguous(self.padded)
        self.lanes = Lanes(spec.dtype, self.places[-1], self.window[-1].stride, host())

    def write(self, f: Function) -> None:
        """Divide the planes."""
        work = math.prod(self.places) * self.spec.elements + math.prod(self.shape)
        chunks = max(min(self.planes, self.planes * work * self.size // LEAST_BYTES), 1)
        g, chunk, values = self.task("planes", ["ptr"] * (len(f.arguments) + 1))
        *operands, stopped = values
        with unless_stopped(g, stopped, self.planes * work // 16):
            start, stop = share(g, chunk, self.planes, chunks)
            scratch = None
            if self.is_padded:
                scratch = g.external("fg_allocate", "ptr", [index(max(self.plane_bytes, 64))])
                self.clear(g, scratch)
            with repeat(g, start, stop) as loop:
                self.plane(g, loop.index, operands, scratch)
            if scratch is not None:
                g.external("fg_free", "void", [scratch])
        g.ret()
        self.parallel(f, g, [*f.arguments, flag(f)], index(chunks))

    def plane(
        self, f: Function, number: Value, operands: list[Value], scratch: Value | None
    ) -> None:
        raise NotImplementedError

    def clear(self, f: Function, scratch: Value) -> None:
        raise NotImplementedError

    # --- planes ---

    @property
    def plane_bytes(self) -> int:
        return math.prod(self.padded) * self.size

    def start(
        self, f: Function, base: Value, number: Value, shape: Sequence[int], size: int
    ) -> Value:
        return at(f, base, (number, index(math.prod(shape) * size)))

    def copy_plane(self, f: Function, plane: Value, scratch: Value, back: bool) -> None:
        """What stays of a plane to its places in scratch, or back from there."""
        kept = [w.kept(n) for w, n in self.pairs]
        own = contiguous(self.shape)
        axes = [
            (source.stop - source.start, step, (to.step or 1) * padded_step)
            for (source, to), step, padded_step in zip(kept, own, self.steps, strict=True)
        ]
        if not all(axis[0] for axis in axes):
            return
        plane_start = sum(source.start * step for (source, _), step in zip(kept, own, strict=True))
        scratch_start = sum(to.start * step for (_, to), step in zip(kept, self.steps, strict=True))
        plane = f.gep(plane, plane_start * self.size)
        scratch = f.gep(scratch, scratch_start * self.size)
        length, _, spread = axes[-1]
        raw = f"i{8 * self.size}"
        with f.loop(index(0), index(total(axes[:-1]))) as line:
            offsets = place(f, line.index, axes[:-1], 1, 2)
            first, second = (
                f.gep(base, f.op("mul", offset, index(self.size)))
                for base, offset in zip((plane, scratch), offsets, strict=True)
            )
            with f.loop(index(0), index(length)) as loop:
                element = f.gep(first, loop.index, raw)
                spaced = f.gep(second, f.op("mul", loop.index, index(spread)), raw)
                source, to = (spaced, element) if back else (element, spaced)
                f.store(f.load(raw, source), to, self.size)

    def rows(self, f: Function, write: Callable[[Value, Value], None]) -> None:
        """Call `write(offset in the padded plane, number of the first place)` for each row of places."""
        axes = [
            (n, w.stride * step)
            for n, w, step in zip(self.places, self.window, self.steps, strict=True)
        ][:-1]
        with f.loop(index(0), index(total(axes))) as loop:
            (offset,) = place(f, loop.index, axes, 1)
            write(offset, f.op("mul", loop.index, index(self.places[-1])))

    def offsets(self) -> list[int]:
        """Where the elements of a window lie, from its first one on."""
        ranges = [
            range(0, w.size * w.dilation * step, w.dilation * step) if step else [0] * w.size
            for w, step in zip(self.window, self.steps, strict=True)
        ]
        return [sum(parts) for parts in itertools.product(*ranges)]

    def offset_table(self) -> Value:
        """The same as a constant array of i64."""
        words = ", ".join(f"i64 {offset}" for offset in self.offsets())
        definition = f"private constant [{self.spec.elements} x i64] [{words}]"
        return self.module.data(f"{self.name}_offsets", definition)


class _Reductions(_Writer):
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
        primitive = WINDOW_MAX if EXTREMA[self.spec.what] else WINDOW_MIN
        return primitive.neutral(self.spec.dtype)

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


class _Choices(_Writer):
    """Elements at positions: an index each, found in a table by the position."""

    def clear(self, f: Function, scratch: Value) -> None:
        """Positions outside of the array give 0."""
        fill(f, scratch, self.plane_bytes)

    @property
    def is_apart(self) -> bool:
        """Whether no two windows share an element, so that vectors can write them."""
        return (
            all(w.size <= w.stride and w.dilation == 1 for w in self.window)
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
