"""Which axes of a weight are inputs and outputs: layers tell it to the initialisers that depend on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import funcgrad.numpy as fnp

Initializer = Callable[..., Any]
Axes = int | Sequence[int]


class ByLayout:
    """An initialiser that depends on which axes are those of inputs and outputs: layers tell it theirs.

    Args:
        make: (in_axis, out_axis) -> initialiser. Called by itself it has JAX's axes, weights of shape (..., in, out).
    """

    def __init__(self, make: Callable[[Axes, Axes], Initializer]) -> None:
        self.make = make

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.make(-2, -1)(*args, **kwargs)


def for_layer(init: Initializer, in_axis: int = 1, out_axis: int = 0) -> Initializer:
    """The initialiser for a layer's weight, whose shape is (out, in, *window) unless the axes say otherwise.

    Example:
        >>> from funcgrad.nn.initializers import he_normal
        >>> weight = for_layer(he_normal())(0, (10, 1000))
        >>> bool(0.04 < weight.std() < 0.05)
        True
    """
    return init.make(in_axis, out_axis) if isinstance(init, ByLayout) else init


# --- kernels that are zero but for one place of their window ---


def check_kernel(name: str, shape: tuple[int, ...], instead: str) -> None:
    """Raise ValueError for shapes that no convolution's weight has."""
    if len(shape) not in (3, 4, 5):
        raise ValueError(
            f"[{name}] needs the shape of a kernel, with inputs, outputs and a window of one to three axes, but got "
            f"{shape}. For a matrix use {instead}."
        )


def with_window(
    matrix: Any, shape: tuple[int, ...], in_axis: int, out_axis: int, middle: Callable[[int], int]
) -> Any:
    """A matrix (inputs, outputs) at the place `middle(length)` of each axis of the window."""
    in_axis, out_axis = in_axis % len(shape), out_axis % len(shape)
    window = [axis for axis in range(len(shape)) if axis not in (in_axis, out_axis)]
    placed = fnp.expand_dims(matrix if in_axis < out_axis else matrix.T, window)
    around = [
        (middle(n), n - 1 - middle(n)) if i in window else (0, 0) for i, n in enumerate(shape)
    ]
    return fnp.pad(placed, around)
