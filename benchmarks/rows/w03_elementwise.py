"""W3: a chain of elementwise functions over arrays that fit no cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.row import Row
from benchmarks.rows.hand_written import gelu, gelu_derivative, sigmoid


def torch_loss(x: Any, y: Any) -> Any:
    import torch
    from torch.nn import functional

    first = functional.gelu(x, approximate="tanh") * torch.tanh(y)
    return torch.sum(first + torch.exp(-x * x) * torch.sigmoid(y))


@dataclass(frozen=True)
class Elementwise(Row):
    """sum(gelu(x)*tanh(y) + exp(-x*x)*sigmoid(y)) over 1e7, value and both gradients."""

    size: int = 10_000_000

    tiny = {"size": 50}
    goal = 8.0

    def data(self, rng: np.random.Generator) -> tuple:
        return rng.standard_normal(self.size, np.float32), rng.standard_normal(
            self.size, np.float32
        )

    def reference(self, x: Any, y: Any) -> Any:
        bell, s, t = np.exp(-x * x), sigmoid(y), np.tanh(y)
        value = np.sum(gelu(x) * t + bell * s)
        d_x = gelu_derivative(x) * t - 2 * x * bell * s
        d_y = gelu(x) * (1 - t * t) + bell * s * (1 - s)
        return value, (d_x, d_y)

    def funcgrad(self, x: Any, y: Any) -> Any:
        import funcgrad as fg
        from funcgrad import nn

        def loss(x: Any, y: Any) -> Any:
            return np.sum(nn.gelu(x) * np.tanh(y) + np.exp(-x * x) * nn.sigmoid(y))

        step = fg.jit(fg.value_and_grad(loss, argnums=(0, 1)))
        return lambda: step(x, y)

    def jax(self, x: Any, y: Any) -> Any:
        import jax
        import jax.numpy as jnp
        from jax import nn

        def loss(x: Any, y: Any) -> Any:
            return jnp.sum(nn.gelu(x) * jnp.tanh(y) + jnp.exp(-x * x) * nn.sigmoid(y))

        step = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))
        return lambda: step(x, y)

    def torch(self, compile: Any, x: Any, y: Any) -> Any:
        import torch

        x.requires_grad_(), y.requires_grad_()

        def step() -> Any:
            value = torch_loss(x, y)
            return value, torch.autograd.grad(value, (x, y))

        return step

    def torch_compile(self, compile: Any, x: Any, y: Any) -> Any:
        """Both directions in one graph: faster than a compiled loss with the backward pass outside."""
        import torch

        step = compile(torch.func.grad_and_value(torch_loss, argnums=(0, 1)))
        return lambda: step(x, y)[::-1]

    def autograd(self, x: Any, y: Any) -> Any:
        import autograd
        import autograd.numpy as anp

        def loss(arguments: Any) -> Any:
            x, y = arguments
            t = anp.tanh(0.7978845608 * (x + 0.044715 * x * x * x))
            bell = anp.exp(-x * x) / (1 + anp.exp(-y))
            return anp.sum(0.5 * x * (1 + t) * anp.tanh(y) + bell)

        step = autograd.value_and_grad(loss)
        return lambda: step((x, y))
