"""Continuous distributions, as transformed uniform numbers. Derivatives flow through their parameters."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np

from funcgrad.ir.types import is_complex, real_dtype
from funcgrad.ops.arithmetic import add, divide, multiply, negative, subtract
from funcgrad.ops.cast import convert
from funcgrad.ops.complex import make_complex
from funcgrad.ops.exponential import log, log1p
from funcgrad.ops.extrema import clip
from funcgrad.ops.floats import absolute, nextafter, sign
from funcgrad.ops.operands import broadcast_shapes, shape_of
from funcgrad.ops.pieces import STATIC_SLICE
from funcgrad.ops.sequences import as_array
from funcgrad.ops.special import erf, erfinv
from funcgrad.ops.trigonometry import tan
from funcgrad.random.keys import as_key, as_shape, split_key
from funcgrad.random.uniform import as_dtype, floating_dtype, uniform_between


def normal(key: Any, shape: Any = (), dtype: Any = None) -> Any:
    """Normally distributed numbers with mean 0 and standard deviation 1.

    Args:
        key: key or seed.
        shape: of the result.
        dtype: floating or complex dtype, float32 by default. Complex numbers have variance 1 in total.

    Returns:
        Array of this shape and dtype.

    Example:
        >>> import funcgrad as fg
        >>> fg.random.normal(fg.random.key(0), (2,))
        array([1.6226..., 2.0252...], dtype=float32)
    """
    shape, dtype = as_shape("normal", shape), as_dtype("normal", dtype)
    if is_complex(dtype):
        return complex_normal(as_key(key, "normal"), shape, real_dtype(dtype))
    return standard_normal(as_key(key, "normal"), shape, floating_dtype("normal", dtype))


def standard_normal(key: Any, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    """`normal` of checked arguments: the inverse of its distribution function."""
    just_above = float(np.nextafter(np.asarray(-1, dtype), np.asarray(0, dtype)))
    drawn = uniform_between(key, shape, dtype, just_above, 1.0)
    return convert(multiply(erfinv(drawn), math.sqrt(2)), dtype)


def complex_normal(key: Any, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    pair = split_key(key)
    parts = [standard_normal(STATIC_SLICE(pair, spec=(i, (0, 2, 1))), shape, dtype) for i in (0, 1)]
    return divide(make_complex(*parts), math.sqrt(2))


def truncated_normal(key: Any, lower: Any, upper: Any, shape: Any = None, dtype: Any = None) -> Any:
    """Normally distributed numbers (mean 0, standard deviation 1) under the condition lower < x < upper.

    Args:
        key: key or seed.
        lower, upper: bounds that broadcast to `shape`; derivatives flow through them.
        shape: of the result, by default that of the bounds.
        dtype: floating dtype, float32 by default.

    Returns:
        Array of this shape and dtype.

    Example:
        >>> import funcgrad as fg
        >>> x = fg.random.truncated_normal(0, -2.0, 2.0, (1000,))
        >>> bool((abs(x) < 2).all())
        True
    """
    dtype = floating_dtype("truncated_normal", dtype)
    low, high = (convert(as_array(bound), dtype) for bound in (lower, upper))
    shape = default_shape("truncated_normal", shape, low, high)
    edges = [erf(divide(bound, math.sqrt(2))) for bound in (low, high)]
    drawn = uniform_between(as_key(key, "truncated_normal"), shape, dtype, *edges)
    out = multiply(erfinv(drawn), math.sqrt(2))
    above, below = (np.asarray(limit, dtype) for limit in (math.inf, -math.inf))
    return clip(convert(out, dtype), nextafter(low, above), nextafter(high, below))


def default_shape(name: str, shape: Any, *parameters: Any) -> tuple[int, ...]:
    if shape is None:
        return broadcast_shapes(name, [shape_of(parameter) for parameter in parameters])
    return as_shape(name, shape)


def exponential(key: Any, shape: Any = (), dtype: Any = None) -> Any:
    """Exponentially distributed numbers with mean 1."""
    dtype, shape = floating_dtype("exponential", dtype), as_shape("exponential", shape)
    drawn = uniform_between(as_key(key, "exponential"), shape, dtype, 0.0, 1.0)
    return negative(log1p(negative(drawn)))


def gumbel(key: Any, shape: Any = (), dtype: Any = None) -> Any:
    """Gumbel distributed numbers: `argmax(logits + gumbel)` draws from the categorical distribution."""
    dtype, shape = floating_dtype("gumbel", dtype), as_shape("gumbel", shape)
    return standard_gumbel(as_key(key, "gumbel"), shape, dtype)


def standard_gumbel(key: Any, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    """`gumbel` of checked arguments."""
    tiny = float(ml_dtypes.finfo(dtype).tiny)
    drawn = uniform_between(key, shape, dtype, tiny, 1.0)
    return negative(log(negative(log(drawn))))


def laplace(key: Any, shape: Any = (), dtype: Any = None) -> Any:
    """Laplace distributed numbers with mean 0 and scale 1."""
    dtype, shape = floating_dtype("laplace", dtype), as_shape("laplace", shape)
    low = -1 + float(ml_dtypes.finfo(dtype).epsneg)
    drawn = uniform_between(as_key(key, "laplace"), shape, dtype, low, 1.0)
    return multiply(sign(drawn), log1p(negative(absolute(drawn))))


def logistic(key: Any, shape: Any = (), dtype: Any = None) -> Any:
    """Logistic distributed numbers with mean 0 and scale 1."""
    drawn = positive_uniform(key, "logistic", shape, dtype)
    return convert(log(divide(drawn, subtract(1.0, drawn))), drawn.dtype)


def cauchy(key: Any, shape: Any = (), dtype: Any = None) -> Any:
    """Cauchy distributed numbers with location 0 and scale 1."""
    drawn = positive_uniform(key, "cauchy", shape, dtype)
    return convert(tan(multiply(add(drawn, -0.5), math.pi)), drawn.dtype)


def positive_uniform(key: Any, name: str, shape: Any, dtype: Any) -> Any:
    """Uniform in (0, 1)."""
    dtype, shape = floating_dtype(name, dtype), as_shape(name, shape)
    return uniform_between(as_key(key, name), shape, dtype, float(ml_dtypes.finfo(dtype).eps), 1.0)
