"""W11: all second derivatives of a small network with respect to its input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.row import Row, float32


def network(np: Any, x: Any, params: Any) -> Any:
    """A number, in one namespace of array functions."""
    w1, b1, w2, b2 = params
    return np.dot(np.tanh(np.dot(x, w1) + b1), w2) + b2


@dataclass(frozen=True)
class Hessian(Row):
    """Hessian of an MLP 4-32-1 with respect to its input."""

    width: int = 32

    tiny = {"width": 3}
    goal = 1.2

    def data(self, rng: np.random.Generator) -> tuple:
        shapes = [(4, self.width), (self.width,), (self.width,), ()]
        return float32(rng.normal(size=4)), [float32(rng.normal(size=shape)) for shape in shapes]

    def reference(self, x: Any, params: Any) -> Any:
        w1, b1, w2, _ = params
        t = np.tanh(x @ w1 + b1)
        return (w1 * (w2 * -2 * t * (1 - t * t))) @ w1.T

    def funcgrad(self, x: Any, params: Any) -> Any:
        import funcgrad as fg

        hessian = fg.jit(fg.hessian(lambda x, params: network(np, x, params)))
        return lambda: hessian(x, params)

    def jax(self, x: Any, params: Any) -> Any:
        import jax

        hessian = jax.jit(jax.hessian(lambda x, params: network(jax.numpy, x, params)))
        return lambda: hessian(x, params)

    def torch(self, compile: Any, x: Any, params: Any) -> Any:
        import torch

        def network(x: Any, params: Any) -> Any:
            w1, b1, w2, b2 = params
            return torch.tanh(x @ w1 + b1) @ w2 + b2

        hessian = compile(torch.func.hessian(network))
        return lambda: hessian(x, params)

    def autograd(self, x: Any, params: Any) -> Any:
        import autograd
        import autograd.numpy as anp

        hessian = autograd.hessian(lambda x: network(anp, x, params))
        return lambda: hessian(x)
