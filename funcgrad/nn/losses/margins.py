"""PyTorch's losses of margins and distances: the mean over all values by default."""

from __future__ import annotations

from typing import Any

import funcgrad.numpy as fnp
from funcgrad.nn.activations import log_sigmoid
from funcgrad.nn.losses.shapes import as_array, broadcasting, matched, reduced


def soft_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """`log(1 + exp(-target * input))` for targets -1 and 1.

    Args:
        input, target: arrays of the same shape.
        reduction: "mean", "sum" or "none".

    Example:
        >>> soft_margin_loss([0.0], [1.0]).round(3)
        np.float64(0.693)
    """
    input, target = matched("soft_margin_loss", input, target)
    return reduced("soft_margin_loss", -log_sigmoid(target * input), reduction)


def margin_ranking_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: str = "mean"
) -> Any:
    """By how much `input1` is not `margin` above `input2`, or below it where the target is -1.

    Args:
        input1, input2, target: arrays that broadcast.
        margin: the distance that is wanted.
        reduction: "mean", "sum" or "none".

    Example:
        >>> margin_ranking_loss([1.0], [3.0], [1.0])
        np.float64(2.0)
    """
    first, second, target = broadcasting(
        "margin_ranking_loss", input1=input1, input2=input2, target=target
    )
    values = fnp.maximum(margin - target * (first - second), 0)
    return reduced("margin_ranking_loss", values, reduction)


def hinge_embedding_loss(
    input: Any, target: Any, margin: float = 1.0, reduction: str = "mean"
) -> Any:
    """A distance where the target is 1; by how much it is below `margin` where it is -1.

    Args:
        input: distances.
        target: 1 or -1, of the same shape.
        margin: the distance that is wanted.
        reduction: "mean", "sum" or "none".

    Example:
        >>> hinge_embedding_loss([0.25, 0.25], [1, -1], reduction="none")
        array([0.25, 0.75])
    """
    input, target = matched("hinge_embedding_loss", input, target)
    values = fnp.where(fnp.equal(target, 1), input, fnp.maximum(margin - input, 0))
    return reduced("hinge_embedding_loss", values, reduction)


def cosine_embedding_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: str = "mean"
) -> Any:
    """1 minus the cosine where the target is 1; by how much the cosine exceeds `margin` where it is -1.

    Args:
        input1, input2: (examples, features).
        target: (examples,), 1 or -1.
        margin: the cosine that is allowed.
        reduction: "mean", "sum" or "none".

    Example:
        >>> cosine_embedding_loss([[1.0, 0.0]], [[0.0, 1.0]], [1]).round(3)
        np.float64(1.0)
    """
    first, second = broadcasting("cosine_embedding_loss", input1=input1, input2=input2)
    products = fnp.sum(first * second, axis=-1)
    squares = [fnp.sum(x * x, axis=-1) + 1e-12 for x in (first, second)]
    cosines = products / fnp.sqrt(squares[0] * squares[1])
    cosines, target = broadcasting("cosine_embedding_loss", cosines=cosines, target=target)
    apart = fnp.maximum(cosines - margin, 0)
    values = fnp.where(fnp.equal(target, 1), 1 - cosines, apart)
    return reduced("cosine_embedding_loss", values, reduction)


def triplet_margin_with_distance_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    *,
    distance_function: Any = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """By how much negatives are not `margin` farther from anchors than positives.

    Args:
        anchor, positive, negative: (..., features).
        distance_function: (x, y) -> distances; the Euclidean distance by default.
        margin: the distance that is wanted.
        swap: take the distance between positive and negative where it is smaller.
        reduction: "mean", "sum" or "none".

    Example:
        >>> triplet_margin_with_distance_loss([[0.0]], [[1.0]], [[1.5]]).round(4)
        np.float64(0.5)
    """
    anchor, positive, negative = (as_array(x) for x in (anchor, positive, negative))
    distance = distance_function or pairwise_distance
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = fnp.minimum(far, distance(positive, negative))
    values = fnp.maximum(near - far + margin, 0)
    return reduced("triplet_margin_with_distance_loss", values, reduction)


def triplet_margin_by_norm(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """PyTorch's `triplet_margin_loss`, whose eps is added to differences; Optax's has the shorter name.

    Args:
        anchor, positive, negative, margin, swap, reduction: as for `triplet_margin_with_distance_loss`.
        p, eps: as for `pairwise_distance`.

    Example:
        >>> triplet_margin_by_norm([[0.0]], [[1.0]], [[1.5]]).round(4)
        np.float64(0.5)
    """
    anchor, positive, negative = broadcasting(
        "triplet_margin_loss", anchor=anchor, positive=positive, negative=negative
    )
    return triplet_margin_with_distance_loss(
        anchor,
        positive,
        negative,
        distance_function=lambda x, y: pairwise_distance(x, y, p, eps),
        margin=margin,
        swap=swap,
        reduction=reduction,
    )


def pairwise_distance(
    x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Any:
    """The norm of the differences of vectors along the last axis.

    Args:
        x1, x2: (..., features).
        p: of the norm.
        eps: added to the differences.
        keepdim: keep the last axis.

    Example:
        >>> pairwise_distance([[3.0, 0.0]], [[0.0, 4.0]]).round(3)
        array([5.])
    """
    first, second = broadcasting("pairwise_distance", x1=x1, x2=x2)
    differences = first - second + eps
    return fnp.linalg.norm(differences, ord=p, axis=-1, keepdims=keepdim)
