"""Pooling to a given shape: `AdaptiveAvgPool` and `AdaptiveMaxPool` over one to three axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad.nn.layers.checks import per_axis, refuse
from funcgrad.nn.layers.window_tables import adaptive_table, largest_elements
from funcgrad.nn.module import Module
from funcgrad.ops.segments import least
from funcgrad.ops.sequences import as_array


class _AdaptivePool(Module):
    """What adaptive pooling layers share: one axis after the other."""

    target_shape: tuple[int | None, ...]

    rank = 0

    def __init__(self, target_shape: int | None | Sequence[int | None]) -> None:
        given = target_shape if isinstance(target_shape, Sequence) else (target_shape,) * self.rank
        filled = [1 if length is None else length for length in given]
        per_axis(self, "target_shape", filled, self.rank)
        self.target_shape = tuple(given)

    def __call__(self, x: Any, *, key: Any = None) -> Any:
        """Pool.

        Args:
            x: (..., axes to pool), usually (examples, channels, ...).
            key: not used.

        Returns:
            (..., *target_shape).
        """
        del key
        x = as_array(x)
        if x.ndim < self.rank:
            refuse(self, f"(..., {self.rank} axes to pool)", x)
        return self.pooled(x)

    def pooled(self, x: Any) -> Any:
        """What a call returns for an array: it goes from axis to axis."""
        for number, target in enumerate(self.target_shape):
            axis = x.ndim - self.rank + number
            length = x.shape[axis]
            if target is None or target == length:
                continue
            x = fnp.moveaxis(x, axis, -1)
            if length % target:
                x = self.uneven(x, *adaptive_table(length, target))
            else:
                x = self.combine(fnp.reshape(x, (*x.shape[:-1], target, length // target)))
            x = fnp.moveaxis(x, -1, axis)
        return x

    def combine(self, x: Any) -> Any:
        """Windows, which are rows, into elements."""
        raise NotImplementedError

    def uneven(self, x: Any, indices: np.ndarray, counted: np.ndarray) -> Any:
        """Pool the last axis with windows of different lengths."""
        raise NotImplementedError


class _AdaptiveAvgPool(_AdaptivePool):
    def combine(self, x: Any) -> Any:
        return fnp.mean(x, axis=-1)

    def uneven(self, x: Any, indices: np.ndarray, counted: np.ndarray) -> Any:
        kept = fnp.where(counted, fnp.take(x, indices, axis=-1), 0)
        return fnp.divide(fnp.sum(kept, axis=-1), counted.sum(-1).astype(x.dtype))


class _AdaptiveMaxPool(_AdaptivePool):
    return_indices: bool

    def __init__(
        self,
        target_shape: int | None | Sequence[int | None],
        *,
        return_indices: bool = False,
    ) -> None:
        super().__init__(target_shape)
        self.return_indices = return_indices

    def pooled(self, x: Any) -> Any:
        if not self.return_indices:
            return super().pooled(x)
        lengths = x.shape[x.ndim - self.rank :]
        targets = zip(lengths, self.target_shape, strict=True)
        return largest_elements(x, [adaptive_table(n, target or n) for n, target in targets])

    def combine(self, x: Any) -> Any:
        return fnp.max(x, axis=-1)

    def uneven(self, x: Any, indices: np.ndarray, counted: np.ndarray) -> Any:
        low = fnp.full((), least(x.dtype), x.dtype)
        found = fnp.where(counted, fnp.take(x, indices, axis=-1), low)
        return fnp.max(found, axis=-1)


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """Means of windows of nearly equal lengths, as many as wanted, over the last axis.

    Args:
        target_shape: length of the result, or one per axis; None keeps a length.

    Example:
        >>> import numpy as np
        >>> AdaptiveAvgPool1d(2)(np.array([[1.0, 3.0, 5.0]]))
        array([[2., 4.]])
    """

    rank = 1


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """Means of windows of nearly equal shapes over height and width. Arguments as for `AdaptiveAvgPool1d`."""

    rank = 2


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """Means of windows of nearly equal shapes over three axes. Arguments as for `AdaptiveAvgPool1d`."""

    rank = 3


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """Largest elements of windows of nearly equal lengths, as many as wanted, over the last axis.

    Args:
        target_shape: length of the result, or one per axis; None keeps a length.
        return_indices: whether a call also returns the flat numbers that the largest elements have along the pooled
            axes.

    Example:
        >>> import numpy as np
        >>> AdaptiveMaxPool1d(2)(np.array([[1.0, 3.0, 5.0]]))
        array([[3., 5.]])
    """

    rank = 1


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """Largest elements of windows over height and width. Arguments as for `AdaptiveMaxPool1d`."""

    rank = 2


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """Largest elements of windows over three axes. Arguments as for `AdaptiveMaxPool1d`."""

    rank = 3
