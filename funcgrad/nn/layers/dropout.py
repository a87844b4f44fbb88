"""Layers that set random elements or channels to zero in training: `Dropout` and its relatives."""

from __future__ import annotations

import math
from typing import Any

import funcgrad.numpy as fnp
from funcgrad import random
from funcgrad.nn.activations import SELU_ALPHA, SELU_SCALE
from funcgrad.nn.context import described, is_training, next_key
from funcgrad.nn.layers.checks import in_dtype_of
from funcgrad.nn.module import Module
from funcgrad.ops.sequences import as_array


class Dropout(Module):
    """Zeros at random places, and all others scaled by 1 / (1 - p) (Srivastava et al., 2014).

    It drops in `model.apply(x, train=True, key=key)`, and in calls with a key of their own, `layer(x, key=key)`.
    In plain calls `layer(x)` it returns `x`.

    Args:
        p: the probability of a zero, from 0 to 1.
        inference: whether it never drops.

    Example:
        >>> import numpy as np
        >>> layer = Dropout(0.5)
        >>> layer(np.ones(4))
        array([1., 1., 1., 1.])
        >>> sorted(set(layer(np.ones(100), key=0).tolist()))
        [0.0, 2.0]
    """

    p: float = 0.5
    inference: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1:
            raise ValueError(
                f"[{type(self).__name__}] p is the probability of a zero, from 0 to 1, but got {self.p!r}."
            )

    def __call__(self, x: Any, *, key: Any = None, inference: bool | None = None) -> Any:
        """Drop elements.

        Args:
            x: array of any shape.
            key: random key or seed; by default one made from the key of `apply`.
            inference: whether to return `x` as it is; by default as the call of the model says.

        Returns:
            An array like `x`.

        Raises:
            RuntimeError: there is no key in training mode; names the layer's path.
        """
        x = as_array(x)
        wanted = is_training(self, inference)
        if inference is None and not self.inference and key is not None:
            wanted = True  # as in Equinox, where a key asks for randomness
        if not wanted or self.p == 0 or not x.size:
            return x
        key = next_key(self) if key is None else key
        kept = random.bernoulli(key, 1 - self.p, self.mask_shape(x))
        return in_dtype_of(x, self.masked(x, kept))

    def mask_shape(self, x: Any) -> tuple[int, ...]:
        """The shape of the random choices."""
        return x.shape

    def masked(self, x: Any, kept: Any) -> Any:
        """`x` where chosen, scaled so that the mean stays what it was."""
        if self.p == 1:
            return fnp.zeros_like(x)
        return fnp.where(kept, x / (1 - self.p), fnp.zeros((), x.dtype))


class _ChannelDropout(Dropout):
    """Drops whole channels, the axis before the last `rank` ones."""

    rank = 0

    def mask_shape(self, x: Any) -> tuple[int, ...]:
        if x.ndim not in (self.rank + 1, self.rank + 2):
            raise ValueError(
                f"[{described(self)}] expected an array (channels, {self.rank} axes) or one of several examples "
                f"before these, but got {x.dtype}{list(x.shape)}. For other arrays use Dropout."
            )
        return (*x.shape[: -self.rank], *(1,) * self.rank)


class Dropout1d(_ChannelDropout):
    """`Dropout` of whole channels of (..., channels, length).

    Example:
        >>> import numpy as np
        >>> y = Dropout1d(0.5)(np.ones((2, 8, 5)), key=0)
        >>> bool((y == y[..., :1]).all())
        True
    """

    rank = 1


class Dropout2d(_ChannelDropout):
    """`Dropout` of whole channels of images (..., channels, height, width) (Tompson et al., 2015)."""

    rank = 2


class Dropout3d(_ChannelDropout):
    """`Dropout` of whole channels of volumes (..., channels, depth, height, width)."""

    rank = 3


class AlphaDropout(Dropout):
    """Dropout that keeps mean and variance after `selu` (Klambauer et al., 2017): zeros become selu(-inf)."""

    def masked(self, x: Any, kept: Any) -> Any:
        low = -SELU_ALPHA * SELU_SCALE
        if self.p == 1:
            return fnp.zeros_like(x)
        scale = 1 / math.sqrt((1 - self.p) * (1 + self.p * low**2))
        shift = -scale * self.p * low
        return fnp.where(kept, x, fnp.full((), low, x.dtype)) * scale + shift


class FeatureAlphaDropout(AlphaDropout):
    """`AlphaDropout` of whole channels of (examples, channels, ...)."""

    def mask_shape(self, x: Any) -> tuple[int, ...]:
        if x.ndim < 2:
            raise ValueError(
                f"[{described(self)}] expected an array (examples, channels, ...), but got {x.dtype}{list(x.shape)}."
            )
        return (*x.shape[:2], *(1,) * (x.ndim - 2))
