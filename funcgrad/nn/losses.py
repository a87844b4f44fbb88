"""Losses. All return one value per example; the caller takes the mean."""

from __future__ import annotations

from typing import Any

import funcgrad.numpy as fnp
from funcgrad.nn.activations import log_sigmoid
from funcgrad.nn.labels import checked_labels
from funcgrad.nn.normalization import log_softmax
from funcgrad.ops.sequences import as_array


def squared_error(predictions: Any, targets: Any = None) -> Any:
    """`(predictions - targets)**2`, elementwise.

    Args:
        predictions: array.
        targets: array of the same shape; 0 by default.

    Example:
        >>> squared_error([1.0, 2.0], [1.0, 4.0])
        array([0., 4.])
    """
    return fnp.square(_errors("squared_error", predictions, targets))


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
    errors = _errors("mse", predictions, targets)
    return fnp.mean(fnp.square(errors), axis=-1 if errors.ndim else None)


def huber_loss(predictions: Any, targets: Any = None, *, delta: Any = 1.0) -> Any:
    """Half the squared error up to `delta`, and linear beyond (Huber, 1964).

    Example:
        >>> huber_loss([0.5, 3.0], [0.0, 0.0])
        array([0.125, 2.5  ])
    """
    size = fnp.abs(_errors("huber_loss", predictions, targets))
    return fnp.where(size <= delta, 0.5 * size * size, delta * (size - 0.5 * delta))


def log_cosh(predictions: Any, targets: Any = None) -> Any:
    """`log(cosh(error))`, without overflow: about the error's square, then its absolute value.

    Example:
        >>> log_cosh([0.0, 1000.0], [0.0, 0.0]).round(3)
        array([  0.   , 999.307])
    """
    errors = _errors("log_cosh", predictions, targets)
    return fnp.logaddexp(errors, -errors) - fnp.log(as_array(2.0)).astype(errors.dtype)


def hinge_loss(predictor_outputs: Any, targets: Any) -> Any:
    """`max(0, 1 - output * target)` for targets -1 and 1.

    Example:
        >>> hinge_loss([0.5, 2.0], [1, 1])
        array([0.5, 0. ])
    """
    margins = 1 - as_array(predictor_outputs) * as_array(targets)
    return fnp.where(margins <= 0, 0, margins)


def cosine_similarity(predictions: Any, targets: Any, *, epsilon: Any = 0.0, axis: int = -1) -> Any:
    """Cosine of the angle between vectors along an axis.

    Args:
        predictions, targets: arrays of the same shape.
        epsilon: the least length by which a vector is divided.
        axis: the axis of the vectors.

    Example:
        >>> cosine_similarity([[3.0, 4.0]], [[3.0, 4.0]])
        array([1.])
    """
    predictions, targets = as_array(predictions), as_array(targets)
    _check_shapes("cosine_similarity", predictions, targets)

    def directions(x: Any) -> Any:
        return x / fnp.maximum(fnp.linalg.norm(x, axis=axis, keepdims=True), epsilon)

    return fnp.sum(directions(predictions) * directions(targets), axis=axis)


def sigmoid_binary_cross_entropy(logits: Any, labels: Any) -> Any:
    """Cross entropy of independent yes-or-no decisions, elementwise.

    Args:
        logits: the decisions before the sigmoid.
        labels: probabilities of yes, from 0 to 1; broadcast against `logits`.

    Example:
        >>> sigmoid_binary_cross_entropy([0.0, 1000.0], [1.0, 1.0]).round(3)
        array([0.693, 0.   ])
    """
    logits, labels = as_array(logits), as_array(labels)
    return -labels * log_sigmoid(logits) - (1 - labels) * log_sigmoid(-logits)


def softmax_cross_entropy(logits: Any, labels: Any, axis: int = -1, where: Any = None) -> Any:
    """Cross entropy between class probabilities and the softmax of logits.

    Args:
        logits: (..., classes).
        labels: probabilities of the classes, of the same shape.
        axis: the axis of the classes.
        where: which classes exist.

    Returns:
        One value per example: the shape of `logits` without `axis`.

    Example:
        >>> softmax_cross_entropy([[0.0, 0.0]], [[0.5, 0.5]]).round(3)
        array([0.693])
    """
    logits, labels = as_array(logits), as_array(labels)
    _check_shapes("softmax_cross_entropy", logits, labels)
    logarithms = log_softmax(logits, axis, where)
    if where is not None:
        labels, logarithms = fnp.where(where, labels, 0), fnp.where(where, logarithms, 0)
    return -fnp.sum(labels * logarithms, axis=axis)


def softmax_cross_entropy_with_integer_labels(
    logits: Any, labels: Any, axis: int = -1, where: Any = None
) -> Any:
    """Cross entropy of the right classes: minus the logarithm of their softmax probability.

    Args:
        logits: (..., classes).
        labels: the index of the right class of each example, shape (...).
        axis: the axis of the classes.
        where: which classes exist.

    Returns:
        One value per example.

    Raises:
        IndexError: a label is not in 0 ... classes - 1; from compiled code too.

    Example:
        >>> softmax_cross_entropy_with_integer_labels([[0.0, 0.0], [9.0, -9.0]], [0, 0]).round(3)
        array([0.693, 0.   ])
    """
    name = "softmax_cross_entropy_with_integer_labels"
    logits = as_array(logits)
    if not logits.ndim:
        raise ValueError(f"[{name}] logits must have an axis of classes, but got a number.")
    labels = checked_labels(name, labels, logits.shape[axis])
    classes = axis % logits.ndim
    examples = logits.shape[:classes] + logits.shape[classes + 1 :]
    if labels.shape != examples:
        raise ValueError(
            f"[{name}] logits of shape {logits.shape} need labels of shape {examples}, but got "
            f"{labels.shape}. For probabilities of classes use softmax_cross_entropy."
        )
    picked = fnp.take_along_axis(
        log_softmax(logits, axis, where), fnp.expand_dims(labels, axis), axis
    )
    return -fnp.squeeze(picked, axis)


def _errors(name: str, predictions: Any, targets: Any) -> Any:
    predictions = as_array(predictions)
    if targets is None:
        return predictions
    targets = as_array(targets)
    _check_shapes(name, predictions, targets)
    return predictions - targets


def _check_shapes(name: str, predictions: Any, targets: Any) -> None:
    """Broadcasting (n, 1) against (n,) would give n * n errors: refuse."""
    if predictions.shape != targets.shape:
        raise ValueError(
            f"[{name}] both arguments must have the same shape, but got {predictions.shape} and "
            f"{targets.shape}. Write targets.reshape(predictions.shape) or np.broadcast_to if that is meant."
        )
