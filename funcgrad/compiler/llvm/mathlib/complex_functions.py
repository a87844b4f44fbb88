"""Elementary functions of complex numbers, with the special values of C99's Annex G."""

from __future__ import annotations

import math
from collections.abc import Callable

from funcgrad.compiler.llvm.mathlib import complex_arithmetic as arithmetic
from funcgrad.compiler.llvm.mathlib.complex_arithmetic import Complex, Formula, choose, native
from funcgrad.compiler.llvm.mathlib.double_word import sum_of_any, two_product
from funcgrad.compiler.llvm.mathlib.exponent import power_of_two, split
from funcgrad.compiler.llvm.mathlib.exponential import exp as real_exp, expm1 as real_expm1
from funcgrad.compiler.llvm.mathlib.hyperbolic import cosh as real_cosh, sinh as real_sinh
from funcgrad.compiler.llvm.mathlib.inverse_trigonometric import arctan2
from funcgrad.compiler.llvm.mathlib.logarithm import log as real_log, log1p as real_log1p
from funcgrad.compiler.llvm.mathlib.number import (
    Number,
    at_least,
    at_most,
    copysign,
    select,
    sqrt as real_sqrt,
)
from funcgrad.compiler.llvm.mathlib.rounding import floor
from funcgrad.compiler.llvm.mathlib.trigonometric import cos as real_cos, sin as real_sin
from funcgrad.compiler.llvm.types import Value

# From here on exp is a product: a result may be finite where exp overflows. The exponents of its two constant factors.
LARGE = {"float": 80.0, "double": 700.0}
SHIFT = {"float": 35.0, "double": 340.0}
# From here on tanh is 1 but for its imaginary part.
TANH_HIGH = {"float": 11.0, "double": 22.0}
# Exponents of powers of two whose squares, and the inverses of these, are normal numbers.
SQRT_SCALES = {"float": 60.0, "double": 500.0}


def is_infinite(x: Number) -> Number:
    return abs(x).equals(math.inf)


def is_finite(x: Number) -> Number:
    return abs(x) < math.inf


def exp(z: Complex) -> Complex:
    """`exp(x) (cos y + i sin y)`; real for real arguments, and 0 or infinite whatever y is."""
    x, y = z
    size, factor = split_exponent(x)
    size = real_exp(size)
    real = size * real_cos(y) * factor * factor
    imag = select(y.equals(0.0), y, size * real_sin(y) * factor * factor)
    undirected = ~is_finite(y)
    is_zero = undirected & x.equals(-math.inf)
    real = select(undirected & x.equals(math.inf), x, select(is_zero, 0.0, real))
    return Complex(real, select(is_zero, 0.0, imag))


def log(z: Complex) -> Complex:
    return Complex(log_of_size(z), arctan2(z.imag, z.real))


def log_of_size(z: Complex) -> Number:
    """`log |z|`: near 1 from the exact squares, elsewhere from the logarithm of the longer part."""
    a, b = abs(z.real), abs(z.imag)
    longer, shorter = select(a > b, a, b), select(a > b, b, a)
    first, second = two_product(longer, longer), two_product(shorter, shorter)
    total = sum_of_any(first.high - 1.0, second.high)
    near = real_log1p(total.high + (total.low + (first.low + second.low))) * 0.5
    ratio = shorter / longer
    ratio = select(is_infinite(longer) | longer.equals(0.0), 0.0, ratio)
    far = real_log(longer) + real_log1p(ratio * ratio) * 0.5
    far = select(z.is_nan(), math.nan, far)
    is_near = (longer < 1.4) & (first.high + second.high > 0.5)
    found = select(is_near, near, far)
    return select(is_infinite(a) | is_infinite(b), math.inf, found)


def exp2(z: Complex) -> Complex:
    return exp(z.times(z.real.constant(math.log(2.0))))


def expm1(z: Complex) -> Complex:
    """`expm1(x) cos y - 2 sin(y / 2)**2 + i exp(x) sin y`."""
    half = real_sin(z.imag * 0.5)
    real = real_expm1(z.real) * real_cos(z.imag) - half * half * 2.0
    return Complex(real, real_exp(z.real) * real_sin(z.imag))


def log1p(z: Complex) -> Complex:
    """Near 0, `|1 + z|**2 - 1 = x (x + 2) + y**2` has no cancellation."""
    first, second = two_product(z.real, z.real + 2.0), two_product(z.imag, z.imag)
    total = sum_of_any(first.high, second.high)
    near = real_log1p(total.high + (total.low + (first.low + second.low))) * 0.5
    moved = Complex(z.real + 1.0, z.imag)
    is_near = (abs(z.real) < 0.5) & (abs(z.imag) < 0.5)
    size = select(is_near, near, log_of_size(moved))
    return Complex(size, arctan2(moved.imag, moved.real))


def log2(z: Complex) -> Complex:
    found = log(z)
    return found.times(found.real.constant(1.0 / math.log(2.0)))


def log10(z: Complex) -> Complex:
    found = log(z)
    return found.times(found.real.constant(1.0 / math.log(10.0)))


def sqrt(z: Complex) -> Complex:
    """Scaled by an even power of two, so that nothing overflows or loses bits on the way.

    Source: W. Kahan, Branch cuts for complex elementary functions, 1987.
    """
    a, b = abs(z.real), abs(z.imag)
    exponent, limit = split(select(a > b, a, b))[1] * 0.5, SQRT_SCALES[a.element]
    half = at_most(at_least(floor(exponent), -limit), limit)
    factor = power_of_two(half * -2.0)
    x, y = a * factor, b * factor
    root = real_sqrt((x + real_sqrt(x * x + y * y)) * 0.5)
    other = y / (root * 2.0)
    back = power_of_two(half)
    root, other = root * back, other * back
    is_left = z.real < 0.0
    real, imag = select(is_left, other, root), select(is_left, root, other)
    is_zero = a.equals(0.0) & b.equals(0.0)
    real, imag = select(is_zero, 0.0, real), select(is_zero, 0.0, imag)
    return sqrt_specials(z, Complex(real, copysign(imag, z.imag)))


def sqrt_specials(z: Complex, found: Complex) -> Complex:
    """Infinite arguments."""
    x, y = z
    zero = copysign(x.constant(0.0), y)
    right = Complex(x, select(y.is_nan(), y, zero))
    left = Complex(select(y.is_nan(), y, 0.0), copysign(x.constant(math.inf), y))
    found = choose(x.equals(math.inf), right, found)
    found = choose(x.equals(-math.inf), left, found)
    return choose(is_infinite(y), Complex(abs(y), y), found)


def sin(z: Complex) -> Complex:
    """`sin x cosh y + i cos x sinh y`."""
    x, y = z
    cosine, sine = real_cos(x), real_sin(x)
    real, imag = times_hyperbolic(sine, cosine, y)
    real = select(x.equals(0.0), x, real)
    undirected = ~is_finite(x)
    imag = select(undirected & y.equals(0.0), y, imag)
    return Complex(real, select(undirected & is_infinite(y), math.inf, imag))


def cos(z: Complex) -> Complex:
    """`cos x cosh y - i sin x sinh y`."""
    x, y = z
    cosine, sine = real_cos(x), real_sin(x)
    real, imag = times_hyperbolic(cosine, -sine, y)
    undirected = ~is_finite(x)
    real = select(undirected & is_infinite(y), math.inf, real)
    imag = select(undirected & y.equals(0.0), y, imag)
    zero = -x * copysign(x.constant(1.0), y)
    return Complex(real, select(x.equals(0.0), zero, imag))


def times_hyperbolic(a: Number, b: Number, y: Number) -> tuple[Number, Number]:
    """`a cosh y` and `b sinh y`, which may be finite where cosh and sinh overflow."""
    size, factor = split_exponent(abs(y))
    real = a * real_cosh(size) * factor * factor
    return real, b * copysign(real_sinh(size), y) * factor * factor


def split_exponent(x: Number) -> tuple[Number, Number]:
    """`(r, factor)` with `exp(x) = exp(r) factor**2`, where `r` is still large for large `x`."""
    is_large, shift = x > LARGE[x.element], SHIFT[x.element]
    factor = select(is_large, math.exp(shift), x.constant(1.0))
    return select(is_large, x - 2.0 * shift, x), factor


def tanh(z: Complex) -> Complex:
    """`(sinh x cosh x + i sin y cos y) / (sinh(x)**2 + cos(y)**2)`: a sum of squares has no cancellation."""
    x, y = z
    high = TANH_HIGH[x.element]
    is_large = abs(x) > high
    size = at_most(abs(x), high)
    cosine, sine = real_cos(y), real_sin(y)
    hyperbolic = real_sinh(size)
    turn = sine * cosine
    denominator = hyperbolic * hyperbolic + cosine * cosine
    real = select(is_large, 1.0, hyperbolic * real_cosh(size) / denominator)
    imag = select(is_large, turn * real_exp(abs(x) * -2.0) * 4.0, turn / denominator)
    real = copysign(real, x)
    is_undirected = ~is_finite(y)
    imag = select(is_infinite(x) & is_undirected, copysign(x.constant(0.0), y), imag)
    imag = select(y.equals(0.0) & x.is_nan(), y, imag)
    real = select(is_finite(x) & is_undirected, math.nan, real)
    real = select(x.equals(0.0) | x.is_nan(), x, real)
    return Complex(real, imag)


# --- turned by a quarter: f(i z) ---


def turned(z: Complex) -> Complex:
    """`i z`."""
    return Complex(-z.imag, z.real)


def turned_back(z: Complex) -> Complex:
    """`-i z`."""
    return Complex(z.imag, -z.real)


def sinh(z: Complex) -> Complex:
    return turned_back(sin(turned(z)))


def cosh(z: Complex) -> Complex:
    return cos(turned(z))


def tan(z: Complex) -> Complex:
    return turned_back(tanh(turned(z)))


FUNCTIONS: dict[str, Formula] = {
    "exp": exp,
    "exp2": exp2,
    "expm1": expm1,
    "log": log,
    "log1p": log1p,
    "log2": log2,
    "log10": log10,
    "sqrt": sqrt,
    "sin": sin,
    "cos": cos,
    "tan": tan,
    "sinh": sinh,
    "cosh": cosh,
    "tanh": tanh,
}

COMPLEX_MATH: dict[str, Callable[..., Value]] = {
    name: native(formula)
    for family in (arithmetic.FUNCTIONS, FUNCTIONS)
    for name, formula in family.items()
}
