"""Random counts: Poisson, geometric, binomial and multinomial numbers. They have no derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad.control.scan import scan
from funcgrad.control.while_loop import while_loop
from funcgrad.ir.devices import beside_arguments
from funcgrad.ops.gamma import gammaln
from funcgrad.random.continuous import default_shape
from funcgrad.random.discrete import floating_parameter
from funcgrad.random.keys import as_key, split_key
from funcgrad.random.uniform import FLOAT32, parameter, unit_interval
from funcgrad.transforms.stop_gradient import stop_gradient

MOST = np.iinfo(np.int64).max


@beside_arguments
def poisson(key: Any, lam: Any, shape: Any = None, dtype: Any = None) -> Any:
    """Poisson distributed counts.

    Args:
        key: key or seed.
        lam: rate, not negative; broadcasts to `shape`.
        shape: of the result, by default that of `lam`.
        dtype: integer dtype, int64 by default.

    Returns:
        Array of this shape and dtype.

    Source: Knuth's algorithm for rates below 10; else Hoermann, "The transformed rejection method for generating
    Poisson random variables", 1993.

    Example:
        >>> import funcgrad as fg
        >>> x = fg.random.poisson(fg.random.key(0), 3.0, (1000,))
        >>> bool(abs(x.mean() - 3.0) < 0.3)
        True
    """
    dtype = np.dtype(np.int64 if dtype is None else dtype)
    # In single precision, as in JAX, whatever the dtype of the rate.
    lam = stop_gradient(fnp.asarray(lam).astype(FLOAT32))
    shape = default_shape("poisson", shape, lam)
    lam, key = parameter("poisson", lam, shape, lam.dtype), as_key(key, "poisson")
    is_small = fnp.isnan(lam) | (lam < 10)
    small = _few(key, fnp.where(is_small, lam, 0.0), shape, dtype)
    large = _many(key, fnp.where(is_small, 1e5, lam), shape, dtype)
    found = fnp.where(is_small, small, large)
    return fnp.where(fnp.equal(lam, 0), fnp.zeros_like(found), found)


def _few(key: Any, lam: Any, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    """How many uniform numbers have a product above exp(-lam)."""

    def goes_on(state: tuple) -> Any:
        return fnp.any(state[2] > -lam)

    def step(state: tuple) -> tuple:
        count, key, log_product = state
        pair = split_key(key)
        count = fnp.where(log_product > -lam, count + 1, count)
        drawn = unit_interval(pair[1], shape, FLOAT32)
        return count, pair[0], log_product + fnp.log(drawn)

    begin = fnp.zeros(shape, dtype), key, fnp.zeros(shape, FLOAT32)
    return while_loop(goes_on, step, begin)[0] - dtype.type(1)


def _many(key: Any, lam: Any, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    log_lam = fnp.log(lam)
    b = 0.931 + 2.53 * fnp.sqrt(lam)
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    bound = 0.9277 - 3.6224 / (b - 2)

    def goes_on(state: tuple) -> Any:
        return ~fnp.all(state[1])

    def propose(state: tuple) -> tuple:
        count, accepted, key = state
        keys = split_key(key, (3,))
        u = unit_interval(keys[1], shape, lam.dtype) - 0.5
        v = unit_interval(keys[2], shape, lam.dtype)
        shifted = 0.5 - fnp.abs(u)
        k = fnp.floor((2 * a / shifted + b) * u + lam + 0.43)
        height = fnp.log(v * inverse_alpha / (a / (shifted * shifted) + b))
        target = -lam + k * log_lam - gammaln(k + 1)
        accepts = (shifted >= 0.07) & (v <= bound)
        rejects = (k < 0) | ((shifted < 0.013) & (v > shifted))
        accepts = accepts | (~rejects & (height <= target))
        return fnp.where(accepts, k, count), accepted | accepts, keys[0]

    begin = fnp.full(shape, -1, lam.dtype), fnp.zeros(shape, np.bool_), key
    return while_loop(goes_on, propose, begin)[0].astype(dtype)


@beside_arguments
def geometric(key: Any, p: Any, shape: Any = None, dtype: Any = None) -> Any:
    """Geometrically distributed counts: trials up to and with the first success.

    Args:
        key, shape, dtype: as for `poisson`.
        p: probability of success; broadcasts to `shape`.

    Example:
        >>> import funcgrad as fg
        >>> bool((fg.random.geometric(fg.random.key(0), 0.5, (10,)) >= 1).all())
        True
    """
    dtype = np.dtype(np.int64 if dtype is None else dtype)
    p = stop_gradient(floating_parameter(p))
    shape = default_shape("geometric", shape, p)
    drawn = unit_interval(as_key(key, "geometric"), shape, p.dtype)
    drawn = fnp.where(fnp.equal(drawn, 0), fnp.ones_like(drawn), drawn)
    return (fnp.floor(fnp.log(drawn) / fnp.log1p(-p)) + 1).astype(dtype)


@beside_arguments
def binomial(key: Any, n: Any, p: Any, shape: Any = None, dtype: Any = None) -> Any:
    """Binomially distributed counts of successes, as floating numbers.

    Args:
        key: key or seed.
        n: number of trials; broadcasts to `shape`.
        p: probability of success; broadcasts to `shape`.
        shape: of the result, by default that of the parameters.
        dtype: floating dtype, that of `p` by default.

    Source: sums of geometric numbers; each step skips the trials without a success (Devroye, 1986).

    Example:
        >>> import funcgrad as fg
        >>> x = fg.random.binomial(fg.random.key(0), 10, 0.5, (1000,))
        >>> bool(abs(x.mean() - 5.0) < 0.3)
        True
    """
    p = stop_gradient(floating_parameter(p))
    shape = default_shape("binomial", shape, fnp.asarray(n), p)
    p = parameter("binomial", p, shape, p.dtype)
    trials = parameter("binomial", n, shape, p.dtype)
    share = fnp.minimum(p, 1 - p)
    log_failure = fnp.log1p(-fnp.maximum(share, 1e-30))

    def goes_on(state: tuple) -> Any:
        return fnp.any(state[1] <= trials)

    def skip(state: tuple) -> tuple:
        count, place, key = state
        pair = split_key(key)
        drawn = unit_interval(pair[1], shape, p.dtype)
        place = place + fnp.floor(fnp.log1p(-drawn) / log_failure) + 1
        return fnp.where(place <= trials, count + 1, count), place, pair[0]

    nothing = fnp.zeros(shape, p.dtype)
    successes = while_loop(goes_on, skip, (nothing, nothing, as_key(key, "binomial")))[0]
    return fnp.where(p <= 0.5, successes, trials - successes).astype(
        p.dtype if dtype is None else dtype
    )


@beside_arguments
def multinomial(key: Any, n: Any, p: Any, *, shape: Any = None, dtype: Any = None) -> Any:
    """Counts of `n` draws among categories.

    Args:
        key: key or seed.
        n: number of draws; broadcasts to `shape` without its last axis.
        p: (..., categories), probabilities.
        shape: of the result, by default that of `p`.
        dtype: floating dtype, that of `p` by default.

    Example:
        >>> import funcgrad as fg
        >>> float(fg.random.multinomial(fg.random.key(0), 10, fg.numpy.full(4, 0.25)).sum())
        10.0
    """
    p = stop_gradient(floating_parameter(p))
    shape = p.shape if shape is None else default_shape("multinomial", shape)
    p = fnp.moveaxis(parameter("multinomial", p, shape, p.dtype), -1, 0)
    left = parameter("multinomial", n, shape[:-1], p.dtype)
    rest = fnp.flip(fnp.cumsum(fnp.flip(p, 0), axis=0), 0)
    shares = fnp.clip(p / fnp.where(fnp.equal(rest, 0), 1.0, rest), 0.0, 1.0)
    keys = split_key(as_key(key, "multinomial"), (p.shape[0],))

    def step(left: Any, inputs: tuple) -> tuple[Any, Any]:
        share, key = inputs
        count = binomial(key, left, share)
        return left - count, count

    _, counts = scan(step, left, (shares, keys))
    return fnp.moveaxis(counts, 0, -1).astype(p.dtype if dtype is None else dtype)
