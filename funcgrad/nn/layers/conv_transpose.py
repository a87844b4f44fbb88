"""Transposed convolutions: `ConvTranspose1d`, `ConvTranspose2d`, `ConvTranspose3d`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import funcgrad.numpy as fnp
from funcgrad.lax.convolution import conv_general_dilated
from funcgrad.nn.initializers import Initializer
from funcgrad.nn.layers.checks import check_channels, per_axis
from funcgrad.nn.layers.convolving import Convolving
from funcgrad.ops.sequences import as_array


class _ConvTranspose(Convolving):
    """What transposed convolutions over any number of axes share."""

    output_padding: tuple[int, ...]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        output_padding: int | Sequence[int] = 0,
        padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        use_bias: bool = True,
        dtype: Any = None,
        *,
        key: Any,
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
    ) -> None:
        self.set_window((in_channels, out_channels), kernel_size, stride, dilation, groups)
        self.output_padding = per_axis(self, "output_padding", output_padding, self.rank, least=0)
        self.padding = per_axis(self, "padding", padding, self.rank, least=0)
        channels = (in_channels, out_channels // groups)
        self.set_parameters(channels, 0, use_bias, dtype, key, (weight_init, bias_init))

    def __call__(self, x: Any, *, key: Any = None) -> Any:
        """Apply the layer.

        Args:
            x: (examples, in_channels, ...), or one example without the first axis.
            key: not used.

        Returns:
            (examples, out_channels, ...), or without the first axis; each axis has the length
            `(length - 1) * stride - 2 * padding + dilation * (kernel_size - 1) + output_padding + 1`.

        Raises:
            ValueError: wrong number of axes or channels; names the layer's path.
        """
        del key
        x = as_array(x)
        has_examples = check_channels(self, x, self.in_channels, self.rank)
        factors = zip(
            self.kernel_size, self.dilation, self.padding, self.output_padding, strict=True
        )
        pairs = [((n - 1) * d - p, (n - 1) * d - p + extra) for n, d, p, extra in factors]
        y = conv_general_dilated(
            x if has_examples else x[None],
            self.forward_weight(),
            (1,) * self.rank,
            pairs,
            self.stride,
            self.dilation,
            None,
            self.groups,
        )
        y = self.shifted(y)
        return y if has_examples else y[0]

    def forward_weight(self) -> Any:
        """The weights (out_channels, in_channels / groups, ...) of the convolution that this one is."""
        inputs, outputs, *window = self.weight.shape
        turned = fnp.flip(self.weight, tuple(range(2, 2 + self.rank)))
        if self.groups == 1:
            return fnp.swapaxes(turned, 0, 1)
        grouped = fnp.reshape(turned, (self.groups, inputs // self.groups, outputs, *window))
        return fnp.reshape(fnp.swapaxes(grouped, 1, 2), (-1, inputs // self.groups, *window))


class ConvTranspose1d(_ConvTranspose):
    """The transpose of a convolution over one axis, which makes arrays longer.

    Args:
        in_channels, out_channels: number of channels before and after.
        kernel_size, stride, padding, dilation: those of the convolution that this is the transpose of.
        output_padding: elements added after each axis, to choose among the lengths that the convolution maps to
            one.
        groups: channels come in so many groups that do not see each other.
        use_bias: whether there is a bias.
        dtype: of the parameters; float32 by default.
        key: random key or seed.
        weight_init, bias_init: initialisers instead of the uniform distribution up to
            1/sqrt(out_channels / groups * window size), PyTorch's choice.

    Attributes:
        weight: (in_channels, out_channels / groups, *kernel_size).
        bias: (out_channels,), or None.

    Example:
        >>> import numpy as np
        >>> layer = ConvTranspose1d(2, 3, 4, stride=2, padding=1, key=0)
        >>> layer(np.ones((8, 2, 5), np.float32)).shape
        (8, 3, 10)
    """

    rank = 1


class ConvTranspose2d(_ConvTranspose):
    """The transpose of a convolution of images. Arguments as for `ConvTranspose1d`.

    Example:
        >>> import numpy as np
        >>> ConvTranspose2d(2, 3, 2, stride=2, key=0)(np.ones((8, 2, 5, 5), np.float32)).shape
        (8, 3, 10, 10)
    """

    rank = 2


class ConvTranspose3d(_ConvTranspose):
    """The transpose of a convolution of volumes. Arguments as for `ConvTranspose1d`."""

    rank = 3
