"""One stage of a Fourier transform: all transforms along an axis, in blocks of neighbouring lines.

A block has as many lines as a vector has lanes. Where these are neighbours in memory the first and the last pass read
and write the arrays; else lines are copied to and from a buffer, transposed in registers.
"""

from __future__ import annotations

from funcgrad.compiler.llvm.builder import Function, Module
from funcgrad.compiler.llvm.fourier.butterflies import factors
from funcgrad.compiler.llvm.fourier.passes import HALF_PARAMETERS, PASS_PARAMETERS, Pass, half_name
from funcgrad.compiler.llvm.fourier.spec import FourierSpec, Stage
from funcgrad.compiler.llvm.fourier.twiddles import half_twiddles, pass_twiddles, table
from funcgrad.compiler.llvm.kernels.floating import can_look, write_clear
from funcgrad.compiler.llvm.products.matrix_copy import copy_matrix
from funcgrad.compiler.llvm.program import note_events
from funcgrad.compiler.llvm.strided import at, index, repeat
from funcgrad.compiler.llvm.target import host
from funcgrad.compiler.llvm.types import Value
from funcgrad.compiler.llvm.windows.conv_copy import fill
from funcgrad.compiler.llvm.windows.conv_tasks import TaskWriter, divided, share, unless_stopped

# A thread is given at least so many points, and Ctrl-C is looked for in transforms of more.
LEAST_POINTS = 1 << 13
POLL_POINTS = 1 << 19
MOST_CHUNKS = 64


class StageWriter(TaskWriter):
    """Writes the task of one stage.

    Args:
        factor: of the results.
    """

    def __init__(
        self, module: Module, name: str, spec: FourierSpec, stage: Stage, factor: float
    ) -> None:
        super().__init__(module, name)
        self.spec = spec
        self.stage = stage
        self.dtype, self.size = spec.dtype, spec.dtype.itemsize
        # Lines that are side by side in memory, and how often there are such.
        self.has_rows = stage.inner == 1
        self.lines = stage.outer if self.has_rows else stage.inner
        self.lanes = 1
        while self.lanes < min(self.lines, host().vector_bytes // self.size):
            self.lanes *= 2
        self.blocks = -(-self.lines // self.lanes)
        self.units = self.blocks if self.has_rows else self.blocks * stage.outer
        self.factors = factors(stage.length) or ()
        numbers, self.starts = pass_twiddles(stage.length, self.factors)
        label = f"fg_fourier_roots.{stage.length}.{self.dtype.name}"
        self.roots = table(module, label, self.dtype, numbers)
        self.factor = None
        if factor != 1:
            self.factor = table(module, f"{name}_factor", self.dtype, [factor])

    @property
    def vector_bytes(self) -> int:
        return self.lanes * self.size

    @property
    def place_bytes(self) -> int:
        """Between the places of a block in a buffer."""
        return 2 * self.vector_bytes

    @property
    def buffer_bytes(self) -> int:
        """One more place, of the spectrum of real numbers; an odd number of cache lines."""
        size = (self.stage.length + 1) * self.place_bytes
        return (-(-size // 64) | 1) * 64

    def write(self, f: Function, given: list[Value]) -> None:
        """Have the stage done, for `given` source, target, a word that stops it, and the record of failures."""
        points = self.units * self.lanes * self.stage.length
        chunks = max(min(self.units, points // LEAST_POINTS, MOST_CHUNKS), 1)
        g, chunk, (source, target, stopped, failure) = self.task("stage", ["ptr"] * 4)
        reports = chunks > 1 and can_look(host())
        if reports:
            note_events(f, given[-1])  # of this thread, which then begins anew as the others do
            write_clear(g)
        with unless_stopped(g, stopped, points > POLL_POINTS):
            memory = g.external("fg_allocate", "ptr", [index(2 * self.buffer_bytes)])
            if self.lines % self.lanes:
                fill(g, memory, self.buffer_bytes)  # idle lanes hold numbers
            start, stop = share(g, chunk, self.units, chunks)
            with repeat(g, start, stop) as loop:
                self.unit(g, loop.index, source, target, memory)
            g.external("fg_free", "void", [memory])
        if reports:
            note_events(g, failure)
        g.ret()
        self.parallel(f, g, given, index(chunks))

    # --- blocks of lines ---

    def unit(self, f: Function, unit: Value, source: Value, target: Value, memory: Value) -> None:
        """One block: a whole one, or what is left at the end of its lines."""
        outer, block = divided(f, unit, self.blocks)
        first = f.op("mul", block, index(self.lanes))
        rest = self.lines % self.lanes
        if not rest:
            self.block(f, outer, first, self.lanes, source, target, memory)
            return
        is_last = f.icmp("eq", block, index(self.blocks - 1))
        last, whole, after = (f.new_block(hint) for hint in ("last", "whole", "after"))
        f.branch_if(is_last, last, whole)
        for part, count in ((last, rest), (whole, self.lanes)):
            f.block = part
            self.block(f, outer, first, count, source, target, memory)
            f.branch(after)
        f.block = after

    def block(
        self,
        f: Function,
        outer: Value,
        first: Value,
        count: int,
        source: Value,
        target: Value,
        memory: Value,
    ) -> None:
        """Some lines from `first` on, all of them in lanes of one vector."""
        m, kind = self.stage.length, self.stage.kind
        read, written = {
            "complex": (2 * m, 2 * m),
            "unpack": (2 * m, 2 * m + 2),
            "pack": (2 * m + 2, 2 * m),
            "narrow": (m, m + 1),
            "widen": (m + 1, m),
        }[kind]
        reads_real, writes_real = kind in ("unpack", "narrow"), kind in ("pack", "widen")
        source = self.line_start(f, source, outer, first, read, reads_real)
        target = self.line_start(f, target, outer, first, written, writes_real)
        is_direct = kind == "complex" and not self.has_rows and count == self.lanes
        buffers = [memory, f.gep(memory, self.buffer_bytes)]
        if is_direct and self.factors:
            self.passes(f, (source, target), buffers)
            return
        if kind == "narrow":
            fill(f, buffers[0], self.buffer_bytes)  # the imaginary parts
        self.copy(f, count, (source, buffers[0]), read, reads_real, is_in=True)
        if kind == "pack":
            self.half(f, buffers)
            buffers.reverse()
        elif kind == "widen":
            self.half(f, [buffers[0], buffers[0]])
        self.passes(f, None, buffers)
        if len(self.factors) % 2:
            buffers.reverse()
        if kind == "unpack":
            self.half(f, buffers)
            buffers.reverse()
        self.copy(f, count, (target, buffers[0]), written, writes_real, is_in=False)

    def line_start(
        self, f: Function, base: Value, outer: Value, first: Value, numbers: int, is_real: bool
    ) -> Value:
        """Where the first line of a block begins, of so many numbers each."""
        if self.has_rows:
            return at(f, base, (first, index(numbers * self.size)))
        lane = self.size if is_real else 2 * self.size
        outer_step = numbers * self.stage.inner * self.size
        return at(f, base, (outer, index(outer_step)), (first, index(lane)))

    def copy(
        self,
        f: Function,
        count: int,
        places: tuple[Value, Value],
        numbers: int,
        is_real: bool,
        is_in: bool,
    ) -> None:
        """Lines between an array and a buffer; the numbers of a line are rows of the buffer."""
        array, buffer = places
        lanes, inner = self.lanes, self.stage.inner
        if self.has_rows or is_real:
            strides = (1, numbers) if self.has_rows else (inner, 1)
            apart = 2 * lanes if is_real and self.stage.length == numbers else lanes
            moves = [(array, buffer, strides, (apart, 1), numbers)]
        else:
            strides = 2 * inner, 2
            moves = [
                (
                    f.gep(array, part * self.size),
                    f.gep(buffer, part * self.vector_bytes),
                    strides,
                    (2 * lanes, 1),
                    numbers // 2,
                )
                for part in range(2)
            ]
        for outside, inside, strides, buffer_strides, rows in moves:
            ends = [(inside, buffer_strides), (outside, strides)]
            (to, to_strides), (source, source_strides) = ends if is_in else ends[::-1]
            shape = index(rows), index(count)
            copy_matrix(f, self.size, to, to_strides, source, source_strides, shape)

    # --- passes ---

    def passes(self, f: Function, ends: tuple[Value, Value] | None, buffers: list[Value]) -> None:
        """The passes from buffer to buffer, or with an array at each of the `ends`; inverse ones exchange the parts."""
        before, last = 1, len(self.factors) - 1
        step = 2 * self.stage.inner * self.size
        direct = "turned" if self.spec.is_inverse else "pairs"
        for number, radix in enumerate(self.factors):
            inner = self.stage.length // (before * radix)
            sides = []
            for side, is_end in enumerate((number == 0, number == last)):
                if is_end and ends is not None:
                    sides.append((direct, ends[side], ends[side], step))
                else:
                    turns = is_end and self.spec.is_inverse
                    parts = self.parts(f, buffers[(number + side + (ends is not None)) % 2], turns)
                    sides.append(("apart", *parts, self.place_bytes))
            scales = number == last and self.factor is not None
            self.run_pass(f, number, sides, inner, before, scales)
            before *= radix

    def run_pass(
        self, f: Function, number: int, sides: list[tuple], inner: int, outer: int, scales: bool
    ) -> None:
        layouts = sides[0][0], sides[1][0]
        lanes = self.lanes if self.lanes > 1 else 0
        shape = Pass(self.dtype, lanes, self.factors[number], inner > 1, *layouts, scales)
        roots = f.gep(self.roots, self.starts[number] * self.size)
        given = [side[1:3] + (index(side[3]),) for side in sides]
        factor = self.factor if scales and self.factor is not None else roots
        arguments = [*given[0], *given[1], factor, index(inner), index(outer)]
        self.module.declare(shape.name, "void", PASS_PARAMETERS)
        f.call(shape.name, "void", arguments)

    def parts(self, f: Function, buffer: Value, turns: bool) -> tuple[Value, Value]:
        """Where the real and the imaginary parts begin."""
        real, imaginary = buffer, f.gep(buffer, self.vector_bytes)
        return (imaginary, real) if turns else (real, imaginary)

    def half(self, f: Function, buffers: list[Value]) -> None:
        """Between real numbers and pairs of them."""
        is_inverse, length = self.spec.is_inverse, 2 * self.stage.length
        numbers = half_twiddles(length, is_inverse)
        label = f"fg_fourier_half.{length}.{self.dtype.name}.{int(is_inverse)}"
        roots = table(self.module, label, self.dtype, numbers)
        name = half_name(self.stage.kind, self.dtype, self.lanes if self.lanes > 1 else 0)
        places = [*self.parts(f, buffers[0], False), *self.parts(f, buffers[1], False)]
        self.module.declare(name, "void", HALF_PARAMETERS)
        arguments = [*places, index(self.place_bytes), roots, index(self.stage.length)]
        f.call(name, "void", arguments)
