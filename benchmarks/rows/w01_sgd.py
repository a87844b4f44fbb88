"""W1: one step of gradient descent for a network of two layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.row import Row, Training, float32, map_arrays, train

LEARNING_RATE = 1e-6


def loss(np: Any, weights: Any, x: Any, y: Any) -> Any:
    """The sum of squared errors, in one namespace of array functions."""
    first, second = weights
    return np.sum((np.maximum(x @ first, 0) @ second - y) ** 2)


def torch_loss(weights: Any, x: Any, y: Any) -> Any:
    import torch

    first, second = weights
    return torch.sum((torch.relu(x @ first) @ second - y) ** 2)


@dataclass(frozen=True)
class Sgd(Row):
    """MLP 64x1000x100x10, sum of squares, SGD step."""

    batch: int = 64
    sizes: tuple[int, int, int] = (1000, 100, 10)

    tiny = {"batch": 3, "sizes": (5, 4, 2)}
    goal = 2.0

    def data(self, rng: np.random.Generator) -> tuple:
        inputs, hidden, outputs = self.sizes
        weights = [rng.normal(size=(inputs, hidden)), rng.normal(size=(hidden, outputs))]
        x, y = rng.normal(size=(self.batch, inputs)), rng.normal(size=(self.batch, outputs))
        return [float32(w) for w in weights], float32(x), float32(y)

    def reference(self, weights: Any, x: Any, y: Any) -> Any:
        first, second = weights
        hidden = np.maximum(x @ first, 0)
        error = hidden @ second - y
        d_first = x.T @ ((2 * error @ second.T) * (hidden > 0))
        d_second = hidden.T @ (2 * error)
        new = [first - LEARNING_RATE * d_first, second - LEARNING_RATE * d_second]
        return new, np.sum(error**2)

    def funcgrad(self, weights: Any, x: Any, y: Any) -> Any:
        import funcgrad as fg

        @fg.jit(donate_argnums=0)
        def step(weights: Any, x: Any, y: Any) -> Any:
            value, gradients = fg.value_and_grad(lambda w: loss(np, w, x, y))(weights)
            new = [w - LEARNING_RATE * g for w, g in zip(weights, gradients, strict=True)]
            return new, value

        return train(step, lambda: (map_arrays(lambda w: w.copy(), weights),), x, y)

    def jax(self, weights: Any, x: Any, y: Any) -> Any:
        from functools import partial

        import jax

        @partial(jax.jit, donate_argnums=0)
        def step(weights: Any, x: Any, y: Any) -> Any:
            value, gradients = jax.value_and_grad(lambda w: loss(jax.numpy, w, x, y))(weights)
            new = [w - LEARNING_RATE * g for w, g in zip(weights, gradients, strict=True)]
            return new, value

        return train(step, lambda: (map_arrays(jax.numpy.array, weights),), x, y)

    def torch(self, compile: Any, weights: Any, x: Any, y: Any) -> Any:
        import torch

        start = [w.clone() for w in weights]
        for weight in weights:
            weight.requires_grad_()

        @torch.no_grad()
        def reset() -> None:
            for weight, old in zip(weights, start, strict=True):
                weight.copy_(old)

        def step() -> Any:
            value = torch_loss(weights, x, y)
            gradients = torch.autograd.grad(value, weights)
            with torch.no_grad():
                for weight, gradient in zip(weights, gradients, strict=True):
                    weight.sub_(gradient, alpha=LEARNING_RATE)
            return weights, value

        return Training(step, reset)

    def torch_compile(self, compile: Any, weights: Any, x: Any, y: Any) -> Any:
        """The whole step as one graph: faster than a compiled loss with the backward pass outside."""
        import torch

        start = [w.clone() for w in weights]

        def reset() -> None:
            for weight, old in zip(weights, start, strict=True):
                weight.copy_(old)

        @compile
        def step(weights: Any, x: Any, y: Any) -> Any:
            gradients, value = torch.func.grad_and_value(torch_loss)(weights, x, y)
            for weight, gradient in zip(weights, gradients, strict=True):
                weight.sub_(gradient, alpha=LEARNING_RATE)
            return value

        return Training(lambda: (weights, step(weights, x, y)), reset)

    def autograd(self, weights: Any, x: Any, y: Any) -> Any:
        import autograd
        import autograd.numpy

        gradient = autograd.value_and_grad(lambda w: loss(autograd.numpy, w, x, y))

        def step() -> Any:
            value, gradients = gradient(weights)
            new = [w - LEARNING_RATE * g for w, g in zip(weights, gradients, strict=True)]
            return new, value

        return step
