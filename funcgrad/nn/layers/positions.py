"""Positions in sequences: `RotaryPositionalEmbedding` and `SinusoidalPositionalEncoding`."""

from __future__ import annotations

from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad.ir.types import is_inexact
from funcgrad.nn.layers.checks import refuse
from funcgrad.nn.module import Module
from funcgrad.ops.sequences import as_array


class RotaryPositionalEmbedding(Module):
    """Pairs of elements turned by angles that grow with the position (Su et al., 2021), for queries and keys.

    Element `i` is paired with element `i + embedding_size / 2`, or with its neighbour if `interleaved`.

    Args:
        embedding_size: length of the last axis, even.
        theta: the longest wavelength is 2 * pi * theta.
        interleaved: whether the pairs are neighbours.

    Example:
        >>> rope = RotaryPositionalEmbedding(4)
        >>> rope(np.array([[1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0]])).round(3)
        array([[1.   , 1.   , 0.   , 0.   ],
               [0.54 , 1.   , 0.841, 0.01 ]])
    """

    embedding_size: int
    theta: float = 10_000.0
    interleaved: bool = False

    def __post_init__(self) -> None:
        _check_even(self)

    def __call__(self, x: Any, *, positions: Any = None, axis: int = -2, key: Any = None) -> Any:
        """Turn.

        Args:
            x: (..., times, ..., embedding_size).
            positions: integers (times,); 0, 1, 2, ... by default.
            axis: the axis of the times: -2, or -3 for (..., times, heads, embedding_size).
            key: not used.

        Returns:
            An array like `x`.
        """
        del key
        x = as_array(x)
        if x.ndim < -axis or x.shape[-1] != self.embedding_size:
            refuse(self, f"(..., times, {self.embedding_size})", x)
        angles = _angles(self, x.shape[axis], positions)
        angles = fnp.reshape(angles, (angles.shape[0], *(1,) * (-axis - 2), angles.shape[1]))
        dtype = x.dtype if is_inexact(x.dtype) else np.dtype(np.float64)
        cos, sin = fnp.cos(angles).astype(dtype), fnp.sin(angles).astype(dtype)
        if self.interleaved:
            first, second = x[..., ::2], x[..., 1::2]
        else:
            first, second = fnp.split(x, 2, axis=-1)
        turned = [
            fnp.multiply(first, cos) - fnp.multiply(second, sin),
            fnp.multiply(second, cos) + fnp.multiply(first, sin),
        ]
        if self.interleaved:
            return fnp.reshape(fnp.stack(turned, axis=-1), x.shape)
        return fnp.concatenate(turned, axis=-1)


class SinusoidalPositionalEncoding(Module):
    """Sines and cosines of the position, added to the input (Vaswani et al., 2017).

    Args:
        embedding_size: length of the last axis, even. Even elements are sines, odd ones cosines.
        theta: the longest wavelength is 2 * pi * theta.

    Example:
        >>> SinusoidalPositionalEncoding(4)(np.zeros((2, 4))).round(3)
        array([[0.   , 1.   , 0.   , 1.   ],
               [0.841, 0.54 , 0.01 , 1.   ]])
    """

    embedding_size: int
    theta: float = 10_000.0

    def __post_init__(self) -> None:
        _check_even(self)

    def __call__(self, x: Any, *, positions: Any = None, axis: int = -2, key: Any = None) -> Any:
        """`x` (..., times, embedding_size) with the encodings of its positions added; arguments as for rotary ones."""
        del key
        x = as_array(x)
        if x.ndim < -axis or x.shape[-1] != self.embedding_size:
            refuse(self, f"(..., times, {self.embedding_size})", x)
        angles = _angles(self, x.shape[axis], positions)
        waves = fnp.stack([fnp.sin(angles), fnp.cos(angles)], axis=-1)
        waves = fnp.reshape(waves, (angles.shape[0], *(1,) * (-axis - 2), self.embedding_size))
        return fnp.add(x, waves.astype(x.dtype) if is_inexact(x.dtype) else waves)


def _angles(module: Any, count: int, positions: Any) -> Any:
    """Position times frequency, (times, embedding_size / 2)."""
    size = module.embedding_size
    frequencies = 1 / module.theta ** (np.arange(0, size, 2) / size)
    places = np.arange(count) if positions is None else as_array(positions)
    if places.shape != (count,):
        refuse(module, f"({count},) for positions", places)
    return fnp.multiply(fnp.expand_dims(places, 1), frequencies)


def _check_even(module: Any) -> None:
    size = module.embedding_size
    if not isinstance(size, int) or size < 2 or size % 2:
        raise ValueError(
            f"[{type(module).__name__}] embedding_size must be an even number of at least 2, but got {size!r}."
        )
