"""Convolutions: `Conv1d`, `Conv2d`, `Conv3d`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import funcgrad.numpy as fnp
from funcgrad.lax.convolution import conv_general_dilated
from funcgrad.nn.initializers import Initializer
from funcgrad.nn.layers.checks import check_channels, per_axis, refuse
from funcgrad.nn.layers.convolving import Convolving
from funcgrad.ops.sequences import as_array
from funcgrad.ops.sliding import Sliding, check_padding, with_padding

# Padding modes, and what `numpy.pad` calls them.
PADDING_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


class _Conv(Convolving):
    """What convolutions over any number of axes share."""

    padding_mode: str

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: Any = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        use_bias: bool = True,
        padding_mode: str = "zeros",
        dtype: Any = None,
        *,
        key: Any,
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
    ) -> None:
        self.set_window((in_channels, out_channels), kernel_size, stride, dilation, groups)
        self.padding = padding_pairs(self, padding, self.rank)
        self.padding_mode = _padding_mode(self, padding_mode)
        channels = (out_channels, in_channels // groups)
        self.set_parameters(channels, 1, use_bias, dtype, key, (weight_init, bias_init))

    def __call__(self, x: Any, *, key: Any = None) -> Any:
        """Apply the layer.

        Args:
            x: (examples, in_channels, ...), or one example without the first axis.
            key: not used.

        Returns:
            (examples, out_channels, ...), or without the first axis.

        Raises:
            ValueError: wrong number of axes or channels; names the layer's path.
        """
        del key
        x = as_array(x)
        has_examples = check_channels(self, x, self.in_channels, self.rank)
        x = x if has_examples else x[None]
        padding = self.padding
        if self.padding_mode != "zeros":
            pairs = self.pairs(x.shape[2:])
            x = fnp.pad(x, [(0, 0), (0, 0), *pairs], mode=PADDING_MODES[self.padding_mode])
            padding = "VALID"
        y = conv_general_dilated(
            x, self.weight, self.stride, padding, None, self.dilation, None, self.groups
        )
        if not y.size and x.size:
            refuse(
                self,
                f"in which a window of {self.kernel_size} fits",
                x,
                "Use padding or a smaller window.",
            )
        y = self.shifted(y)
        return y if has_examples else y[0]

    def pairs(self, lengths: Sequence[int]) -> list[tuple[int, int]]:
        """How many elements are put before and after each axis."""
        factors = zip(self.kernel_size, self.stride, self.dilation, strict=True)
        bare = [Sliding(n, stride=s, dilation=d) for n, s, d in factors]
        return [(w.low, w.high) for w in with_padding(bare, lengths, self.padding)]


class Conv1d(_Conv):
    """Convolution over one axis.

    Args:
        in_channels, out_channels: number of channels before and after.
        kernel_size, stride, dilation: of the window: a number, or one per axis.
        padding: elements put around the array: a number, one per axis, a pair (before, after) per axis, "SAME"
            (outputs of length ceil(length / stride)), "SAME_LOWER" (the odd one before) or "VALID".
        groups: channels come in so many groups that do not see each other.
        use_bias: whether there is a bias.
        padding_mode: "zeros", "reflect", "replicate" or "circular".
        dtype: of the parameters; float32 by default.
        key: random key or seed.
        weight_init, bias_init: initialisers instead of the uniform distribution up to
            1/sqrt(in_channels / groups * window size).

    Attributes:
        weight: (out_channels, in_channels / groups, *kernel_size).
        bias: (out_channels,), or None.

    Example:
        >>> import numpy as np
        >>> layer = Conv1d(2, 4, 3, padding=1, key=0)
        >>> layer(np.ones((8, 2, 10), np.float32)).shape
        (8, 4, 10)
    """

    rank = 1


class Conv2d(_Conv):
    """Convolution of images (examples, channels, height, width). Arguments as for `Conv1d`.

    Example:
        >>> import numpy as np
        >>> layer = Conv2d(3, 4, 3, stride=2, padding="SAME", key=0)
        >>> layer(np.ones((2, 3, 9, 9), np.float32)).shape
        (2, 4, 5, 5)
    """

    rank = 2


class Conv3d(_Conv):
    """Convolution of volumes (examples, channels, depth, height, width). Arguments as for `Conv1d`.

    Example:
        >>> import numpy as np
        >>> Conv3d(1, 2, 2, key=0)(np.ones((1, 4, 4, 4), np.float32)).shape
        (2, 3, 3, 3)
    """

    rank = 3


def padding_pairs(module: Any, padding: Any, rank: int) -> Any:
    """A padding by name, or a pair (before, after) for each axis."""
    name = type(module).__name__
    if isinstance(padding, str):
        return check_padding(name, padding, rank)
    given = tuple(padding) if isinstance(padding, Sequence) else (padding,) * rank
    if len(given) == rank and any(isinstance(pair, Sequence) for pair in given):
        return check_padding(name, given, rank)
    return tuple((n, n) for n in per_axis(module, "padding", padding, rank, least=0))


def _padding_mode(module: Any, mode: str) -> str:
    if mode.lower() not in PADDING_MODES:
        raise ValueError(
            f"[{type(module).__name__}] padding_mode must be one of {', '.join(map(repr, PADDING_MODES))}, but got "
            f"{mode!r}."
        )
    return mode.lower()
