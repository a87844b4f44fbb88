"""W7: a recurrent network over a sequence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.row import Row, float32
from benchmarks.rows.hand_written import linear_backward, sigmoid


@dataclass(frozen=True)
class Lstm(Row):
    """LSTM 128, batch 32, 100 steps, value and gradient."""

    steps: int = 100
    batch: int = 32
    width: int = 128

    tiny = {"steps": 4, "batch": 2, "width": 3}
    goal = 1.2

    def data(self, rng: np.random.Generator) -> tuple:
        size = 1 / np.sqrt(self.width)
        shapes = [(self.width, 4 * self.width)] * 2 + [(4 * self.width,)]
        params = [float32(rng.uniform(-size, size, shape)) for shape in shapes]
        return params, float32(rng.normal(size=(self.steps, self.batch, self.width)))

    def reference(self, params: Any, xs: Any) -> Any:
        inward, recurrent, bias = params
        h = c = np.zeros((self.batch, self.width), xs.dtype)
        saved, hidden = [], []
        for x in xs:
            i, f, g, o = np.split(x @ inward + h @ recurrent + bias, 4, axis=-1)
            i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
            saved.append((x, h, c, i, f, g, o))
            c = f * c + i * g
            h = o * np.tanh(c)
            hidden.append(h)
        value = np.mean(np.square(hidden))
        gradients = [np.zeros_like(p) for p in params]
        d_h = d_c = np.zeros_like(h)
        for (x, before, c, i, f, g, o), h in zip(saved[::-1], hidden[::-1], strict=True):
            t = np.tanh(f * c + i * g)
            d_h = d_h + h * (2 / (len(hidden) * h.size))
            d_c = d_c + d_h * o * (1 - t * t)
            d_gates = d_c * g, d_c * c, d_c * i, d_h * t
            slopes = i * (1 - i), f * (1 - f), 1 - g * g, o * (1 - o)
            d = np.concatenate([a * b for a, b in zip(d_gates, slopes, strict=True)], axis=-1)
            d_c = d_c * f
            d_h, d_recurrent, d_bias = linear_backward(before, recurrent, d)
            for total, part in zip(gradients, (x.T @ d, d_recurrent, d_bias), strict=True):
                total += part
        return value, gradients

    def funcgrad(self, params: Any, xs: Any) -> Any:
        import funcgrad as fg
        from funcgrad import nn

        def loss(params: Any, xs: Any) -> Any:
            inward, recurrent, bias = params

            def cell(carry: Any, x: Any) -> Any:
                h, c = carry
                i, f, g, o = np.split(x @ inward + h @ recurrent + bias, 4, axis=-1)
                c = nn.sigmoid(f) * c + nn.sigmoid(i) * np.tanh(g)
                h = nn.sigmoid(o) * np.tanh(c)
                return (h, c), h

            zeros = np.zeros_like(xs[0])
            return np.mean(fg.lax.scan(cell, (zeros, zeros), xs)[1] ** 2)

        step = fg.jit(fg.value_and_grad(loss))
        return lambda: step(params, xs)

    def jax(self, params: Any, xs: Any) -> Any:
        import jax
        import jax.numpy as jnp
        from jax import nn

        def loss(params: Any, xs: Any) -> Any:
            inward, recurrent, bias = params

            def cell(carry: Any, x: Any) -> Any:
                h, c = carry
                i, f, g, o = jnp.split(x @ inward + h @ recurrent + bias, 4, axis=-1)
                c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
                h = nn.sigmoid(o) * jnp.tanh(c)
                return (h, c), h

            zeros = jnp.zeros_like(xs[0])
            return jnp.mean(jax.lax.scan(cell, (zeros, zeros), xs)[1] ** 2)

        step = jax.jit(jax.value_and_grad(loss))
        return lambda: step(params, xs)

    def torch(self, compile: Any, params: Any, xs: Any) -> Any:
        import torch

        lstm = torch.nn.LSTM(self.width, self.width, device=xs.device)
        names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0")
        with torch.no_grad():
            for name, value in zip(names, params, strict=True):
                getattr(lstm, name).copy_(value.T if value.ndim == 2 else value)
            lstm.bias_hh_l0.zero_()

        @compile
        def loss(xs: Any) -> Any:
            return torch.mean(lstm(xs)[0] ** 2)

        def step() -> Any:
            value = loss(xs)
            gradients = torch.autograd.grad(value, [getattr(lstm, name) for name in names])
            return value, [g.T if g.ndim == 2 else g for g in gradients]

        return step

    def autograd(self, params: Any, xs: Any) -> Any:
        import autograd
        import autograd.numpy as anp

        def gate(x: Any) -> Any:
            return 0.5 * anp.tanh(0.5 * x) + 0.5

        def loss(params: Any) -> Any:
            inward, recurrent, bias = params
            h = c = np.zeros_like(xs[0])
            total = 0.0
            for x in xs:
                gates = anp.dot(x, inward) + anp.dot(h, recurrent) + bias
                i, f, g, o = anp.split(gates, 4, axis=-1)
                c = gate(f) * c + gate(i) * anp.tanh(g)
                h = gate(o) * anp.tanh(c)
                total = total + anp.sum(h**2)
            return total / xs.size

        step = autograd.value_and_grad(loss)
        return lambda: step(params)
