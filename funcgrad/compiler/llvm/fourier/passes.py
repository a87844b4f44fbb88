"""The loops of Fourier transforms, on blocks of as many lines as a vector has lanes.

A block holds for each place two vectors, of real and of imaginary parts. A pass of radix `r` reads places
`i + inner * (j + r * k)` and writes places `i + inner * (k + outer * j)` for all i below inner and k below outer,
after a small transform over j and a product with roots of unity. After the last pass the places are in order.
(W. Cochran and others, What is the fast Fourier transform?, 1967; this ordering is due to T. Stockham.)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from funcgrad.compiler.llvm.builder import Function, Module
from funcgrad.compiler.llvm.fourier.butterflies import Complex, add, multiply, subtract, transformed
from funcgrad.compiler.llvm.kernels.registers import register_type
from funcgrad.compiler.llvm.loading.libraries import FOURIER
from funcgrad.compiler.llvm.strided import at, index, repeat
from funcgrad.compiler.llvm.types import Value, constant, vector, zero

# source: real parts, imaginary parts, bytes from place to place; the same of the target; roots of unity, or the factor;
# inner, outer
PASS_PARAMETERS = ("ptr", "ptr", "i64", "ptr", "ptr", "i64", "ptr", "i64", "i64")
# source, target: real parts, imaginary parts; bytes from place to place; roots of unity; how many places
HALF_PARAMETERS = ("ptr", "ptr", "ptr", "ptr", "i64", "ptr", "i64")

# How places lie in memory: apart in two vectors, in pairs of numbers, and in pairs of an imaginary and a real one.
LAYOUTS = ("apart", "pairs", "turned")


class Pass(NamedTuple):
    """What the function of a pass is for.

    Attributes:
        dtype, lanes: of the vectors; `lanes` is 0 for numbers.
        radix: of the small transform.
        has_roots: whether it multiplies by roots of unity; else inner is 1.
        source, target: their layouts.
        scales: whether it multiplies the results by a factor; then there are no roots.
    """

    dtype: np.dtype
    lanes: int
    radix: int
    has_roots: bool
    source: str
    target: str
    scales: bool

    @property
    def name(self) -> str:
        flags = f"{int(self.has_roots)}{int(self.scales)}"
        layouts = f"{self.source}.{self.target}"
        return f"{FOURIER}pass.{self.dtype.name}.{self.lanes}.{self.radix}.{flags}.{layouts}"


def half_name(kind: str, dtype: np.dtype, lanes: int) -> str:
    """The function between half a spectrum and real numbers: "pack", "unpack" or "widen"."""
    return f"{FOURIER}{kind}.{dtype.name}.{lanes}"


def module_text(name: str) -> str:
    """The LLVM text of the module that defines a function, by its name."""
    module = Module()
    kind, dtype, lanes, *rest = name.removeprefix(FOURIER).split(".")
    vectors = Vectors(np.dtype(dtype), int(lanes))
    if kind == "pass":
        radix, flags, source, target = rest
        has_roots, scales = flags[0] == "1", flags[1] == "1"
        shape = Pass(vectors.dtype, vectors.lanes, int(radix), has_roots, source, target, scales)
        f = module.function(name, "void", PASS_PARAMETERS)
        _write_pass(f, shape, vectors)
    else:
        f = module.function(name, "void", HALF_PARAMETERS)
        if kind == "widen":
            _write_opposites(f, vectors)
        else:
            _write_half(f, vectors, kind == "pack")
    f.ret()
    return module.text()


class Vectors:
    """Loads and stores complex vectors of one type."""

    def __init__(self, dtype: np.dtype, lanes: int) -> None:
        self.dtype = dtype
        self.lanes = lanes
        self.element = register_type(dtype)
        self.type = vector(lanes, self.element)
        self.bytes = max(lanes, 1) * dtype.itemsize

    def load(self, f: Function, layout: str, real: Value, imaginary: Value) -> Complex:
        if layout == "apart":
            return Complex(
                f.load(self.type, real, self.bytes), f.load(self.type, imaginary, self.bytes)
            )
        size = self.dtype.itemsize
        low, high = (f.load(self.type, f.gep(real, i * self.bytes), size) for i in range(2))
        if self.lanes:
            places = range(0, 2 * self.lanes, 2)
            low, high = f.shuffle(low, high, places), f.shuffle(low, high, [i + 1 for i in places])
        return Complex(low, high) if layout == "pairs" else Complex(high, low)

    def store(
        self, f: Function, layout: str, value: Complex, real: Value, imaginary: Value
    ) -> None:
        if layout == "apart":
            f.store(value.real, real, self.bytes)
            f.store(value.imaginary, imaginary, self.bytes)
            return
        low, high = value if layout == "pairs" else value[::-1]
        if self.lanes:
            order = [i // 2 + self.lanes * (i % 2) for i in range(2 * self.lanes)]
            halves = order[: self.lanes], order[self.lanes :]
            low, high = (f.shuffle(low, high, half) for half in halves)
        for i, part in enumerate((low, high)):
            f.store(part, f.gep(real, i * self.bytes), self.dtype.itemsize)

    def root(self, f: Function, roots: Value, place: int) -> Complex:
        """A root of unity in all lanes."""
        size = self.dtype.itemsize
        numbers = (
            f.load(self.element, f.gep(roots, (2 * place + i) * size), size) for i in range(2)
        )
        return Complex(*(f.splat(number, self.lanes) for number in numbers))


def _write_pass(f: Function, shape: Pass, vectors: Vectors) -> None:
    real, imaginary, step, to_real, to_imaginary, to_step, roots, inner, outer = f.arguments
    size, radix = vectors.dtype.itemsize, shape.radix
    factor = f.splat(f.load(vectors.element, roots, size), vectors.lanes) if shape.scales else None
    near, far = f.op("mul", step, inner), f.op("mul", f.op("mul", to_step, inner), outer)
    with repeat(f, index(0), outer) as block:
        first = f.op("mul", block.index, f.op("mul", near, index(radix)))
        to_first = f.op("mul", block.index, f.op("mul", to_step, inner))
        with f.loop(index(0), inner) as place:
            source = f.op("add", first, f.op("mul", place.index, step))
            values = []
            for _ in range(radix):
                places = f.gep(real, source), f.gep(imaginary, source)
                values.append(vectors.load(f, shape.source, *places))
                source = f.op("add", source, near)
            found = transformed(f, values)
            if shape.has_roots:
                here = at(f, roots, (place.index, index(2 * (radix - 1) * size)))
                turns = [vectors.root(f, here, j) for j in range(radix - 1)]
                found[1:] = [multiply(f, x, y) for x, y in zip(found[1:], turns, strict=True)]
            target = f.op("add", to_first, f.op("mul", place.index, to_step))
            for value in found:
                if factor is not None:
                    value = Complex(*(f.op("fmul", part, factor) for part in value))
                places = f.gep(to_real, target), f.gep(to_imaginary, target)
                vectors.store(f, shape.target, value, *places)
                target = f.op("add", target, far)


def _write_half(f: Function, vectors: Vectors, is_inverse: bool) -> None:
    """From a transform of pairs of numbers to that of the numbers, whose places are one more, or back."""
    real, imaginary, to_real, to_imaginary, step, roots, count = f.arguments

    def load(place: Value) -> Complex:
        return vectors.load(f, "apart", f.gep(real, place), f.gep(imaginary, place))

    def store(value: Complex, place: Value) -> None:
        vectors.store(f, "apart", value, f.gep(to_real, place), f.gep(to_imaginary, place))

    first, end, none = load(index(0)), f.op("mul", count, step), zero(vectors.type)
    if is_inverse:
        last = load(end).real
        total, difference = (f.op(op, first.real, last) for op in ("fadd", "fsub"))
        store(Complex(total, difference), index(0))
    else:
        total, difference = (f.op(op, *first) for op in ("fadd", "fsub"))
        store(Complex(total, none), index(0))
        store(Complex(difference, none), end)
    half = constant(vectors.type, 0.5)
    with repeat(f, index(1), count) as loop:
        place = f.op("mul", loop.index, step)
        here, there = load(place), load(f.op("sub", end, place))
        opposite = Complex(there.real, f.fneg(there.imaginary))
        total, difference = add(f, here, opposite), subtract(f, here, opposite)
        turn = vectors.root(f, at(f, roots, (loop.index, index(2 * vectors.dtype.itemsize))), 0)
        if not is_inverse:
            total = Complex(*(f.op("fmul", part, half) for part in total))
        store(add(f, total, multiply(f, difference, turn)), place)


def _write_opposites(f: Function, vectors: Vectors) -> None:
    """The second half of a spectrum of real numbers, of which there is an odd number."""
    real, imaginary, to_real, to_imaginary, step, _, count = f.arguments
    f.store(zero(vectors.type), imaginary, vectors.bytes)
    end = f.op("mul", count, step)
    with repeat(f, index(1), f.op("udiv", f.op("add", count, index(1)), index(2))) as loop:
        here = f.op("mul", loop.index, step)
        there = f.op("sub", end, here)
        value = vectors.load(f, "apart", f.gep(real, here), f.gep(imaginary, here))
        value = Complex(value.real, f.fneg(value.imaginary))
        vectors.store(f, "apart", value, f.gep(to_real, there), f.gep(to_imaginary, there))
