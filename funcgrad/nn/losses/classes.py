"""PyTorch's losses of labels: class weights, label smoothing, ignored labels, several labels per example."""

from __future__ import annotations

from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad.nn.activations import log_sigmoid
from funcgrad.nn.labels import checked_labels
from funcgrad.nn.losses.classification import examples_of, picked
from funcgrad.nn.losses.shapes import as_array, check_shapes, matched, reduced
from funcgrad.nn.normalization import log_softmax


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """Cross entropy of logits with class numbers or class probabilities.

    Args:
        input: logits: (classes,), (examples, classes) or (examples, classes, ...).
        target: class numbers: the shape of `input` without the axis of classes; or probabilities of its shape.
        weight: of the classes, (classes,). The mean is weighted too.
        ignore_index: label of examples that do not count.
        reduction: "mean", "sum" or "none".
        label_smoothing: share of equal probabilities mixed into the target.

    Raises:
        IndexError: a label is neither a class nor `ignore_index`; from compiled code too.

    Example:
        >>> cross_entropy([[0.0, 0.0], [9.0, -9.0]], [0, 0]).round(3)
        np.float64(0.347)
    """
    input, target = as_array(input), as_array(target)
    if target.ndim > input.ndim:
        raise ValueError(
            f"[cross_entropy] logits come first, then labels, but got {input.shape} and {target.shape}. Write "
            "cross_entropy(logits, labels)."
        )
    axis = 0 if input.ndim == 1 else 1
    weight = _class_weights("cross_entropy", weight, input, axis)
    scores = log_softmax(input, axis)
    if target.dtype.kind not in "iub":
        if target.ndim < input.ndim:
            checked_labels(
                "cross_entropy", target, input.shape[axis]
            )  # says that they must be integers
        check_shapes("cross_entropy", input, target)
        return _with_probabilities(scores, target, axis, weight, reduction, label_smoothing)
    losses, weights = _chosen("cross_entropy", scores, target, axis, weight, ignore_index)
    if label_smoothing:
        by_class = scores * _along(weight, scores, axis)
        spread = -fnp.sum(by_class, axis=axis) * fnp.not_equal(target, ignore_index)
        classes = input.shape[axis]
        losses = (1 - label_smoothing) * losses + label_smoothing / classes * spread
    return _weighted_mean("cross_entropy", losses, weights, reduction)


def nll_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Any:
    """Minus the log probability of the right class.

    Args:
        input: log probabilities, such as from `log_softmax`; shapes as for `cross_entropy`.
        target, weight, ignore_index, reduction: as for `cross_entropy`, with class numbers.

    Example:
        >>> nll_loss(fnp.log([[0.5, 0.5]]), [0]).round(3)
        np.float64(0.693)
    """
    scores = as_array(input)
    axis = 0 if scores.ndim == 1 else 1
    weight = _class_weights("nll_loss", weight, scores, axis)
    losses, weights = _chosen("nll_loss", scores, target, axis, weight, ignore_index)
    return _weighted_mean("nll_loss", losses, weights, reduction)


def multi_margin_loss(
    input: Any,
    target: Any,
    p: int = 1,
    margin: float = 1.0,
    weight: Any = None,
    reduction: str = "mean",
) -> Any:
    """By how much wrong scores come within `margin` of the right one, averaged over the classes.

    Args:
        input: scores (examples, classes) or (classes,).
        target: class numbers.
        p: power of the margins, 1 or 2.
        margin: the distance that is wanted.
        weight: of the classes.
        reduction: "mean", "sum" or "none".

    Example:
        >>> multi_margin_loss([[2.0, 1.5]], [0])
        np.float64(0.25)
    """
    scores, target = examples_of("multi_margin_loss", input, target, -1)
    right = picked(scores, target)
    margins = fnp.maximum(margin - right[..., None] + scores, 0) ** p
    weight = _class_weights("multi_margin_loss", weight, scores, -1)
    if weight is not None:
        margins = margins * fnp.take(weight, target)[..., None]
    is_right = fnp.equal(fnp.arange(scores.shape[-1]), target[..., None])
    values = fnp.sum(fnp.where(is_right, 0, margins), axis=-1) / scores.shape[-1]
    return reduced("multi_margin_loss", values, reduction)


def multilabel_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """By how much scores of wrong classes come within 1 of those of right ones.

    Args:
        input: scores (examples, classes) or (classes,).
        target: numbers of the right classes, then -1; of the same shape.
        reduction: "mean", "sum" or "none".

    Example:
        >>> multilabel_margin_loss([[0.1, 0.2, 0.4, 0.8]], [[3, 0, -1, 1]]).round(4)
        np.float64(0.85)
    """
    scores, target = matched("multilabel_margin_loss", input, target)
    classes = scores.shape[-1]
    counts = fnp.cumprod(fnp.greater_equal(target, 0).astype(np.int64), axis=-1) > 0
    labels = checked_labels("multilabel_margin_loss", fnp.where(counts, target, 0), classes)
    is_label = fnp.equal(labels[..., None], fnp.arange(classes)) & counts[..., None]
    is_right = fnp.any(is_label, axis=-2)
    right = fnp.take_along_axis(scores, labels, axis=-1)
    margins = fnp.maximum(1 - (right[..., :, None] - scores[..., None, :]), 0)
    meant = counts[..., :, None] & ~is_right[..., None, :]
    values = fnp.sum(fnp.where(meant, margins, 0), axis=(-2, -1)) / classes
    return reduced("multilabel_margin_loss", values, reduction)


def multilabel_soft_margin_loss(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean"
) -> Any:
    """Binary cross entropy of all classes, averaged over them.

    Args:
        input: logits (examples, classes).
        target: 0 or 1, of the same shape.
        weight: of the classes.
        reduction: "mean", "sum" or "none".

    Example:
        >>> multilabel_soft_margin_loss([[0.0, 0.0]], [[1, 0]]).round(3)
        np.float64(0.693)
    """
    input, target = matched("multilabel_soft_margin_loss", input, target)
    values = -(target * log_sigmoid(input) + (1 - target) * log_sigmoid(-input))
    if weight is not None:
        values = values * as_array(weight)
    values = fnp.mean(values, axis=-1)
    return reduced("multilabel_soft_margin_loss", values, reduction)


# --- helpers ---


def _class_weights(name: str, weight: Any, scores: Any, axis: int) -> Any:
    """One weight for each class, in the dtype of the scores; None for none."""
    if weight is None:
        return None
    weight, classes = as_array(weight), scores.shape[axis]
    if weight.shape != (classes,):
        raise ValueError(
            f"[{name}] weight must be one number for each of {classes} classes, but its shape is {weight.shape}."
        )
    return weight.astype(scores.dtype)


def _chosen(
    name: str, scores: Any, target: Any, axis: int, weight: Any, ignore_index: int
) -> tuple[Any, Any]:
    """The weighted loss of each example, and its weight; both 0 where it is ignored."""
    target = as_array(target)
    counts = fnp.not_equal(target, ignore_index)
    scores, labels = examples_of(name, scores, fnp.where(counts, target, 0), axis)
    weights = counts.astype(scores.dtype)
    if weight is not None:
        weights = weights * fnp.take(weight, labels)
    return fnp.where(counts, -picked(scores, labels, axis), 0) * weights, weights


def _weighted_mean(name: str, losses: Any, weights: Any, reduction: str) -> Any:
    if reduction == "mean":
        return fnp.sum(losses) / fnp.sum(weights)
    return reduced(name, losses, reduction)


def _with_probabilities(
    scores: Any, target: Any, axis: int, weight: Any, reduction: str, smoothing: float
) -> Any:
    target = (1 - smoothing) * target + smoothing / scores.shape[axis]
    losses = -fnp.sum(scores * target * _along(weight, scores, axis), axis=axis)
    if reduction == "mean":
        return fnp.sum(losses) / max(losses.size, 1)
    return reduced("cross_entropy", losses, reduction)


def _along(weight: Any, scores: Any, axis: int) -> Any:
    """Class weights in the shape of the axis of classes."""
    if weight is None:
        return 1
    shape = [-1 if i == axis else 1 for i in range(scores.ndim)]
    return fnp.reshape(weight, shape)
