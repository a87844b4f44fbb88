"""Layers that only move elements: `Flatten`, `Unflatten`, `PixelShuffle`, `PixelUnshuffle`, `ChannelShuffle`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import funcgrad.numpy as fnp
from funcgrad.nn.context import described
from funcgrad.nn.layers.checks import positive, refuse
from funcgrad.nn.module import Module
from funcgrad.ops.sequences import as_array


class Flatten(Module):
    """Several axes as one.

    Args:
        start_dim, end_dim: the first and the last of these axes. By default all but the first.

    Example:
        >>> import numpy as np
        >>> Flatten()(np.zeros((8, 3, 4, 5))).shape
        (8, 60)
    """

    start_dim: int = 1
    end_dim: int = -1

    def __call__(self, x: Any, *, key: Any = None) -> Any:
        """`x` with the axes `start_dim` to `end_dim` as one; `key` is not used."""
        del key
        x = as_array(x)
        if not x.ndim:
            return fnp.reshape(x, (1,))
        first, last = _axis(self, x, self.start_dim), _axis(self, x, self.end_dim)
        if first > last:
            raise ValueError(
                f"[{described(self)}] start_dim={self.start_dim} lies after end_dim={self.end_dim} for an array of "
                f"shape {x.shape}."
            )
        return fnp.reshape(
            x, (*x.shape[:first], math.prod(x.shape[first : last + 1]), *x.shape[last + 1 :])
        )


class Unflatten(Module):
    """One axis as several.

    Args:
        dim: the axis.
        unflattened_size: lengths of the new axes, one of which may be -1.

    Example:
        >>> import numpy as np
        >>> Unflatten(1, (3, -1))(np.zeros((8, 12))).shape
        (8, 3, 4)
    """

    dim: int
    unflattened_size: tuple[int, ...]

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        self.dim = dim
        self.unflattened_size = tuple(unflattened_size)

    def __call__(self, x: Any, *, key: Any = None) -> Any:
        """`x` with other axes in the place of `dim`; `key` is not used."""
        del key
        x = as_array(x)
        axis, sizes = _axis(self, x, self.dim), self.unflattened_size
        known, length = math.prod(n for n in sizes if n != -1), x.shape[axis]
        if sizes.count(-1) > 1 or length % max(known, 1) or (-1 not in sizes and known != length):
            refuse(self, f"whose axis {self.dim} has the product of {sizes} elements", x)
        filled = [length // known if n == -1 else n for n in sizes]
        return fnp.reshape(x, (*x.shape[:axis], *filled, *x.shape[axis + 1 :]))


class PixelShuffle(Module):
    """Channels as pixels between pixels: (..., c * r * r, h, w) to (..., c, h * r, w * r) (Shi et al., 2016).

    Args:
        upscale_factor: r.

    Example:
        >>> import numpy as np
        >>> PixelShuffle(2)(np.zeros((1, 8, 3, 3))).shape
        (1, 2, 6, 6)
    """

    upscale_factor: int

    def __post_init__(self) -> None:
        positive(self, upscale_factor=self.upscale_factor)

    def __call__(self, x: Any, *, key: Any = None) -> Any:
        """The larger image; `key` is not used."""
        del key
        x, r = as_array(x), self.upscale_factor
        if x.ndim < 3 or x.shape[-3] % (r * r):
            refuse(self, f"(..., channels divisible by {r * r}, height, width)", x)
        *lead, channels, height, width = x.shape
        x = fnp.reshape(x, (*lead, channels // (r * r), r, r, height, width))
        x = fnp.moveaxis(x, (-4, -3), (-3, -1))
        return fnp.reshape(x, (*lead, channels // (r * r), height * r, width * r))


class PixelUnshuffle(Module):
    """The inverse of `PixelShuffle`: (..., c, h * r, w * r) to (..., c * r * r, h, w).

    Args:
        downscale_factor: r.

    Example:
        >>> import numpy as np
        >>> PixelUnshuffle(2)(np.zeros((1, 2, 6, 6))).shape
        (1, 8, 3, 3)
    """

    downscale_factor: int

    def __post_init__(self) -> None:
        positive(self, downscale_factor=self.downscale_factor)

    def __call__(self, x: Any, *, key: Any = None) -> Any:
        """The smaller image with more channels; `key` is not used."""
        del key
        x, r = as_array(x), self.downscale_factor
        if x.ndim < 3 or x.shape[-2] % r or x.shape[-1] % r:
            refuse(self, f"(..., channels, height and width divisible by {r})", x)
        *lead, channels, height, width = x.shape
        x = fnp.reshape(x, (*lead, channels, height // r, r, width // r, r))
        x = fnp.moveaxis(x, (-3, -1), (-4, -3))
        return fnp.reshape(x, (*lead, channels * r * r, height // r, width // r))


class ChannelShuffle(Module):
    """Channels in another order: one from each group in turn (Zhang et al., 2018).

    Args:
        groups: number of groups of the channels, the second axis.

    Example:
        >>> import numpy as np
        >>> ChannelShuffle(2)(np.arange(4.0)[None])
        array([[0., 2., 1., 3.]])
    """

    groups: int

    def __post_init__(self) -> None:
        positive(self, groups=self.groups)

    def __call__(self, x: Any, *, key: Any = None) -> Any:
        """`x` with shuffled channels; `key` is not used."""
        del key
        x = as_array(x)
        if x.ndim < 2 or x.shape[1] % self.groups:
            refuse(self, f"(examples, channels divisible by {self.groups}, ...)", x)
        split = fnp.reshape(x, (x.shape[0], self.groups, -1, *x.shape[2:]))
        return fnp.reshape(fnp.swapaxes(split, 1, 2), x.shape)


def _axis(module: Any, x: Any, axis: int) -> int:
    """An axis as a number that is not negative."""
    if not -x.ndim <= axis < x.ndim:
        refuse(module, f"that has an axis {axis}", x)
    return axis % x.ndim
