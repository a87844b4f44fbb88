"""Means of windows: `AvgPool` over one to three axes, and `LPPool`, means of powers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad.ir.types import is_inexact
from funcgrad.nn.layers.checks import in_dtype_of
from funcgrad.nn.layers.pooling import Pool
from funcgrad.ops.arithmetic import add
from funcgrad.ops.sliding import Sliding


class _AvgPool(Pool):
    count_include_pad: bool
    divisor_override: int | None

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: Any = 0,
        use_ceil: bool = False,
        *,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, use_ceil)
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def pooled(self, x: Any) -> Any:
        windows = self.windows(x)
        total = self.reduced(x, windows, 0, add)
        return fnp.divide(total, self.divisors(windows, x))

    def divisors(self, windows: list[Sliding], x: Any) -> Any:
        """What the sums are divided by: a number if it is the same for all windows."""
        if self.divisor_override:
            return self.divisor_override
        lengths = x.shape[x.ndim - self.rank :]
        counts = [self.counts(w, n) for w, n in zip(windows, lengths, strict=True)]
        if all((c == w.size).all() for c, w in zip(counts, windows, strict=True)):
            return math.prod(self.kernel_size)
        product = counts[0]
        for more in counts[1:]:
            product = np.multiply.outer(product, more)
        return product.astype(x.dtype if is_inexact(x.dtype) else np.float64)

    def counts(self, window: Sliding, length: int) -> np.ndarray:
        """How many elements the window has at each of its places on one axis."""
        starts = np.arange(window.places(length)) * window.stride - window.low
        high = window.high
        if self.use_ceil and not isinstance(self.padding, str):
            high = window.low  # what was added for a last window never counts
        low, high = (window.low, high) if self.count_include_pad else (0, 0)
        stops = np.minimum(starts + window.size, length + high)
        return stops - np.maximum(starts, -low)


class _LPPool(Pool):
    norm_type: float

    def __init__(
        self,
        norm_type: float,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        use_ceil: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, 0, use_ceil)
        if not norm_type > 0:
            raise ValueError(
                f"[{type(self).__name__}] norm_type must be greater than 0, but got {norm_type!r}."
            )
        self.norm_type = norm_type

    def pooled(self, x: Any) -> Any:
        total = self.reduced(x**self.norm_type, self.windows(x), 0, add)
        is_positive = total > 0
        norms = fnp.where(is_positive, fnp.where(is_positive, total, 1) ** (1 / self.norm_type), 0)
        return in_dtype_of(x, norms)


class AvgPool1d(_AvgPool):
    """The mean of each window over the last axis.

    Args:
        kernel_size, stride, padding, use_ceil: as for `MaxPool1d`.
        count_include_pad: whether padding counts as zeros or not at all.
        divisor_override: divide the sum by this number.

    Example:
        >>> import numpy as np
        >>> AvgPool1d(2, 2)(np.array([[1.0, 3.0, 2.0, 0.0]]))
        array([[2., 1.]])
    """

    rank = 1


class AvgPool2d(_AvgPool):
    """The mean of each window over height and width. Arguments as for `AvgPool1d`."""

    rank = 2


class AvgPool3d(_AvgPool):
    """The mean of each window over three axes. Arguments as for `AvgPool1d`."""

    rank = 3


class LPPool1d(_LPPool):
    """The p-norm of each window over the last axis, without absolute values: `sum(x**p) ** (1 / p)`.

    It is 0 where the sum is not positive.

    Args:
        norm_type: p.
        kernel_size, stride, use_ceil: as for `MaxPool1d`.

    Example:
        >>> import numpy as np
        >>> LPPool1d(2, 2)(np.array([[3.0, 4.0]]))
        array([[5.]])
    """

    rank = 1


class LPPool2d(_LPPool):
    """The p-norm of each window over height and width. Arguments as for `LPPool1d`."""

    rank = 2


class LPPool3d(_LPPool):
    """The p-norm of each window over three axes. Arguments as for `LPPool1d`."""

    rank = 3
