"""Losses of decisions: cross entropies, and margins. One value per example."""

from __future__ import annotations

import math
from typing import Any

import funcgrad.numpy as fnp
from funcgrad.nn.activations import log_sigmoid
from funcgrad.nn.labels import checked_labels
from funcgrad.nn.losses.shapes import as_array, kept, matched
from funcgrad.nn.normalization import log_softmax, softmax
from funcgrad.scipy.special import logsumexp


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


def sigmoid_focal_loss(
    logits: Any, labels: Any, *, alpha: float | None = None, gamma: float = 2.0
) -> Any:
    """Binary cross entropy in which decisions that are right anyway count less (Lin et al., 2017).

    Args:
        logits, labels: as for `sigmoid_binary_cross_entropy`.
        alpha: weight of yes, 1 - alpha that of no; None for 1.
        gamma: how much less.

    Example:
        >>> sigmoid_focal_loss([0.0, 5.0], [1.0, 1.0]).round(4)
        array([0.1733, 0.    ])
    """
    logits, labels = as_array(logits), as_array(labels)
    losses = sigmoid_binary_cross_entropy(logits, labels)
    yes, no = log_sigmoid(logits), log_sigmoid(-logits)
    # log of the probability of the wrong decision
    pair = fnp.stack(fnp.broadcast_arrays(yes, no), axis=-1)
    shares = fnp.stack(fnp.broadcast_arrays(1 - labels, labels), axis=-1).astype(pair.dtype)
    losses = losses * fnp.exp(gamma * logsumexp(pair, axis=-1, b=shares))
    if alpha is None:
        return losses
    return (alpha * labels + (1 - alpha) * (1 - labels)) * losses


def softmax_cross_entropy(logits: Any, labels: Any, axis: int = -1, where: Any = None) -> Any:
    """Cross entropy between class probabilities and the softmax of logits.

    Classes of probability 0 may have logits of -inf.

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
    logits, labels = matched("softmax_cross_entropy", logits, labels)
    logarithms = log_softmax(logits, axis, where)
    if where is not None:
        labels, logarithms = fnp.where(where, labels, 0), fnp.where(where, logarithms, 0)
    is_impossible = fnp.equal(labels, 0) & fnp.isinf(logarithms)
    return -fnp.sum(labels * fnp.where(is_impossible, 0, logarithms), axis=axis)


def safe_softmax_cross_entropy(logits: Any, labels: Any) -> Any:
    """`softmax_cross_entropy` along the last axis, under the name of Optax.

    Example:
        >>> safe_softmax_cross_entropy([[0.0, -float("inf")]], [[1.0, 0.0]]) + 0.0
        array([0.])
    """
    return softmax_cross_entropy(logits, labels)


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
    logits, labels = examples_of(name, logits, labels, axis)
    return -picked(log_softmax(logits, axis, where), labels, axis)


def hinge_loss(predictor_outputs: Any, targets: Any) -> Any:
    """`max(0, 1 - output * target)` for targets -1 and 1.

    Example:
        >>> hinge_loss([0.5, 2.0], [1, 1])
        array([0.5, 0. ])
    """
    margins = 1 - as_array(predictor_outputs) * as_array(targets)
    return fnp.where(margins <= 0, 0, margins)


def perceptron_loss(predictor_outputs: Any, targets: Any) -> Any:
    """`max(0, -output * target)` for targets -1 and 1 (Rosenblatt, 1958).

    Example:
        >>> perceptron_loss([0.5, -2.0], [1.0, 1.0])
        array([0., 2.])
    """
    outputs, targets = matched("perceptron_loss", predictor_outputs, targets)
    margins = -outputs * targets
    return fnp.where(margins <= 0, 0, margins)


def multiclass_hinge_loss(scores: Any, labels: Any) -> Any:
    """By how much the best wrong score comes within 1 of the right one (Crammer and Singer, 2001).

    Args:
        scores: (..., classes).
        labels: index of the right class of each example.

    Example:
        >>> multiclass_hinge_loss([[2.0, 1.5]], [0])
        array([0.5])
    """
    scores, labels = examples_of("multiclass_hinge_loss", scores, labels, -1)
    is_right = fnp.equal(fnp.arange(scores.shape[-1]), labels[..., None])
    return fnp.max(fnp.where(is_right, scores, scores + 1.0), axis=-1) - picked(scores, labels)


def multiclass_perceptron_loss(scores: Any, labels: Any) -> Any:
    """By how much the best score exceeds the right one (Collins, 2002).

    Args:
        scores: (..., classes).
        labels: index of the right class of each example.

    Example:
        >>> multiclass_perceptron_loss([[2.0, 3.5]], [0])
        array([1.5])
    """
    scores, labels = examples_of("multiclass_perceptron_loss", scores, labels, -1)
    return fnp.max(scores, axis=-1) - picked(scores, labels)


def poly_loss_cross_entropy(
    logits: Any, labels: Any, *, epsilon: float = 2.0, axis: int = -1, where: Any = None
) -> Any:
    """Cross entropy plus `epsilon` times the probability that is missing (Leng et al., 2022).

    Args:
        logits, labels, axis, where: as for `softmax_cross_entropy`.
        epsilon: weight of the second term.

    Example:
        >>> poly_loss_cross_entropy([[0.0, 0.0]], [[1.0, 0.0]]).round(3)
        array([1.693])
    """
    logits, labels = as_array(logits), as_array(labels)
    missing = kept(where, labels * (1 - softmax(logits, axis, where)), axis)
    return softmax_cross_entropy(logits, labels, axis, where) + epsilon * missing


def smooth_labels(labels: Any, alpha: float, *, axis: int = -1, where: Any = None) -> Any:
    """Class probabilities mixed with equal ones (Szegedy et al., 2016).

    Args:
        labels: (..., classes).
        alpha: share of the equal probabilities.
        axis: the axis of the classes.
        where: which classes exist.

    Example:
        >>> smooth_labels([[1.0, 0.0]], 0.1)
        array([[0.95, 0.05]])
    """
    labels = as_array(labels)
    if where is None:
        count: Any = labels.shape[axis]
    else:
        count = fnp.sum(where, axis=axis, keepdims=True).astype(labels.dtype)
    return (1.0 - alpha) * labels + alpha / count


# --- labels that choose ---


def examples_of(name: str, scores: Any, labels: Any, axis: int) -> tuple[Any, Any]:
    """Scores and labels as arrays, with labels in range and of the shape of the examples."""
    scores = as_array(scores)
    if not scores.ndim:
        raise ValueError(f"[{name}] logits must have an axis of classes, but got a number.")
    labels = checked_labels(name, labels, scores.shape[axis])
    classes = axis % scores.ndim
    examples = scores.shape[:classes] + scores.shape[classes + 1 :]
    if labels.shape != examples:
        is_long = labels.size == math.prod(examples)
        cure = (
            f"labels.reshape({examples})" if is_long else "softmax_cross_entropy for probabilities"
        )
        raise ValueError(
            f"[{name}] logits of shape {scores.shape} need labels of shape {examples}, but got "
            f"{labels.shape}. Write {cure}."
        )
    return scores, labels


def picked(values: Any, labels: Any, axis: int = -1) -> Any:
    """The value of the right class of each example."""
    return fnp.squeeze(fnp.take_along_axis(values, fnp.expand_dims(labels, axis), axis), axis)
