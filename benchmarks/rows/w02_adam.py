"""W2: one training step of a classifier with Adam."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.row import Row, Training, float32, map_arrays, train
from benchmarks.rows.hand_written import cross_entropy, linear_backward

LEARNING_RATE = 1e-3


def logits_of(np: Any, layers: Any, x: Any) -> Any:
    for layer in layers[:-1]:
        x = np.maximum(x @ layer["weight"] + layer["bias"], 0)
    return x @ layers[-1]["weight"] + layers[-1]["bias"]


def first_adam_step(parameter: Any, gradient: Any) -> Any:
    """The first step corrects both moments' bias completely."""
    return parameter - LEARNING_RATE * gradient / (np.abs(gradient) + 1e-8)


@dataclass(frozen=True)
class Adam(Row):
    """MLP 784-512-512-10, batch 128, cross entropy, Adam step."""

    batch: int = 128
    sizes: tuple[int, ...] = (784, 512, 512, 10)

    tiny = {"batch": 6, "sizes": (5, 7, 4, 3)}
    goal = 1.8
    # The first step of Adam is the sign of the gradient: rounding turns it where the gradient is about 0.
    tolerance = 2e-3

    def data(self, rng: np.random.Generator) -> tuple:
        layers = [
            {
                "weight": float32(rng.normal(size=(n, m)) / np.sqrt(n)),
                "bias": float32(rng.normal(size=m) / np.sqrt(n)),
            }
            for n, m in pairwise(self.sizes)
        ]
        x = float32(rng.normal(size=(self.batch, self.sizes[0])))
        return layers, x, rng.integers(0, self.sizes[-1], self.batch)

    def reference(self, layers: Any, x: Any, labels: Any) -> Any:
        inputs = [x]
        for layer in layers:
            inputs.append(np.maximum(inputs[-1] @ layer["weight"] + layer["bias"], 0))
        logits = inputs[-2] @ layers[-1]["weight"] + layers[-1]["bias"]
        value, ct = cross_entropy(logits, labels)
        new = []
        for layer, before in zip(layers[::-1], inputs[-2::-1], strict=True):
            d_before, *gradients = linear_backward(before, layer["weight"], ct)
            ct = d_before * (before > 0)
            parameters = zip(("weight", "bias"), gradients, strict=True)
            new.append({name: first_adam_step(layer[name], g) for name, g in parameters})
        return new[::-1], value

    def funcgrad(self, layers: Any, x: Any, labels: Any) -> Any:
        import funcgrad as fg
        from funcgrad import nn, optim

        optimizer = optim.adam(LEARNING_RATE)

        def loss(layers: Any, x: Any, labels: Any) -> Any:
            logits = logits_of(np, layers, x)
            return np.mean(nn.softmax_cross_entropy_with_integer_labels(logits, labels))

        @fg.jit(donate_argnums=(0, 1))
        def step(layers: Any, state: Any, x: Any, labels: Any) -> Any:
            value, gradients = fg.value_and_grad(loss)(layers, x, labels)
            updates, state = optimizer.update(gradients, state, layers)
            return optim.apply_updates(layers, updates), state, value

        def start() -> tuple:
            fresh = map_arrays(lambda p: p.copy(), layers)
            return fresh, optimizer.init(fresh)

        return train(step, start, x, labels)

    def jax(self, layers: Any, x: Any, labels: Any) -> Any:
        from functools import partial

        import jax
        import optax

        optimizer = optax.adam(LEARNING_RATE)

        def loss(layers: Any, x: Any, labels: Any) -> Any:
            logits = logits_of(jax.numpy, layers, x)
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

        @partial(jax.jit, donate_argnums=(0, 1))
        def step(layers: Any, state: Any, x: Any, labels: Any) -> Any:
            value, gradients = jax.value_and_grad(loss)(layers, x, labels)
            updates, state = optimizer.update(gradients, state, layers)
            return optax.apply_updates(layers, updates), state, value

        def start() -> tuple:
            fresh = map_arrays(jax.numpy.array, layers)
            return fresh, optimizer.init(fresh)

        return train(step, start, x, labels)

    def torch(self, compile: Any, layers: Any, x: Any, labels: Any) -> Any:
        import torch

        start = map_arrays(torch.clone, layers)
        parameters = [p.requires_grad_() for layer in layers for p in layer.values()]
        optimizer = torch.optim.Adam(parameters, LEARNING_RATE, fused=True)

        @compile
        def loss(layers: Any, x: Any, labels: Any) -> Any:
            for layer in layers[:-1]:
                x = torch.relu(torch.addmm(layer["bias"], x, layer["weight"]))
            logits = torch.addmm(layers[-1]["bias"], x, layers[-1]["weight"])
            return torch.nn.functional.cross_entropy(logits, labels)

        def step() -> Any:
            optimizer.zero_grad()
            value = loss(layers, x, labels)
            value.backward()
            optimizer.step()
            return layers, value

        @torch.no_grad()
        def reset() -> None:
            for layer, old in zip(layers, start, strict=True):
                for name in layer:
                    layer[name].copy_(old[name])

        return Training(step, reset)

    def autograd(self, layers: Any, x: Any, labels: Any) -> Any:
        import autograd
        import autograd.numpy as anp
        from autograd.misc.optimizers import adam
        from autograd.scipy.special import logsumexp

        def loss(layers: Any, iteration: int) -> Any:
            del iteration
            logits = logits_of(anp, layers, x)
            picked = logits[np.arange(len(labels)), labels]
            return anp.mean(logsumexp(logits, axis=1) - picked)

        def step() -> Any:
            values: list[Any] = []

            def gradient(layers: Any, iteration: int) -> Any:
                value, gradients = autograd.value_and_grad(loss)(layers, iteration)
                values.append(value)
                return gradients

            new = adam(gradient, layers, num_iters=1, step_size=LEARNING_RATE)
            return new, values[0]

        return step
