"""Smooth one-to-one functions, with the logarithm of how much they stretch."""

from __future__ import annotations

import math
from typing import Any

import funcgrad.numpy as fnp
from funcgrad.distributions.base import as_value, parameter
from funcgrad.nn.activations import log_sigmoid, sigmoid, softplus
from funcgrad.nn.module import Module
from funcgrad.ops.special import logit


class Bijector(Module):
    """A smooth one-to-one function of numbers."""

    def forward(self, x: Any) -> Any:
        """The function."""
        raise NotImplementedError

    def inverse(self, y: Any) -> Any:
        """Its inverse."""
        raise NotImplementedError

    def log_slope(self, x: Any) -> Any:
        """The logarithm of the absolute value of its derivative."""
        raise NotImplementedError


class Exp(Bijector):
    """`exp`: numbers to positive ones.

    Example:
        >>> Exp().forward(0.0)
        np.float32(1.0)
    """

    def forward(self, x: Any) -> Any:
        return fnp.exp(as_value(x))

    def inverse(self, y: Any) -> Any:
        return fnp.log(as_value(y))

    def log_slope(self, x: Any) -> Any:
        return as_value(x)


class Sigmoid(Bijector):
    """`1 / (1 + exp(-x))`: numbers to those between 0 and 1.

    Example:
        >>> Sigmoid().forward(0.0)
        np.float32(0.5)
    """

    def forward(self, x: Any) -> Any:
        return sigmoid(as_value(x))

    def inverse(self, y: Any) -> Any:
        return logit(as_value(y))

    def log_slope(self, x: Any) -> Any:
        x = as_value(x)
        return log_sigmoid(x) + log_sigmoid(-x)


class Tanh(Bijector):
    """`tanh`: numbers to those between -1 and 1.

    Example:
        >>> Tanh().forward(0.0)
        np.float32(0.0)
    """

    def forward(self, x: Any) -> Any:
        return fnp.tanh(as_value(x))

    def inverse(self, y: Any) -> Any:
        return fnp.arctanh(as_value(y))

    def log_slope(self, x: Any) -> Any:
        x = as_value(x)
        return 2 * (math.log(2) - x - softplus(-2 * x))


class Softplus(Bijector):
    """`log(1 + exp(x))`: numbers to positive ones.

    Example:
        >>> Softplus().forward(0.0).round(4)
        np.float32(0.6931)
    """

    def forward(self, x: Any) -> Any:
        return softplus(as_value(x))

    def inverse(self, y: Any) -> Any:
        y = as_value(y)
        return y + fnp.log(-fnp.expm1(-y))

    def log_slope(self, x: Any) -> Any:
        return log_sigmoid(as_value(x))


class Affine(Bijector):
    """`loc + scale * x`.

    Args:
        loc, scale: numbers or arrays; `scale` is not 0.

    Example:
        >>> Affine(1.0, 2.0).forward([3.0])
        array([7.], dtype=float32)
    """

    loc: Any = parameter(default=0.0)
    scale: Any = parameter(default=1.0)

    def forward(self, x: Any) -> Any:
        return self.loc + self.scale * as_value(x)

    def inverse(self, y: Any) -> Any:
        return (as_value(y) - self.loc) / self.scale

    def log_slope(self, x: Any) -> Any:
        return fnp.log(fnp.abs(self.scale)) + fnp.zeros_like(as_value(x))


class Chain(Bijector):
    """Several functions, the last of which comes first: `Chain([f, g]).forward(x) = f(g(x))`.

    Args:
        bijectors: the functions.

    Example:
        >>> Chain([Exp(), Affine(0.0, 2.0)]).forward([0.0])
        array([1.], dtype=float32)
    """

    bijectors: list[Bijector]

    def forward(self, x: Any) -> Any:
        for one in reversed(self.bijectors):
            x = one.forward(x)
        return x

    def inverse(self, y: Any) -> Any:
        for one in self.bijectors:
            y = one.inverse(y)
        return y

    def log_slope(self, x: Any) -> Any:
        total: Any = 0.0
        for one in reversed(self.bijectors):
            total = total + one.log_slope(x)
            x = one.forward(x)
        return total


class Inverse(Bijector):
    """The inverse of a function.

    Args:
        bijector: the function.

    Example:
        >>> Inverse(Exp()).forward([1.0])
        array([0.], dtype=float32)
    """

    bijector: Bijector

    def forward(self, x: Any) -> Any:
        return self.bijector.inverse(x)

    def inverse(self, y: Any) -> Any:
        return self.bijector.forward(y)

    def log_slope(self, x: Any) -> Any:
        return -self.bijector.log_slope(self.bijector.inverse(x))
