"""W12: the gradient of each example of a batch on its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.row import Row, float32
from benchmarks.rows.hand_written import softmax


@dataclass(frozen=True)
class PerExample(Row):
    """per-example gradients (vmap of grad) of an MLP 64-128-10, 64 examples."""

    batch: int = 64
    sizes: tuple[int, int, int] = (64, 128, 10)

    tiny = {"batch": 3, "sizes": (4, 5, 3)}
    goal = 1.5
    leaves_out = ("autograd",)

    def data(self, rng: np.random.Generator) -> tuple:
        inputs, hidden, outputs = self.sizes
        shapes = [(inputs, hidden), (hidden,), (hidden, outputs), (outputs,)]
        params = [float32(rng.normal(size=shape) / np.sqrt(shape[0])) for shape in shapes]
        x = float32(rng.normal(size=(self.batch, inputs)))
        return params, x, rng.integers(0, outputs, self.batch)

    def reference(self, params: Any, x: Any, labels: Any) -> Any:
        w1, b1, w2, b2 = params
        hidden = np.tanh(x @ w1 + b1)
        ct = softmax(hidden @ w2 + b2)
        ct[np.arange(len(x)), labels] -= 1
        d = ct @ w2.T * (1 - hidden * hidden)
        return [x[:, :, None] * d[:, None], d, hidden[:, :, None] * ct[:, None], ct]

    def funcgrad(self, params: Any, x: Any, labels: Any) -> Any:
        import funcgrad as fg
        from funcgrad import nn

        def loss(params: Any, x: Any, label: Any) -> Any:
            w1, b1, w2, b2 = params
            logits = np.tanh(x @ w1 + b1) @ w2 + b2
            return nn.softmax_cross_entropy_with_integer_labels(logits, label)

        step = fg.jit(fg.vmap(fg.grad(loss), in_axes=(None, 0, 0)))
        return lambda: step(params, x, labels)

    def jax(self, params: Any, x: Any, labels: Any) -> Any:
        import jax
        import optax

        def loss(params: Any, x: Any, label: Any) -> Any:
            w1, b1, w2, b2 = params
            logits = jax.numpy.tanh(x @ w1 + b1) @ w2 + b2
            return optax.softmax_cross_entropy_with_integer_labels(logits, label)

        step = jax.jit(jax.vmap(jax.grad(loss), in_axes=(None, 0, 0)))
        return lambda: step(params, x, labels)

    def torch(self, compile: Any, params: Any, x: Any, labels: Any) -> Any:
        import torch

        def loss(params: Any, x: Any, label: Any) -> Any:
            w1, b1, w2, b2 = params
            logits = torch.tanh(x @ w1 + b1) @ w2 + b2
            return torch.nn.functional.cross_entropy(logits, label)

        step = compile(torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0)))
        return lambda: step(params, x, labels)
