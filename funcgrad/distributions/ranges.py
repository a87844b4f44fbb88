"""Distributions on a part of the line: uniform between two bounds, and exponential."""

from __future__ import annotations

from typing import Any

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


class Uniform(Distribution):
    """Equal density between two bounds.

    Args:
        low, high: the bounds.

    Example:
        >>> Uniform(0.0, 4.0).prob([1.0, 5.0])
        array([0.25, 0.  ], dtype=float32)
    """

    low: Any
    high: Any

    def __init__(self, low: Any = 0.0, high: Any = 1.0) -> None:
        self.low, self.high = as_parameters(self, low=low, high=high)
        check_positive(self, **{"high - low": self.high - self.low})

    @property
    def parameters(self) -> tuple[Any, ...]:
        return self.low, self.high

    @property
    def _width(self) -> Any:
        return self.high - self.low

    def draw(self, key: Any, shape: tuple[int, ...]) -> Any:
        return self.low + self._width * random.uniform(key, shape, self.dtype)

    def log_prob(self, value: Any) -> Any:
        value = as_value(value, self.dtype)
        is_inside = (value >= self.low) & (value < self.high)
        return or_impossible(is_inside, -fnp.log(self._width))

    @property
    def mean(self) -> Any:
        return (self.low + self.high) / 2

    @property
    def variance(self) -> Any:
        return self._width**2 / 12

    def entropy(self) -> Any:
        return fnp.log(self._width)

    def cdf(self, value: Any) -> Any:
        return fnp.clip((as_value(value, self.dtype) - self.low) / self._width, 0, 1)

    def icdf(self, q: Any) -> Any:
        return self.low + self._width * as_value(q, self.dtype)


class Exponential(Distribution):
    """The exponential distribution: waiting times.

    Args:
        rate: one over the mean.

    Example:
        >>> Exponential(2.0).log_prob([0.0, -1.0]).round(4)
        array([0.6931,   -inf], dtype=float32)
    """

    rate: Any

    def __init__(self, rate: Any = 1.0) -> None:
        self.rate = as_parameter(rate)
        check_positive(self, rate=self.rate)

    @property
    def parameters(self) -> tuple[Any, ...]:
        return (self.rate,)

    def draw(self, key: Any, shape: tuple[int, ...]) -> Any:
        return random.exponential(key, shape, self.dtype) / self.rate

    def log_prob(self, value: Any) -> Any:
        value = as_value(value, self.dtype)
        is_inside = value >= 0
        return or_impossible(
            is_inside, fnp.log(self.rate) - self.rate * inside(is_inside, value, 0)
        )

    @property
    def mean(self) -> Any:
        return 1 / self.rate

    @property
    def variance(self) -> Any:
        return 1 / self.rate**2

    def entropy(self) -> Any:
        return 1 - fnp.log(self.rate)

    def cdf(self, value: Any) -> Any:
        return -fnp.expm1(-self.rate * fnp.maximum(as_value(value, self.dtype), 0))

    def icdf(self, q: Any) -> Any:
        return -fnp.log1p(-as_value(q, self.dtype)) / self.rate
