"""Layers whose weight is made from another one at each call: `WeightNorm` and `SpectralNorm`."""

from __future__ import annotations

from typing import Any

import funcgrad.numpy as fnp
from funcgrad import random
from funcgrad.nn.context import current_state, is_training, record_state
from funcgrad.nn.module import Module, field
from funcgrad.transforms.stop_gradient import stop_gradient


class WeightNorm(Module):
    """A layer whose weight has a length and a direction of its own: `g * v / norm(v)` (Salimans and Kingma, 2016).

    Args:
        layer: the layer; its weight is the direction `v`.
        weight_name: which of its arrays is meant.
        axis: the axis that keeps lengths of its own: the output channels; None for one length of all.

    Attributes:
        g: lengths, broadcastable with the weight.

    Example:
        >>> import numpy as np
        >>> from funcgrad import nn
        >>> linear = nn.Linear(3, 2, key=0)
        >>> layer = WeightNorm(linear)
        >>> x = np.ones((4, 3), np.float32)
        >>> bool(np.allclose(layer(x), linear(x), atol=1e-6))
        True
    """

    layer: Any
    g: Any
    weight_name: str
    axis: int | None

    def __init__(self, layer: Any, weight_name: str = "weight", axis: int | None = 0) -> None:
        self.layer = layer
        self.weight_name = weight_name
        self.axis = axis
        self.g = self.lengths()

    def lengths(self) -> Any:
        """The norms of the directions."""
        v = getattr(self.layer, self.weight_name)
        axes = tuple(i for i in range(v.ndim) if self.axis is None or i != self.axis % v.ndim)
        return fnp.sqrt(fnp.sum(fnp.square(v), axis=axes, keepdims=True))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the layer with the normalised weight returns."""
        v = getattr(self.layer, self.weight_name)
        weight = v * (self.g / self.lengths())
        return self.layer.replace(**{self.weight_name: weight})(*args, **kwargs)

    def pytorch_name(self, name: str) -> str:
        """What PyTorch calls an array: as `torch.nn.utils.parametrizations.weight_norm` does."""
        known = {"g": "original0", f"layer.{self.weight_name}": "original1"}
        return _parametrized(name, self.weight_name, known)


class SpectralNorm(Module):
    """A layer whose weight is divided by its largest singular value (Miyato et al., 2018).

    The value is estimated by power iteration, one or a few steps at each call in training mode.

    Args:
        layer: the layer.
        weight_name: which of its arrays is meant; a matrix after all axes but `axis` are joined.
        num_power_iterations: steps at each call.
        eps: added to norms.
        axis: the axis of the outputs.
        inference: whether the estimate stays as it is in training as well.
        key: random key or seed for the first vectors.

    Attributes:
        u, v: estimates of the singular vectors, buffers.

    Example:
        >>> import numpy as np
        >>> from funcgrad import nn
        >>> layer = SpectralNorm(nn.Linear(3, 3, key=0), key=1)
        >>> bool(np.linalg.norm(layer.normalized(), 2) < 1.01)
        True
    """

    layer: Any
    u: Any = field(buffer=True)
    v: Any = field(buffer=True)
    weight_name: str
    num_power_iterations: int
    eps: float
    axis: int
    inference: bool

    def __init__(
        self,
        layer: Any,
        weight_name: str = "weight",
        num_power_iterations: int = 1,
        eps: float = 1e-12,
        axis: int = 0,
        inference: bool = False,
        *,
        key: Any,
    ) -> None:
        self.layer, self.weight_name, self.axis = layer, weight_name, axis
        self.num_power_iterations, self.eps, self.inference = num_power_iterations, eps, inference
        matrix = self.matrix()
        u_key, v_key = random.split(key)
        u = random.normal(u_key, (matrix.shape[0],), matrix.dtype)
        v = random.normal(v_key, (matrix.shape[1],), matrix.dtype)
        self.u, self.v = self.iterated(matrix, self.unit(u), self.unit(v), 15)

    def matrix(self) -> Any:
        """The weight as a matrix."""
        weight = getattr(self.layer, self.weight_name)
        weight = fnp.moveaxis(weight, self.axis, 0)
        return fnp.reshape(weight, (weight.shape[0], -1))

    def unit(self, x: Any) -> Any:
        """A vector of length 1."""
        return x / fnp.maximum(fnp.linalg.norm(x), self.eps)

    def iterated(self, matrix: Any, u: Any, v: Any, steps: int) -> tuple[Any, Any]:
        """The singular vectors after more steps."""
        for _ in range(steps):
            u = self.unit(matrix @ v)
            v = self.unit(matrix.T @ u)
        return u, v

    def normalized(self) -> Any:
        """The weight divided by its largest singular value."""
        matrix = self.matrix()
        u, v = current_state(self, "u"), current_state(self, "v")
        if is_training(self):
            u, v = self.iterated(stop_gradient(matrix), u, v, self.num_power_iterations)
            record_state(self, u=u, v=v)
        largest = fnp.dot(stop_gradient(u), matrix @ stop_gradient(v))
        return getattr(self.layer, self.weight_name) / largest

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the layer with the normalised weight returns."""
        return self.layer.replace(**{self.weight_name: self.normalized()})(*args, **kwargs)

    def pytorch_name(self, name: str) -> str:
        """What PyTorch calls an array: as `torch.nn.utils.parametrizations.spectral_norm` does."""
        known = {"u": "0._u", "v": "0._v", f"layer.{self.weight_name}": "original"}
        return _parametrized(name, self.weight_name, known)


def _parametrized(name: str, weight_name: str, known: dict[str, str]) -> str:
    """The names of arrays that make a weight, and those of the layer without it."""
    if name in known:
        return f"parametrizations.{weight_name}.{known[name]}"
    return name.removeprefix("layer.")
