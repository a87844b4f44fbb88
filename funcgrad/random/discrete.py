"""Draws among several possibilities: coins, categories, permutations and choices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.ir.types import is_inexact
from funcgrad.numpy.indexing import take
from funcgrad.numpy.searching import searchsorted
from funcgrad.ops.arithmetic import add, multiply, subtract
from funcgrad.ops.cast import convert
from funcgrad.ops.compare import less
from funcgrad.ops.create import iota
from funcgrad.ops.cumulative import cumsum
from funcgrad.ops.exponential import log
from funcgrad.ops.extremal_reduce import argmax
from funcgrad.ops.operands import broadcast_shapes, ndim_of, shape_of
from funcgrad.ops.pieces import STATIC_SLICE
from funcgrad.ops.reduce import normalize_axes
from funcgrad.ops.sequences import as_array
from funcgrad.ops.shape import reshape
from funcgrad.ops.sort import sort_together
from funcgrad.ops.top_k import top_k
from funcgrad.random.continuous import standard_gumbel
from funcgrad.random.keys import as_key, as_shape, split_key
from funcgrad.random.uniform import (
    FLOAT32,
    integers_between,
    parameter,
    random_bits,
    uniform_between,
)

UINT32 = np.dtype(np.uint32)


def floating_parameter(value: Any) -> Any:
    """An array of probabilities or logits; integers and Python numbers become float32."""
    is_array = hasattr(value, "dtype")
    found = as_array(value)
    return found if is_array and is_inexact(found.dtype) else convert(found, FLOAT32)


def bernoulli(key: Any, p: Any = 0.5, shape: Any = None) -> Any:
    """True with probability `p`.

    Args:
        key: key or seed.
        p: probability, or an array of them.
        shape: of the result, by default that of `p`.

    Returns:
        Boolean array.

    Example:
        >>> import funcgrad as fg
        >>> fg.random.bernoulli(fg.random.key(0), 0.5, (4,))
        array([False, False,  True,  True])
    """
    p = floating_parameter(p)
    shape = shape_of(p) if shape is None else as_shape("bernoulli", shape)
    drawn = uniform_between(as_key(key, "bernoulli"), shape, p.dtype, 0.0, 1.0)
    return less(drawn, parameter("bernoulli", p, shape, p.dtype))


def rademacher(key: Any, shape: Any = (), dtype: Any = None) -> Any:
    """1 or -1, each with probability 1/2; int64 by default."""
    dtype = np.dtype(np.int64 if dtype is None else dtype)
    shape = as_shape("rademacher", shape)
    drawn = uniform_between(as_key(key, "rademacher"), shape, FLOAT32, 0.0, 1.0)
    return convert(subtract(multiply(convert(less(drawn, 0.5), np.int64), 2), 1), dtype)


def categorical(key: Any, logits: Any, axis: int = -1, shape: Any = None) -> Any:
    """Indices drawn with probabilities proportional to `exp(logits)`.

    Args:
        key: key or seed.
        logits: logarithms of weights along `axis`.
        axis: the axis of categories.
        shape: of the result; it ends with the shape of `logits` without `axis`, which is the default.

    Returns:
        int64 array.

    Source: the Gumbel-max trick, Maddison et al., "A* sampling", 2014.

    Example:
        >>> import funcgrad as fg
        >>> fg.random.categorical(fg.random.key(0), fg.numpy.zeros(4), shape=(5,))
        array([1, 3, 2, 3, 0])
    """
    logits = floating_parameter(logits)
    (axis,) = normalize_axes("categorical", axis, ndim_of(logits))
    found = shape_of(logits)
    batch = (*found[:axis], *found[axis + 1 :])
    shape = batch if shape is None else as_shape("categorical", shape)
    if broadcast_shapes("categorical", [shape, batch]) != shape:
        raise ValueError(
            f"[categorical] shape={shape} must end with {batch}, the shape of logits without axis {axis}, "
            "or with lengths that it broadcasts to."
        )
    lead = len(shape) - len(batch)
    place = lead + axis
    drawn_shape = (*shape[:place], found[axis], *shape[place:])
    drawn = standard_gumbel(as_key(key, "categorical"), drawn_shape, logits.dtype)
    return argmax(add(drawn, logits), place)


def permutation(key: Any, x: Any, axis: int = 0, independent: bool = False) -> Any:
    """A random order of the elements along an axis.

    Args:
        key: key or seed.
        x: array, or an integer n for the numbers 0 to n - 1.
        axis: the axis to reorder.
        independent: whether every line along `axis` gets an order of its own.

    Returns:
        Array of the shape and dtype of `x`, or (n,) of int64.

    Example:
        >>> import funcgrad as fg
        >>> fg.random.permutation(fg.random.key(0), 5)
        array([0, 1, 4, 3, 2])
    """
    key = as_key(key, "permutation")
    if isinstance(x, int | np.integer):
        return shuffled(key, iota((int(x),)), 0)
    x = as_array(x)
    (axis,) = normalize_axes("permutation", axis, ndim_of(x))
    return shuffled(key, x, axis) if independent else permuted(key, x, axis)


def permuted(key: Any, x: Any, axis: int) -> Any:
    """`x` in a random order along an axis, the same for all lines."""
    if ndim_of(x) == 1:
        return shuffled(key, x, 0)
    return take(x, shuffled(key, iota((shape_of(x)[axis],)), 0), axis=axis)


def shuffled(key: Any, x: Any, axis: int) -> Any:
    """`x` sorted along `axis` by random bits, in so many rounds that equal bits do not matter."""
    rounds = math.ceil(3 * math.log(max(1, math.prod(shape_of(x)))) / math.log(2**32 - 1))
    for _ in range(rounds):
        pair = split_key(key)
        key, subkey = (STATIC_SLICE(pair, spec=(i, (0, 2, 1))) for i in (0, 1))
        x = sort_together([random_bits(subkey, shape_of(x), UINT32), x], axis)[1]
    return x


def choice(
    key: Any, a: Any, shape: Any = (), replace: bool = True, p: Any = None, axis: int = 0
) -> Any:
    """Random elements of an array.

    Args:
        key: key or seed.
        a: array, or an integer n for the numbers 0 to n - 1.
        shape: of the draw.
        replace: whether an element can be drawn twice.
        p: probabilities along `axis`, all equal by default.
        axis: the axis to draw from.

    Returns:
        Array with `shape` in the place of `axis`, in the dtype of `a` (int64 for an integer).

    Raises:
        ValueError: nothing to draw from, or more draws than elements with `replace=False`.

    Example:
        >>> import funcgrad as fg
        >>> fg.random.choice(fg.random.key(0), 5, (3,), replace=False)
        array([0, 1, 4])
    """
    shape = as_shape("choice", shape)
    is_range = isinstance(a, int | np.integer)
    a = int(a) if is_range else as_array(a)
    (axis,) = (0,) if is_range else normalize_axes("choice", axis, ndim_of(a))
    count = a if is_range else shape_of(a)[axis]
    check_draws(count, math.prod(shape), replace, p)
    key = as_key(key, "choice")
    if p is not None:
        index = weighted_index(key, floating_parameter(p), shape, replace)
    elif replace:
        index = integers_between(key, shape, 0, count)
    else:
        order = shuffled(key, iota((count,)), 0)
        index = reshape(STATIC_SLICE(order, spec=((0, math.prod(shape), 1),)), shape)
    return index if is_range else take(a, index, axis=axis)


def check_draws(count: int, draws: int, replace: bool, p: Any) -> None:
    """Raise for draws that are impossible."""
    if count < 1 and draws:
        raise ValueError(f"[choice] cannot draw {draws} elements from an array with {count}.")
    if not replace and draws > count:
        raise ValueError(
            f"[choice] cannot draw {draws} elements from {count} with replace=False. Draw fewer, or "
            "use replace=True."
        )
    if p is not None and shape_of(as_array(p)) != (count,):
        raise ValueError(
            f"[choice] p must have shape ({count},), one probability per element, but got "
            f"{shape_of(as_array(p))}."
        )


def weighted_index(key: Any, p: Any, shape: tuple[int, ...], replace: bool) -> Any:
    """Indices drawn by their probabilities: by inversion, or the largest of weighted Gumbel numbers."""
    if replace:
        total = cumsum(p)
        last = STATIC_SLICE(total, spec=(shape_of(p)[0] - 1,))
        drawn = uniform_between(key, shape, p.dtype, 0.0, 1.0)
        return searchsorted(total, multiply(last, subtract(1.0, drawn)))
    scores = add(standard_gumbel(key, shape_of(p), p.dtype), log(p))
    return reshape(top_k(scores, math.prod(shape))[1], shape)
