"""Distributions made of gamma distributed numbers: gamma, chi-square, beta, Dirichlet, Student's t."""

from __future__ import annotations

import math
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
from funcgrad.ops.gamma import betaln, digamma, gammaln
from funcgrad.ops.incomplete import betainc, gammainc
from funcgrad.ops.sequences import as_array
from funcgrad.scipy.special import xlog1py, xlogy


class Gamma(Distribution):
    """The gamma distribution. `rsample` has derivatives with respect to both parameters.

    Args:
        concentration: shape.
        rate: one over the scale.

    Example:
        >>> Gamma(1.0, 2.0).log_prob(1.0).round(4)
        np.float32(-1.3069)
    """

    concentration: Any
    rate: Any

    def __init__(self, concentration: Any, rate: Any = 1.0) -> None:
        self.concentration, self.rate = as_parameters(self, concentration=concentration, rate=rate)
        check_positive(self, concentration=self.concentration, rate=self.rate)

    @property
    def parameters(self) -> tuple[Any, ...]:
        return self.concentration, self.rate

    def draw(self, key: Any, shape: tuple[int, ...]) -> Any:
        return random.gamma(key, self.concentration, shape, self.dtype) / self.rate

    def log_prob(self, value: Any) -> Any:
        value, a, rate = as_value(value, self.dtype), self.concentration, self.rate
        is_inside = value >= 0
        x = inside(is_inside, value, 1)
        found = xlogy(a, rate) + xlogy(a - 1, x) - rate * x - gammaln(a)
        return or_impossible(is_inside, found)

    @property
    def mean(self) -> Any:
        return self.concentration / self.rate

    @property
    def variance(self) -> Any:
        return self.concentration / self.rate**2

    def entropy(self) -> Any:
        a = self.concentration
        return a - fnp.log(self.rate) + gammaln(a) + (1 - a) * digamma(a)

    def cdf(self, value: Any) -> Any:
        return gammainc(self.concentration, self.rate * fnp.maximum(as_value(value, self.dtype), 0))


class Chi2(Gamma):
    """The chi-square distribution: the sum of squares of `df` normal numbers.

    Args:
        df: degrees of freedom.

    Example:
        >>> float(Chi2(3.0).mean)
        3.0
    """

    def __init__(self, df: Any) -> None:
        half = as_array(df) / 2
        super().__init__(half, fnp.full_like(half, 0.5))


class Beta(Distribution):
    """The beta distribution: of probabilities. `rsample` has derivatives with respect to both parameters.

    Args:
        concentration1: counts of yes, plus 1.
        concentration0: counts of no, plus 1.

    Example:
        >>> Beta(2.0, 2.0).prob(0.5).round(4)
        np.float32(1.5)
    """

    concentration1: Any
    concentration0: Any

    def __init__(self, concentration1: Any, concentration0: Any) -> None:
        self.concentration1, self.concentration0 = as_parameters(
            self, concentration1=concentration1, concentration0=concentration0
        )
        check_positive(self, concentration1=self.concentration1, concentration0=self.concentration0)

    @property
    def parameters(self) -> tuple[Any, ...]:
        return self.concentration1, self.concentration0

    def draw(self, key: Any, shape: tuple[int, ...]) -> Any:
        return random.beta(key, self.concentration1, self.concentration0, shape, self.dtype)

    def log_prob(self, value: Any) -> Any:
        value, (a, b) = as_value(value, self.dtype), self.parameters
        is_inside = (value >= 0) & (value <= 1)
        x = inside(is_inside, value, 0.5)
        return or_impossible(is_inside, xlogy(a - 1, x) + xlog1py(b - 1, -x) - betaln(a, b))

    @property
    def mean(self) -> Any:
        a, b = self.parameters
        return a / (a + b)

    @property
    def variance(self) -> Any:
        a, b = self.parameters
        return a * b / ((a + b) ** 2 * (a + b + 1))

    def entropy(self) -> Any:
        a, b = self.parameters
        terms = (a - 1) * digamma(a) + (b - 1) * digamma(b) - (a + b - 2) * digamma(a + b)
        return betaln(a, b) - terms

    def cdf(self, value: Any) -> Any:
        return betainc(
            self.concentration1, self.concentration0, fnp.clip(as_value(value, self.dtype), 0, 1)
        )


class Dirichlet(Distribution):
    """The Dirichlet distribution: of the probabilities of several classes. `rsample` has derivatives.

    Args:
        concentration: (..., classes), counts plus 1.

    Example:
        >>> Dirichlet([1.0, 1.0, 1.0]).log_prob([0.2, 0.3, 0.5]).round(4)
        np.float32(0.6931)
    """

    concentration: Any

    def __init__(self, concentration: Any) -> None:
        self.concentration = as_parameter(concentration)
        if not self.concentration.ndim:
            raise ValueError("[Dirichlet] concentration must have an axis of classes.")
        check_positive(self, concentration=self.concentration)

    @property
    def parameters(self) -> tuple[Any, ...]:
        return (self.concentration,)

    @property
    def batch_shape(self) -> tuple[int, ...]:
        return self.concentration.shape[:-1]

    @property
    def event_shape(self) -> tuple[int, ...]:
        return self.concentration.shape[-1:]

    def draw(self, key: Any, shape: tuple[int, ...]) -> Any:
        return random.dirichlet(key, self.concentration, shape[:-1], self.dtype)

    def log_prob(self, value: Any) -> Any:
        value, a = as_value(value, self.dtype), self.concentration
        is_inside = fnp.all(value >= 0, axis=-1)
        x = inside(is_inside[..., None], value, 1)
        found = fnp.sum(xlogy(a - 1, x), axis=-1) + gammaln(self._total)
        return or_impossible(is_inside, found - fnp.sum(gammaln(a), axis=-1))

    @property
    def _total(self) -> Any:
        return fnp.sum(self.concentration, axis=-1)

    @property
    def mean(self) -> Any:
        return self.concentration / self._total[..., None]

    @property
    def variance(self) -> Any:
        mean, total = self.mean, self._total[..., None]
        return mean * (1 - mean) / (total + 1)

    def entropy(self) -> Any:
        a, total, classes = self.concentration, self._total, self.concentration.shape[-1]
        log_norm = fnp.sum(gammaln(a), axis=-1) - gammaln(total)
        inner = fnp.sum((a - 1) * digamma(a), axis=-1)
        return log_norm + (total - classes) * digamma(total) - inner


class StudentT(Distribution):
    """Student's t distribution: heavy tails. `rsample` has derivatives with respect to all parameters.

    Args:
        df: degrees of freedom.
        loc: place.
        scale: width.

    Example:
        >>> StudentT(1.0).log_prob(0.0).round(4)
        np.float32(-1.1447)
    """

    df: Any
    loc: Any
    scale: Any

    def __init__(self, df: Any, loc: Any = 0.0, scale: Any = 1.0) -> None:
        self.df, self.loc, self.scale = as_parameters(self, df=df, loc=loc, scale=scale)
        check_positive(self, df=self.df, scale=self.scale)

    @property
    def parameters(self) -> tuple[Any, ...]:
        return self.df, self.loc, self.scale

    def draw(self, key: Any, shape: tuple[int, ...]) -> Any:
        return self.loc + self.scale * random.t(key, self.df, shape, self.dtype)

    def log_prob(self, value: Any) -> Any:
        z, df = (as_value(value, self.dtype) - self.loc) / self.scale, self.df
        norm = gammaln((df + 1) / 2) - gammaln(df / 2) - 0.5 * fnp.log(math.pi * df)
        return norm - fnp.log(self.scale) - (df + 1) / 2 * fnp.log1p(z * z / df)

    @property
    def mean(self) -> Any:
        return fnp.where(self.df > 1, self.loc, fnp.nan) + 0 * self.scale

    @property
    def variance(self) -> Any:
        heavy = fnp.where(self.df > 1, fnp.inf, fnp.nan)
        ratio = self.df / fnp.where(self.df > 2, self.df - 2, 1)
        return self.scale**2 * fnp.where(self.df > 2, ratio, heavy).astype(self.dtype)

    def entropy(self) -> Any:
        df = self.df
        above = (df + 1) / 2
        inner = above * (digamma(above) - digamma(df / 2))
        return (
            inner + 0.5 * fnp.log(df) + betaln(df / 2, fnp.full_like(df, 0.5)) + fnp.log(self.scale)
        )

    def cdf(self, value: Any) -> Any:
        z = (as_value(value, self.dtype) - self.loc) / self.scale
        tails = betainc(self.df / 2, 0.5, self.df / (self.df + z * z))
        return 0.5 + 0.5 * fnp.sign(z) * (1 - tails)
