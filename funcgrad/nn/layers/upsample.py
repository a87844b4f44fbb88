"""Images of another size: `Upsample`, by the nearest pixel or by interpolation between pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad.ir.types import is_inexact
from funcgrad.nn.layers.checks import refuse
from funcgrad.nn.module import Module
from funcgrad.ops.sequences import as_array

# How many axes each mode is for; None for one to three.
RANKS = {
    "nearest": None,
    "nearest-exact": None,
    "linear": 1,
    "bilinear": 2,
    "bicubic": 2,
    "trilinear": 3,
}
# The parameter of Keys' cubic convolution (1981).
CUBIC = -0.75


class Upsample(Module):
    """Other lengths of all axes after (examples, channels), by interpolation.

    Args:
        size: the new lengths, or one for all axes.
        scale_factor: the new lengths divided by the old ones, or one factor per axis; instead of `size`.
        mode: "nearest", "nearest-exact", "linear" (one axis), "bilinear", "bicubic" (two) or "trilinear" (three).
        align_corners: whether the corner pixels keep their values, so that their centres are the ends of the axes.

    Example:
        >>> Upsample(scale_factor=2)(np.array([[[1.0, 2.0]]]))
        array([[[1., 1., 2., 2.]]])
        >>> Upsample(4, mode="linear", align_corners=True)(np.array([[[0.0, 3.0]]]))
        array([[[0., 1., 2., 3.]]])
    """

    size: Any
    scale_factor: Any
    mode: str
    align_corners: bool

    def __init__(
        self,
        size: int | Sequence[int] | None = None,
        scale_factor: float | Sequence[float] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
    ) -> None:
        if (size is None) == (scale_factor is None):
            raise ValueError("[Upsample] give either size or scale_factor.")
        if mode not in RANKS:
            raise ValueError(
                f"[Upsample] mode must be one of {', '.join(map(repr, RANKS))}, but got {mode!r}."
            )
        if align_corners is not None and RANKS[mode] is None:
            raise ValueError(f"[Upsample] align_corners has no meaning with mode={mode!r}.")
        self.size = tuple(size) if isinstance(size, Sequence) else size
        is_single = not isinstance(scale_factor, Sequence)
        self.scale_factor = scale_factor if is_single else tuple(scale_factor)
        self.mode = mode
        self.align_corners = bool(align_corners)

    def __call__(self, x: Any, *, key: Any = None) -> Any:
        """Interpolate.

        Args:
            x: (examples, channels, ...).
            key: not used.

        Returns:
            (examples, channels, *new lengths).
        """
        del key
        x = as_array(x)
        rank = x.ndim - 2
        if rank not in (RANKS[self.mode] or rank,) or not 1 <= rank <= 3:
            wanted = RANKS[self.mode] or "1 to 3"
            refuse(self, f"(examples, channels, and {wanted} axes for mode={self.mode!r})", x)
        for number, (target, scale) in enumerate(self.targets(x)):
            axis, length = number + 2, x.shape[number + 2]
            if target == length and scale == 1:
                continue
            indices, weights = self.taps(length, target, scale)
            x = gathered(x, axis, indices, weights)
        return x

    def targets(self, x: Any) -> list[tuple[int, float]]:
        """The new length of each axis, and how many old pixels one new pixel is wide."""
        lengths = x.shape[2:]
        given = self.size if self.scale_factor is None else self.scale_factor
        values = given if isinstance(given, tuple) else (given,) * len(lengths)
        if len(values) != len(lengths):
            refuse(self, f"(examples, channels, and {len(values)} axes)", x)
        if self.scale_factor is None:
            return [(target, n / target) for target, n in zip(values, lengths, strict=True)]
        return [(math.floor(n * f), 1 / f) for f, n in zip(values, lengths, strict=True)]

    def taps(self, length: int, target: int, scale: float) -> tuple[np.ndarray, Any]:
        """Which old pixels each new pixel is made from, (taps, target), and their weights, or None for one tap."""
        places = np.arange(target)
        if self.mode.startswith("nearest"):
            # In single precision, as in PyTorch: at whole numbers rounding decides.
            offset = 0.5 if self.mode == "nearest-exact" else 0.0
            nearest = np.floor((places + np.float32(offset)).astype(np.float32) * np.float32(scale))
            return np.minimum(nearest, length - 1).astype(int)[None], None
        if self.align_corners:
            positions = places * ((length - 1) / (target - 1) if target > 1 else 0.0)
        else:
            positions = (places + 0.5) * scale - 0.5
        if self.mode == "bicubic":
            return cubic_taps(positions, length)
        positions = np.maximum(positions, 0)
        left = np.minimum(np.floor(positions).astype(int), length - 1)
        right, t = np.minimum(left + 1, length - 1), positions - left
        return np.stack([left, right]), np.stack([1 - t, t])


def cubic_taps(positions: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """The four pixels around each position, and the weights of cubic convolution."""
    left = np.floor(positions).astype(int)
    t = positions - left

    def near(s: np.ndarray) -> np.ndarray:
        return ((CUBIC + 2) * s - (CUBIC + 3)) * s * s + 1

    def far(s: np.ndarray) -> np.ndarray:
        return ((CUBIC * s - 5 * CUBIC) * s + 8 * CUBIC) * s - 4 * CUBIC

    indices = np.clip(np.stack([left - 1, left, left + 1, left + 2]), 0, length - 1)
    return indices, np.stack([far(t + 1), near(t), near(1 - t), far(2 - t)])


def gathered(x: Any, axis: int, indices: np.ndarray, weights: Any) -> Any:
    """Sums of elements along an axis, with one weight per tap and place."""
    if weights is None:
        return fnp.take(x, indices[0], axis=axis)
    along = (-1, *(1,) * (x.ndim - axis - 1))
    wide = x.dtype if is_inexact(x.dtype) and x.dtype.itemsize >= 4 else np.dtype(np.float32)
    parts = [
        fnp.multiply(fnp.take(x, one, axis=axis), weight.astype(wide).reshape(along))
        for one, weight in zip(indices, weights, strict=True)
    ]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total.astype(x.dtype) if is_inexact(x.dtype) else total
