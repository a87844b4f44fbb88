"""Numbers that say how well a model does. They are no losses: most have no useful derivative."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import funcgrad.numpy as fnp
from funcgrad.nn.labels import checked_labels
from funcgrad.ops.sequences import as_array


class Average(NamedTuple):
    """A mean over batches, as a tree: it goes through `jit` and `scan`.

    Example:
        >>> mean = Average()
        >>> for values in ([1.0, 2.0], [6.0]):
        ...     mean = mean.add(values)
        >>> float(mean.value)
        3.0
    """

    total: Any = np.float64(0)
    weight: Any = np.float64(0)

    def add(self, values: Any, weights: Any = None) -> Average:
        """The mean with more values.

        Args:
            values: a number or an array of them.
            weights: of the values; 1 by default. For the mean of a batch give its size.
        """
        values = as_array(values).astype(np.float64)
        weights = fnp.ones_like(values) if weights is None else as_array(weights) + 0 * values
        total = self.total + fnp.sum(values * weights)
        return Average(total, self.weight + fnp.sum(weights))

    @property
    def value(self) -> Any:
        """The mean so far; NaN if there were no values."""
        is_empty = fnp.equal(self.weight, 0)
        return fnp.where(is_empty, np.nan, self.total / fnp.where(is_empty, 1, self.weight))[()]


def accuracy(scores: Any, labels: Any) -> Any:
    """The share of examples whose highest score is that of the right class.

    Args:
        scores: (..., classes): logits or probabilities; or (...) class numbers.
        labels: (...), numbers of the right classes.

    Example:
        >>> accuracy([[0.1, 0.9], [0.8, 0.2]], [1, 1])
        np.float64(0.5)
    """
    return fnp.mean(fnp.equal(_classes("accuracy", scores, labels), as_array(labels)))


def top_k_accuracy(scores: Any, labels: Any, k: int = 5) -> Any:
    """The share of examples whose right class has one of the k highest scores.

    Args:
        scores: (..., classes).
        labels: (...).
        k: how many.

    Example:
        >>> top_k_accuracy([[0.1, 0.5, 0.4], [0.8, 0.1, 0.1]], [2, 0], k=2)
        np.float64(1.0)
    """
    scores = as_array(scores)
    labels = checked_labels("top_k_accuracy", labels, scores.shape[-1])
    right = fnp.take_along_axis(scores, labels[..., None], axis=-1)
    return fnp.mean(fnp.sum(scores > right, axis=-1) < k)


def confusion_matrix(predictions: Any, labels: Any, classes: int | None = None) -> Any:
    """How often each class was taken for each.

    Args:
        predictions: (...) class numbers, or (..., classes) scores.
        labels: (...), numbers of the right classes.
        classes: how many; by default from the scores or the largest number.

    Returns:
        Integer array (classes, classes): row = right class, column = prediction.

    Example:
        >>> confusion_matrix([0, 1, 1], [0, 0, 1])
        array([[1, 1],
               [0, 1]])
    """
    predictions, labels = as_array(predictions), as_array(labels)
    if predictions.ndim == labels.ndim + 1:
        classes = classes or predictions.shape[-1]
        predictions = fnp.argmax(predictions, axis=-1)
    if classes is None:
        classes = 1 + int(max(np.max(predictions, initial=0), np.max(labels, initial=0)))
    rows = checked_labels("confusion_matrix", labels, classes)
    columns = checked_labels("confusion_matrix", predictions, classes)
    place = fnp.reshape(rows * classes + columns, (-1,))
    counts = fnp.sum(fnp.equal(place[:, None], fnp.arange(classes * classes)), axis=0)
    return fnp.reshape(counts, (classes, classes))


def precision(matrix: Any) -> Any:
    """For each class the share of predictions of it that are right; 0 if there are none.

    Args:
        matrix: from `confusion_matrix`.

    Example:
        >>> precision([[1, 1], [0, 1]])
        array([1. , 0.5])
    """
    return _share(as_array(matrix), axis=0)


def recall(matrix: Any) -> Any:
    """For each class the share of its examples that were found; 0 if there are none.

    Args:
        matrix: from `confusion_matrix`.

    Example:
        >>> recall([[1, 1], [0, 1]])
        array([0.5, 1. ])
    """
    return _share(as_array(matrix), axis=1)


def f1_score(matrix: Any) -> Any:
    """For each class the harmonic mean of precision and recall.

    Args:
        matrix: from `confusion_matrix`.

    Example:
        >>> f1_score([[1, 1], [0, 1]]).round(3)
        array([0.667, 0.667])
    """
    matrix = as_array(matrix)
    right = fnp.diagonal(matrix)
    both = fnp.sum(matrix, axis=0) + fnp.sum(matrix, axis=1)
    return 2 * right / fnp.maximum(both, 1)


def r2_score(predictions: Any, targets: Any) -> Any:
    """The share of the variance of targets that predictions explain.

    Args:
        predictions, targets: arrays of one shape.

    Example:
        >>> r2_score([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
        np.float64(1.0)
    """
    predictions, targets = as_array(predictions), as_array(targets)
    if predictions.shape != targets.shape:
        raise ValueError(
            f"[r2_score] both arguments must have one shape, but got {predictions.shape} and {targets.shape}."
        )
    left = fnp.sum((targets - predictions) ** 2)
    return 1 - left / fnp.sum((targets - fnp.mean(targets)) ** 2)


def perplexity(cross_entropies: Any) -> Any:
    """`exp` of the mean cross entropy: among how many tokens a language model hesitates.

    Example:
        >>> perplexity([0.0, 0.0])
        np.float64(1.0)
    """
    return fnp.exp(fnp.mean(as_array(cross_entropies)))


def _classes(name: str, scores: Any, labels: Any) -> Any:
    scores, labels = as_array(scores), as_array(labels)
    if scores.ndim == labels.ndim + 1 and scores.shape[:-1] == labels.shape:
        return fnp.argmax(scores, axis=-1)
    if scores.shape == labels.shape and scores.dtype.kind in "iu":
        return scores
    raise ValueError(
        f"[{name}] scores of shape {scores.shape} need labels of shape {scores.shape[:-1]}, but got {labels.shape}."
    )


def _share(matrix: Any, axis: int) -> Any:
    return fnp.diagonal(matrix) / fnp.maximum(fnp.sum(matrix, axis=axis), 1)
