"""W10: the gradient of a network so small that only the overhead counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.row import Row, float32
from benchmarks.rows.hand_written import linear_backward


def loss(np: Any, params: Any, x: Any, y: Any) -> Any:
    """Mean squared error, in one namespace of array functions."""
    w1, b1, w2, b2 = params
    hidden = np.tanh(np.dot(x, w1) + b1)
    return np.mean((np.dot(hidden, w2) + b2 - y) ** 2)


def torch_loss(params: Any, x: Any, y: Any) -> Any:
    import torch

    w1, b1, w2, b2 = params
    return torch.mean((torch.tanh(x @ w1 + b1) @ w2 + b2 - y) ** 2)


@dataclass(frozen=True)
class WithoutJit(Row):
    """gradient of an MLP 4-32-1, batch 8, without jit."""

    batch: int = 8
    width: int = 32

    tiny = {"batch": 2, "width": 3}
    goal = 2.0
    peers = ("autograd",)
    is_compiled = False
    leaves_out = ("torch_compile",)

    def data(self, rng: np.random.Generator) -> tuple:
        shapes = [(4, self.width), (self.width,), (self.width, 1), (1,)]
        params = [float32(rng.normal(size=shape)) for shape in shapes]
        x, y = rng.normal(size=(self.batch, 4)), rng.normal(size=(self.batch, 1))
        return params, float32(x), float32(y)

    def reference(self, params: Any, x: Any, y: Any) -> Any:
        w1, b1, w2, b2 = params
        hidden = np.tanh(x @ w1 + b1)
        ct = 2 * (hidden @ w2 + b2 - y) / len(x)
        ct, d_w2, d_b2 = linear_backward(hidden, w2, ct)
        _, d_w1, d_b1 = linear_backward(x, w1, ct * (1 - hidden * hidden))
        return [d_w1, d_b1, d_w2, d_b2]

    def funcgrad(self, params: Any, x: Any, y: Any) -> Any:
        import funcgrad as fg

        gradient = fg.grad(lambda params, x, y: loss(np, params, x, y))
        return lambda: gradient(params, x, y)

    def jax(self, params: Any, x: Any, y: Any) -> Any:
        import jax

        gradient = jax.grad(lambda params, x, y: loss(jax.numpy, params, x, y))
        return lambda: jax.block_until_ready(gradient(params, x, y))

    def torch(self, compile: Any, params: Any, x: Any, y: Any) -> Any:
        import torch

        for parameter in params:
            parameter.requires_grad_()
        return lambda: torch.autograd.grad(torch_loss(params, x, y), params)

    def torch_compile(self, compile: Any, params: Any, x: Any, y: Any) -> Any:
        """Both directions in one graph: faster than a compiled loss with the backward pass outside."""
        import torch

        gradient = compile(torch.func.grad(torch_loss))
        return lambda: gradient(params, x, y)

    def autograd(self, params: Any, x: Any, y: Any) -> Any:
        import autograd
        import autograd.numpy as anp

        gradient = autograd.grad(lambda params, x, y: loss(anp, params, x, y))
        return lambda: gradient(params, x, y)


@dataclass(frozen=True)
class WithJit(WithoutJit):
    """gradient of an MLP 4-32-1, batch 8, with jit."""

    goal = 4.0
    peers = ("jax", "torch", "torch_compile")
    is_compiled = True
    leaves_out = ("autograd",)

    def funcgrad(self, params: Any, x: Any, y: Any) -> Any:
        import funcgrad as fg

        gradient = fg.jit(fg.grad(lambda params, x, y: loss(np, params, x, y)))
        return lambda: gradient(params, x, y)

    def jax(self, params: Any, x: Any, y: Any) -> Any:
        import jax

        gradient = jax.jit(jax.grad(lambda params, x, y: loss(jax.numpy, params, x, y)))
        return lambda: gradient(params, x, y)
