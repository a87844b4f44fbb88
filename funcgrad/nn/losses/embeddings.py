"""Losses of embeddings: what belongs together should lie together."""

from __future__ import annotations

from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad.nn.losses.regression import cosine_similarity
from funcgrad.nn.losses.shapes import as_array, broadcasting, reduced
from funcgrad.scipy.special import logsumexp


def ntxent(embeddings: Any, labels: Any, temperature: float = 0.07) -> Any:
    """Normalised temperature-scaled cross entropy of pairs with equal labels (Chen et al., 2020); its mean.

    Args:
        embeddings: (examples, features).
        labels: (examples,), equal for examples that belong together.
        temperature: what similarities are divided by.

    Example:
        >>> ntxent([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [0, 0, 1], 1.0).round(4)
        np.float64(0.3133)
    """
    embeddings, labels = as_array(embeddings), as_array(labels)
    if labels.shape != embeddings.shape[:1]:
        raise ValueError(
            f"[ntxent] embeddings of shape {embeddings.shape} need labels of shape {embeddings.shape[:1]}, "
            f"but got {labels.shape}."
        )
    n, epsilon = embeddings.shape[0], float(np.finfo(embeddings.dtype).eps)
    pairs = [
        fnp.broadcast_to(x, (n, *embeddings.shape)) for x in (embeddings[None], embeddings[:, None])
    ]
    similar = cosine_similarity(*pairs, epsilon=epsilon) / temperature
    is_equal = fnp.equal(labels[:, None], labels[None, :])
    is_pair = is_equal & ~np.eye(n, dtype=bool)
    others = logsumexp(fnp.where(is_equal, -np.inf, similar), axis=1)[:, None]
    losses = fnp.logaddexp(others, similar) - similar
    return fnp.sum(fnp.where(is_pair, losses, 0)) / fnp.sum(is_pair).astype(similar.dtype)


def triplet_margin_loss(
    anchors: Any,
    positives: Any,
    negatives: Any,
    axis: int = -1,
    norm_degree: int = 2,
    margin: float = 1.0,
    eps: float = 1e-6,
    *,
    reduction: str = "none",
) -> Any:
    """By how much negatives are not `margin` farther from anchors than positives (Weinberger and Saul, 2009).

    Args:
        anchors, positives, negatives: (..., features).
        axis: the axis of the features.
        norm_degree: of the distance.
        margin: the distance that is wanted.
        eps: added to the sum of powers.
        reduction: "none", "mean" or "sum". PyTorch's default is "mean", its eps is added to differences.

    Raises:
        ValueError: the shapes do not broadcast.

    Example:
        >>> triplet_margin_loss([[0.0]], [[1.0]], [[1.5]]).round(4)
        array([0.5])
    """
    anchors, positives, negatives = broadcasting(
        "triplet_margin_loss", anchors=anchors, positives=positives, negatives=negatives
    )

    def distance(others: Any) -> Any:
        powers = fnp.abs(anchors - others) ** norm_degree
        return (fnp.sum(powers, axis=axis) + eps) ** (1 / norm_degree)

    values = fnp.maximum(distance(positives) - distance(negatives) + margin, 0)
    return reduced("triplet_margin_loss", values, reduction)
