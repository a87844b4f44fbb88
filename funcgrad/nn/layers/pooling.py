"""Pooling over windows, and its largest elements: `MaxPool` over one to three axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcgrad.lax.windows import reduce_window
from funcgrad.nn.layers.checks import per_axis, refuse
from funcgrad.nn.layers.convolution import padding_pairs
from funcgrad.nn.layers.window_tables import largest_elements, sliding_table
from funcgrad.nn.module import Module
from funcgrad.ops.extrema import maximum
from funcgrad.ops.segments import least
from funcgrad.ops.sequences import as_array
from funcgrad.ops.sliding import Sliding, with_padding


class Pool(Module):
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

    def __call__(self, x: Any, *, key: Any = None) -> Any:
        """Pool.

        Args:
            x: (..., axes to pool), usually (examples, channels, ...).
            key: not used.

        Returns:
            An array with other lengths of the last axes.
        """
        del key
        return self.pooled(as_array(x))

    def pooled(self, x: Any) -> Any:
        """What a call returns for an array."""
        raise NotImplementedError

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


class _MaxPool(Pool):
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

    def pooled(self, x: Any) -> Any:
        windows = self.windows(x)
        if self.return_indices:
            lengths = x.shape[x.ndim - self.rank :]
            return largest_elements(x, list(map(sliding_table, windows, lengths)))
        return self.reduced(x, windows, least(x.dtype), maximum)


class MaxPool1d(_MaxPool):
    """The largest element of each window over the last axis.

    Args:
        kernel_size, stride: of the window. The stride is 1 unless it is given, as in Equinox; PyTorch's default is
            kernel_size.
        padding: a number, one per axis, a pair per axis, or "SAME", "SAME_LOWER", "VALID".
        use_ceil: whether a last window may reach over the end.
        dilation: distance between elements of the window.
        return_indices: whether a call also returns the flat numbers that the largest elements have along the pooled
            axes, for `MaxUnpool1d`.

    Of equal elements the first one counts, also for the derivative.

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
