"""Pooling over windows: `MaxPool`, `AvgPool` and `LPPool` over one to three axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad.ir.types import is_inexact
from funcgrad.lax.windows import reduce_window
from funcgrad.nn.layers.checks import in_dtype_of, per_axis, refuse
from funcgrad.nn.layers.convolution import padding_pairs
from funcgrad.nn.layers.window_tables import largest_elements, sliding_table
from funcgrad.nn.module import Module
from funcgrad.ops.arithmetic import add
from funcgrad.ops.extrema import maximum
from funcgrad.ops.segments import least
from funcgrad.ops.sequences import as_array
from funcgrad.ops.sliding import Sliding, with_padding


class _Pool(Module):
    """What pooling layers share: windows over the last axes."""

    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Any
    use_ceil: bool
    dilation: tuple[int, ...]

    rank = 0

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: Any = 0,
        use_ceil: bool = False,
        *,
        dilation: int | Sequence[int] = 1,
    ) -> None:
        self.kernel_size = per_axis(self, "kernel_size", kernel_size, self.rank)
        self.stride = per_axis(self, "stride", stride, self.rank)
        self.padding = padding_pairs(self, padding, self.rank)
        self.dilation = per_axis(self, "dilation", dilation, self.rank)
        self.use_ceil = use_ceil
        pairs = [] if isinstance(self.padding, str) else self.padding
        for pair, size in zip(pairs, self.kernel_size, strict=False):
            if 2 * max(pair) > size:
                raise ValueError(
                    f"[{type(self).__name__}] padding must be at most half of kernel_size, but got padding={padding} "
                    f"and kernel_size={kernel_size}: a window would see no element."
                )

    def windows(self, x: Any) -> list[Sliding]:
        """The window of each of the last axes; with `use_ceil` the padding after an axis lets it fit once more."""
        if x.ndim < self.rank:
            refuse(self, f"(..., {self.rank} axes to pool)", x)
        lengths = x.shape[x.ndim - self.rank :]
        factors = zip(self.kernel_size, self.stride, self.dilation, strict=True)
        bare = [Sliding(n, stride=s, dilation=d) for n, s, d in factors]
        found = list(with_padding(bare, lengths, self.padding))
        if self.use_ceil:
            found = [_rounded_up(w, n) for w, n in zip(found, lengths, strict=True)]
        if any(w.places(n) < 1 for w, n in zip(found, lengths, strict=True)):
            refuse(
                self,
                f"with at least {self.kernel_size} elements in the last axes",
                x,
                "Use a smaller window or padding.",
            )
        return found

    def reduced(self, x: Any, windows: list[Sliding], start: Any, combine: Any) -> Any:
        """Each window combined into one element."""
        lead = x.ndim - self.rank
        ones = (1,) * lead
        return reduce_window(
            x,
            start,
            combine,
            (*ones, *[w.size for w in windows]),
            (*ones, *[w.stride for w in windows]),
            [(0, 0)] * lead + [(w.low, w.high) for w in windows],
            None,
            (*ones, *[w.dilation for w in windows]),
        )


def _rounded_up(window: Sliding, length: int) -> Sliding:
    """A window that also fits where it only begins inside the axis or the padding before it."""
    extent = (window.size - 1) * window.dilation + 1
    places = -(-(window.padded(length) - extent) // window.stride) + 1
    if (places - 1) * window.stride >= length + window.low:
        places -= 1
    wanted = (places - 1) * window.stride + extent
    return window._replace(high=window.high + max(wanted - window.padded(length), 0))


class _MaxPool(_Pool):
    return_indices: bool

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: Any = 0,
        use_ceil: bool = False,
        *,
        dilation: int | Sequence[int] = 1,
        return_indices: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding, use_ceil, dilation=dilation)
        self.return_indices = return_indices

    def __call__(self, x: Any, *, key: Any = None) -> Any:
        """The largest elements.

        Args:
            x: (..., axes to pool), usually (examples, channels, ...).
            key: not used.

        Returns:
            An array with other lengths of the last axes. The derivative goes to the first of equal elements. With
            `return_indices` also an array of the flat numbers that they have along the pooled axes, for `MaxUnpool`.
        """
        del key
        x = as_array(x)
        windows = self.windows(x)
        if self.return_indices:
            lengths = x.shape[x.ndim - self.rank :]
            return largest_elements(x, list(map(sliding_table, windows, lengths)))
        return self.reduced(x, windows, least(x.dtype), maximum)


class _AvgPool(_Pool):
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

    def __call__(self, x: Any, *, key: Any = None) -> Any:
        """The means.

        Args:
            x: (..., axes to pool), usually (examples, channels, ...).
            key: not used.

        Returns:
            An array with other lengths of the last axes.
        """
        del key
        x = as_array(x)
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
            high = (
                window.low if self.count_include_pad else 0
            )  # what was added for a last window never counts
        low, high = (window.low, high) if self.count_include_pad else (0, 0)
        stops = np.minimum(starts + window.size, length + high)
        return stops - np.maximum(starts, -low)


class _LPPool(_Pool):
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

    def __call__(self, x: Any, *, key: Any = None) -> Any:
        """The p-norms, without absolute values: `sum(x**p) ** (1 / p)`, and 0 where the sum is not positive.

        Args:
            x: (..., axes to pool), usually (examples, channels, ...).
            key: not used.

        Returns:
            An array with other lengths of the last axes.
        """
        del key
        x = as_array(x)
        total = self.reduced(x**self.norm_type, self.windows(x), 0, add)
        is_positive = total > 0
        norms = fnp.where(is_positive, fnp.where(is_positive, total, 1) ** (1 / self.norm_type), 0)
        return in_dtype_of(x, norms)


class MaxPool1d(_MaxPool):
    """The largest element of each window over the last axis.

    Args:
        kernel_size, stride: of the window. The stride is 1 unless it is given, as in Equinox; PyTorch's default is
            kernel_size.
        padding: a number, one per axis, a pair per axis, or "SAME", "SAME_LOWER", "VALID".
        use_ceil: whether a last window may reach over the end.
        dilation: distance between elements of the window.
        return_indices: whether a call also returns which elements were the largest.

    Example:
        >>> import numpy as np
        >>> MaxPool1d(2, 2)(np.array([[1.0, 3.0, 2.0, 0.0]]))
        array([[3., 2.]])
    """

    rank = 1


class MaxPool2d(_MaxPool):
    """The largest element of each window over height and width. Arguments as for `MaxPool1d`."""

    rank = 2


class MaxPool3d(_MaxPool):
    """The largest element of each window over three axes. Arguments as for `MaxPool1d`."""

    rank = 3


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
    """The p-norm of each window over the last axis.

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
