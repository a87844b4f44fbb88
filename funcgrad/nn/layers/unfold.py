"""Sliding windows as columns, and their sum: `Unfold` (im2col) and `Fold` (col2im)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import funcgrad.numpy as fnp
from funcgrad.lax.windows import pad
from funcgrad.nn.layers.checks import per_axis, refuse
from funcgrad.nn.module import Module
from funcgrad.ops.sequences import as_array
from funcgrad.ops.sliding import Sliding


class _Windows(Module):
    """What both directions share."""

    kernel_size: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[int, ...]
    stride: tuple[int, ...]

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        dilation: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        stride: int | Sequence[int] = 1,
    ) -> None:
        self.kernel_size = per_axis(self, "kernel_size", kernel_size, 2)
        self.dilation = per_axis(self, "dilation", dilation, 2)
        self.padding = per_axis(self, "padding", padding, 2, least=0)
        self.stride = per_axis(self, "stride", stride, 2)

    def sliding(self) -> list[Sliding]:
        factors = zip(self.kernel_size, self.stride, self.padding, self.dilation, strict=True)
        return [Sliding(n, stride=s, low=p, high=p, dilation=d) for n, s, p, d in factors]

    def offsets(self) -> Iterator[tuple[int, int]]:
        """Each element of the window, in C order."""
        height, width = self.kernel_size
        return itertools.product(range(height), range(width))


class Unfold(_Windows):
    """The windows that a convolution sees, as columns: (n, c, h, w) to (n, c * window size, places).

    Args:
        kernel_size, dilation, padding, stride: of the window: a number, or one for each of two axes.

    Example:
        >>> import numpy as np
        >>> Unfold(2)(np.arange(9.0).reshape(1, 1, 3, 3))[0, :, 0]
        array([0., 1., 3., 4.])
    """

    def __call__(self, x: Any, *, key: Any = None) -> Any:
        """The columns of (examples, channels, height, width) or (channels, height, width); `key` is not used."""
        del key
        x = as_array(x)
        if x.ndim not in (3, 4):
            refuse(self, "(examples, channels, height, width) or (channels, height, width)", x)
        windows = self.sliding()
        *lead, height, width = x.shape
        rows, columns = (w.places(n) for w, n in zip(windows, (height, width), strict=True))
        if rows < 1 or columns < 1:
            refuse(
                self,
                f"with at least {self.kernel_size} padded elements",
                x,
                "Use a smaller window.",
            )
        around = [(w.low, w.high, 0) for w in windows]
        x = pad(x, 0, [(0, 0, 0)] * len(lead) + around) if any(self.padding) else x
        parts = [
            x[..., windows[0].elements(rows, i), windows[1].elements(columns, j)]
            for i, j in self.offsets()
        ]
        stacked = fnp.stack(parts, axis=len(lead))
        size = len(parts) * lead[-1]
        return fnp.reshape(stacked, (*lead[:-1], size, rows * columns))


class Fold(_Windows):
    """The transpose of `Unfold`: columns added up where their windows lie, (n, c * size, places) to (n, c, h, w).

    Args:
        output_size: (h, w).
        kernel_size, dilation, padding, stride: as for `Unfold`.

    Example:
        >>> import numpy as np
        >>> Fold((3, 3), 2)(np.ones((1, 4, 4)))[0, 0]
        array([[1., 2., 1.],
               [2., 4., 2.],
               [1., 2., 1.]])
    """

    output_size: tuple[int, ...]

    def __init__(
        self,
        output_size: int | Sequence[int],
        kernel_size: int | Sequence[int],
        *args: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(kernel_size, *args, **kwargs)
        self.output_size = per_axis(self, "output_size", output_size, 2)

    def __call__(self, x: Any, *, key: Any = None) -> Any:
        """The images of (examples, channels * window size, places), or of one without examples; `key` is not used."""
        del key
        x = as_array(x)
        windows = self.sliding()
        size = self.kernel_size[0] * self.kernel_size[1]
        pairs = list(zip(windows, self.output_size, strict=True))
        rows, columns = (w.places(n) for w, n in pairs)
        if x.ndim not in (2, 3) or x.shape[-2] % size or x.shape[-1] != rows * columns:
            refuse(self, f"(examples, channels * {size}, {rows * columns})", x)
        lead, channels = x.shape[:-2], x.shape[-2] // size
        parts = fnp.reshape(x, (*lead, channels, size, rows, columns))
        total: Any = None
        for number, offset in enumerate(self.offsets()):
            config = [(0, 0, 0)] * (len(lead) + 1)
            for (w, n), k, count in zip(pairs, offset, (rows, columns), strict=True):
                low = k * w.dilation - w.low
                used = (count - 1) * w.stride + 1
                config.append((low, n - low - used, w.stride - 1))
            part = pad(parts[..., number, :, :], 0, config)
            total = part if total is None else total + part
        return total
