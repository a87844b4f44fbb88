"""The elements of windows by their flat numbers, and which of them are the largest: pooling that returns indices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

import funcgrad.numpy as fnp
from funcgrad.ir.devices import beside_arguments
from funcgrad.ops.segments import least
from funcgrad.ops.sliding import Sliding
from funcgrad.transforms.stop_gradient import stop_gradient


class Table(NamedTuple):
    """The elements of windows, on one axis or on several that are joined.

    Attributes:
        numbers: (windows, elements), numbers of the elements, where the last axis counts fastest.
        counted: (windows, elements), whether there is such an element.
    """

    numbers: np.ndarray
    counted: np.ndarray


def sliding_table(window: Sliding, length: int) -> Table:
    """The windows at all their places on one axis; padding does not count."""
    starts = np.arange(window.places(length)) * window.stride - window.low
    numbers = starts[:, None] + np.arange(window.size) * window.dilation
    counted = (numbers >= 0) & (numbers < length)
    first = np.take_along_axis(numbers, counted.argmax(1)[:, None], axis=1)
    return Table(np.where(counted, numbers, first), counted)


def adaptive_table(length: int, target: int) -> Table:
    """As many windows of nearly equal lengths as wanted, on one axis."""
    starts = np.arange(target) * length // target
    stops = -(-(np.arange(1, target + 1) * length) // target)
    numbers = starts[:, None] + np.arange((stops - starts).max())
    counted = numbers < stops[:, None]
    return Table(np.where(counted, numbers, starts[:, None]), counted)


@beside_arguments
def largest_elements(x: Any, tables: Sequence[Table]) -> tuple[Any, Any]:
    """The largest element of each window over the last axes, the first of equal ones, and its flat number there."""
    rank = len(tables)
    lead, lengths = x.shape[: x.ndim - rank], x.shape[x.ndim - rank :]
    numbers, counted = _joined(tables, lengths)
    flat = fnp.reshape(x, (*lead, math.prod(lengths)))
    low = fnp.full((), least(x.dtype), x.dtype)
    seen = fnp.where(counted, fnp.take(stop_gradient(flat), numbers, axis=-1), low)
    rows = fnp.arange(len(numbers)) * numbers.shape[1]
    indices = fnp.take(numbers.reshape(-1), fnp.add(fnp.argmax(seen, axis=-1), rows))
    shape = (*lead, *[len(table.numbers) for table in tables])
    values = fnp.take_along_axis(flat, indices, axis=-1)
    return fnp.reshape(values, shape), fnp.reshape(indices, shape)


def _joined(tables: Sequence[Table], lengths: Sequence[int]) -> Table:
    """The windows over several axes from those over each."""
    numbers, counted = np.zeros((1, 1), int), np.ones((1, 1), bool)
    for table, length in zip(tables, lengths, strict=True):
        numbers = numbers[:, None, :, None] * length + table.numbers[:, None, :]
        counted = counted[:, None, :, None] & table.counted[:, None, :]
        shape = (numbers.shape[0] * numbers.shape[1], -1)
        numbers, counted = numbers.reshape(shape), counted.reshape(shape)
    return Table(numbers, counted)
