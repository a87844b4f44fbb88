"""From the axes of `dot_general` to the matrices of a `DotSpec`: transposes become strides, copies are rare."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from funcgrad.compiler.lowering.dot_spec import BatchAxis, DotSpec
from funcgrad.ops.matmul import Axes, free_axes

# Orders of the summed axes that are tried, besides those of the operands.
MOST_ORDERS = 24

Group = tuple[int, int]  # the extent and the stride of axes that lie in memory like one


@dataclass(frozen=True)
class Operand:
    """How an array lies in memory.

    Attributes:
        shape: its extents.
        strides: in elements; 0 and negative ones are fine.
    """

    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @staticmethod
    def contiguous(shape: Sequence[int]) -> Operand:
        """In C order."""
        strides = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
        return Operand(tuple(shape), tuple(strides))

    def ordered(self, order: Sequence[int]) -> Operand:
        """A contiguous copy whose axes are stored in this order, with the axes named as before."""
        copy = Operand.contiguous([self.shape[i] for i in order])
        return Operand(
            self.shape, tuple(copy.strides[list(order).index(i)] for i in range(len(order)))
        )


@dataclass(frozen=True)
class Layout:
    """A product as matrices.

    Attributes:
        spec: the product, of operands as they are, or copied as the other attributes say.
        copy_x, copy_y: None, or the order of axes in which the operand must first be copied to contiguous memory.
    """

    spec: DotSpec
    copy_x: tuple[int, ...] | None
    copy_y: tuple[int, ...] | None


def dot_layout(
    x: Operand,
    y: Operand,
    contract: Axes,
    batch: Axes,
    dtype: np.dtype,
    out: Operand | None = None,
    accumulate: bool = False,
) -> Layout:
    """The matrices of a `dot_general`.

    Free axes that do not lie together become batch axes, so only the summed axes can force a copy: of one operand,
    or of both.

    Args:
        x, y: how the operands lie in memory.
        contract, batch: as `dot_general` takes them.
        dtype: of operands and result.
        out: how the result lies: its batch axes, the free ones of x, those of y. C order by default.
        accumulate: see `DotSpec`.

    Example:
        >>> x, y = Operand.contiguous((5, 3)), Operand.contiguous((5, 4))
        >>> layout = dot_layout(x, y, ((0,), (0,)), ((), ()), np.dtype("float32"))
        >>> layout.spec.x_strides, layout.copy_x
        ((1, 3), None)
    """
    free_x = free_axes(len(x.shape), contract[0], batch[0])
    free_y = free_axes(len(y.shape), contract[1], batch[1])
    order, merges_x, merges_y = _best_order(x, y, contract)
    sum_x, sum_y = ([side[i] for i in order] for side in contract)
    copy_x = None if merges_x else (*batch[0], *free_x, *sum_x)
    copy_y = None if merges_y else (*batch[1], *sum_y, *free_y)
    x = x.ordered(copy_x) if copy_x else x
    y = y.ordered(copy_y) if copy_y else y
    shape = [x.shape[i] for i in (*batch[0], *free_x)] + [y.shape[i] for i in free_y]
    out = out or Operand.contiguous(shape)
    batch_out, rows_out = len(batch[0]), len(batch[0]) + len(free_x)
    axes: list[BatchAxis] = [
        (x.shape[i], x.strides[i], y.strides[j], out.strides[place])
        for place, (i, j) in enumerate(zip(*batch, strict=True))
    ]
    m, left, more = _matrix_axis(x, free_x, out, range(batch_out, rows_out))
    axes += [(extent, stride, 0, stride_out) for extent, stride, stride_out in more]
    n, right, more = _matrix_axis(y, free_y, out, range(rows_out, len(shape)))
    axes += [(extent, 0, stride, stride_out) for extent, stride, stride_out in more]
    (k, x_column), (_, y_row) = _merged(x, sum_x), _merged(y, sum_y)
    spec = DotSpec(
        dtype, tuple(axes), m, n, k, (left[0], x_column), (y_row, right[0]), (left[1], right[1])
    )
    return Layout(replace(spec, accumulate=accumulate), copy_x, copy_y)


def _best_order(x: Operand, y: Operand, contract: Axes) -> tuple[tuple[int, ...], bool, bool]:
    """An order of the summed axes in which both operands can be read in place, or one, the larger if possible."""
    best = tuple(range(len(contract[0]))), False, False
    score = -1
    for order in _orders(x, y, contract):
        merges_x, merges_y = (
            _lie_together(operand, [side[i] for i in order])
            for operand, side in zip((x, y), contract, strict=True)
        )
        saved = merges_x * math.prod(x.shape) + merges_y * math.prod(y.shape)
        if saved > score:
            best, score = (order, merges_x, merges_y), saved
    return best


def _orders(x: Operand, y: Operand, contract: Axes) -> Iterator[tuple[int, ...]]:
    """Those of memory first: from the largest stride to the smallest."""
    numbers = range(len(contract[0]))
    for operand, side in zip((x, y), contract, strict=True):
        yield tuple(sorted(numbers, key=lambda i: -abs(operand.strides[side[i]])))
    yield from itertools.islice(itertools.permutations(numbers), MOST_ORDERS)


def _lie_together(operand: Operand, axes: Sequence[int]) -> bool:
    """Whether steps through these axes, the last fastest, are steps of one stride."""
    long = [i for i in axes if operand.shape[i] != 1]
    return math.prod(operand.shape) == 0 or all(
        operand.strides[i] == operand.strides[j] * operand.shape[j]
        for i, j in itertools.pairwise(long)
    )


def _merged(operand: Operand, axes: Sequence[int]) -> Group:
    """Axes that lie together as one."""
    long = [i for i in axes if operand.shape[i] != 1]
    return math.prod(operand.shape[i] for i in axes), operand.strides[long[-1]] if long else 1


def _matrix_axis(
    operand: Operand, axes: Sequence[int], out: Operand, places: Sequence[int]
) -> tuple[int, tuple[int, int], list[tuple[int, int, int]]]:
    """The free axes of an operand as one of the matrix: as many of the last as lie together, here and in the result.

    Returns its extent, its strides in the operand and the result, and the axes that are left for the batch.
    """
    axes, places = list(axes), list(places)
    count = 0
    while count < len(axes) and all(
        _lie_together(where, numbers[-count - 1 :])
        for where, numbers in ((operand, axes), (out, places))
    ):
        count += 1
    first = len(axes) - count
    extent, stride = _merged(operand, axes[first:])
    _, stride_out = _merged(out, places[first:])
    rest = [
        (operand.shape[i], operand.strides[i], out.strides[j])
        for i, j in zip(axes[:first], places[:first], strict=True)
    ]
    return extent, (stride, stride_out), rest
