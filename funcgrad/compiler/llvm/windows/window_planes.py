"""What native code for sliding windows shares: planes, scratch with the elements around them, rows of places."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

from funcgrad.compiler.llvm.builder import Function, Module
from funcgrad.compiler.llvm.kernels.lane_access import Lanes
from funcgrad.compiler.llvm.strided import at, index, repeat
from funcgrad.compiler.llvm.target import host
from funcgrad.compiler.llvm.types import Value
from funcgrad.compiler.llvm.windows.conv_copy import place
from funcgrad.compiler.llvm.windows.conv_tasks import (
    LEAST_BYTES,
    POLL_WORK,
    TaskWriter,
    flag,
    share,
    unless_stopped,
)
from funcgrad.compiler.lowering.conv_spec import contiguous, total
from funcgrad.compiler.lowering.window_spec import WindowSpec
from funcgrad.ops.sliding import ALONE

# Windows of more elements are loops.
MOST_UNROLLED = 16
# Windows of more elements are left to NumPy, which combines them axis by axis.
MOST_ELEMENTS = 1024
EXTREMA = {"maximum": True, "minimum": False, "largest": True, "smallest": False}
POSITIONS = ("largest", "smallest")
CHOICES = ("take", "put")


class WindowWriter(TaskWriter):
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
        with unless_stopped(g, stopped, self.planes * work // 16 > POLL_WORK):
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
