"""Distributions of vectors: the multivariate normal distribution, and independent numbers taken together."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad import random
from funcgrad.distributions.base import Derived, Distribution, as_parameter, as_value
from funcgrad.nn.module import field


class MultivariateNormal(Distribution):
    """The normal distribution of vectors.

    Args:
        loc: means (..., n).
        covariance_matrix: (..., n, n). Or:
        scale_tril: its Cholesky factors (..., n, n), lower triangular.

    Example:
        >>> MultivariateNormal([0.0, 0.0], [[1.0, 0.0], [0.0, 4.0]]).log_prob([0.0, 0.0]).round(4)
        np.float32(-2.531)
    """

    loc: Any
    scale_tril: Any

    def __init__(self, loc: Any, covariance_matrix: Any = None, scale_tril: Any = None) -> None:
        if (covariance_matrix is None) == (scale_tril is None):
            raise TypeError("[MultivariateNormal] give either covariance_matrix or scale_tril.")
        self.loc = as_parameter(loc)
        if scale_tril is None:
            scale_tril = fnp.linalg.cholesky(as_parameter(covariance_matrix))
        self.scale_tril = as_parameter(scale_tril)
        n = self.loc.shape[-1:]
        if not n or self.scale_tril.shape[-2:] != (*n, *n):
            raise ValueError(
                f"[MultivariateNormal] means of shape {self.loc.shape} need matrices (..., n, n) with n = {n}, "
                f"but got {self.scale_tril.shape}."
            )

    @property
    def parameters(self) -> tuple[Any, ...]:
        return self.loc, self.scale_tril

    @property
    def batch_shape(self) -> tuple[int, ...]:
        return np.broadcast_shapes(self.loc.shape[:-1], self.scale_tril.shape[:-2])

    @property
    def event_shape(self) -> tuple[int, ...]:
        return self.loc.shape[-1:]

    def draw(self, key: Any, shape: tuple[int, ...]) -> Any:
        drawn = random.normal(key, shape, self.dtype)
        return self.loc + fnp.matmul(self.scale_tril, drawn[..., None])[..., 0]

    def log_prob(self, value: Any) -> Any:
        differences = as_value(value, self.dtype) - self.loc
        z = fnp.linalg.solve(self.scale_tril, differences[..., None])[..., 0]
        norm = 0.5 * self.event_shape[0] * math.log(2 * math.pi) + self._log_det
        return -0.5 * fnp.sum(z * z, axis=-1) - norm

    @property
    def _log_det(self) -> Any:
        return fnp.sum(fnp.log(fnp.diagonal(self.scale_tril, axis1=-2, axis2=-1)), axis=-1)

    @property
    def covariance_matrix(self) -> Any:
        """The covariances (..., n, n)."""
        return fnp.matmul(self.scale_tril, fnp.swapaxes(self.scale_tril, -1, -2))

    @property
    def mean(self) -> Any:
        return fnp.broadcast_to(self.loc, (*self.batch_shape, *self.event_shape))

    @property
    def variance(self) -> Any:
        return fnp.sum(self.scale_tril**2, axis=-1) + fnp.zeros_like(self.mean)

    def entropy(self) -> Any:
        n = self.event_shape[0]
        return (
            0.5 * n * math.log(2 * math.pi * math.e)
            + self._log_det
            + fnp.zeros(self.batch_shape, self.dtype)
        )


class Independent(Derived):
    """Several independent distributions as one of vectors: the last axes of the batch become those of the event.

    Args:
        base: the distributions.
        reinterpreted_batch_ndims: how many axes.

    Example:
        >>> from funcgrad.distributions import Normal
        >>> Independent(Normal(np.zeros(3), 1.0), 1).log_prob(np.zeros(3)).round(4)
        np.float64(-2.7568)
    """

    reinterpreted_batch_ndims: int = field(static=True)

    @property
    def batch_shape(self) -> tuple[int, ...]:
        whole = self.base.batch_shape
        return whole[: len(whole) - self.reinterpreted_batch_ndims]

    @property
    def event_shape(self) -> tuple[int, ...]:
        whole = self.base.batch_shape
        return (*whole[len(whole) - self.reinterpreted_batch_ndims :], *self.base.event_shape)

    def draw(self, key: Any, shape: tuple[int, ...]) -> Any:
        return self.base.draw(key, shape)

    def log_prob(self, value: Any) -> Any:
        return self._total(self.base.log_prob(value))

    @property
    def mean(self) -> Any:
        return self.base.mean

    @property
    def variance(self) -> Any:
        return self.base.variance

    def entropy(self) -> Any:
        return self._total(self.base.entropy())

    def _total(self, values: Any) -> Any:
        return fnp.sum(values, axis=tuple(range(-self.reinterpreted_batch_ndims, 0)))
