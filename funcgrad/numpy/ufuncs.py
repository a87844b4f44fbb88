"""NumPy's ufuncs under NumPy's names."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ir.types import BFLOAT16
from funcgrad.numpy import products
from funcgrad.numpy.ufunc import Ufunc
from funcgrad.ops import (
    arithmetic,
    compare,
    complex as complex_parts,
    exponential,
    extrema,
    floats,
    hyperbolic,
    integer,
    power as powers,
    rounding,
    trigonometry,
)
from funcgrad.ops.public import promote_as
from funcgrad.ops.select import select
from funcgrad.ops.sequences import as_array


def copied(x: Any, /) -> Any:
    """A copy of each element."""
    return as_array(x)


def unit_in_last_place(x: Any, /) -> Any:
    """The distance from each element to its neighbour, with the sign that NumPy's ufunc gives it."""
    (x,) = promote_as("spacing", x)
    return arithmetic.subtract(floats.nextafter(x, far_end(x)), x)


def far_end(x: Any) -> Any:
    """The infinity at the side of the neighbour that `spacing` measures to.

    NumPy's float16 has the one above; other dtypes have the one of larger magnitude, of -0 too only in bfloat16.
    """
    above, below = (np.asarray(end, x.dtype)[()] for end in (np.inf, -np.inf))
    if x.dtype == np.float16:
        return select(compare.equal(x, below), below, above)
    is_below = compare.signbit(x) if x.dtype == BFLOAT16 else compare.less(x, 0)
    return select(is_below, below, above)


add = Ufunc(np.add, arithmetic.add)
subtract = Ufunc(np.subtract, arithmetic.subtract)
multiply = Ufunc(np.multiply, arithmetic.multiply)
divide = Ufunc(np.divide, arithmetic.divide)
negative = Ufunc(np.negative, arithmetic.negative)

power = Ufunc(np.power, powers.power)
float_power = Ufunc(np.float_power, powers.float_power)
sqrt = Ufunc(np.sqrt, powers.sqrt)
cbrt = Ufunc(np.cbrt, powers.cbrt)
square = Ufunc(np.square, powers.square)
reciprocal = Ufunc(np.reciprocal, powers.reciprocal)

exp = Ufunc(np.exp, exponential.exp)
exp2 = Ufunc(np.exp2, exponential.exp2)
expm1 = Ufunc(np.expm1, exponential.expm1)
log = Ufunc(np.log, exponential.log)
log2 = Ufunc(np.log2, exponential.log2)
log10 = Ufunc(np.log10, exponential.log10)
log1p = Ufunc(np.log1p, exponential.log1p)
logaddexp = Ufunc(np.logaddexp, exponential.logaddexp)
logaddexp2 = Ufunc(np.logaddexp2, exponential.logaddexp2)

sin = Ufunc(np.sin, trigonometry.sin)
cos = Ufunc(np.cos, trigonometry.cos)
tan = Ufunc(np.tan, trigonometry.tan)
arcsin = Ufunc(np.arcsin, trigonometry.arcsin)
arccos = Ufunc(np.arccos, trigonometry.arccos)
arctan = Ufunc(np.arctan, trigonometry.arctan)
arctan2 = Ufunc(np.arctan2, trigonometry.arctan2)
hypot = Ufunc(np.hypot, trigonometry.hypot)
deg2rad = Ufunc(np.deg2rad, trigonometry.deg2rad)
rad2deg = Ufunc(np.rad2deg, trigonometry.rad2deg)

sinh = Ufunc(np.sinh, hyperbolic.sinh)
cosh = Ufunc(np.cosh, hyperbolic.cosh)
tanh = Ufunc(np.tanh, hyperbolic.tanh)
arcsinh = Ufunc(np.arcsinh, hyperbolic.arcsinh)
arccosh = Ufunc(np.arccosh, hyperbolic.arccosh)
arctanh = Ufunc(np.arctanh, hyperbolic.arctanh)

floor = Ufunc(np.floor, rounding.floor)
ceil = Ufunc(np.ceil, rounding.ceil)
trunc = Ufunc(np.trunc, rounding.trunc)
rint = Ufunc(np.rint, rounding.rint)
floor_divide = Ufunc(np.floor_divide, rounding.floor_divide)
remainder = Ufunc(np.remainder, rounding.remainder)
fmod = Ufunc(np.fmod, rounding.fmod)
divmod = Ufunc(np.divmod, rounding.divmod)
modf = Ufunc(np.modf, rounding.modf)

absolute = Ufunc(np.absolute, floats.absolute)
fabs = Ufunc(np.fabs, floats.fabs)
sign = Ufunc(np.sign, floats.sign)
copysign = Ufunc(np.copysign, floats.copysign)
nextafter = Ufunc(np.nextafter, floats.nextafter)
ldexp = Ufunc(np.ldexp, floats.ldexp)
frexp = Ufunc(np.frexp, floats.frexp)

maximum = Ufunc(np.maximum, extrema.maximum)
minimum = Ufunc(np.minimum, extrema.minimum)
fmax = Ufunc(np.fmax, extrema.fmax)
fmin = Ufunc(np.fmin, extrema.fmin)
heaviside = Ufunc(np.heaviside, extrema.heaviside)

equal = Ufunc(np.equal, compare.equal)
not_equal = Ufunc(np.not_equal, compare.not_equal)
less = Ufunc(np.less, compare.less)
less_equal = Ufunc(np.less_equal, compare.less_equal)
greater = Ufunc(np.greater, compare.greater)
greater_equal = Ufunc(np.greater_equal, compare.greater_equal)
isnan = Ufunc(np.isnan, compare.isnan)
isinf = Ufunc(np.isinf, compare.isinf)
isfinite = Ufunc(np.isfinite, compare.isfinite)
signbit = Ufunc(np.signbit, compare.signbit)
logical_and = Ufunc(np.logical_and, compare.logical_and)
logical_or = Ufunc(np.logical_or, compare.logical_or)
logical_xor = Ufunc(np.logical_xor, compare.logical_xor)
logical_not = Ufunc(np.logical_not, compare.logical_not)

bitwise_and = Ufunc(np.bitwise_and, integer.bitwise_and)
bitwise_or = Ufunc(np.bitwise_or, integer.bitwise_or)
bitwise_xor = Ufunc(np.bitwise_xor, integer.bitwise_xor)
invert = Ufunc(np.invert, integer.invert)
bitwise_count = Ufunc(np.bitwise_count, integer.bitwise_count)
left_shift = Ufunc(np.left_shift, integer.left_shift)
right_shift = Ufunc(np.right_shift, integer.right_shift)
gcd = Ufunc(np.gcd, integer.gcd)
lcm = Ufunc(np.lcm, integer.lcm)

conjugate = Ufunc(np.conjugate, complex_parts.conjugate)
positive = Ufunc(np.positive, copied)
spacing = Ufunc(np.spacing, unit_in_last_place)
degrees = Ufunc(np.degrees, trigonometry.rad2deg)
radians = Ufunc(np.radians, trigonometry.deg2rad)
matmul = Ufunc(np.matmul, products.matmul)
vecdot = Ufunc(np.vecdot, products.vecdot)
matvec = Ufunc(np.matvec, products.matvec)
vecmat = Ufunc(np.vecmat, products.vecmat)

abs, conj, mod, pow, true_divide = absolute, conjugate, remainder, power, divide
acos, asin, atan, atan2 = arccos, arcsin, arctan, arctan2
acosh, asinh, atanh = arccosh, arcsinh, arctanh
bitwise_not = bitwise_invert = invert
bitwise_left_shift, bitwise_right_shift = left_shift, right_shift
