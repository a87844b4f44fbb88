"""Initialisers: functions that return `init(key, shape, dtype) -> array`, with JAX's names and numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad import random
from funcgrad.nn.orthogonal import delta_array, orthogonal_array
from funcgrad.nn.sparse_initializers import dirac as dirac, identity as identity, sparse as sparse
from funcgrad.nn.weight_axes import (
    Axes as Axes,
    ByLayout as ByLayout,
    Initializer as Initializer,
    for_layer as for_layer,
)

# Standard deviation of a normal variable cut off at 2.
TRUNCATED_STDDEV = 0.87962566103423978


def zeros(key: Any, shape: Sequence[int], dtype: Any = None) -> Any:
    """An array of zeros; itself an initialiser.

    Example:
        >>> zeros(None, (2,))
        array([0., 0.], dtype=float32)
    """
    del key
    return fnp.zeros(shape, dtype)


def ones(key: Any, shape: Sequence[int], dtype: Any = None) -> Any:
    """An array of ones; itself an initialiser.

    Example:
        >>> ones(None, (2,))
        array([1., 1.], dtype=float32)
    """
    del key
    return fnp.ones(shape, dtype)


def constant(value: Any, dtype: Any = None) -> Initializer:
    """Everywhere the same value.

    Example:
        >>> constant(0.5)(None, (2,))
        array([0.5, 0.5], dtype=float32)
    """

    def init(key: Any, shape: Sequence[int], dtype: Any = dtype) -> Any:
        del key
        return fnp.full(shape, value, np.float32 if dtype is None else dtype)

    return init


def uniform(scale: Any = 1e-2, dtype: Any = None) -> Initializer:
    """Uniform between 0 and `scale`.

    Example:
        >>> uniform(0.1)(0, (2, 3)).shape
        (2, 3)
    """

    def init(key: Any, shape: Sequence[int], dtype: Any = dtype) -> Any:
        return random.uniform(key, tuple(shape), dtype) * scale

    return init


def symmetric_uniform(limit: float, dtype: Any = None) -> Initializer:
    """Uniform from `-limit` to `limit`, as PyTorch initialises its layers.

    Example:
        >>> bool(abs(symmetric_uniform(0.1)(0, (2, 3))).max() <= 0.1)
        True
    """

    def init(key: Any, shape: Sequence[int], dtype: Any = dtype) -> Any:
        return random.uniform(key, tuple(shape), dtype, -limit, limit)

    return init


def normal(stddev: Any = 1e-2, dtype: Any = None) -> Initializer:
    """Normal with mean 0.

    Example:
        >>> normal(0.1)(0, (2, 3)).shape
        (2, 3)
    """

    def init(key: Any, shape: Sequence[int], dtype: Any = dtype) -> Any:
        return random.normal(key, tuple(shape), dtype) * stddev

    return init


def truncated_normal(
    stddev: Any = 1e-2, dtype: Any = None, lower: Any = -2.0, upper: Any = 2.0
) -> Initializer:
    """Normal with mean 0, cut off at `lower` and `upper` standard deviations.

    Example:
        >>> values = truncated_normal(0.1)(0, (100,))
        >>> bool(abs(values).max() <= 0.2)
        True
    """

    def init(key: Any, shape: Sequence[int], dtype: Any = dtype) -> Any:
        return random.truncated_normal(key, lower, upper, tuple(shape), dtype) * stddev

    return init


def variance_scaling(
    scale: Any,
    mode: str,
    distribution: str,
    in_axis: Axes = -2,
    out_axis: Axes = -1,
    batch_axis: Axes = (),
    dtype: Any = None,
) -> Initializer:
    """Variance `scale / n`, where n is the number of inputs, of outputs, or their mean.

    Args:
        scale: the factor.
        mode: "fan_in", "fan_out", "fan_avg", or "fan_geo_avg" (geometric mean).
        distribution: "uniform", "normal", or "truncated_normal" (cut off at two standard deviations).
        in_axis, out_axis: axes of inputs and outputs; all axes named nowhere are a receptive field, which
            counts for both. Layers, whose weights have the shape (out, in, ...), put in theirs, unless other axes
            than the defaults are given here.
        batch_axis: axes that do not count.
        dtype: used if `init` gets none; float32 by default.

    Example:
        >>> init = variance_scaling(1.0, "fan_in", "uniform")
        >>> bool(abs(init(0, (3, 100))).max() <= 1.0)
        True
    """
    _check_choice("mode", mode, ("fan_in", "fan_out", "fan_avg", "fan_geo_avg"))
    _check_choice("distribution", distribution, ("uniform", "normal", "truncated_normal"))

    def make(in_axis: Axes, out_axis: Axes) -> Initializer:
        def init(key: Any, shape: Sequence[int], dtype: Any = dtype) -> Any:
            shape = tuple(shape)
            fan_in, fan_out = _fans(shape, in_axis, out_axis, batch_axis)
            count = {
                "fan_in": fan_in,
                "fan_out": fan_out,
                "fan_avg": (fan_in + fan_out) / 2,
                "fan_geo_avg": math.sqrt(fan_in * fan_out),
            }[mode]
            deviation = math.sqrt(scale / max(count, 1e-30))
            if distribution == "normal":
                return random.normal(key, shape, dtype) * deviation
            if distribution == "uniform":
                limit = math.sqrt(3) * deviation
                return random.uniform(key, shape, dtype, -1.0, 1.0) * limit
            cut = random.truncated_normal(key, -2.0, 2.0, shape, dtype)
            return cut * (deviation / TRUNCATED_STDDEV)

        return init

    return ByLayout(make) if (in_axis, out_axis) == (-2, -1) else make(in_axis, out_axis)


def _preset(
    name: str, scale: float, mode: str, distribution: str, source: str
) -> Callable[..., Initializer]:
    def make(
        in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None
    ) -> Initializer:
        return variance_scaling(scale, mode, distribution, in_axis, out_axis, batch_axis, dtype)

    make.__name__ = make.__qualname__ = name  # found under this name by pickle
    make.__doc__ = (
        f"`variance_scaling({scale}, {mode!r}, {distribution!r})` ({source}).\n\n"
        "Args:\n    in_axis, out_axis, batch_axis, dtype: as for `variance_scaling`.\n\n"
        f"Example:\n    >>> {name}()(0, (2, 3)).shape\n    (2, 3)"
    )
    return make


glorot_uniform = _preset("glorot_uniform", 1.0, "fan_avg", "uniform", "Glorot and Bengio, 2010")
glorot_normal = _preset(
    "glorot_normal", 1.0, "fan_avg", "truncated_normal", "Glorot and Bengio, 2010"
)
lecun_uniform = _preset("lecun_uniform", 1.0, "fan_in", "uniform", "LeCun et al., 1998")
lecun_normal = _preset("lecun_normal", 1.0, "fan_in", "truncated_normal", "LeCun et al., 1998")
he_uniform = _preset("he_uniform", 2.0, "fan_in", "uniform", "He et al., 2015")
he_normal = _preset("he_normal", 2.0, "fan_in", "truncated_normal", "He et al., 2015")
xavier_uniform, xavier_normal = glorot_uniform, glorot_normal
kaiming_uniform, kaiming_normal = he_uniform, he_normal


def orthogonal(scale: Any = 1.0, column_axis: int = -1, dtype: Any = None) -> Initializer:
    """Orthogonal rows or columns, uniformly distributed (Saxe et al., 2013).

    Args:
        scale: their length.
        column_axis: the axis that counts as columns; the others together are the rows. Layers put in that of their
            outputs, unless another one than the last is given here.
        dtype: used if `init` gets none; float32 by default.

    Example:
        >>> q = orthogonal()(0, (3, 3))
        >>> bool(np.allclose(q @ q.T, np.eye(3), atol=1e-5))
        True
    """

    def make(in_axis: Axes, column_axis: Any) -> Initializer:
        del in_axis

        def init(key: Any, shape: Sequence[int], dtype: Any = dtype) -> Any:
            return scale * orthogonal_array(key, tuple(shape), column_axis, dtype)

        return init

    return ByLayout(make) if column_axis == -1 else make(-2, column_axis)


def delta_orthogonal(scale: Any = 1.0, column_axis: int = -1, dtype: Any = None) -> Initializer:
    """Kernels of convolutions that hand each place on unchanged in length: orthogonal in their middle, else zero.

    Source: Xiao et al., 2018. There must be at least as many outputs as inputs.

    Args:
        scale: length of the rows of the matrix in the middle, whose axes are inputs and outputs.
        column_axis: the axis of that matrix that counts as columns.
        dtype: used if `init` gets none; float32 by default.

    Raises:
        ValueError: the shape is no kernel's, or there are more inputs than outputs.

    Example:
        >>> kernel = delta_orthogonal()(0, (3, 2, 2))
        >>> bool(np.allclose(kernel[1] @ kernel[1].T, np.eye(2), atol=1e-6)), float(abs(kernel[::2]).max())
        (True, 0.0)
    """

    def make(in_axis: Any, out_axis: Any) -> Initializer:
        def init(key: Any, shape: Sequence[int], dtype: Any = dtype) -> Any:
            return scale * delta_array(key, tuple(shape), in_axis, out_axis, column_axis, dtype)

        return init

    return ByLayout(make)


def _fans(
    shape: tuple[int, ...], in_axis: Axes, out_axis: Axes, batch_axis: Axes
) -> tuple[float, float]:
    """How many inputs each output has, and how many outputs each input."""
    if len(shape) < 2:
        raise ValueError(
            f"[variance_scaling] needs at least two axes to count inputs and outputs, but got shape {shape}. "
            "For a vector use zeros, normal or uniform."
        )

    def size(axes: Axes) -> int:
        numbers = (axes,) if isinstance(axes, int) else tuple(axes)
        return math.prod(shape[axis] for axis in numbers)

    inputs, outputs = size(in_axis), size(out_axis)
    field = math.prod(shape) / max(inputs * outputs * size(batch_axis), 1)
    return inputs * field, outputs * field


def _check_choice(parameter: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(
            f"[variance_scaling] {parameter} must be one of {', '.join(map(repr, choices))}, but got {value!r}."
        )
