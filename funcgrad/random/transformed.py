"""More continuous distributions, as transformed uniform and normal numbers. Derivatives flow through parameters."""

from __future__ import annotations

from typing import Any

import funcgrad.numpy as fnp
from funcgrad.ir.devices import beside_arguments
from funcgrad.random.continuous import default_shape, exponential, normal, standard_normal
from funcgrad.random.discrete import rademacher
from funcgrad.random.gamma import gamma
from funcgrad.random.keys import as_key, as_shape, split_key
from funcgrad.random.uniform import floating_dtype, parameter, unit_interval


@beside_arguments
def lognormal(key: Any, sigma: Any = 1.0, shape: Any = None, dtype: Any = None) -> Any:
    """Numbers whose logarithm is normally distributed with mean 0 and standard deviation `sigma`.

    Args:
        key: key or seed.
        sigma: broadcasts to `shape`.
        shape: of the result, by default that of `sigma`.
        dtype: floating dtype, float32 by default.

    Example:
        >>> import funcgrad as fg
        >>> bool(fg.random.lognormal(fg.random.key(0)) > 0)
        True
    """
    dtype = floating_dtype("lognormal", dtype)
    shape = default_shape("lognormal", shape, fnp.asarray(sigma))
    return fnp.exp(normal(key, shape, dtype) * fnp.asarray(sigma).astype(dtype))


@beside_arguments
def pareto(key: Any, b: Any, shape: Any = None, dtype: Any = None) -> Any:
    """Pareto distributed numbers with least value 1.

    Args:
        key, shape, dtype: as for `lognormal`.
        b: shape parameter; broadcasts to `shape`.

    Example:
        >>> import funcgrad as fg
        >>> bool(fg.random.pareto(fg.random.key(0), 2.0) >= 1)
        True
    """
    dtype = floating_dtype("pareto", dtype)
    shape = default_shape("pareto", shape, fnp.asarray(b))
    return fnp.exp(exponential(key, shape, dtype) / fnp.asarray(b).astype(dtype))


@beside_arguments
def rayleigh(key: Any, scale: Any, shape: Any = None, dtype: Any = None) -> Any:
    """Rayleigh distributed numbers: lengths of normal vectors in the plane.

    Args:
        key, shape, dtype: as for `lognormal`.
        scale: standard deviation of the components; broadcasts to `shape`.

    Example:
        >>> import funcgrad as fg
        >>> bool(fg.random.rayleigh(fg.random.key(0), 1.0) > 0)
        True
    """
    dtype = floating_dtype("rayleigh", dtype)
    shape = default_shape("rayleigh", shape, fnp.asarray(scale))
    drawn = unit_interval(as_key(key, "rayleigh"), shape, dtype)
    return fnp.asarray(scale).astype(dtype) * fnp.sqrt(fnp.log(drawn) * -2)


@beside_arguments
def weibull_min(
    key: Any, scale: Any, concentration: Any, shape: Any = (), dtype: Any = None
) -> Any:
    """Weibull distributed numbers.

    Args:
        key, shape, dtype: as for `lognormal`; the default shape is ().
        scale, concentration: positive; they broadcast to `shape`.

    Example:
        >>> import funcgrad as fg
        >>> bool(fg.random.weibull_min(fg.random.key(0), 1.0, 2.0) > 0)
        True
    """
    dtype, shape = floating_dtype("weibull_min", dtype), as_shape("weibull_min", shape)
    drawn = unit_interval(as_key(key, "weibull_min"), shape, dtype)
    power, factor = (fnp.asarray(x).astype(dtype) for x in (concentration, scale))
    return (-fnp.log1p(-drawn)) ** (1 / power) * factor


@beside_arguments
def maxwell(key: Any, shape: Any = (), dtype: Any = None) -> Any:
    """Maxwell distributed numbers: lengths of normal vectors in space."""
    dtype, shape = floating_dtype("maxwell", dtype), as_shape("maxwell", shape)
    drawn = standard_normal(as_key(key, "maxwell"), (*shape, 3), dtype)
    return fnp.linalg.norm(drawn, axis=-1)


@beside_arguments
def double_sided_maxwell(key: Any, loc: Any, scale: Any, shape: Any = (), dtype: Any = None) -> Any:
    """Maxwell distributed numbers with random signs, scaled and shifted.

    Args:
        key, dtype: as for `lognormal`.
        loc, scale: parameters; their shape is added behind `shape`.
        shape: of the result, without that of the parameters.

    Example:
        >>> import funcgrad as fg
        >>> fg.random.double_sided_maxwell(fg.random.key(0), 0.0, 1.0, (3,)).shape
        (3,)
    """
    dtype = floating_dtype("double_sided_maxwell", dtype)
    loc, scale = (fnp.asarray(x).astype(dtype) for x in (loc, scale))
    behind = default_shape("double_sided_maxwell", None, loc, scale)
    shape = as_shape("double_sided_maxwell", shape)
    whole = (*shape, *behind) if shape else (*behind, *behind)
    pair = split_key(as_key(key, "double_sided_maxwell"))
    return rademacher(pair[1], whole, dtype) * maxwell(pair[0], whole, dtype) * scale + loc


@beside_arguments
def wald(key: Any, mean: Any, shape: Any = None, dtype: Any = None) -> Any:
    """Wald (inverse Gaussian) distributed numbers with scale 1 (Michael et al., 1976).

    Args:
        key, shape, dtype: as for `lognormal`.
        mean: positive; broadcasts to `shape`.

    Example:
        >>> import funcgrad as fg
        >>> bool(fg.random.wald(fg.random.key(0), 1.0) > 0)
        True
    """
    dtype = floating_dtype("wald", dtype)
    shape = default_shape("wald", shape, fnp.asarray(mean))
    pair = split_key(as_key(key, "wald"))
    mean = parameter("wald", mean, shape, dtype)
    y = fnp.square(standard_normal(pair[0], shape, dtype))
    z = unit_interval(pair[1], shape, dtype)
    square = fnp.square(mean)
    x = mean + square * y / 2 - mean / 2 * fnp.sqrt(4 * mean * y + square * fnp.square(y))
    return fnp.where(z <= mean / (mean + x), x, square / x)


@beside_arguments
def triangular(
    key: Any, left: Any, mode: Any, right: Any, shape: Any = None, dtype: Any = None
) -> Any:
    """Numbers whose density rises in a straight line from `left` to `mode` and falls to `right`.

    Args:
        key, shape, dtype: as for `lognormal`.
        left, mode, right: corners of the density; they broadcast to `shape`.

    Example:
        >>> import funcgrad as fg
        >>> 0.0 < float(fg.random.triangular(fg.random.key(0), 0.0, 1.0, 2.0)) < 2.0
        True
    """
    dtype = floating_dtype("triangular", dtype)
    corners = [fnp.asarray(x).astype(dtype) for x in (left, mode, right)]
    shape = default_shape("triangular", shape, *corners)
    left, mode, right = (parameter("triangular", x, shape, dtype) for x in corners)
    u = unit_interval(as_key(key, "triangular"), shape, dtype)
    rising = left + fnp.sqrt(u * (right - left) * (mode - left))
    falling = right - fnp.sqrt((1 - u) * (right - left) * (right - mode))
    return fnp.where(u < (mode - left) / (right - left), rising, falling)


@beside_arguments
def generalized_normal(key: Any, p: Any, shape: Any = (), dtype: Any = None) -> Any:
    """Numbers with density proportional to `exp(-|x|**p)`.

    Args:
        key: key or seed.
        p: positive.
        shape: of the result.
        dtype: floating dtype, float32 by default.

    Example:
        >>> import funcgrad as fg
        >>> fg.random.generalized_normal(fg.random.key(0), 2.0, (3,)).shape
        (3,)
    """
    dtype, shape = (
        floating_dtype("generalized_normal", dtype),
        as_shape("generalized_normal", shape),
    )
    pair = split_key(as_key(key, "generalized_normal"))
    size = gamma(pair[0], 1 / fnp.asarray(p).astype(dtype), shape, dtype)
    return rademacher(pair[1], shape, dtype) * size ** (1 / fnp.asarray(p).astype(dtype))
