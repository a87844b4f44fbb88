"""Losses between numbers, and between directions. One value per number or per vector."""

from __future__ import annotations

from typing import Any

import funcgrad.numpy as fnp
from funcgrad.nn.losses.shapes import as_array, errors, kept, matched, reduced


def squared_error(predictions: Any, targets: Any = None) -> Any:
    """`(predictions - targets)**2`, elementwise.

    Args:
        predictions: array.
        targets: array of the same shape; 0 by default.

    Example:
        >>> squared_error([1.0, 2.0], [1.0, 4.0])
        array([0., 4.])
    """
    return fnp.square(errors("squared_error", predictions, targets))


def l2_loss(predictions: Any, targets: Any = None) -> Any:
    """Half the squared error, elementwise; its derivative is the error.

    Example:
        >>> l2_loss([1.0, 2.0], [1.0, 4.0])
        array([0., 2.])
    """
    return 0.5 * squared_error(predictions, targets)


def mse(predictions: Any, targets: Any) -> Any:
    """Mean squared error over the last axis: one value per example.

    Args:
        predictions, targets: arrays of the same shape, (..., features).

    Example:
        >>> mse([[1.0, 2.0], [0.0, 0.0]], [[1.0, 4.0], [0.0, 0.0]])
        array([2., 0.])
    """
    differences = errors("mse", predictions, targets)
    return fnp.mean(fnp.square(differences), axis=-1 if differences.ndim else None)


def huber_loss(
    predictions: Any, targets: Any = None, *, delta: Any = 1.0, reduction: str = "none"
) -> Any:
    """Half the squared error up to `delta`, and linear beyond (Huber, 1964).

    Args:
        predictions, targets: arrays of the same shape.
        delta: where the line begins.
        reduction: "none", "mean" or "sum". PyTorch's default is "mean".

    Example:
        >>> huber_loss([0.5, 3.0], [0.0, 0.0])
        array([0.125, 2.5  ])
    """
    size = fnp.abs(errors("huber_loss", predictions, targets))
    values = fnp.where(size <= delta, 0.5 * size * size, delta * (size - 0.5 * delta))
    return reduced("huber_loss", values, reduction)


def log_cosh(predictions: Any, targets: Any = None) -> Any:
    """`log(cosh(error))`, without overflow: about half the error's square, then its absolute value.

    Example:
        >>> log_cosh([0.0, 1000.0], [0.0, 0.0]).round(3)
        array([  0.   , 999.307])
    """
    differences = errors("log_cosh", predictions, targets)
    half = fnp.log(as_array(2.0)).astype(differences.dtype)
    return fnp.logaddexp(differences, -differences) - half


def cosine_similarity(
    predictions: Any, targets: Any, *, epsilon: Any = 0.0, axis: int = -1, where: Any = None
) -> Any:
    """Cosine of the angle between vectors along an axis.

    Args:
        predictions, targets: arrays of the same shape.
        epsilon: the least length by which a vector is divided.
        axis: the axis of the vectors.
        where: which elements count.

    Example:
        >>> cosine_similarity([[3.0, 4.0]], [[3.0, 4.0]])
        array([1.])
    """
    predictions, targets = matched("cosine_similarity", predictions, targets)
    if where is not None:
        predictions, targets = (fnp.where(where, x, 0) for x in (predictions, targets))

    def directions(x: Any) -> Any:
        return x / fnp.maximum(fnp.linalg.norm(x, axis=axis, keepdims=True), epsilon)

    return kept(where, directions(predictions) * directions(targets), axis)


def cosine_distance(
    predictions: Any, targets: Any, *, epsilon: Any = 0.0, axis: int = -1, where: Any = None
) -> Any:
    """1 minus `cosine_similarity`: 0 for vectors of the same direction, 2 for opposite ones.

    Args:
        predictions, targets, epsilon, axis, where: as for `cosine_similarity`.

    Example:
        >>> cosine_distance([[3.0, 4.0]], [[-3.0, -4.0]])
        array([2.])
    """
    similarity = cosine_similarity(predictions, targets, epsilon=epsilon, axis=axis, where=where)
    return 1.0 - similarity
