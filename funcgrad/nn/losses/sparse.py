"""Losses whose predictions have zeros: sparsemax and other Fenchel-Young losses, and ranking."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import funcgrad.numpy as fnp
from funcgrad.nn.losses.classification import examples_of, picked
from funcgrad.nn.losses.shapes import as_array, kept
from funcgrad.nn.normalization import log_softmax
from funcgrad.transforms.stop_gradient import stop_gradient
from funcgrad.transforms.vmap import vmap


def sparsemax_loss(logits: Any, labels: Any) -> Any:
    """The sparsemax loss of yes-or-no decisions: 0 from a margin of 1 on (Martins and Astudillo, 2016).

    Args:
        logits: the decisions.
        labels: 0 or 1.

    Example:
        >>> sparsemax_loss([0.0, 2.0], [1, 1])
        array([0.25, 0.  ])
    """
    logits, labels = as_array(logits), as_array(labels)
    x = fnp.where(fnp.not_equal(labels, 0), -logits, logits)
    inner = 0.25 * (x + 1.0) ** 2
    return fnp.where(x <= -1.0, fnp.zeros_like(x), fnp.where(x >= 1.0, x, inner))


def multiclass_sparsemax_loss(scores: Any, labels: Any) -> Any:
    """The sparsemax loss of integer labels (Martins and Astudillo, 2016).

    Args:
        scores: (..., classes).
        labels: index of the right class of each example.

    Example:
        >>> multiclass_sparsemax_loss([[0.0, 0.0], [2.0, 0.0]], [0, 0])
        array([0.25, 0.  ])
    """
    scores, labels = examples_of("multiclass_sparsemax_loss", scores, labels, -1)
    # By the envelope theorem the probabilities count as constants.
    probabilities = stop_gradient(sparsemax(scores))
    expected = fnp.sum(probabilities * scores, axis=-1)
    rest = 0.5 * (1 - fnp.sum(probabilities * probabilities, axis=-1))
    return expected - picked(scores, labels) + rest


def sparsemax(scores: Any) -> Any:
    """The nearest probabilities to scores along the last axis."""
    falling = fnp.flip(fnp.sort(scores, axis=-1), axis=-1)
    places = fnp.arange(1, scores.shape[-1] + 1)
    shares = fnp.divide(1 - fnp.cumsum(falling, axis=-1), places.astype(scores.dtype))
    count = fnp.sum(falling + shares > 0, axis=-1, keepdims=True)
    shift = fnp.sum(fnp.where(fnp.equal(places, count), shares, 0), axis=-1, keepdims=True)
    return fnp.maximum(scores + shift, 0)


def make_fenchel_young_loss(max_fun: Callable[..., Any]) -> Callable[..., Any]:
    """The loss that belongs to a maximum function: `max_fun(scores) - targets @ scores` (Blondel et al., 2020).

    Args:
        max_fun: scores (classes,) -> number, such as logsumexp.

    Returns:
        Function (scores, targets, ...) -> one value per example, along the last axis.

    Example:
        >>> from funcgrad.scipy.special import logsumexp
        >>> loss = make_fenchel_young_loss(logsumexp)
        >>> loss(fnp.zeros((1, 2)), fnp.array([[1.0, 0.0]])).round(3)
        array([0.693], dtype=float32)
    """

    def loss(scores: Any, targets: Any, *args: Any, **kwargs: Any) -> Any:
        scores, targets = as_array(scores), as_array(targets)
        rows = fnp.reshape(scores, (-1, scores.shape[-1]))
        highest = vmap(lambda row: max_fun(row, *args, **kwargs))(rows)
        return fnp.reshape(highest, scores.shape[:-1]) - fnp.sum(targets * scores, axis=-1)

    return loss


def ranking_softmax_loss(
    logits: Any,
    labels: Any,
    *,
    where: Any = None,
    weights: Any = None,
    reduce_fn: Callable[..., Any] | None = fnp.mean,
) -> Any:
    """Softmax cross entropy over the items of a list (Cao et al., 2007).

    Args:
        logits: scores of the items, (..., items).
        labels: their relevance.
        where: which items exist.
        weights: of the items.
        reduce_fn: mean or sum over the lists, or None for one value per list.

    Example:
        >>> ranking_softmax_loss([[0.0, 0.0]], [[1.0, 0.0]]).round(3)
        np.float64(0.693)
    """
    logits, labels = as_array(logits), as_array(labels)
    labels = labels.astype(logits.dtype)
    if weights is not None:
        labels = labels * weights
    logarithms = log_softmax(logits, -1, where)
    if where is not None:
        logarithms = fnp.where(where, logarithms, 0)
    losses = -kept(where, labels * logarithms, -1)
    if where is None:
        return losses if reduce_fn is None else reduce_fn(losses)
    has_items = fnp.any(where, axis=-1)
    losses = fnp.where(has_items, losses, 0)
    if reduce_fn is None:
        return losses
    if reduce_fn is fnp.mean:
        count = fnp.sum(has_items).astype(losses.dtype)
        return fnp.sum(losses) / fnp.maximum(count, 1)
    return reduce_fn(losses)
