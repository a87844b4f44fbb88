"""Functions of single elements that are no ufuncs in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ir.tracer import Tracer
from funcgrad.ir.types import is_complex, is_inexact
from funcgrad.numpy.accumulations import cumsum, diff
from funcgrad.numpy.joining import concatenate
from funcgrad.numpy.rearranging import along
from funcgrad.numpy.register import numpy_function
from funcgrad.numpy.shape import normalize_axis
from funcgrad.numpy.ufunc import write_output
from funcgrad.numpy.views import view_of
from funcgrad.ops import complex as complex_parts, extrema
from funcgrad.ops.arithmetic import add, divide, multiply, subtract
from funcgrad.ops.bessel import i0 as bessel_i0
from funcgrad.ops.cast import convert
from funcgrad.ops.compare import equal, logical_and
from funcgrad.ops.complex import make_complex
from funcgrad.ops.floats import absolute
from funcgrad.ops.operands import ndim_of
from funcgrad.ops.rounding import remainder, rint, trunc
from funcgrad.ops.select import select
from funcgrad.ops.sequences import as_array
from funcgrad.ops.sinc import sinc as sinc_of


@numpy_function(np.real, view=True)
def real(val: Any) -> Any:
    """Real part."""
    val = as_array(val)
    if not is_complex(val.dtype):
        return val
    return view_of(val, complex_parts.real, lambda z, new: make_complex(new, complex_parts.imag(z)))


@numpy_function(np.imag, view=True)
def imag(val: Any) -> Any:
    """Imaginary part; zeros for real arrays."""
    val = as_array(val)
    if not is_complex(val.dtype):
        return complex_parts.imag(val)
    return view_of(val, complex_parts.imag, lambda z, new: make_complex(complex_parts.real(z), new))


@numpy_function(np.angle)
def angle(z: Any, deg: bool = False) -> Any:
    """Angle of complex numbers in the plane, in radians or degrees."""
    return complex_parts.angle(z, deg)


@numpy_function(np.sinc)
def sinc(x: Any) -> Any:
    """`sin(pi x) / (pi x)`, smooth at 0."""
    return sinc_of(x)


@numpy_function(np.i0)
def i0(x: Any) -> Any:
    """Modified Bessel function of the first kind and order 0."""
    return bessel_i0(x)


@numpy_function(np.fix)
def fix(x: Any, out: Any = None) -> Any:
    """Whole part, rounded towards zero."""
    result = trunc(x)
    return result if out is None else write_output("fix", result, out)


@numpy_function(np.clip)
def clip(
    a: Any,
    a_min: Any = np._NoValue,
    a_max: Any = np._NoValue,
    out: Any = None,
    *,
    min: Any = np._NoValue,
    max: Any = np._NoValue,
    **options: Any,
) -> Any:
    """Limit each element to the closed interval from `min` to `max`.

    Args:
        a: array.
        a_min, a_max, min, max: the bounds, under either name; None for no bound.
        out: array to write into, traced itself.
        options: `where=`, `dtype=` and `casting=` are not supported on traced values.

    The derivative is 1 inside the interval and at its ends, 0 outside.
    """
    if options:
        raise TypeError(
            f"[clip] {sorted(options)} are not supported on traced values; use np.where."
        )
    low = a_min if min is np._NoValue else min
    high = a_max if max is np._NoValue else max
    low, high = (None if bound is np._NoValue else bound for bound in (low, high))
    a = as_array(a)
    result = extrema.clip(a, low, high)
    return result if out is None else write_output("clip", result, out)


@numpy_function(np.round, np.around)
def round(a: Any, decimals: int = 0, out: Any = None) -> Any:
    """Round to `decimals` places, halves to the even neighbour. The derivative is 0.

    Args:
        a: array.
        decimals: places after the point; negative ones round to tens, hundreds, ...
        out: array to write into, traced itself.
    """
    a = as_array(a)
    if is_complex(a.dtype):
        result = make_complex(
            round(complex_parts.real(a), decimals), round(complex_parts.imag(a), decimals)
        )
    elif is_inexact(a.dtype):
        result = convert(rounded_float(a, decimals), a.dtype)
    elif decimals >= 0:
        result = a
    else:
        unit = 10**-decimals
        result = convert(multiply(rint(divide(a, float(unit))), float(unit)), a.dtype)
    return result if out is None else write_output("round", result, out)


def rounded_float(a: Any, decimals: int) -> Any:
    if decimals == 0:
        return rint(a)
    unit = 10.0 ** absolute_value(decimals)
    if decimals > 0:
        return divide(rint(multiply(a, unit)), unit)
    return multiply(rint(divide(a, unit)), unit)


def absolute_value(number: int) -> int:
    return -number if number < 0 else number


around = round


@numpy_function(np.unwrap)
def unwrap(p: Any, discont: Any = None, axis: int = -1, *, period: Any = 2 * np.pi) -> Any:
    """Angles made continuous: jumps of more than half a period are taken out.

    Args:
        p: array.
        discont: jumps up to this size stay; half a period by default.
        axis: the axis along which neighbours are compared.
        period: 2 pi for angles in radians.
    """
    p = as_array(p)
    axis = normalize_axis("unwrap", axis, ndim_of(p))
    discont = period / 2 if discont is None else discont
    jump = diff(p, axis=axis)
    low = -period / 2 if is_inexact(p.dtype) or period % 2 else -(period // 2)
    wrapped = add(remainder(subtract(jump, low), period), low)
    wrapped = select(logical_and(equal(wrapped, low), jump > 0), -low, wrapped)
    correction = select(absolute(jump) < discont, 0, subtract(wrapped, jump))
    first = p[along(axis, slice(0, 1))]
    rest = add(p[along(axis, slice(1, None))], cumsum(correction, axis))
    return concatenate([first, rest], axis)


@numpy_function(np.real_if_close)
def real_if_close(a: Any, tol: float = 100) -> Any:
    """`a`; NumPy drops imaginary parts that are almost zero, but a traced dtype cannot depend on values."""
    if not isinstance(a, Tracer):
        return np.real_if_close(a, tol)
    if is_complex(a.dtype):
        raise TypeError("[real_if_close] the dtype would depend on traced values. Use np.real(x).")
    return a


def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    """`x` with another dtype; complex numbers cannot become real ones.

    Args:
        x: array.
        dtype: dtype of the result.
        copy: whether a copy is made if `x` has this dtype already.
        device: None or "cpu".
    """
    x = as_array(x)
    if is_complex(x.dtype) and not is_complex(np.dtype(dtype)) and np.dtype(dtype) != np.bool_:
        raise TypeError(
            f"[astype] {x.dtype} does not become {np.dtype(dtype)}. Use np.real(x) or np.abs(x)."
        )
    del device
    out = convert(x, dtype)
    return out.copy() if copy and out is x else out


numpy_function(np.astype)(astype)
