"""`Bilinear`: a product of two inputs with a weight."""

from __future__ import annotations

import math
from typing import Any

import funcgrad.numpy as fnp
from funcgrad import random
from funcgrad.nn.initializers import Initializer, for_layer, symmetric_uniform
from funcgrad.nn.layers.checks import positive, refuse
from funcgrad.nn.module import Module
from funcgrad.ops.sequences import as_array


class Bilinear(Module):
    """`sum_ij x1[i] * weight[o, i, j] * x2[j] + bias[o]` over the last axes; all axes before them are batches.

    Args:
        in1_features, in2_features, out_features: lengths of the last axes.
        use_bias: whether there is a bias.
        dtype: of the parameters; float32 by default.
        key: random key or seed.
        weight_init, bias_init: initialisers instead of the uniform distribution up to 1/sqrt(in1_features).

    Attributes:
        weight: (out_features, in1_features, in2_features).
        bias: (out_features,), or None.

    Example:
        >>> import numpy as np
        >>> Bilinear(2, 3, 4, key=0)(np.ones((5, 2), np.float32), np.ones((5, 3), np.float32)).shape
        (5, 4)
    """

    weight: Any
    bias: Any
    in1_features: int
    in2_features: int
    out_features: int

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        use_bias: bool = True,
        dtype: Any = None,
        *,
        key: Any,
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
    ) -> None:
        positive(
            self, in1_features=in1_features, in2_features=in2_features, out_features=out_features
        )
        weight_key, bias_key = random.split(key)
        usual = symmetric_uniform(1 / math.sqrt(in1_features))
        shape = (out_features, in1_features, in2_features)
        self.weight = for_layer(weight_init or usual)(weight_key, shape, dtype)
        self.bias = (bias_init or usual)(bias_key, (out_features,), dtype) if use_bias else None
        self.in1_features, self.in2_features = in1_features, in2_features
        self.out_features = out_features

    def __call__(self, x1: Any, x2: Any, *, key: Any = None) -> Any:
        """Apply the layer.

        Args:
            x1: (..., in1_features).
            x2: (..., in2_features).
            key: not used.

        Returns:
            (..., out_features).
        """
        del key
        x1, x2 = as_array(x1), as_array(x2)
        for x, size in ((x1, self.in1_features), (x2, self.in2_features)):
            if x.shape[-1:] != (size,):
                refuse(self, f"(..., {size})", x)
        y = fnp.einsum("...i,oij,...j->...o", x1, self.weight, x2)
        return y if self.bias is None else y + self.bias
