"""Distributions of classes. Their values are no smooth functions of parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad import random
from funcgrad.distributions.base import (
    Distribution,
    as_parameter,
    as_value,
    or_impossible,
)
from funcgrad.ir.tracer import Tracer
from funcgrad.nn.activations import log_sigmoid, sigmoid
from funcgrad.nn.labels import checked_labels
from funcgrad.nn.normalization import log_softmax
from funcgrad.ops.sequences import as_array
from funcgrad.ops.special import logit


def one_of(owner: str, probs: Any, logits: Any) -> None:
    """Raise unless exactly one of two ways to say the same was taken."""
    if (probs is None) == (logits is None):
        raise TypeError(f"[{owner}] give either probs or logits.")


class Categorical(Distribution):
    """One of several classes, by its number.

    Args:
        probs: (..., classes), weights; they need not sum to 1. Or:
        logits: (..., classes), their logarithms.

    Example:
        >>> Categorical(probs=[0.25, 0.75]).log_prob([0, 1]).round(4)
        array([-1.3863, -0.2877], dtype=float32)
    """

    is_smooth = False
    logits: Any

    def __init__(self, probs: Any = None, logits: Any = None) -> None:
        one_of("Categorical", probs, logits)
        self.logits = (
            log_of(_checked_weights(probs), probs) if logits is None else as_parameter(logits)
        )
        if not self.logits.ndim:
            raise ValueError("[Categorical] the parameter must have an axis of classes.")

    @property
    def parameters(self) -> tuple[Any, ...]:
        return (self.logits,)

    @property
    def batch_shape(self) -> tuple[int, ...]:
        return self.logits.shape[:-1]

    @property
    def log_probs(self) -> Any:
        """The logarithms of the probabilities."""
        return log_softmax(self.logits, -1)

    @property
    def probs(self) -> Any:
        """The probabilities, which sum to 1."""
        return fnp.exp(self.log_probs)

    def draw(self, key: Any, shape: tuple[int, ...]) -> Any:
        return random.categorical(key, self.logits, shape=shape)

    def log_prob(self, value: Any) -> Any:
        labels = checked_labels("Categorical.log_prob", value, self.logits.shape[-1])
        shape = np.broadcast_shapes(labels.shape, self.batch_shape)
        scores = fnp.broadcast_to(self.log_probs, (*shape, self.logits.shape[-1]))
        labels = fnp.broadcast_to(labels, shape)
        return fnp.take_along_axis(scores, labels[..., None], axis=-1)[..., 0]

    def entropy(self) -> Any:
        return entropy_of(self.log_probs)

    @property
    def mode(self) -> Any:
        """The most likely class."""
        return fnp.argmax(self.logits, axis=-1)


class Bernoulli(Distribution):
    """Yes (1) or no (0).

    Args:
        probs: probability of yes. Or:
        logits: its logit.

    Example:
        >>> Bernoulli(probs=0.25).prob([0, 1])
        array([0.75, 0.25], dtype=float32)
    """

    is_smooth = False
    logits: Any

    def __init__(self, probs: Any = None, logits: Any = None) -> None:
        one_of("Bernoulli", probs, logits)
        self.logits = (
            logit(checked_probs("Bernoulli", probs)) if logits is None else as_parameter(logits)
        )

    @property
    def parameters(self) -> tuple[Any, ...]:
        return (self.logits,)

    @property
    def probs(self) -> Any:
        """The probability of yes."""
        return sigmoid(self.logits)

    def draw(self, key: Any, shape: tuple[int, ...]) -> Any:
        return random.bernoulli(key, self.probs, shape).astype(np.int64)

    def log_prob(self, value: Any) -> Any:
        value = as_value(value, self.dtype)
        is_inside = fnp.equal(value, 0) | fnp.equal(value, 1)
        side = fnp.where(fnp.equal(value, 1), self.logits, -self.logits)
        return or_impossible(is_inside, log_sigmoid(side)).astype(self.dtype)

    @property
    def mean(self) -> Any:
        return self.probs

    @property
    def variance(self) -> Any:
        return self.probs * sigmoid(-self.logits)

    def entropy(self) -> Any:
        return binary_entropy(self.logits)


def log_of(weights: Any, given: Any) -> Any:
    """The logarithms of weights, -inf for 0; Python numbers in float32."""
    weights = weights if hasattr(given, "dtype") else weights.astype(np.float32)
    is_zero = fnp.equal(weights, 0)
    return fnp.where(is_zero, -np.inf, fnp.log(fnp.where(is_zero, 1, weights))).astype(
        weights.dtype
    )


def _checked_weights(probs: Any) -> Any:
    """Weights of classes as an array; logits, which may be negative, do not pass for them."""
    found = as_array(probs)
    if isinstance(found, Tracer):
        return found
    if np.any(found < 0) or (found.ndim and not np.all(found.sum(-1) > 0)):
        raise ValueError(
            f"[Categorical] probs must be at least 0, and not all 0, but got {found}. For logarithms write "
            "Categorical(logits=...)."
        )
    return found


def checked_probs(owner: str, probs: Any) -> Any:
    """Probabilities as an array of numbers from 0 to 1."""
    found = as_array(probs)
    found = found if hasattr(probs, "dtype") else found.astype(np.float32)
    if not isinstance(found, Tracer) and not np.all((found >= 0) & (found <= 1)):
        raise ValueError(
            f"[{owner}] probabilities must lie from 0 to 1, but got {found}. Or give logits."
        )
    return found


def entropy_of(log_probs: Any) -> Any:
    """The entropy of the probabilities along the last axis; those of 0 add nothing."""
    chances = fnp.exp(log_probs)
    terms = fnp.where(chances > 0, chances * fnp.maximum(log_probs, -1e30), 0)
    return -fnp.sum(terms, axis=-1)


def binary_entropy(logits: Any) -> Any:
    """The entropy of a yes-or-no decision with these logits."""
    chance = sigmoid(logits)
    return -chance * log_sigmoid(logits) - (1 - chance) * log_sigmoid(-logits)
