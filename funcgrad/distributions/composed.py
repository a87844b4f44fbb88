"""Distributions made of others: transformed ones, and mixtures."""

from __future__ import annotations

from typing import Any

import funcgrad.numpy as fnp
from funcgrad import random
from funcgrad.distributions.base import Derived, Distribution, as_value, inside, or_impossible
from funcgrad.distributions.bijectors import Bijector, Exp
from funcgrad.distributions.discrete import Categorical
from funcgrad.distributions.location_scale import Normal
from funcgrad.scipy.special import logsumexp


class Transformed(Derived):
    """The distribution of a smooth one-to-one function of a random value.

    Args:
        base: the distribution of the argument.
        bijector: the function.

    Example:
        >>> from funcgrad.distributions import Affine, Normal
        >>> Transformed(Normal(0.0, 1.0), Affine(1.0, 2.0)).log_prob(1.0).round(4)
        np.float32(-1.6121)
    """

    bijector: Bijector

    @property
    def batch_shape(self) -> tuple[int, ...]:
        return self.base.batch_shape

    @property
    def event_shape(self) -> tuple[int, ...]:
        return self.base.event_shape

    def draw(self, key: Any, shape: tuple[int, ...]) -> Any:
        return self.bijector.forward(self.base.draw(key, shape))

    def log_prob(self, value: Any) -> Any:
        x = self.bijector.inverse(as_value(value, self.dtype))
        slope = self.bijector.log_slope(x)
        axes = tuple(range(-len(self.event_shape), 0))
        return self.base.log_prob(x) - (fnp.sum(slope, axis=axes) if axes else slope)

    def cdf(self, value: Any) -> Any:
        """The probability of values that are not larger, for a function that rises."""
        return self.base.cdf(self.bijector.inverse(value))

    def icdf(self, q: Any) -> Any:
        """The inverse of `cdf`."""
        return self.bijector.forward(self.base.icdf(q))


class LogNormal(Transformed):
    """The distribution of `exp(x)` for normal `x`.

    Args:
        loc, scale: mean and standard deviation of the logarithm.

    Example:
        >>> LogNormal(0.0, 1.0).log_prob(1.0).round(4)
        np.float32(-0.9189)
    """

    def __init__(self, loc: Any = 0.0, scale: Any = 1.0) -> None:
        self.base = Normal(loc, scale)
        self.bijector = Exp()

    def log_prob(self, value: Any) -> Any:
        value = as_value(value, self.dtype)
        is_inside = value > 0
        return or_impossible(is_inside, super().log_prob(inside(is_inside, value, 1)))

    @property
    def mean(self) -> Any:
        return fnp.exp(self.base.mean + self.base.variance / 2)

    @property
    def variance(self) -> Any:
        return fnp.expm1(self.base.variance) * self.mean**2

    def entropy(self) -> Any:
        return self.base.entropy() + self.base.mean


class Mixture(Distribution):
    """A mixture: a class is drawn, then a value of its component.

    Args:
        mixing: Categorical with `batch_shape` of the mixture.
        components: distributions with one more axis at the end of their batch, that of the classes.

    Example:
        >>> from funcgrad.distributions import Categorical, Normal
        >>> mixture = Mixture(Categorical(probs=[0.5, 0.5]), Normal([-1.0, 1.0], 1.0))
        >>> mixture.log_prob(0.0).round(4)
        np.float32(-1.4189)
    """

    mixing: Categorical
    components: Distribution
    is_smooth = False

    def __init__(self, mixing: Categorical, components: Distribution) -> None:
        self.mixing = mixing
        self.components = components
        classes, found = mixing.logits.shape[-1], components.batch_shape[-1:]
        if found != (classes,):
            raise ValueError(
                f"[Mixture] {classes} classes need components with a batch of shape (..., {classes}), but got "
                f"{components.batch_shape}."
            )

    @property
    def parameters(self) -> tuple[Any, ...]:
        return self.components.parameters

    @property
    def batch_shape(self) -> tuple[int, ...]:
        return self.components.batch_shape[:-1]

    @property
    def event_shape(self) -> tuple[int, ...]:
        return self.components.event_shape

    def draw(self, key: Any, shape: tuple[int, ...]) -> Any:
        keys = random.split(key)
        events = len(self.event_shape)
        place = len(shape) - events
        classes = self.mixing.logits.shape[-1]
        drawn = self.components.draw(keys[1], (*shape[:place], classes, *shape[place:]))
        chosen = self.mixing.draw(keys[0], shape[:place])
        index = fnp.reshape(chosen, (*shape[:place], 1, *[1] * events))
        return fnp.squeeze(fnp.take_along_axis(drawn, index, axis=place), place)

    def log_prob(self, value: Any) -> Any:
        value = fnp.expand_dims(as_value(value, self.dtype), -1 - len(self.event_shape))
        return logsumexp(self.mixing.log_probs + self.components.log_prob(value), axis=-1)

    @property
    def mean(self) -> Any:
        return self._average(self.components.mean)

    @property
    def variance(self) -> Any:
        mean = fnp.expand_dims(self.mean, -1 - len(self.event_shape))
        spread = self.components.variance + (self.components.mean - mean) ** 2
        return self._average(spread)

    def _average(self, values: Any) -> Any:
        events = len(self.event_shape)
        chances = fnp.reshape(self.mixing.probs, (*self.mixing.probs.shape, *[1] * events))
        return fnp.sum(chances * values, axis=-1 - events)

    def cdf(self, value: Any) -> Any:
        """The probability of values that are not larger."""
        return self._average(self.components.cdf(fnp.expand_dims(as_value(value, self.dtype), -1)))
