"""Images as files have them (uint8, height, width, channels) and as networks take them (float, channels first)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad.ops.sequences import as_array


def to_chw(images: Any, dtype: Any = np.float32) -> Any:
    """Images for a network: channels first, 0 to 1.

    Args:
        images: uint8 (..., height, width, channels) with 1, 3 or 4 channels, or floats from 0 to 1.
        dtype: of the result.

    Returns:
        Array (..., channels, height, width).

    Raises:
        ValueError: the last axis is none of channels.

    Example:
        >>> to_chw(np.full((2, 4, 3), 255, np.uint8)).shape
        (3, 2, 4)
    """
    images = as_array(images)
    if images.ndim < 3 or images.shape[-1] not in (1, 3, 4):
        raise ValueError(
            f"[to_chw] images must be (..., height, width, channels) with 1, 3 or 4 channels, but got "
            f"{images.shape}. Write images[..., None] for grey ones without an axis of channels."
        )
    scale = 255 if images.dtype == np.uint8 else 1
    return fnp.moveaxis(images, -1, -3).astype(dtype) / np.dtype(dtype).type(scale)


def to_hwc(images: Any) -> Any:
    """Images for files and plots: uint8, channels last. Values outside of 0 to 1 are clipped.

    Args:
        images: floats (..., channels, height, width).

    Returns:
        uint8 array (..., height, width, channels).

    Example:
        >>> to_hwc(np.ones((3, 2, 4), np.float32)).shape
        (2, 4, 3)
    """
    images = as_array(images)
    if images.ndim < 3 or images.shape[-3] not in (1, 3, 4):
        raise ValueError(
            f"[to_hwc] images must be (..., channels, height, width) with 1, 3 or 4 channels, but got "
            f"{images.shape}."
        )
    moved = fnp.moveaxis(images, -3, -1)
    if moved.dtype == np.uint8:
        return moved
    return fnp.rint(fnp.clip(moved, 0, 1) * 255).astype(np.uint8)


def normalize(images: Any, mean: Sequence[float], std: Sequence[float]) -> Any:
    """Subtract the mean of each channel, and divide by its standard deviation.

    Args:
        images: floats (..., channels, height, width).
        mean, std: one number per channel.

    Example:
        >>> normalize(np.ones((1, 1, 1)), [0.5], [0.25]).item()
        2.0
    """
    images = as_array(images)
    mean, std = (_by_channel("normalize", images, x) for x in (mean, std))
    return (images - mean) / std


def unnormalize(images: Any, mean: Sequence[float], std: Sequence[float]) -> Any:
    """Undo `normalize`: for plots.

    Args:
        images, mean, std: as for `normalize`.

    Example:
        >>> unnormalize(np.full((1, 1, 1), 2.0), [0.5], [0.25]).item()
        1.0
    """
    images = as_array(images)
    mean, std = (_by_channel("unnormalize", images, x) for x in (mean, std))
    return images * std + mean


def image_grid(images: Any, columns: int | None = None, padding: int = 2, fill: float = 0.0) -> Any:
    """Several images in one.

    Args:
        images: (count, channels, height, width).
        columns: images in a row; about the root of their number by default.
        padding: pixels between images.
        fill: value of these pixels.

    Returns:
        Array (channels, height, width) of the whole.

    Example:
        >>> image_grid(np.ones((5, 1, 4, 4)), columns=3).shape
        (1, 14, 20)
    """
    images = np.asarray(images)
    if images.ndim != 4:
        raise ValueError(
            f"[image_grid] images must be (count, channels, height, width), but got {images.shape}."
        )
    count, channels, height, width = images.shape
    columns = columns or max(1, math.ceil(math.sqrt(count)))
    rows = math.ceil(count / columns)
    tall, wide = height + padding, width + padding
    whole = np.full((channels, rows * tall + padding, columns * wide + padding), fill, images.dtype)
    for number, image in enumerate(images):
        row, column = divmod(number, columns)
        top, left = padding + row * tall, padding + column * wide
        whole[:, top : top + height, left : left + width] = image
    return whole


def _by_channel(name: str, images: Any, numbers: Sequence[float]) -> Any:
    found = as_array(numbers).astype(images.dtype)
    if images.ndim < 3 or found.shape != (images.shape[-3],):
        raise ValueError(
            f"[{name}] images of shape {images.shape} need one number per channel (axis -3), but got "
            f"{found.shape[0] if found.ndim else 'a single number'}."
        )
    return found[:, None, None]
