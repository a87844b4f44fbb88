"""Distributions of counts. Their values are no smooth functions of parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad import random
from funcgrad.distributions.base import (
    Distribution,
    as_parameter,
    as_parameters,
    as_value,
    check_positive,
    inside,
    or_impossible,
)
from funcgrad.distributions.discrete import binary_entropy, checked_probs, entropy_of
from funcgrad.ops.gamma import gammaln
from funcgrad.ops.incomplete import gammaincc
from funcgrad.ops.special import logit
from funcgrad.scipy.special import xlog1py, xlogy

# From which variance on the entropy of `Binomial` is that of an expansion.
LARGE_VARIANCE = 256
# From which rate on the entropy of `Poisson` is that of a series.
LARGE_RATE = 64


class Geometric(Distribution):
    """How many failures come before the first success.

    Args:
        probs: probability of success.

    Example:
        >>> Geometric(0.5).prob([0, 1, 2])
        array([0.5  , 0.25 , 0.125], dtype=float32)
    """

    is_smooth = False
    probs: Any

    def __init__(self, probs: Any) -> None:
        self.probs = checked_probs("Geometric", probs)

    @property
    def parameters(self) -> tuple[Any, ...]:
        return (self.probs,)

    def draw(self, key: Any, shape: tuple[int, ...]) -> Any:
        return random.geometric(key, self.probs, shape) - 1

    def log_prob(self, value: Any) -> Any:
        value = as_value(value, self.dtype)
        is_inside = value >= 0
        failures = inside(is_inside, value, 0).astype(self.dtype)
        return or_impossible(is_inside, xlog1py(failures, -self.probs) + fnp.log(self.probs))

    @property
    def mean(self) -> Any:
        return 1 / self.probs - 1

    @property
    def variance(self) -> Any:
        return (1 - self.probs) / self.probs**2

    def entropy(self) -> Any:
        return binary_entropy(logit(self.probs)) / self.probs


class Poisson(Distribution):
    """Counts of independent events.

    Args:
        rate: their mean.

    Example:
        >>> Poisson(2.0).prob([0, 1]).round(4)
        array([0.1353, 0.2707], dtype=float32)
    """

    is_smooth = False
    rate: Any

    def __init__(self, rate: Any) -> None:
        self.rate = as_parameter(rate)
        check_positive(self, rate=self.rate)

    @property
    def parameters(self) -> tuple[Any, ...]:
        return (self.rate,)

    def draw(self, key: Any, shape: tuple[int, ...]) -> Any:
        return random.poisson(key, self.rate, shape)

    def log_prob(self, value: Any) -> Any:
        value = as_value(value, self.dtype)
        is_inside = (value >= 0) & fnp.equal(value, fnp.floor(value))
        count = inside(is_inside, value, 0).astype(self.dtype)
        return or_impossible(is_inside, xlogy(count, self.rate) - self.rate - gammaln(count + 1))

    @property
    def mean(self) -> Any:
        return self.rate

    @property
    def variance(self) -> Any:
        return self.rate

    def cdf(self, value: Any) -> Any:
        whole = fnp.floor(as_value(value, self.dtype)).astype(self.dtype)
        return fnp.where(whole < 0, 0, gammaincc(fnp.maximum(whole, 0) + 1, self.rate))

    def entropy(self) -> Any:
        """The sum over the counts that may come for small rates, and Stirling's series for large ones."""
        is_large = self.rate > LARGE_RATE
        rate = fnp.where(is_large, self.rate, LARGE_RATE)
        series = 1 / (12 * rate) + 1 / (24 * rate**2) + 19 / (360 * rate**3)
        by_series = 0.5 * fnp.log(2 * np.pi * np.e * rate) - series
        counts = np.arange(4 * LARGE_RATE).astype(self.dtype)
        small = fnp.where(is_large, LARGE_RATE, self.rate)[..., None]
        scores = xlogy(counts, small) - small - gammaln(counts + 1)
        return fnp.where(is_large, by_series, -fnp.sum(fnp.exp(scores) * scores, axis=-1))


class Binomial(Distribution):
    """Counts of successes.

    Args:
        total_count: number of trials.
        probs: probability of success.

    Example:
        >>> Binomial(2, 0.5).prob([0, 1, 2]).round(4)
        array([0.25, 0.5 , 0.25], dtype=float32)
    """

    is_smooth = False
    total_count: Any
    probs: Any

    def __init__(self, total_count: Any, probs: Any) -> None:
        probs = checked_probs("Binomial", probs)
        self.total_count, self.probs = as_parameters(self, total_count=total_count, probs=probs)

    @property
    def parameters(self) -> tuple[Any, ...]:
        return self.total_count, self.probs

    def draw(self, key: Any, shape: tuple[int, ...]) -> Any:
        return random.binomial(key, self.total_count, self.probs, shape)

    def log_prob(self, value: Any) -> Any:
        n, value = self.total_count, as_value(value, self.dtype)
        is_inside = (value >= 0) & (value <= n)
        count = inside(is_inside, value, 0).astype(self.dtype)
        ways = gammaln(n + 1) - gammaln(count + 1) - gammaln(n - count + 1)
        found = ways + xlogy(count, self.probs) + xlog1py(n - count, -self.probs)
        return or_impossible(is_inside, found)

    @property
    def mean(self) -> Any:
        return self.total_count * self.probs

    @property
    def variance(self) -> Any:
        return self.total_count * self.probs * (1 - self.probs)

    def entropy(self) -> Any:
        """The sum over the counts that may come for small variances, and an expansion for large ones."""
        is_large = self.variance > LARGE_VARIANCE
        variance = fnp.where(is_large, self.variance, LARGE_VARIANCE)
        skewness_squared = (1 - 2 * self.probs) ** 2 / variance
        kurtosis = (1 - 6 * self.probs * (1 - self.probs)) / variance
        by_moments = 0.5 * fnp.log(2 * np.pi * np.e * variance) - negentropy(
            skewness_squared, kurtosis
        )
        far = 12 * LARGE_VARIANCE**0.5
        steps = np.arange(-far, far + 1).astype(self.dtype)
        counts = fnp.floor(self.mean)[..., None] + steps
        parameters = (self.total_count[..., None], self.probs[..., None])
        by_sum = entropy_of(Binomial(*parameters).log_prob(counts))
        return fnp.where(is_large, by_moments, by_sum)


def negentropy(skewness_squared: Any, kurtosis: Any) -> Any:
    """How much less the entropy is than that of a normal variable of this variance (Comon, 1994, equation 3.2)."""
    return (
        skewness_squared / 12
        + kurtosis**2 / 48
        + 7 / 48 * skewness_squared**2
        - skewness_squared * kurtosis / 8
    )
