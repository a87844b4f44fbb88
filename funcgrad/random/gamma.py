"""Gamma distributed numbers, with derivatives with respect to their shape, and what is made of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad.control.while_loop import while_loop
from funcgrad.ir.devices import beside_arguments
from funcgrad.ops.incomplete import log_gamma_slope
from funcgrad.random.continuous import default_shape, standard_normal
from funcgrad.random.keys import as_key, split_key
from funcgrad.random.uniform import floating_dtype, parameter, unit_interval
from funcgrad.transforms.custom import custom_jvp
from funcgrad.transforms.vmap import vmap


@beside_arguments
def gamma(key: Any, a: Any, shape: Any = None, dtype: Any = None) -> Any:
    """Gamma distributed numbers with shape parameter `a` and scale 1.

    Derivatives with respect to `a` are those of the number at a fixed place of its distribution
    (Figurnov et al., 2018).

    Args:
        key: key or seed.
        a: shape parameter, positive; broadcasts to `shape`.
        shape: of the result, by default that of `a`.
        dtype: floating dtype, float32 by default.

    Returns:
        Array of this shape and dtype.

    Source: Marsaglia and Tsang, "A simple method for generating gamma variables", 2000.

    Example:
        >>> import funcgrad as fg
        >>> fg.random.gamma(fg.random.key(0), 3.0, (2,)).shape
        (2,)
    """
    return _drawn("gamma", key, a, shape, dtype, False)


@beside_arguments
def loggamma(key: Any, a: Any, shape: Any = None, dtype: Any = None) -> Any:
    """Logarithms of gamma distributed numbers: finite also where `a` is so small that these are 0.

    Args:
        key, a, shape, dtype: as for `gamma`.

    Example:
        >>> import funcgrad as fg
        >>> bool(fg.numpy.isfinite(fg.random.loggamma(fg.random.key(0), 1e-4)))
        True
    """
    return _drawn("loggamma", key, a, shape, dtype, True)


@beside_arguments
def beta(key: Any, a: Any, b: Any, shape: Any = None, dtype: Any = None) -> Any:
    """Beta distributed numbers; derivatives flow through the parameters.

    Args:
        key: key or seed.
        a, b: positive; they broadcast to `shape`.
        shape: of the result, by default that of the parameters.
        dtype: floating dtype, float32 by default.

    Example:
        >>> import funcgrad as fg
        >>> x = fg.random.beta(fg.random.key(0), 2.0, 3.0, (100,))
        >>> bool(((0 < x) & (x < 1)).all())
        True
    """
    dtype = floating_dtype("beta", dtype)
    shape = default_shape("beta", shape, fnp.asarray(a), fnp.asarray(b))
    pair = split_key(as_key(key, "beta"))
    logs = [_draw_logs(pair[i], x, shape, dtype) for i, x in enumerate((a, b))]
    highest = fnp.maximum(*logs)
    first, second = (fnp.exp(x - highest) for x in logs)
    return first / (first + second)


@beside_arguments
def dirichlet(key: Any, alpha: Any, shape: Any = None, dtype: Any = None) -> Any:
    """Dirichlet distributed vectors, which are positive and sum to 1; derivatives flow through `alpha`.

    Args:
        key: key or seed.
        alpha: (..., categories), positive.
        shape: of the result without the axis of categories, by default that of `alpha`.
        dtype: floating dtype, float32 by default.

    Example:
        >>> import funcgrad as fg
        >>> x = fg.random.dirichlet(fg.random.key(0), fg.numpy.ones(3))
        >>> round(float(x.sum()), 5)
        1.0
    """
    dtype, alpha = floating_dtype("dirichlet", dtype), fnp.asarray(alpha)
    if not alpha.ndim:
        raise ValueError("[dirichlet] alpha must have an axis of categories, but got a number.")
    batch = alpha.shape[:-1] if shape is None else default_shape("dirichlet", shape)
    logs = _draw_logs(as_key(key, "dirichlet"), alpha, (*batch, alpha.shape[-1]), dtype)
    raised = fnp.exp(logs - fnp.max(logs, axis=-1, keepdims=True))
    return raised / fnp.sum(raised, axis=-1, keepdims=True)


@beside_arguments
def chisquare(key: Any, df: Any, shape: Any = None, dtype: Any = None) -> Any:
    """Chi-square distributed numbers with `df` degrees of freedom.

    Args:
        key, shape, dtype: as for `gamma`.
        df: positive; broadcasts to `shape`.

    Example:
        >>> import funcgrad as fg
        >>> bool(fg.random.chisquare(fg.random.key(0), 3.0) > 0)
        True
    """
    return 2 * fnp.exp(loggamma(key, _half(df, dtype), shape, dtype))


@beside_arguments
def t(key: Any, df: Any, shape: Any = None, dtype: Any = None) -> Any:
    """Student's t distributed numbers with `df` degrees of freedom.

    Args:
        key, shape, dtype: as for `gamma`.
        df: positive; broadcasts to `shape`.

    Example:
        >>> import funcgrad as fg
        >>> fg.random.t(fg.random.key(0), 3.0, (2,)).shape
        (2,)
    """
    dtype = floating_dtype("t", dtype)
    shape = default_shape("t", shape, fnp.asarray(df))
    pair = split_key(as_key(key, "t"))
    half = _half(df, dtype)
    return standard_normal(pair[0], shape, dtype) * fnp.sqrt(
        half / gamma(pair[1], half, shape, dtype)
    )


@beside_arguments
def f(key: Any, dfnum: Any, dfden: Any, shape: Any = None, dtype: Any = None) -> Any:
    """F distributed numbers: the ratio of two chi-square numbers over their degrees of freedom.

    Args:
        key, shape, dtype: as for `gamma`.
        dfnum, dfden: degrees of freedom of numerator and denominator; they broadcast to `shape`.

    Example:
        >>> import funcgrad as fg
        >>> bool(fg.random.f(fg.random.key(0), 3.0, 4.0) > 0)
        True
    """
    dtype = floating_dtype("f", dtype)
    shape = default_shape("f", shape, fnp.asarray(dfnum), fnp.asarray(dfden))
    pair = split_key(as_key(key, "f"))
    below, above = (fnp.asarray(x).astype(dtype) for x in (dfden, dfnum))
    denominator = chisquare(pair[0], below, shape, dtype) / below
    return chisquare(pair[1], above, shape, dtype) / above / denominator


# --- drawing ---


def _drawn(name: str, key: Any, a: Any, shape: Any, dtype: Any, in_logs: bool) -> Any:
    dtype = floating_dtype(name, dtype)
    shape = default_shape(name, shape, fnp.asarray(a))
    a = parameter(name, a, shape, dtype)
    return (_log_gamma if in_logs else _gamma)(as_key(key, name), a)


def _draw_logs(key: Any, a: Any, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    return _log_gamma(key, parameter("loggamma", a, shape, dtype))


def _half(df: Any, dtype: Any) -> Any:
    return fnp.asarray(df).astype(floating_dtype("df", dtype)) / 2


@custom_jvp
def _gamma(key: Any, a: Any) -> Any:
    return _samples(key, a, in_logs=False)


@_gamma.defjvp
def _gamma_jvp(primals: tuple, tangents: tuple) -> tuple[Any, Any]:
    out = _gamma(*primals)
    logs = fnp.log(fnp.where(out > 0, out, fnp.finfo(out.dtype).tiny))
    return out, out * log_gamma_slope(primals[1], logs) * tangents[1]


@custom_jvp
def _log_gamma(key: Any, a: Any) -> Any:
    return _samples(key, a, in_logs=True)


@_log_gamma.defjvp
def _log_gamma_jvp(primals: tuple, tangents: tuple) -> tuple[Any, Any]:
    out = _log_gamma(*primals)
    return out, log_gamma_slope(primals[1], out) * tangents[1]


def _samples(key: Any, a: Any, in_logs: bool) -> Any:
    """Every element from a key of its own, as JAX draws them."""
    flat = fnp.reshape(a, (-1,))
    keys = split_key(key, (math.prod(a.shape),))
    return fnp.reshape(vmap(lambda k, x: _one(k, x, in_logs))(keys, flat), a.shape)


def _one(key: Any, a: Any, in_logs: bool) -> Any:
    """One number. For a < 1 it is one of shape a + 1, times a power of a uniform number."""
    dtype = a.dtype
    is_large = a >= 1
    boosted = fnp.where(is_large, a, a + 1)
    d = boosted - dtype.type(1 / 3)
    c = dtype.type(1 / 3) / fnp.sqrt(d)

    def rejects(state: tuple) -> Any:
        _, square, v, u = state
        outside = u >= 1 - dtype.type(0.0331) * (square * square)
        return outside & (fnp.log(u) >= square * 0.5 + d * ((1 - v) + fnp.log(v)))

    def next_positive(state: tuple) -> tuple:
        inner, _, _ = state
        pair = split_key(inner)
        x = standard_normal(pair[1], (), dtype)
        return pair[0], x, 1 + x * c

    def propose(state: tuple) -> tuple:
        keys = split_key(state[0], (3,))
        begin = keys[1], fnp.zeros_like(a), -fnp.ones_like(a)
        _, x, v = while_loop(lambda s: s[2] <= 0, next_positive, begin)
        return keys[0], x * x, (v * v) * v, unit_interval(keys[2], (), dtype)

    pair = split_key(key)
    # A first state that is certainly rejected.
    first = pair[0], fnp.zeros_like(a), fnp.ones_like(a), fnp.full_like(a, 2)
    _, _, v, _ = while_loop(rejects, propose, first)
    uniform = unit_interval(pair[1], (), dtype)
    if in_logs:
        log = fnp.log1p(-uniform)
        boost = fnp.where(is_large | fnp.equal(log, 0), fnp.zeros_like(a), log * (1 / a))
        return fnp.log(d) + fnp.log(v) + boost
    return d * v * fnp.where(is_large, fnp.ones_like(a), (1 - uniform) ** (1 / a))
