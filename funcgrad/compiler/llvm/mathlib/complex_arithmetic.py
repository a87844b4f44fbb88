"""Complex numbers as pairs of real ones: arithmetic as NumPy does it, comparisons, parts."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.mathlib.floats import isfinite, isinf
from funcgrad.compiler.llvm.mathlib.number import Number, copysign, fma, rint, select
from funcgrad.compiler.llvm.mathlib.power import hypot
from funcgrad.compiler.llvm.types import Value, is_pair


class Complex(NamedTuple):
    """`real + imag * 1j`."""

    real: Number
    imag: Number

    def __neg__(self) -> Complex:
        return Complex(-self.real, -self.imag)

    def times(self, factor: Number) -> Complex:
        """Both parts times a real number."""
        return Complex(self.real * factor, self.imag * factor)

    def equals(self, other: Complex) -> Number:
        return self.real.equals(other.real) & self.imag.equals(other.imag)

    def is_nan(self) -> Number:
        return self.real.is_nan() | self.imag.is_nan()


Formula = Callable[..., Complex | Number]


def native(formula: Formula) -> Callable[..., Value]:
    """A formula on Complex numbers as a writer of instructions on pairs of Values."""

    def write(function: Function, *values: Value) -> Value:
        result = formula(*[operand(function, value) for value in values])
        if isinstance(result, Complex):
            return function.pair(result.real.value, result.imag.value)
        return result.value

    return write


def operand(function: Function, value: Value) -> Complex | Number:
    if not is_pair(value.type):
        return Number(function, value)
    real, imag = function.parts(value)
    return Complex(Number(function, real), Number(function, imag))


def choose(condition: Number, x: Complex, y: Complex) -> Complex:
    """`x` where the condition holds, else `y`."""
    return Complex(select(condition, x.real, y.real), select(condition, x.imag, y.imag))


# --- arithmetic ---


def add(x: Complex, y: Complex) -> Complex:
    return Complex(x.real + y.real, x.imag + y.imag)


def subtract(x: Complex, y: Complex) -> Complex:
    return Complex(x.real - y.real, x.imag - y.imag)


def multiply(x: Complex, y: Complex) -> Complex:
    """Rounded as NumPy does: in each part one of two products is exact where the CPU can."""
    real = fma(x.real, y.real, -(x.imag * y.imag))
    return Complex(real, fma(x.real, y.imag, x.imag * y.real))


def whole_power(x: Complex, exponent: int) -> Complex:
    """A power from 1 on by products, all of which are rounded."""
    result, factor, left = None, x, exponent
    while left:
        if left % 2:
            result = factor if result is None else rounded_product(result, factor)
        left //= 2
        if left:
            factor = rounded_product(factor, factor)
    assert result is not None
    return result


def rounded_product(x: Complex, y: Complex) -> Complex:
    return Complex(x.real * y.real - x.imag * y.imag, x.real * y.imag + x.imag * y.real)


def divide(x: Complex, y: Complex) -> Complex:
    """R. L. Smith, Algorithm 116: Complex division, 1962; division by zero goes part by part."""
    is_real_larger = abs(y.real) >= abs(y.imag)
    is_zero = y.real.equals(0.0) & y.imag.equals(0.0)
    larger, smaller = ordered(is_real_larger, y)
    larger = select(is_zero, 1.0, larger)
    with_larger, with_smaller = ordered(is_real_larger, x)
    ratio = smaller / larger
    scale = 1.0 / (larger + smaller * ratio)
    real = (with_larger + with_smaller * ratio) * scale
    difference = select(
        is_real_larger,
        with_smaller - with_larger * ratio,
        with_larger * ratio - with_smaller,
    )
    size = select(is_zero, abs(y.real), 1.0)
    by_zero = Complex(x.real / size, x.imag / size)
    return choose(is_zero, by_zero, Complex(real, difference * scale))


def ordered(is_real_first: Number, x: Complex) -> Complex:
    """Both parts, or the imaginary one first."""
    return choose(is_real_first, x, Complex(x.imag, x.real))


def reciprocal(x: Complex) -> Complex:
    is_real_larger = abs(x.real) >= abs(x.imag)
    larger, smaller = ordered(is_real_larger, x)
    ratio = smaller / larger
    denominator = larger + smaller * ratio
    first, second = 1.0 / denominator, ratio / denominator
    return choose(is_real_larger, Complex(first, -second), Complex(second, -first))


def square(x: Complex) -> Complex:
    return multiply(x, x)


def absolute(x: Complex) -> Number:
    return hypot(x.real, x.imag)


def sign(x: Complex) -> Complex:
    """`x / |x|`, 0 for 0. Of an infinite number only its infinite part counts."""
    size = absolute(x)
    zero = size.constant(0.0)
    found = Complex(x.real / size, x.imag / size)
    found = choose(size.equals(0.0), Complex(zero, zero), found)
    one = size.constant(1.0)
    along_real = Complex(copysign(one, x.real), zero)
    along_imag = Complex(zero, copysign(one, x.imag))
    found = choose(isinf(size), choose(isinf(x.real), along_real, along_imag), found)
    nan = size.constant(math.nan)
    return choose(isinf(x.real) & isinf(x.imag), Complex(nan, nan), found)


def conjugate(x: Complex) -> Complex:
    return Complex(x.real, -x.imag)


# --- comparisons: by real part, then by imaginary part, as NumPy sorts ---


def equal(x: Complex, y: Complex) -> Number:
    return x.equals(y)


def not_equal(x: Complex, y: Complex) -> Number:
    return ~x.equals(y)


def less(x: Complex, y: Complex) -> Number:
    return before(x, y) | (x.real.equals(y.real) & (x.imag < y.imag))


def less_equal(x: Complex, y: Complex) -> Number:
    return before(x, y) | (x.real.equals(y.real) & (x.imag <= y.imag))


def before(x: Complex, y: Complex) -> Number:
    """Whether the real parts decide."""
    return (x.real < y.real) & ~(x.imag.is_nan() | y.imag.is_nan())


def greater(x: Complex, y: Complex) -> Number:
    return less(y, x)


def greater_equal(x: Complex, y: Complex) -> Number:
    return less_equal(y, x)


def maximum(x: Complex, y: Complex) -> Complex:
    return choose(x.is_nan() | greater_equal(x, y), x, y)


def minimum(x: Complex, y: Complex) -> Complex:
    return choose(x.is_nan() | less_equal(x, y), x, y)


def fmax(x: Complex, y: Complex) -> Complex:
    return choose(y.is_nan() | greater_equal(x, y), x, y)


def fmin(x: Complex, y: Complex) -> Complex:
    return choose(y.is_nan() | less_equal(x, y), x, y)


FUNCTIONS: dict[str, Formula] = {
    "add": add,
    "subtract": subtract,
    "multiply": multiply,
    "divide": divide,
    "reciprocal": reciprocal,
    "square": square,
    "negative": lambda x: -x,
    "absolute": absolute,
    "sign": sign,
    "rint": lambda x: Complex(rint(x.real), rint(x.imag)),
    "conjugate": conjugate,
    "real": lambda x: x.real,
    "imag": lambda x: x.imag,
    "complex": Complex,
    "equal": equal,
    "not_equal": not_equal,
    "less": less,
    "less_equal": less_equal,
    "greater": greater,
    "greater_equal": greater_equal,
    "maximum": maximum,
    "minimum": minimum,
    "fmax": fmax,
    "fmin": fmin,
    "isnan": lambda x: x.is_nan(),
    "isinf": lambda x: isinf(x.real) | isinf(x.imag),
    "isfinite": lambda x: isfinite(x.real) & isfinite(x.imag),
}
