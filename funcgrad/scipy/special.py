"""`scipy.special`: special functions, with SciPy's names and arguments.

SciPy's own ufuncs of these names work on traced values too. Functions that SciPy writes in Python, such as
`logsumexp` and `softmax`, do not hand traced values on: use the ones here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ir.types import is_inexact
from funcgrad.numpy.shape import broadcast_to, reshape
from funcgrad.numpy.ufunc import SPECIAL
from funcgrad.ops.arithmetic import add, divide, multiply, subtract
from funcgrad.ops.bessel import i0, i0e, i1, i1e
from funcgrad.ops.bessel_j import j0, j1, jv, zeta
from funcgrad.ops.cast import convert
from funcgrad.ops.compare import (
    equal,
    greater,
    greater_equal,
    isfinite,
    isnan,
    logical_and,
    logical_or,
)
from funcgrad.ops.exponential import exp, exp2, expit, expm1, log, log1p, log_sigmoid
from funcgrad.ops.extremal_reduce import reduce_max
from funcgrad.ops.floats import absolute, sign
from funcgrad.ops.gamma import betaln, digamma, gamma, gammaln, polygamma
from funcgrad.ops.incomplete import betainc, gammainc, gammaincc
from funcgrad.ops.logsumexp import logsumexp as log_sum_exp
from funcgrad.ops.operands import broadcast_shapes, ndim_of, shape_of
from funcgrad.ops.power import cbrt, power, sqrt, square
from funcgrad.ops.products import promoted_arrays
from funcgrad.ops.reduce import keep_axes, normalize_axes, reduce_sum
from funcgrad.ops.select import select
from funcgrad.ops.special import (
    entr,
    erf,
    erfc,
    erfinv,
    log_ndtr,
    logit,
    ndtr,
    ndtri,
    xlog1py,
    xlogy,
)
from funcgrad.transforms.stop_gradient import stop_gradient

__all__ = [
    "beta", "betainc", "betaln", "cbrt", "digamma", "entr", "erf", "erfc", "erfinv", "exp2", "exp10", "expit",
    "expm1", "gamma", "gammainc", "gammaincc", "gammaln", "huber", "i0", "i0e", "i1",
    "i1e", "j0", "j1", "jv", "kl_div", "log1p", "log_expit",
    "log_ndtr", "log_softmax", "logit", "logsumexp", "multigammaln", "ndtr", "ndtri", "polygamma",
    "pseudo_huber", "psi", "rel_entr", "softmax", "xlog1py", "xlogy", "zeta",
]  # fmt: skip

psi = digamma
log_expit = log_sigmoid


def as_floats(*args: Any) -> list[Any]:
    """Arrays of one floating dtype; integers become float64."""
    return [x if is_inexact(x.dtype) else convert(x, np.float64) for x in promoted_arrays(*args)]


def beta(a: Any, b: Any) -> Any:
    """Beta function `gamma(a) * gamma(b) / gamma(a + b)`, for positive arguments.

    Example:
        >>> round(float(beta(2.0, 3.0)), 6)
        0.083333
    """
    return exp(betaln(a, b))


def multigammaln(a: Any, d: int) -> Any:
    """Logarithm of the multivariate gamma function of dimension `d`."""
    terms = [gammaln(subtract(a, 0.5 * i)) for i in range(d)]
    total = add(terms[0], 0.25 * d * (d - 1) * np.log(np.pi).item())
    for term in terms[1:]:
        total = add(total, term)
    return total


def exp10(x: Any) -> Any:
    """`10 ** x`."""
    return power(10.0, x)


def rel_entr(x: Any, y: Any) -> Any:
    """`x * log(x / y)`, 0 where `x` is 0 and `y` is not negative, inf where one is negative."""
    x, y, inside, p, q = positive_pairs(x, y)
    entropy = multiply(p, log(divide(p, q)))
    return select(inside, entropy, beyond_positive(x, y, at_zero=0.0))


def kl_div(x: Any, y: Any) -> Any:
    """`x * log(x / y) - x + y`: the elements of a Kullback-Leibler divergence, which are not negative."""
    x, y, inside, p, q = positive_pairs(x, y)
    divergence = add(subtract(multiply(p, log(divide(p, q))), p), q)
    return select(inside, divergence, beyond_positive(x, y, at_zero=y))


def positive_pairs(x: Any, y: Any) -> tuple[Any, ...]:
    """Both as floats, where both are positive, and both with 1 elsewhere."""
    x, y = as_floats(x, y)
    inside = logical_and(greater(x, 0.0), greater(y, 0.0))
    return x, y, inside, select(inside, x, 1.0), select(inside, y, 1.0)


def beyond_positive(x: Any, y: Any, at_zero: Any) -> Any:
    """Relative entropies outside the domain: NaN for NaN, and inf but where `x` is 0 and `y` is not negative."""
    undefined = logical_or(isnan(x), isnan(y))
    nan, inf = (np.asarray(value, x.dtype) for value in (np.nan, np.inf))
    is_zero = logical_and(equal(x, 0.0), greater_equal(y, 0.0))
    return select(is_zero, at_zero, select(undefined, nan, inf))


def huber(delta: Any, r: Any) -> Any:
    """Half the square of `r` up to `delta`, and linear beyond."""
    delta, r = as_floats(delta, r)
    size = absolute(r)
    beyond = multiply(delta, subtract(size, multiply(delta, 0.5)))
    inside = select(greater(size, delta), beyond, multiply(square(r), 0.5))
    return select(greater_equal(delta, 0.0), inside, np.asarray(np.inf, r.dtype))


def pseudo_huber(delta: Any, r: Any) -> Any:
    """A smooth `huber`: `delta**2 * (sqrt(1 + (r / delta)**2) - 1)`."""
    delta, r = as_floats(delta, r)
    return multiply(square(delta), subtract(sqrt(add(square(divide(r, delta)), 1.0)), 1.0))


def logsumexp(
    a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False
) -> Any:
    """`log(sum(b * exp(a)))` without overflow.

    Args:
        a: array.
        axis: int, tuple of ints, or None for all.
        b: factors of the terms; 1 by default.
        keepdims: keep reduced axes with length 1.
        return_sign: return the logarithm of the absolute value, and the sign of the sum.

    Example:
        >>> round(float(logsumexp([1000.0, 1000.0])), 4)
        1000.6931
    """
    if b is None:
        (a,) = as_floats(a)
    else:
        a, b = as_floats(a, b)
        a = broadcast_to(a, broadcast_shapes("logsumexp", [shape_of(a), shape_of(b)]))
    axes = normalize_axes("logsumexp", axis, ndim_of(a))
    kept = keep_axes(shape_of(a), axes)
    if b is None:
        result = log_sum_exp(a, axes)
        signs = sign(exp(result)) if return_sign else None
    else:
        total, highest = weighted_sum(a, b, axes)
        signs = sign(total)
        result = add(log(absolute(total) if return_sign else total), highest)
    if keepdims:
        result = reshape(result, kept)
        signs = reshape(signs, kept) if return_sign else None
    return (result, signs) if return_sign else result


def weighted_sum(a: Any, b: Any, axes: tuple[int, ...]) -> tuple[Any, Any]:
    """`sum(b * exp(a - highest))`, and the highest element of `a` whose factor is not zero."""
    included = select(equal(b, 0.0), np.asarray(-np.inf, a.dtype), a)
    reduce = reduce_max if included.size else reduce_sum
    highest = stop_gradient(reduce(included, axes))
    highest = select(isfinite(highest), highest, 0.0)
    column = reshape(highest, keep_axes(shape_of(included), axes))
    return reduce_sum(multiply(b, exp(subtract(included, column))), axes), highest


def softmax(x: Any, axis: Any = None) -> Any:
    """`exp(x) / sum(exp(x))` along `axis` (all axes by default).

    Example:
        >>> softmax([0.0, 0.0])
        array([0.5, 0.5])
    """
    (x,) = as_floats(x)
    axes = normalize_axes("softmax", axis, ndim_of(x))
    kept = keep_axes(shape_of(x), axes)
    highest = reshape(stop_gradient(reduce_max(x, axes)), kept)
    raised = exp(subtract(x, highest))
    return divide(raised, reshape(reduce_sum(raised, axes), kept))


def log_softmax(x: Any, axis: Any = None) -> Any:
    """`log(softmax(x))` along `axis` (all axes by default), without rounding small probabilities to zero."""
    (x,) = as_floats(x)
    axes = normalize_axes("log_softmax", axis, ndim_of(x))
    return subtract(x, reshape(log_sum_exp(x, axes), keep_axes(shape_of(x), axes)))


SPECIAL.update(
    beta=beta, betainc=betainc, betaln=betaln, gammainc=gammainc, gammaincc=gammaincc, j0=j0, j1=j1,
    cbrt=cbrt, entr=entr, erf=erf, erfc=erfc, erfinv=erfinv,
    exp2=exp2, exp10=exp10, expit=expit, expm1=expm1, gamma=gamma, gammaln=gammaln, huber=huber, i0=i0,
    i0e=i0e, i1=i1, i1e=i1e, kl_div=kl_div, log1p=log1p, log_expit=log_expit, log_ndtr=log_ndtr, logit=logit,
    ndtr=ndtr, ndtri=ndtri, pseudo_huber=pseudo_huber, psi=psi, rel_entr=rel_entr,
    xlog1py=xlog1py, xlogy=xlogy,
)  # fmt: skip
