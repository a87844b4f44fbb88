"""Activation functions made of pieces, with thresholds, and logarithms of exponentials."""

from __future__ import annotations

import math
from typing import Any

import funcgrad.numpy as fnp
from funcgrad.nn.activations import keeps_bfloat16
from funcgrad.nn.normalization import logsumexp, softmax
from funcgrad.ops.sequences import as_array


@keeps_bfloat16
def hard_shrink(x: Any, lambd: Any = 0.5) -> Any:
    """`x` where its absolute value is above `lambd`, else 0.

    Example:
        >>> hard_shrink([-1.0, 0.5, 2.0])
        array([-1.,  0.,  2.])
    """
    x = as_array(x)
    return fnp.where(fnp.abs(x) <= lambd, 0, x)


@keeps_bfloat16
def soft_shrink(x: Any, lambd: Any = 0.5) -> Any:
    """`x` moved by `lambd` towards 0, and 0 where it is not farther away.

    Example:
        >>> soft_shrink([-1.0, 0.5, 2.0])
        array([-0.5,  0. ,  1.5])
    """
    x = as_array(x)
    return x - fnp.clip(x, -lambd, lambd)


@keeps_bfloat16
def tanh_shrink(x: Any) -> Any:
    """`x - tanh(x)`.

    Example:
        >>> tanh_shrink([0.0])
        array([0.])
    """
    x = as_array(x)
    return x - fnp.tanh(x)


@keeps_bfloat16
def threshold(x: Any, threshold: Any, value: Any) -> Any:
    """`x` where it is above a threshold, else a value.

    Example:
        >>> threshold([0.5, 2.0], 1.0, -1.0)
        array([-1.,  2.])
    """
    x = as_array(x)
    return fnp.where(x <= threshold, value, x)


@keeps_bfloat16
def prelu(x: Any, weight: Any) -> Any:
    """`x` where it is above 0, else `weight * x`, with a slope that is trained (He et al., 2015).

    Example:
        >>> prelu([-4.0, 2.0], 0.25)
        array([-1.,  2.])
    """
    x = as_array(x)
    return fnp.where(x > 0, x, weight * x)


@keeps_bfloat16
def sparse_plus(x: Any) -> Any:
    """0 up to -1, `x` from 1 on, and `(x + 1)**2 / 4` between (Blondel et al., 2019).

    Example:
        >>> sparse_plus([-2.0, 0.0, 2.0])
        array([0.  , 0.25, 2.  ])
    """
    x = as_array(x)
    return fnp.where(x <= -1, 0, fnp.where(x >= 1, x, fnp.square(x + 1) / 4))


@keeps_bfloat16
def sparse_sigmoid(x: Any) -> Any:
    """The derivative of `sparse_plus`: a straight line from 0 at -1 to 1 at 1.

    Example:
        >>> sparse_sigmoid([-2.0, 0.0, 2.0])
        array([0. , 0.5, 1. ])
    """
    return 0.5 * fnp.clip(as_array(x) + 1, 0, 2)


def softmin(x: Any, axis: Any = -1) -> Any:
    """`softmax(-x)`.

    Example:
        >>> softmin([0.0, 0.0])
        array([0.5, 0.5])
    """
    return softmax(-as_array(x), axis)


@keeps_bfloat16
def log1mexp(x: Any) -> Any:
    """`log(1 - exp(-x))` for positive `x`, without cancellation (Maechler, 2012).

    Example:
        >>> log1mexp([1e-20]).round(3)
        array([-46.052])
    """
    x = as_array(x)
    is_small = x < math.log(2)
    near = fnp.log(-fnp.expm1(-fnp.where(is_small, x, 1)))
    return fnp.where(is_small, near, fnp.log1p(-fnp.exp(-fnp.where(is_small, 1, x))))


def logmeanexp(x: Any, axis: Any = None, where: Any = None, keepdims: bool = False) -> Any:
    """`log(mean(exp(x)))` without overflow.

    Example:
        >>> float(logmeanexp([1000.0, 1000.0]))
        1000.0
    """
    x = as_array(x)
    there = fnp.ones(x.shape, bool) if where is None else fnp.broadcast_to(where, x.shape)
    total = logsumexp(x, axis, keepdims=keepdims, where=where)
    count = fnp.sum(there, axis=axis, keepdims=keepdims)
    return total - fnp.log(count.astype(total.dtype))
