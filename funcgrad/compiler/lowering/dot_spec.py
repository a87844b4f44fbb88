"""What a matrix product computes: sizes, strides and dtype of operands and result."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace

import numpy as np

from funcgrad.compiler.lowering.graph import Step
from funcgrad.compiler.lowering.views import Located, matrix_axes, merged_axes

Pair = tuple[int, int]
BatchAxis = tuple[int, int, int, int]


@dataclass(frozen=True)
class DotSpec:
    """`out[b, i, j] = sum over l of x[b, i, l] * y[b, l, j]`, for each place b of the batch axes.

    Attributes:
        dtype: of operands and result.
        batch: per axis its extent and the strides of x, y and out, in elements; 0 where an operand is the same.
        m, n, k: rows of the result, its columns, and the length of the sums.
        x_strides, y_strides, out_strides: of rows and columns of each matrix, in elements.
        accumulate: whether the product is added to what `out` holds, which otherwise is not read.
    """

    dtype: np.dtype
    batch: tuple[BatchAxis, ...]
    m: int
    n: int
    k: int
    x_strides: Pair
    y_strides: Pair
    out_strides: Pair
    accumulate: bool = False

    @property
    def batches(self) -> int:
        return math.prod(axis[0] for axis in self.batch)

    @property
    def products(self) -> int:
        """How many numbers are multiplied."""
        return self.batches * self.m * self.n * self.k

    @property
    def text(self) -> str:
        """All of it, in letters that are allowed in a symbol."""
        numbers = [*self.x_strides, *self.y_strides, *self.out_strides]
        axes = [".".join(map(str, axis)) for axis in self.batch]
        parts = [self.dtype.name, f"{self.m}x{self.n}x{self.k}", ".".join(map(str, numbers)), *axes]
        return "_".join(parts) + ("_add" if self.accumulate else "")

    def swapped(self) -> DotSpec:
        """The same product as that of y transposed and x transposed, into out transposed."""
        return replace(
            self,
            batch=tuple((extent, y, x, out) for extent, x, y, out in self.batch),
            m=self.n,
            n=self.m,
            x_strides=self.y_strides[::-1],
            y_strides=self.x_strides[::-1],
            out_strides=self.out_strides[::-1],
        )


@functools.cache
def simplified(spec: DotSpec) -> DotSpec:
    """The same product, of the same numbered rows, with as few batch axes as can be; strides nobody uses are those
    of contiguous matrices."""
    batch = _merged([axis for axis in spec.batch if axis[0] != 1])
    m, (x_row, x_column), (out_row, out_column) = spec.m, spec.x_strides, spec.out_strides
    if m == 1 and batch and batch[-1][2] == 0:
        x_row, out_row = batch[-1][1], batch[-1][3]
        m = batch.pop()[0]
    elif batch and batch[-1][1:] == (m * x_row, 0, m * out_row):
        m *= batch.pop()[0]
    y_row, y_column = spec.y_strides
    if spec.k == 1:
        x_column, y_row = 1, spec.n
    if spec.n == 1:
        y_column, out_column = 1, 1
    if m == 1:
        x_row, out_row = spec.k, spec.n * out_column
    return replace(
        spec,
        batch=tuple(batch),
        m=m,
        x_strides=(x_row, x_column),
        y_strides=(y_row, y_column),
        out_strides=(out_row, out_column),
    )


def _merged(axes: list[BatchAxis]) -> list[BatchAxis]:
    """Neighbouring axes in one where all strides allow it."""
    merged: list[BatchAxis] = []
    for extent, x, y, out in axes:
        if merged and merged[-1][1:] == (x * extent, y * extent, out * extent):
            extent *= merged.pop()[0]
        merged.append((extent, x, y, out))
    return merged


def dot_spec(step: Step, x_place: Located, y_place: Located) -> DotSpec:
    """The product as one of (batches of) matrices."""
    x = step.operands[0]
    (m, x_row), (k, x_column) = matrix(step, 0, x_place)
    (_, y_row), (n, y_column) = matrix(step, 1, y_place)
    batches, out_stride = [], m * n
    for axis in reversed(range(step.params["batch"])):
        extent = x.shape[axis]
        batches.append((extent, x_place.strides[axis], y_place.strides[axis], out_stride))
        out_stride *= extent
    strides = (x_row, x_column), (y_row, y_column), (n, 1)
    return DotSpec(x.dtype, tuple(reversed(batches)), m, n, k, *strides)


def matrix(step: Step, number: int, place: Located) -> list[tuple[int, int]]:
    """Lengths and strides of the rows and columns of an operand."""
    found = []
    for axes in matrix_axes(step, number):
        merged = merged_axes(step.operands[number].shape, place.strides, axes)
        assert merged is not None
        found.append(merged)
    return found
