"""The Kullback-Leibler divergence of pairs of distributions, by a table of formulas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad import tree
from funcgrad.distributions.base import Distribution
from funcgrad.distributions.composed import Transformed
from funcgrad.distributions.counts import Binomial, Geometric, Poisson
from funcgrad.distributions.discrete import Bernoulli, Categorical
from funcgrad.distributions.gamma_family import Beta, Dirichlet, Gamma
from funcgrad.distributions.location_scale import EULER, Cauchy, Gumbel, Laplace, Normal
from funcgrad.distributions.multivariate import Independent, MultivariateNormal
from funcgrad.distributions.ranges import Exponential, Uniform
from funcgrad.ir.tracer import Tracer
from funcgrad.nn.activations import log_sigmoid
from funcgrad.ops.gamma import betaln, digamma, gammaln
from funcgrad.scipy.special import xlog1py, xlogy

Formula = Callable[[Any, Any], Any]
_FORMULAS: dict[tuple[type, type], Formula] = {}


def register_kl(p: type, q: type) -> Callable[[Formula], Formula]:
    """A decorator: the function below gives the divergence of these two classes.

    Example:
        >>> from funcgrad.distributions import Distribution
        >>> class Point(Distribution):
        ...     place: float
        >>> @register_kl(Point, Point)
        ... def divergence(p, q):
        ...     return 0.0 if p.place == q.place else float("inf")
        >>> kl_divergence(Point(1.0), Point(2.0))
        inf
    """

    def register(formula: Formula) -> Formula:
        _FORMULAS[p, q] = formula
        return formula

    return register


def kl_divergence(p: Distribution, q: Distribution) -> Any:
    """The Kullback-Leibler divergence: the expected value of `p.log_prob(x) - q.log_prob(x)` for `x` from `p`.

    Args:
        p, q: distributions.

    Returns:
        One number for each pair of the batch.

    Raises:
        NotImplementedError: there is no formula for these classes; `register_kl` adds one.

    Example:
        >>> from funcgrad.distributions import Normal
        >>> kl_divergence(Normal(0.0, 1.0), Normal(1.0, 1.0))
        np.float32(0.5)
    """
    for first in type(p).__mro__:
        for second in type(q).__mro__:
            if (first, second) in _FORMULAS:
                return _FORMULAS[first, second](p, q)
    raise NotImplementedError(
        f"[kl_divergence] there is no formula for {type(p).__name__} and {type(q).__name__}. Add one with "
        "register_kl, or take the mean of p.log_prob(x) - q.log_prob(x) over x = p.sample(key, (n,))."
    )


@register_kl(Normal, Normal)
def _normal(p: Normal, q: Normal) -> Any:
    ratio = (p.scale / q.scale) ** 2
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale) ** 2 - 1 - fnp.log(ratio))


@register_kl(MultivariateNormal, MultivariateNormal)
def _multivariate_normal(p: MultivariateNormal, q: MultivariateNormal) -> Any:
    inner = fnp.linalg.solve(q.scale_tril, p.scale_tril)
    distance = fnp.linalg.solve(q.scale_tril, (q.loc - p.loc)[..., None])[..., 0]
    trace = fnp.sum(inner**2, axis=(-2, -1))
    log_ratio = _log_diagonal(q.scale_tril) - _log_diagonal(p.scale_tril)
    return 0.5 * (trace + fnp.sum(distance**2, axis=-1) - p.event_shape[0]) + log_ratio


@register_kl(Laplace, Laplace)
def _laplace(p: Laplace, q: Laplace) -> Any:
    distance, ratio = fnp.abs(p.loc - q.loc), p.scale / q.scale
    return -fnp.log(ratio) + distance / q.scale + ratio * fnp.exp(-distance / p.scale) - 1


@register_kl(Cauchy, Cauchy)
def _cauchy(p: Cauchy, q: Cauchy) -> Any:
    apart = (p.scale + q.scale) ** 2 + (p.loc - q.loc) ** 2
    return fnp.log(apart / (4 * p.scale * q.scale))


@register_kl(Gumbel, Gumbel)
def _gumbel(p: Gumbel, q: Gumbel) -> Any:
    ratio, shift = p.scale / q.scale, (p.loc - q.loc) / q.scale
    tail = fnp.exp(gammaln(1 + ratio) - shift)
    return shift - fnp.log(ratio) + EULER * (ratio - 1) + tail - 1


@register_kl(Uniform, Uniform)
def _uniform(p: Uniform, q: Uniform) -> Any:
    covers = (q.low <= p.low) & (p.high <= q.high)
    return fnp.where(covers, fnp.log((q.high - q.low) / (p.high - p.low)), fnp.inf)


@register_kl(Exponential, Exponential)
def _exponential(p: Exponential, q: Exponential) -> Any:
    ratio = q.rate / p.rate
    return ratio - 1 - fnp.log(ratio)


@register_kl(Gamma, Gamma)
def _gamma(p: Gamma, q: Gamma) -> Any:
    a, b = p.concentration, q.concentration
    shapes = gammaln(b) - gammaln(a) + (a - b) * digamma(a)
    return shapes + b * fnp.log(p.rate / q.rate) + a * (q.rate / p.rate - 1)


@register_kl(Beta, Beta)
def _beta(p: Beta, q: Beta) -> Any:
    (a, b), (c, d) = p.parameters, q.parameters
    norm = betaln(c, d) - betaln(a, b)
    inner = (a - c) * digamma(a) + (b - d) * digamma(b)
    return norm + inner + (c - a + d - b) * digamma(a + b)


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p: Dirichlet, q: Dirichlet) -> Any:
    a, b = p.concentration, q.concentration
    total = fnp.sum(a, axis=-1)
    norm = gammaln(total) - gammaln(fnp.sum(b, axis=-1)) + fnp.sum(gammaln(b) - gammaln(a), axis=-1)
    return norm + fnp.sum((a - b) * (digamma(a) - digamma(total)[..., None]), axis=-1)


@register_kl(Categorical, Categorical)
def _categorical(p: Categorical, q: Categorical) -> Any:
    chances = p.probs
    is_zero = fnp.equal(chances, 0)
    return fnp.sum(
        fnp.where(is_zero, 0, chances * fnp.where(is_zero, 0, p.log_probs - q.log_probs)), axis=-1
    )


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Bernoulli, q: Bernoulli) -> Any:
    chance = p.probs
    yes = log_sigmoid(p.logits) - log_sigmoid(q.logits)
    no = log_sigmoid(-p.logits) - log_sigmoid(-q.logits)
    return chance * yes + (1 - chance) * no


@register_kl(Binomial, Binomial)
def _binomial(p: Binomial, q: Binomial) -> Any:
    yes = xlogy(p.probs, p.probs) - xlogy(p.probs, q.probs)
    no = xlog1py(1 - p.probs, -p.probs) - xlog1py(1 - p.probs, -q.probs)
    more = q.total_count > p.total_count
    if not isinstance(more, Tracer) and np.any(more):
        raise NotImplementedError(
            "[kl_divergence] there is no formula for fewer trials in p than in q."
        )
    # Counts that q cannot reach.
    out_of_reach = fnp.where(p.total_count > q.total_count, np.inf, 0)
    return fnp.where(more, np.nan, p.total_count * (yes + no) + out_of_reach)


@register_kl(Geometric, Geometric)
def _geometric(p: Geometric, q: Geometric) -> Any:
    failures = fnp.log1p(-p.probs) - fnp.log1p(-q.probs)
    return fnp.log(p.probs / q.probs) + (1 / p.probs - 1) * failures


@register_kl(Poisson, Poisson)
def _poisson(p: Poisson, q: Poisson) -> Any:
    return p.rate * fnp.log(p.rate / q.rate) - (p.rate - q.rate)


@register_kl(Independent, Independent)
def _independent(p: Independent, q: Independent) -> Any:
    axes = tuple(range(-p.reinterpreted_batch_ndims, 0))
    return fnp.sum(kl_divergence(p.base, q.base), axis=axes)


@register_kl(Transformed, Transformed)
def _transformed(p: Transformed, q: Transformed) -> Any:
    if not _are_equal(p.bijector, q.bijector):
        raise NotImplementedError(
            "[kl_divergence] the distributions are transformed by different functions."
        )
    return kl_divergence(p.base, q.base)


def _are_equal(first: Any, second: Any) -> bool:
    """Whether two functions are known to be the same."""
    leaves, structure = tree.flatten(first)
    others, other_structure = tree.flatten(second)
    return structure == other_structure and all(
        one is other or (not isinstance(one, Tracer) and np.array_equal(one, other))
        for one, other in zip(leaves, others, strict=True)
    )


def _log_diagonal(factor: Any) -> Any:
    return fnp.sum(fnp.log(fnp.diagonal(factor, axis1=-2, axis2=-1)), axis=-1)
