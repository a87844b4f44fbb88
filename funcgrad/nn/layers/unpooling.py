"""Putting elements back where a maximum was taken from: `MaxUnpool` over one to three axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import funcgrad.numpy as fnp
from funcgrad.ir.devices import beside_arguments
from funcgrad.ir.tracer import Tracer
from funcgrad.nn.context import described
from funcgrad.nn.layers.checks import per_axis, refuse
from funcgrad.nn.module import Module
from funcgrad.ops.index_mode import as_indices
from funcgrad.ops.scatter import scatter
from funcgrad.ops.sequences import as_array


class _MaxUnpool(Module):
    """What the layers share."""

    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]

    rank = 0

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
    ) -> None:
        self.kernel_size = per_axis(self, "kernel_size", kernel_size, self.rank)
        stride = self.kernel_size if stride is None else stride
        self.stride = per_axis(self, "stride", stride, self.rank)
        self.padding = per_axis(self, "padding", padding, self.rank, least=0)

    @beside_arguments
    def __call__(
        self, x: Any, indices: Any, output_size: Sequence[int] | None = None, *, key: Any = None
    ) -> Any:
        """Put back.

        Args:
            x: (..., pooled axes), usually (examples, channels, ...).
            indices: what max pooling with `return_indices=True` returned: an array of integers like `x`.
            output_size: lengths of the last axes of the result, or its whole shape, where windows did not reach its
                end; by default the least lengths that fit.
            key: not used.

        Returns:
            An array of zeros but for the elements of `x`. Of those that share an index the last one stays.

        Raises:
            IndexError: an index is not in the result.
        """
        del key
        x, indices = as_array(x), as_indices(type(self).__name__, indices)
        if x.ndim < self.rank:
            refuse(self, f"(..., {self.rank} pooled axes)", x)
        if indices.shape != x.shape:
            raise ValueError(
                f"[{described(self)}] indices have shape {indices.shape}; expected that of x, {x.shape}. Write "
                "y, indices = pool(x) with a pool that has return_indices=True."
            )
        lead, pooled = x.shape[: x.ndim - self.rank], x.shape[x.ndim - self.rank :]
        lengths = self.lengths(pooled, output_size)
        rows, count = math.prod(lead), math.prod(lengths)
        known: Any = None if isinstance(indices, Tracer) else indices
        if known is not None and known.size and not 0 <= known.min() <= known.max() < count:
            raise IndexError(
                f"[{described(self)}] indices are from {known.min()} to {known.max()}, but the result has {count} "
                f"elements along its last axes {lengths}. Give the shape of what was pooled: output_size=."
            )
        flat = (rows, math.prod(pooled))
        where = (fnp.arange(rows)[:, None], fnp.reshape(indices, flat))
        empty = fnp.zeros((rows, count), x.dtype)
        out = scatter("set", empty, where, fnp.reshape(x, flat))
        return fnp.reshape(out, (*lead, *lengths))

    def lengths(self, pooled: tuple[int, ...], wanted: Sequence[int] | None) -> tuple[int, ...]:
        """The lengths of the last axes of the result."""
        axes = list(zip(pooled, self.kernel_size, self.stride, self.padding, strict=True))
        usual = tuple([(n - 1) * stride - 2 * pad + size for n, size, stride, pad in axes])
        if wanted is None:
            return usual
        found = tuple(wanted)[-self.rank :]
        near = zip(found, usual, self.stride, strict=False)
        if len(found) != self.rank or any(abs(n - one) >= stride for n, one, stride in near):
            raise ValueError(
                f"[{described(self)}] output_size must be less than a stride {self.stride} away from {usual}, but got "
                f"{tuple(wanted)}."
            )
        return found


class MaxUnpool1d(_MaxUnpool):
    """The elements of a max pooling over the last axis, back in their places.

    Args:
        kernel_size, stride, padding: those of the pooling. The stride is kernel_size unless it is given.

    Example:
        >>> import numpy as np
        >>> from funcgrad import nn
        >>> y, indices = nn.MaxPool1d(2, 2, return_indices=True)(np.array([[1.0, 3.0, 2.0, 0.0]]))
        >>> MaxUnpool1d(2)(y, indices)
        array([[0., 3., 2., 0.]])
    """

    rank = 1


class MaxUnpool2d(_MaxUnpool):
    """The same over height and width. Arguments as for `MaxUnpool1d`."""

    rank = 2


class MaxUnpool3d(_MaxUnpool):
    """The same over three axes. Arguments as for `MaxUnpool1d`."""

    rank = 3
