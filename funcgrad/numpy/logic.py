"""Comparing arrays, and asking what their elements are."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ir.types import is_inexact
from funcgrad.numpy.elementwise import imag
from funcgrad.numpy.reductions import all_
from funcgrad.numpy.register import numpy_function
from funcgrad.numpy.ufunc import write_output
from funcgrad.ops.arithmetic import add, multiply, subtract
from funcgrad.ops.cast import convert
from funcgrad.ops.compare import (
    equal,
    isfinite,
    isinf,
    isnan,
    less,
    less_equal,
    logical_and,
    logical_or,
    not_equal,
)
from funcgrad.ops.floats import absolute
from funcgrad.ops.operands import shape_of
from funcgrad.ops.sequences import as_array


@numpy_function(np.isclose)
def isclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Any:
    """Whether `|a - b| <= atol + rtol * |b|`, element by element.

    Args:
        a, b: arrays.
        rtol, atol: relative and absolute tolerance.
        equal_nan: whether NaN is close to NaN.
    """
    a, b = as_array(a), as_array(b)
    if not is_inexact(b.dtype):
        b = convert(b, np.float64)
    limit = add(multiply(absolute(b), rtol), atol)
    near = logical_and(less_equal(absolute(subtract(a, b)), limit), isfinite(b))
    close = logical_or(near, equal(a, b))
    return logical_or(close, logical_and(isnan(a), isnan(b))) if equal_nan else close


@numpy_function(np.allclose)
def allclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Any:
    """Whether all elements are close; see `isclose`."""
    return all_(isclose(a, b, rtol, atol, equal_nan))


@numpy_function(np.array_equal)
def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Any:
    """Whether two arrays have the same shape and elements."""
    a1, a2 = as_array(a1), as_array(a2)
    if shape_of(a1) != shape_of(a2):
        return False
    same = equal(a1, a2)
    if equal_nan and a1.dtype.kind in "fc":
        same = logical_or(same, logical_and(isnan(a1), isnan(a2)))
    return all_(same)


@numpy_function(np.array_equiv)
def array_equiv(a1: Any, a2: Any) -> Any:
    """Whether two arrays have the same elements after broadcasting."""
    a1, a2 = as_array(a1), as_array(a2)
    try:
        np.broadcast_shapes(shape_of(a1), shape_of(a2))
    except ValueError:
        return False
    return all_(equal(a1, a2))


@numpy_function(np.isneginf)
def isneginf(x: Any, out: Any = None) -> Any:
    """Whether each element is minus infinity."""
    result = logical_and(isinf(x), less(x, 0))
    return result if out is None else write_output("isneginf", result, out)


@numpy_function(np.isposinf)
def isposinf(x: Any, out: Any = None) -> Any:
    """Whether each element is plus infinity."""
    result = logical_and(isinf(x), less(0, x))
    return result if out is None else write_output("isposinf", result, out)


@numpy_function(np.iscomplex)
def iscomplex(x: Any) -> Any:
    """Whether each element has an imaginary part other than zero."""
    return not_equal(imag(x), 0)


@numpy_function(np.isreal)
def isreal(x: Any) -> Any:
    """Whether each element has no imaginary part."""
    return equal(imag(x), 0)
