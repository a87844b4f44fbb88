"""Functions along an axis: softmax and its logarithm, logsumexp, one-hot, standardising."""

from __future__ import annotations

from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad.ir.types import is_inexact
from funcgrad.nn.activations import keeps_bfloat16
from funcgrad.nn.labels import checked_labels
from funcgrad.ops.sequences import as_array
from funcgrad.scipy import special
from funcgrad.transforms.stop_gradient import stop_gradient


def softmax(x: Any, axis: Any = -1, where: Any = None) -> Any:
    """`exp(x) / sum(exp(x))` along an axis.

    Args:
        x: array.
        axis: an axis, or a tuple of axes.
        where: which elements take part; the result is 0 for the others, and for a row without any.

    Example:
        >>> softmax([0.0, 0.0, 5.0], where=[True, True, False])
        array([0.5, 0.5, 0. ])
    """
    x, present = _masked(x, where, axis)
    powers = fnp.exp(x - _highest(x, axis))
    total = fnp.sum(powers, axis, keepdims=True)
    return powers / total if present is None else powers / fnp.where(present, total, 1)


def log_softmax(x: Any, axis: Any = -1, where: Any = None) -> Any:
    """`log(softmax(x))`, without rounding small probabilities to zero.

    Args:
        x, axis: as for `softmax`.
        where: which elements take part; the result is -inf for the others.

    Example:
        >>> log_softmax([1e4, 0.0])
        array([     0., -10000.])
    """
    x, present = _masked(x, where, axis)
    shifted = x - _highest(x, axis)
    total = fnp.sum(fnp.exp(shifted), axis, keepdims=True)
    return shifted - fnp.log(total if present is None else fnp.where(present, total, 1))


def logsumexp(
    a: Any,
    axis: Any = None,
    b: Any = None,
    keepdims: bool = False,
    return_sign: bool = False,
    where: Any = None,
) -> Any:
    """`log(sum(b * exp(a)))` without overflow.

    Args:
        a: array.
        axis: an axis, a tuple of axes, or None for all.
        b: factors, 1 by default.
        keepdims: keep the axes with length 1.
        return_sign: return the logarithm of the absolute value, and the sign of the sum.
        where: which elements take part.

    Example:
        >>> float(logsumexp([1000.0, -np.inf]))
        1000.0
    """
    if where is not None:
        a = fnp.where(where, as_array(a), -np.inf)
        b = None if b is None else fnp.where(where, b, 0)
    return special.logsumexp(a, axis, b, keepdims, return_sign)


def one_hot(x: Any, num_classes: int, *, dtype: Any = None, axis: int = -1) -> Any:
    """1 at the place of each label, 0 elsewhere.

    Args:
        x: integers from 0 to num_classes - 1.
        num_classes: length of the new axis.
        dtype: float32 by default.
        axis: where the new axis is put.

    Raises:
        IndexError: a label is out of range.

    Example:
        >>> one_hot([0, 2], 3)
        array([[1., 0., 0.],
               [0., 0., 1.]], dtype=float32)
    """
    labels = checked_labels("one_hot", x, num_classes)
    axis = axis if axis >= 0 else axis + labels.ndim + 1
    classes = np.arange(num_classes).reshape((-1, *(1,) * (labels.ndim - axis)))
    is_hot = fnp.equal(fnp.expand_dims(labels, axis), classes)
    return is_hot.astype(np.float32 if dtype is None else dtype)


@keeps_bfloat16
def standardize(
    x: Any,
    axis: Any = -1,
    mean: Any = None,
    variance: Any = None,
    epsilon: Any = 1e-5,
    where: Any = None,
) -> Any:
    """Shift and scale to mean 0 and variance 1 along an axis.

    Args:
        x: array.
        axis: an axis, or a tuple of axes.
        mean, variance: used instead of those of `x`, broadcast against it.
        epsilon: added to the variance.
        where: which elements count for mean and variance.

    Example:
        >>> standardize([1.0, 3.0]).round(3)
        array([-1.,  1.])
    """
    x = as_array(x)
    options: dict[str, Any] = {"axis": axis, "keepdims": True}
    if where is not None:
        options["where"] = where
    centred = x - (fnp.mean(x, **options) if mean is None else mean)
    if variance is None:
        variance = fnp.mean(fnp.square(centred), **options)
    elif isinstance(variance, int | float):
        variance = np.asarray(variance, centred.dtype)
    return centred / fnp.sqrt(variance + epsilon)


def _masked(x: Any, where: Any, axis: Any) -> tuple[Any, Any]:
    """Floating values with -inf in place of what is left out, and which rows have any left."""
    x = as_array(x)
    if not is_inexact(x.dtype):
        x = x.astype(np.float64)
    if where is None:
        return x, None
    where = fnp.broadcast_to(where, x.shape)
    return fnp.where(where, x, -np.inf), fnp.any(where, axis, keepdims=True)


def _highest(x: Any, axis: Any) -> Any:
    """A constant that can be subtracted from `x` so that exp does not overflow."""
    highest = stop_gradient(fnp.max(x, axis, keepdims=True, initial=-np.inf))
    return fnp.where(fnp.isfinite(highest), highest, 0)
