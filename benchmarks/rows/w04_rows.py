"""W4: two normalisations along the rows of a matrix, and their gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.row import Row, float32
from benchmarks.rows.hand_written import (
    layer_norm,
    layer_norm_backward,
    softmax,
    softmax_backward,
)


@dataclass(frozen=True)
class RowWise(Row):
    """softmax(layer norm(4096x1024)), gradients of input, scale and bias."""

    rows: int = 4096
    columns: int = 1024

    tiny = {"rows": 3, "columns": 7}
    goal = 2.0

    def data(self, rng: np.random.Generator) -> tuple:
        x, weights = (float32(rng.normal(size=(self.rows, self.columns))) for _ in range(2))
        scale, bias = (float32(rng.normal(size=self.columns)) for _ in range(2))
        return (x, scale, bias), weights

    def reference(self, arguments: Any, weights: Any) -> Any:
        normal, saved = layer_norm(*arguments)
        return layer_norm_backward(saved, softmax_backward(softmax(normal), weights))

    def funcgrad(self, arguments: Any, weights: Any) -> Any:
        import funcgrad as fg
        from funcgrad import nn

        def loss(x: Any, scale: Any, bias: Any, weights: Any) -> Any:
            return np.sum(nn.softmax(nn.standardize(x) * scale + bias) * weights)

        step = fg.jit(fg.grad(loss, argnums=(0, 1, 2)))
        return lambda: step(*arguments, weights)

    def jax(self, arguments: Any, weights: Any) -> Any:
        import jax
        import jax.numpy as jnp
        from jax import nn

        def loss(x: Any, scale: Any, bias: Any, weights: Any) -> Any:
            return jnp.sum(nn.softmax(nn.standardize(x) * scale + bias) * weights)

        step = jax.jit(jax.grad(loss, argnums=(0, 1, 2)))
        return lambda: step(*arguments, weights)

    def torch(self, compile: Any, arguments: Any, weights: Any) -> Any:
        import torch
        from torch.nn import functional

        for argument in arguments:
            argument.requires_grad_()

        @compile
        def loss(x: Any, scale: Any, bias: Any, weights: Any) -> Any:
            normal = functional.layer_norm(x, x.shape[1:], scale, bias)
            return torch.sum(torch.softmax(normal, -1) * weights)

        return lambda: torch.autograd.grad(loss(*arguments, weights), arguments)

    def autograd(self, arguments: Any, weights: Any) -> Any:
        import autograd
        import autograd.numpy as anp

        def loss(arguments: Any) -> Any:
            x, scale, bias = arguments
            centred = x - anp.mean(x, -1, keepdims=True)
            variance = anp.mean(centred**2, -1, keepdims=True)
            normal = centred / anp.sqrt(variance + 1e-5) * scale + bias
            exponentials = anp.exp(normal - anp.max(normal, -1, keepdims=True))
            return anp.sum(exponentials / anp.sum(exponentials, -1, keepdims=True) * weights)

        step = autograd.grad(loss)
        return lambda: step(arguments)
