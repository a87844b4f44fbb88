"""Dense layers: `Linear` and `MLP`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad import random
from funcgrad.nn import initializers
from funcgrad.nn.activations import identity, relu
from funcgrad.nn.layers.checks import refuse
from funcgrad.nn.module import Module
from funcgrad.ops.products import matmul
from funcgrad.ops.sequences import as_array

Size = int | str


class Linear(Module):
    """`x @ weight.T + bias` over the last axis; all axes before it are batches.

    Args:
        in_features, out_features: lengths of the last axis before and after; "scalar" for none.
        use_bias: whether there is a bias.
        dtype: of the parameters; float32 by default.
        key: random key or seed.
        weight_init, bias_init: initialisers instead of the uniform distribution up to 1/sqrt(in_features).

    Attributes:
        weight: (out_features, in_features).
        bias: (out_features,), or None.

    Example:
        >>> layer = Linear(4, 3, key=0)
        >>> layer(np.ones((2, 5, 4), np.float32)).shape
        (2, 5, 3)
    """

    weight: Any
    bias: Any
    in_features: Size
    out_features: Size
    use_bias: bool

    def __init__(
        self,
        in_features: Size,
        out_features: Size,
        use_bias: bool = True,
        dtype: Any = None,
        *,
        key: Any,
        weight_init: initializers.Initializer | None = None,
        bias_init: initializers.Initializer | None = None,
    ) -> None:
        inputs, outputs = _length("in_features", in_features), _length("out_features", out_features)
        weight_key, bias_key = random.split(key)
        usual = initializers.symmetric_uniform(1 / math.sqrt(inputs) if inputs else 0.0)
        self.weight = initializers.for_layer(weight_init or usual)(
            weight_key, (outputs, inputs), dtype
        )
        self.bias = (bias_init or usual)(bias_key, (outputs,), dtype) if use_bias else None
        self.in_features = in_features
        self.out_features = out_features
        self.use_bias = use_bias

    def __call__(self, x: Any, *, key: Any = None) -> Any:
        """Apply the layer.

        Args:
            x: (..., in_features).
            key: not used.

        Returns:
            (..., out_features).
        """
        del key
        x = as_array(x)
        if self.in_features == "scalar":
            x = fnp.expand_dims(x, -1)
        elif x.ndim == 0 or x.shape[-1] != self.in_features:
            size = x.shape[-1] if x.ndim else "'scalar'"
            cure = (
                "The last axis holds the features of one example; reshape, or make the layer with "
                f"Linear({size}, ...)."
            )
            refuse(self, f"(..., {self.in_features})", x, cure)
        # Not NumPy's matmul, which answers in float32 for bfloat16.
        y = matmul(x, fnp.matrix_transpose(self.weight))
        if self.bias is not None:
            y = y + self.bias
        return y[..., 0] if self.out_features == "scalar" else y


class MLP(Module):
    """A multi-layer perceptron: `depth` hidden layers of one width.

    Args:
        in_size, out_size: lengths of the last axis before and after; "scalar" for none.
        width_size: length of each hidden layer.
        depth: number of hidden layers; 0 is one `Linear`.
        activation, final_activation: after the hidden layers, after the last one.
        use_bias, use_final_bias: whether the hidden layers, the last layer have a bias.
        dtype: of the parameters; float32 by default.
        key: random key or seed.
        weight_init, bias_init: initialisers for all layers; see `Linear`.

    Attributes:
        layers: tuple of `Linear`.

    Example:
        >>> model = MLP(2, 1, width_size=16, depth=2, key=0)
        >>> model(np.zeros((8, 2), np.float32)).shape
        (8, 1)
    """

    layers: tuple
    activation: Callable[[Any], Any]
    final_activation: Callable[[Any], Any]
    in_size: Size
    out_size: Size
    width_size: int
    depth: int
    use_bias: bool
    use_final_bias: bool

    def __init__(
        self,
        in_size: Size,
        out_size: Size,
        width_size: int,
        depth: int,
        activation: Callable[[Any], Any] = relu,
        final_activation: Callable[[Any], Any] = identity,
        use_bias: bool = True,
        use_final_bias: bool = True,
        dtype: Any = None,
        *,
        key: Any,
        weight_init: initializers.Initializer | None = None,
        bias_init: initializers.Initializer | None = None,
    ) -> None:
        if not isinstance(depth, int) or depth < 0:
            raise ValueError(
                f"[MLP] depth is the number of hidden layers, 0 or more, got {depth!r}."
            )
        sizes = [in_size, *[width_size] * depth, out_size]
        biases = [*[use_bias] * depth, use_final_bias]
        keys = random.split(key, depth + 1)
        own = {"weight_init": weight_init, "bias_init": bias_init}
        self.layers = tuple(
            Linear(sizes[i], sizes[i + 1], biases[i], dtype, key=keys[i], **own)
            for i in range(depth + 1)
        )
        self.activation = activation
        self.final_activation = final_activation
        self.in_size = in_size
        self.out_size = out_size
        self.width_size = width_size
        self.depth = depth
        self.use_bias = use_bias
        self.use_final_bias = use_final_bias

    def __call__(self, x: Any, *, key: Any = None) -> Any:
        """Apply the network.

        Args:
            x: (..., in_size).
            key: not used.

        Returns:
            (..., out_size).
        """
        del key
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.final_activation(self.layers[-1](x))


def _length(parameter: str, size: Any) -> int:
    if size == "scalar":
        return 1
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 0:
        raise ValueError(
            f"[Linear] {parameter} must be a length, or 'scalar' for arrays without that axis, but got {size!r}."
        )
    return int(size)
