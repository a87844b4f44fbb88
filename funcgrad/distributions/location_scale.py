"""Distributions with a place and a width: normal, Laplace, Cauchy, Gumbel and logistic."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad import random
from funcgrad.distributions.base import (
    Distribution,
    as_parameters,
    as_value,
    check_positive,
)
from funcgrad.nn.activations import log_sigmoid, sigmoid
from funcgrad.ops.special import logit, ndtr, ndtri

EULER = float(np.euler_gamma)


class LocationScale(Distribution):
    """A standard distribution times `scale` plus `loc`. Subclasses say what the standard one is.

    Attributes:
        loc: the place.
        scale: the width, positive.
    """

    loc: Any
    scale: Any

    def __init__(self, loc: Any = 0.0, scale: Any = 1.0) -> None:
        self.loc, self.scale = as_parameters(self, loc=loc, scale=scale)
        check_positive(self, scale=self.scale)

    @property
    def parameters(self) -> tuple[Any, ...]:
        return self.loc, self.scale

    def standard(self, key: Any, shape: tuple[int, ...]) -> Any:
        """Numbers of the standard distribution."""
        raise NotImplementedError

    def standard_log_prob(self, z: Any) -> Any:
        """Its log density."""
        raise NotImplementedError

    def draw(self, key: Any, shape: tuple[int, ...]) -> Any:
        return self.loc + self.scale * self.standard(key, shape)

    def log_prob(self, value: Any) -> Any:
        return self.standard_log_prob(self.standardized(value)) - fnp.log(self.scale)

    def standardized(self, value: Any) -> Any:
        """Values relative to place and width."""
        return (as_value(value, self.dtype) - self.loc) / self.scale

    def _spread(self, value: Any) -> Any:
        """A number for each distribution."""
        return value + fnp.zeros(self.batch_shape, self.dtype)


class Normal(LocationScale):
    """The normal distribution.

    Args:
        loc: mean.
        scale: standard deviation.

    Example:
        >>> Normal(0.0, 1.0).log_prob(0.0).round(4)
        np.float32(-0.9189)
    """

    def standard(self, key: Any, shape: tuple[int, ...]) -> Any:
        return random.normal(key, shape, self.dtype)

    def standard_log_prob(self, z: Any) -> Any:
        return -0.5 * z * z - 0.5 * math.log(2 * math.pi)

    @property
    def mean(self) -> Any:
        return self._spread(self.loc)

    @property
    def variance(self) -> Any:
        return self._spread(self.scale**2)

    def entropy(self) -> Any:
        return self._spread(0.5 * math.log(2 * math.pi * math.e) + fnp.log(self.scale))

    def cdf(self, value: Any) -> Any:
        return ndtr(self.standardized(value))

    def icdf(self, q: Any) -> Any:
        return self.loc + self.scale * ndtri(as_value(q, self.dtype))


class Laplace(LocationScale):
    """The Laplace distribution: `exp(-|x - loc| / scale) / (2 scale)`.

    Args:
        loc: mean.
        scale: mean distance from it.

    Example:
        >>> Laplace(0.0, 1.0).log_prob(0.0).round(4)
        np.float32(-0.6931)
    """

    def standard(self, key: Any, shape: tuple[int, ...]) -> Any:
        return random.laplace(key, shape, self.dtype)

    def standard_log_prob(self, z: Any) -> Any:
        return -fnp.abs(z) - math.log(2)

    @property
    def mean(self) -> Any:
        return self._spread(self.loc)

    @property
    def variance(self) -> Any:
        return self._spread(2 * self.scale**2)

    def entropy(self) -> Any:
        return self._spread(1 + fnp.log(2 * self.scale))

    def cdf(self, value: Any) -> Any:
        z = self.standardized(value)
        return 0.5 - 0.5 * fnp.sign(z) * fnp.expm1(-fnp.abs(z))

    def icdf(self, q: Any) -> Any:
        side = as_value(q, self.dtype) - 0.5
        return self.loc - self.scale * fnp.sign(side) * fnp.log1p(-2 * fnp.abs(side))


class Cauchy(LocationScale):
    """The Cauchy distribution, which has no mean.

    Args:
        loc: median.
        scale: half the width at half the height.

    Example:
        >>> Cauchy(0.0, 1.0).log_prob(0.0).round(4)
        np.float32(-1.1447)
    """

    def standard(self, key: Any, shape: tuple[int, ...]) -> Any:
        return random.cauchy(key, shape, self.dtype)

    def standard_log_prob(self, z: Any) -> Any:
        return -math.log(math.pi) - fnp.log1p(z * z)

    def entropy(self) -> Any:
        return self._spread(math.log(4 * math.pi) + fnp.log(self.scale))

    def cdf(self, value: Any) -> Any:
        return 0.5 + fnp.arctan(self.standardized(value)) / math.pi

    def icdf(self, q: Any) -> Any:
        return self.loc + self.scale * fnp.tan(math.pi * (as_value(q, self.dtype) - 0.5))


class Gumbel(LocationScale):
    """The Gumbel distribution: of the largest of many numbers.

    Args:
        loc: the most likely value.
        scale: width.

    Example:
        >>> Gumbel(0.0, 1.0).log_prob(0.0).round(4)
        np.float32(-1.)
    """

    def standard(self, key: Any, shape: tuple[int, ...]) -> Any:
        return random.gumbel(key, shape, self.dtype)

    def standard_log_prob(self, z: Any) -> Any:
        return -z - fnp.exp(-z)

    @property
    def mean(self) -> Any:
        return self._spread(self.loc + EULER * self.scale)

    @property
    def variance(self) -> Any:
        return self._spread(math.pi**2 / 6 * self.scale**2)

    def entropy(self) -> Any:
        return self._spread(fnp.log(self.scale) + 1 + EULER)

    def cdf(self, value: Any) -> Any:
        return fnp.exp(-fnp.exp(-self.standardized(value)))

    def icdf(self, q: Any) -> Any:
        return self.loc - self.scale * fnp.log(-fnp.log(as_value(q, self.dtype)))


class Logistic(LocationScale):
    """The logistic distribution, whose distribution function is the sigmoid.

    Args:
        loc: mean.
        scale: width.

    Example:
        >>> Logistic(0.0, 1.0).log_prob(0.0).round(4)
        np.float32(-1.3863)
    """

    def standard(self, key: Any, shape: tuple[int, ...]) -> Any:
        return random.logistic(key, shape, self.dtype)

    def standard_log_prob(self, z: Any) -> Any:
        return log_sigmoid(z) + log_sigmoid(-z)

    @property
    def mean(self) -> Any:
        return self._spread(self.loc)

    @property
    def variance(self) -> Any:
        return self._spread(math.pi**2 / 3 * self.scale**2)

    def entropy(self) -> Any:
        return self._spread(fnp.log(self.scale) + 2)

    def cdf(self, value: Any) -> Any:
        return sigmoid(self.standardized(value))

    def icdf(self, q: Any) -> Any:
        return self.loc + self.scale * logit(as_value(q, self.dtype))
