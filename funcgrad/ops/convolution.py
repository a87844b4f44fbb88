"""Convolution: the product that sums over channels and over the elements of a sliding window."""

from __future__ import annotations

import functools
import math
from typing import Any

from funcgrad.ir.primitive import is_linear
from funcgrad.ir.types import ArrayType
from funcgrad.ops.batching import move_batch_first
from funcgrad.ops.families import Multilinear
from funcgrad.ops.operands import shape_of
from funcgrad.ops.pieces import STATIC_SLICE
from funcgrad.ops.precision import matrix_product
from funcgrad.ops.reduce import accumulator
from funcgrad.ops.sliding import ALONE, Window, spread

Labels = tuple[str, str, str]
# How many elements of windows are copied at a time.
MOST_ELEMENTS = 1 << 24
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@functools.cache
def roles(labels: Labels) -> tuple[str, str, str, str, str]:
    """The axes by what happens to them: of groups, free in `x`, free in `w`, summed, and slid over."""
    x, w, out = labels
    group = "".join(a for a in out if a in x and a in w and a.isalpha())
    free_x = "".join(a for a in out if a not in w)
    free_w = "".join(a for a in out if a not in x)
    summed = "".join(a for a in x if a not in out)
    return group, free_x, free_w, summed, "".join(sorted(a for a in out if a.isdigit()))


def lengths_of(labels: Labels, x: Any, w: Any, window: Window) -> dict[str, int]:
    """The length of each axis; along those slid over that of the result."""
    lengths = dict(zip(labels[1] + labels[0], (*shape_of(w), *shape_of(x)), strict=True))
    places = {str(i): s.places(lengths[str(i)]) for i, s in enumerate(window)}
    return lengths | places


def arranged(x: Any, labels: str, *parts: str) -> Any:
    """`x` with one axis for each part of its labels."""
    order = [labels.index(a) for part in parts for a in part]
    lengths = [math.prod(x.shape[labels.index(a)] for a in part) for part in parts]
    return x.transpose(order).reshape(lengths)


def all_windows(xp: Any, x: Any, window: Window) -> Any:
    """The windows of `x` (groups, summed, free, ...) as a view (groups, summed, *sizes, free, *places)."""
    places = [w.places(n) for w, n in zip(window, x.shape[3:], strict=True)]
    x = spread(xp, x, (ALONE,) * 3 + window, 0)
    steps = list(zip(window, x.strides[3:], strict=True))
    within = [w.dilation * step for w, step in steps]
    between = [w.stride * step for w, step in steps]
    return xp.lib.stride_tricks.as_strided(
        x,
        (*x.shape[:2], *(w.size for w in window), x.shape[2], *places),
        (*x.strides[:2], *within, x.strides[2], *between),
    )


def multiply_windows(xp: Any, w: Any, windows: Any, rank: int) -> Any:
    """Products of matrices `w` (groups, free, rows) with all windows, which are copied to the columns of others."""
    groups, rows = windows.shape[0], math.prod(windows.shape[1 : 2 + rank])
    columns = windows.shape[2 + rank :]
    pieces = min(-(-windows.size // MOST_ELEMENTS), max(columns, default=1))
    if pieces > 1:
        # Along the longest axis, so that the copy stays small.
        axis = columns.index(max(columns)) - len(columns)
        parts = xp.array_split(xp.moveaxis(windows, axis, 0), pieces)
        parts = [multiply_windows(xp, w, xp.moveaxis(part, 0, axis), rank) for part in parts]
        return xp.concatenate(parts, axis)
    out = matrix_product(xp, w, windows.reshape((groups, rows, math.prod(columns))))
    return out.reshape((groups, w.shape[1], *columns))


def turned(w: Any, labels: str) -> Any:
    """`w` with the elements of its windows in reverse order."""
    lengths = list(zip(labels, shape_of(w), strict=True))
    if all(n == 1 for a, n in lengths if a.isdigit()):
        return w
    spec = tuple((None, None, -1) if a.isdigit() else (0, n, 1) for a, n in lengths)
    return STATIC_SLICE(w, spec=spec)


class Convolve(Multilinear):
    """Sum of products of `w` and the windows of `x` that have its shape, at each of their places.

    `labels` names the axes of `x`, `w` and the result with one character each. Digit `i` is the axis over
    which `window[i]` slides: in `w` its length is the size of the window, in the result the number of places.
    Letters act as in einsum: those missing in the result are summed. So the derivatives are convolutions
    with the labels in another order, and a batch axis is one more letter.
    """

    def type_rule(self, x: ArrayType, w: ArrayType, *, labels: Labels, window: Window) -> ArrayType:
        if x.dtype != w.dtype:
            raise TypeError(f"[convolve] needs equal dtypes, but got {x} and {w}")
        lengths = lengths_of(labels, x, w, window)
        return ArrayType(tuple(lengths[a] for a in labels[2]), x.dtype)

    def numpy(self, xp: Any, x: Any, w: Any, *, labels: Labels, window: Window) -> Any:
        """All windows are copied into the columns of a matrix (im2col)."""
        group, free_x, free_w, summed, slid = roles(labels)
        lengths = lengths_of(labels, x, w, window)
        wide = accumulator(x.dtype)
        left = arranged(w, labels[1], group, free_w, summed + slid).astype(wide, copy=False)
        right = arranged(x, labels[0], group, summed, free_x, *slid).astype(wide, copy=False)
        out = multiply_windows(xp, left, all_windows(xp, right, window), len(window))
        found = group + free_w + free_x + slid
        out = out.reshape([lengths[a] for a in found])
        out = out.transpose([found.index(a) for a in labels[2]])
        return out if wide.itemsize == x.dtype.itemsize else out.astype(x.dtype)

    def transpose(
        self, cotangent: Any, x: Any, w: Any, *, labels: Labels, window: Window
    ) -> list[Any]:
        lengths = [shape_of(x)[labels[0].index(str(i))] for i in range(len(window))]
        pairs = list(zip(window, lengths, strict=True))
        if is_linear(x):
            order = (labels[2], labels[1], labels[0])
            over = tuple(s.over_results(n) for s, n in pairs)
            return [self(cotangent, turned(w, labels[1]), labels=order, window=over), None]
        order = (labels[0], labels[2], labels[1])
        of = tuple(s.of_results(n) for s, n in pairs)
        return [None, self(x, cotangent, labels=order, window=of)]

    def batch(self, size: int, args: Any, axes: Any, *, labels: Labels, window: Window) -> tuple:
        del size
        new = next(a for a in LETTERS if a not in labels[0] + labels[1])
        x, w = move_batch_first(args, axes)
        sides = zip(labels, (*axes, 0), strict=True)
        named = tuple(side if axis is None else new + side for side, axis in sides)
        return self(x, w, labels=named, window=window), 0

    def lower(self, emit: Any, x: Any, w: Any, *, labels: Labels, window: Window) -> Any:
        return emit.convolution(x, w, labels=labels, window=window)


CONVOLVE = Convolve()


def convolve(x: Any, w: Any, labels: Labels, window: Window) -> Any:
    """Sums of products over sliding windows; see `Convolve`. Operands have equal dtypes."""
    return CONVOLVE(x, w, labels=labels, window=window)
