"""Activation functions as layers, under PyTorch's names, and `PReLU`, whose slope is trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

import funcgrad.numpy as fnp
from funcgrad import random
from funcgrad.nn import activations as functions, thresholds
from funcgrad.nn.context import is_training, next_key
from funcgrad.nn.layers.checks import positive, refuse
from funcgrad.nn.module import Module
from funcgrad.nn.normalization import log_softmax, softmax
from funcgrad.ops.sequences import as_array


class _Activation(Module):
    """A function of an array and the fields of the layer."""

    function: ClassVar[Callable[..., Any]]

    def __call__(self, x: Any, *, key: Any = None) -> Any:
        """The function of `x`; `key` is not used."""
        del key
        options = [getattr(self, one.name) for one in dataclasses.fields(self)]
        return type(self).function(x, *options)


class ReLU(_Activation):
    """`nn.relu` as a layer.

    Example:
        >>> ReLU()([-1.0, 2.0])
        array([0., 2.])
    """

    function = staticmethod(functions.relu)


class ReLU6(_Activation):
    """`nn.relu6` as a layer."""

    function = staticmethod(functions.relu6)


class Sigmoid(_Activation):
    """`nn.sigmoid` as a layer."""

    function = staticmethod(functions.sigmoid)


class Tanh(_Activation):
    """`nn.tanh` as a layer."""

    function = staticmethod(functions.tanh)


class SiLU(_Activation):
    """`nn.silu` as a layer."""

    function = staticmethod(functions.silu)


class Mish(_Activation):
    """`nn.mish` as a layer."""

    function = staticmethod(functions.mish)


class SELU(_Activation):
    """`nn.selu` as a layer."""

    function = staticmethod(functions.selu)


class LogSigmoid(_Activation):
    """`nn.log_sigmoid` as a layer."""

    function = staticmethod(functions.log_sigmoid)


class Softsign(_Activation):
    """`nn.soft_sign` as a layer."""

    function = staticmethod(functions.soft_sign)


class Hardsigmoid(_Activation):
    """`nn.hard_sigmoid` as a layer."""

    function = staticmethod(functions.hard_sigmoid)


class Hardswish(_Activation):
    """`nn.hard_swish` as a layer."""

    function = staticmethod(functions.hard_silu)


class Tanhshrink(_Activation):
    """`nn.tanh_shrink` as a layer."""

    function = staticmethod(thresholds.tanh_shrink)


class ELU(_Activation):
    """`nn.elu` as a layer."""

    alpha: float = 1.0

    function = staticmethod(functions.elu)


class CELU(_Activation):
    """`nn.celu` as a layer."""

    alpha: float = 1.0

    function = staticmethod(functions.celu)


class LeakyReLU(_Activation):
    """`nn.leaky_relu` as a layer."""

    negative_slope: float = 0.01

    function = staticmethod(functions.leaky_relu)


class Hardshrink(_Activation):
    """`nn.hard_shrink` as a layer."""

    lambd: float = 0.5

    function = staticmethod(thresholds.hard_shrink)


class Softshrink(_Activation):
    """`nn.soft_shrink` as a layer."""

    lambd: float = 0.5

    function = staticmethod(thresholds.soft_shrink)


class Threshold(_Activation):
    """`nn.threshold` as a layer."""

    threshold: float
    value: float

    function = staticmethod(thresholds.threshold)


class GLU(_Activation):
    """`nn.glu` as a layer."""

    dim: int = -1

    function = staticmethod(functions.glu)


class Softmax(_Activation):
    """`nn.softmax` as a layer."""

    dim: int = -1

    function = staticmethod(softmax)


class Softmin(_Activation):
    """`nn.softmin` as a layer."""

    dim: int = -1

    function = staticmethod(thresholds.softmin)


class LogSoftmax(_Activation):
    """`nn.log_softmax` as a layer."""

    dim: int = -1

    function = staticmethod(log_softmax)


class Softmax2d(_Activation):
    """`nn.softmax` over the channels of (examples, channels, height, width) or (channels, height, width)."""

    @staticmethod
    def function(x: Any) -> Any:
        """Softmax over the third axis from the end."""
        return softmax(x, -3)


class GELU(_Activation):
    """`nn.gelu` as a layer, without approximation unless it is "tanh": PyTorch's default, where `nn.gelu` has JAX's."""

    approximate: str = "none"

    @staticmethod
    def function(x: Any, approximate: str) -> Any:
        """`gelu` with the approximation by its name."""
        return functions.gelu(x, approximate=approximate == "tanh")


class Hardtanh(_Activation):
    """`x` between two bounds, and these beyond."""

    min_val: float = -1.0
    max_val: float = 1.0

    @staticmethod
    @functions.keeps_bfloat16
    def function(x: Any, low: float, high: float) -> Any:
        """Clip."""
        x = as_array(x)
        return fnp.where(x > high, high, fnp.where(x < low, low, x))


class Softplus(_Activation):
    """`log(1 + exp(beta * x)) / beta`, without overflow."""

    beta: float = 1.0

    @staticmethod
    @functions.keeps_bfloat16
    def function(x: Any, beta: float) -> Any:
        """`softplus` of another steepness."""
        return functions.softplus(as_array(x) * beta) / beta


class RReLU(Module):
    """`leaky_relu` with a random slope for each element in training, and the mean slope else (Xu et al., 2015).

    Args:
        lower, upper: the slopes lie between them.
        inference: whether it is never random.

    Example:
        >>> RReLU(0.1, 0.3)(np.array([-1.0, 2.0]))
        array([-0.2,  2. ])
    """

    lower: float = 1 / 8
    upper: float = 1 / 3
    inference: bool = False

    def __call__(self, x: Any, *, key: Any = None, inference: bool | None = None) -> Any:
        """Apply; `key` and `inference` as for `Dropout`."""
        x = as_array(x)
        slope: Any = (self.lower + self.upper) / 2
        if is_training(self, inference) or (key is not None and not self.inference):
            key = next_key(self) if key is None else key
            slope = random.uniform(key, x.shape, x.dtype, self.lower, self.upper)
        return functions.leaky_relu(x, slope)


class PReLU(Module):
    """`x` where it is above 0, else `weight * x`, with slopes that are trained (He et al., 2015).

    Args:
        num_parameters: 1, or the number of channels, which are the second axis.
        init: first value of the slopes.
        dtype: of the slopes; float32 by default.

    Attributes:
        weight: (num_parameters,).

    Example:
        >>> PReLU()(np.array([-4.0, 2.0]))
        array([-1.,  2.])
    """

    weight: Any
    num_parameters: int

    def __init__(self, num_parameters: int = 1, init: float = 0.25, dtype: Any = None) -> None:
        positive(self, num_parameters=num_parameters)
        self.num_parameters = num_parameters
        self.weight = fnp.full((num_parameters,), init, dtype or np.float32)

    def __call__(self, x: Any, *, key: Any = None) -> Any:
        """Apply; `key` is not used."""
        del key
        x = as_array(x)
        count = self.num_parameters
        if count > 1 and (x.ndim < 2 or x.shape[1] != count):
            refuse(self, f"(examples, {count}, ...)", x)
        along = (-1, *(1,) * (x.ndim - 2)) if count > 1 else (1,) * min(x.ndim, 1)
        return thresholds.prelu(x, fnp.reshape(self.weight, along))
