"""Losses of masks: how little two of them overlap (Milletari et al., 2016)."""

from __future__ import annotations

from typing import Any

import funcgrad.numpy as fnp
from funcgrad.nn.activations import sigmoid
from funcgrad.nn.losses.shapes import as_array, check_shapes
from funcgrad.nn.normalization import softmax


def dice_loss(
    predictions: Any,
    targets: Any,
    *,
    class_weights: Any = None,
    smooth: float = 1.0,
    alpha: float = 0.5,
    beta: float = 0.5,
    apply_softmax: bool = True,
    reduction: str = "mean",
    ignore_background: bool = False,
    axis: Any = None,
) -> Any:
    """1 minus the Dice coefficient (Tversky index) of masks.

    Args:
        predictions: logits (examples, ..., classes), or probabilities with apply_softmax=False.
        targets: masks of the same shape.
        class_weights: (classes,).
        smooth: added to numerator and denominator.
        alpha, beta: weights of false positives and false negatives.
        apply_softmax: turn logits to probabilities, by the sigmoid for one class.
        reduction: over the classes: "mean", "sum" or "none".
        ignore_background: leave class 0 out.
        axis: the axes of the pixels; all between the first and the last by default.

    Returns:
        One value per example.

    Example:
        >>> dice_loss([[[1.0], [0.0]]], [[[1.0], [0.0]]], apply_softmax=False)
        array([0.])
    """
    predictions, targets = _with_classes(as_array(predictions), as_array(targets))
    check_shapes("dice_loss", predictions, targets)
    chances = predictions
    if apply_softmax:
        is_binary = predictions.shape[-1] == 1
        chances = sigmoid(predictions) if is_binary else softmax(predictions, axis=-1)
    axis = tuple(range(1, chances.ndim - 1)) if axis is None else axis
    both = fnp.sum(chances * targets, axis=axis)
    only_predicted = fnp.sum(chances, axis=axis) - both
    only_true = fnp.sum(targets, axis=axis) - both
    losses = 1 - (both + smooth) / (both + alpha * only_predicted + beta * only_true + smooth)
    if class_weights is not None:
        losses = losses * class_weights
    if ignore_background and chances.shape[-1] > 1:
        losses = losses[..., 1:]
    reduce = {"mean": fnp.mean, "sum": fnp.sum, "none": lambda x, axis: x}
    if reduction not in reduce:
        raise ValueError(
            f"[dice_loss] reduction must be one of {sorted(reduce)}, but got {reduction!r}."
        )
    return reduce[reduction](losses, axis=-1)


def multiclass_generalized_dice_loss(
    predictions: Any,
    targets: Any,
    *,
    smooth: float = 1.0,
    apply_softmax: bool = True,
    ignore_background: bool = False,
) -> Any:
    """The Dice loss with rare classes weighted up (Sudre et al., 2017); its mean.

    Args:
        predictions, targets, smooth, apply_softmax, ignore_background: as for `dice_loss`.

    Example:
        >>> masks = [[[1.0, 0.0], [0.0, 1.0]]]
        >>> multiclass_generalized_dice_loss(masks, masks, apply_softmax=False)
        np.float64(0.0)
    """
    targets = as_array(targets)
    frequencies = fnp.sum(targets, axis=tuple(range(targets.ndim - 1)))
    weights = 1 / (frequencies**2 + 1e-7)
    weights = weights / fnp.sum(weights) * weights.shape[0]
    losses = dice_loss(
        predictions, targets, class_weights=weights, smooth=smooth, apply_softmax=apply_softmax,
        reduction="none", ignore_background=ignore_background,
    )  # fmt: skip
    return fnp.mean(losses)


def binary_dice_loss(
    predictions: Any, targets: Any, *, smooth: float = 1.0, apply_sigmoid: bool = True
) -> Any:
    """The Dice loss of one mask per example.

    Args:
        predictions: logits (examples, ...), or probabilities with apply_sigmoid=False.
        targets: masks of the same shape.
        smooth: as for `dice_loss`.
        apply_sigmoid: turn logits to probabilities.

    Example:
        >>> binary_dice_loss([[1.0, 0.0]], [[1.0, 0.0]], apply_sigmoid=False)
        array([0.])
    """
    predictions, targets = as_array(predictions), as_array(targets)
    if predictions.ndim == targets.ndim and predictions.shape[-1] != 1:
        predictions, targets = predictions[..., None], targets[..., None]
    return dice_loss(predictions, targets, smooth=smooth, apply_softmax=apply_sigmoid)


def _with_classes(predictions: Any, targets: Any) -> tuple[Any, Any]:
    """An axis of one class for the argument that lacks it."""
    if predictions.ndim == targets.ndim - 1:
        predictions = predictions[..., None]
    if targets.ndim == predictions.ndim - 1:
        targets = targets[..., None]
    return predictions, targets
