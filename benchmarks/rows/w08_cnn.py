"""W8: a convolutional network for small images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.row import Row, float32
from benchmarks.rows.hand_written import cross_entropy, linear_backward

PADDING = ((0, 0), (0, 0), (1, 1), (1, 1))


def patches(x: Any) -> Any:
    """The 3x3 neighbourhood of each pixel: (n, c, h, w) -> (n, h, w, c, 3, 3)."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, PADDING), (3, 3), (2, 3))
    return windows.transpose(0, 2, 3, 1, 4, 5)


def convolve(x: Any, weight: Any) -> Any:
    return np.tensordot(patches(x), weight, ((3, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2)


def convolve_backward(x: Any, weight: Any, ct: Any) -> tuple[Any, Any]:
    """Gradients of input and weight."""
    d_weight = np.tensordot(ct, patches(x), ((0, 2, 3), (0, 1, 2)))
    return convolve(ct, weight[:, :, ::-1, ::-1].swapaxes(0, 1)), d_weight


def pool(x: Any) -> Any:
    """The largest of each 2x2 square, and where it is."""
    n, c, h, w = x.shape
    squares = x.reshape(n, c, h // 2, 2, w // 2, 2)
    highest = squares.max((3, 5), keepdims=True)
    return highest.reshape(n, c, h // 2, w // 2), squares == highest


def pool_backward(places: Any, ct: Any) -> Any:
    n, c, h, _, w, _ = places.shape
    return (places * ct.reshape(n, c, h, 1, w, 1)).reshape(n, c, 2 * h, 2 * w)


def torch_loss(params: Any, images: Any, labels: Any) -> Any:
    import torch
    from torch.nn import functional

    def layer(x: Any, weight: Any, bias: Any) -> Any:
        return functional.max_pool2d(torch.relu(functional.conv2d(x, weight, bias, padding=1)), 2)

    (w1, w2, w3, w4), (b1, b2, b3, b4) = params
    x = layer(layer(images, w1, b1), w2, b2).flatten(1)
    logits = torch.addmm(b4, torch.relu(torch.addmm(b3, x, w3)), w4)
    return functional.cross_entropy(logits, labels)


@dataclass(frozen=True)
class Cnn(Row):
    """CNN (2 conv 3x3 + pool, 2 dense), batch 64 of 28x28, value and gradient."""

    batch: int = 64
    size: int = 28
    channels: tuple[int, int] = (32, 64)
    width: int = 128

    tiny = {"batch": 2, "size": 4, "channels": (2, 3), "width": 5}
    goal = 1.5

    def data(self, rng: np.random.Generator) -> tuple:
        first, second = self.channels
        flat = second * (self.size // 4) ** 2
        shapes = [(first, 1, 3, 3), (second, first, 3, 3), (flat, self.width), (self.width, 10)]
        fans = [9, 9 * first, flat, self.width]
        weights = [
            float32(rng.normal(size=s) * np.sqrt(2 / n)) for s, n in zip(shapes, fans, strict=True)
        ]
        biases = [float32(rng.normal(size=n) / 10) for n in (first, second, self.width, 10)]
        images = float32(rng.normal(size=(self.batch, 1, self.size, self.size)))
        return (weights, biases), images, rng.integers(0, 10, self.batch)

    def reference(self, params: Any, images: Any, labels: Any) -> Any:
        (w1, w2, w3, w4), (b1, b2, b3, b4) = params
        z1 = convolve(images, w1) + b1[:, None, None]
        p1, places1 = pool(np.maximum(z1, 0))
        z2 = convolve(p1, w2) + b2[:, None, None]
        p2, places2 = pool(np.maximum(z2, 0))
        flat = p2.reshape(len(images), -1)
        hidden = np.maximum(flat @ w3 + b3, 0)
        value, ct = cross_entropy(hidden @ w4 + b4, labels)
        ct, d_w4, d_b4 = linear_backward(hidden, w4, ct)
        ct, d_w3, d_b3 = linear_backward(flat, w3, ct * (hidden > 0))
        ct = pool_backward(places2, ct.reshape(p2.shape)) * (z2 > 0)
        d_b2 = ct.sum((0, 2, 3))
        ct, d_w2 = convolve_backward(p1, w2, ct)
        ct = pool_backward(places1, ct) * (z1 > 0)
        d_w1 = convolve_backward(images, w1, ct)[1]
        return value, ([d_w1, d_w2, d_w3, d_w4], [ct.sum((0, 2, 3)), d_b2, d_b3, d_b4])

    def funcgrad(self, params: Any, images: Any, labels: Any) -> Any:
        import funcgrad as fg
        from funcgrad import nn

        def layer(x: Any, weight: Any, bias: Any) -> Any:
            x = fg.lax.conv(x, weight, (1, 1), "SAME") + bias[:, None, None]
            window = (1, 1, 2, 2)
            return fg.lax.reduce_window(nn.relu(x), -np.inf, np.maximum, window, window)

        def loss(params: Any, images: Any, labels: Any) -> Any:
            (w1, w2, w3, w4), (b1, b2, b3, b4) = params
            x = layer(layer(images, w1, b1), w2, b2).reshape(len(images), -1)
            logits = nn.relu(x @ w3 + b3) @ w4 + b4
            return nn.losses.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

        step = fg.jit(fg.value_and_grad(loss))
        return lambda: step(params, images, labels)

    def jax(self, params: Any, images: Any, labels: Any) -> Any:
        import jax
        import optax

        def layer(x: Any, weight: Any, bias: Any) -> Any:
            x = jax.lax.conv(x, weight, (1, 1), "SAME") + bias[:, None, None]
            window = (1, 1, 2, 2)
            return jax.lax.reduce_window(
                jax.nn.relu(x), -np.inf, jax.lax.max, window, window, "VALID"
            )

        def loss(params: Any, images: Any, labels: Any) -> Any:
            (w1, w2, w3, w4), (b1, b2, b3, b4) = params
            x = layer(layer(images, w1, b1), w2, b2).reshape(len(images), -1)
            logits = jax.nn.relu(x @ w3 + b3) @ w4 + b4
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

        step = jax.jit(jax.value_and_grad(loss))
        return lambda: step(params, images, labels)

    def torch(self, compile: Any, params: Any, images: Any, labels: Any) -> Any:
        import torch

        weights, biases = params
        for parameter in (*weights, *biases):
            parameter.requires_grad_()

        def step() -> Any:
            value = torch_loss(params, images, labels)
            gradients = torch.autograd.grad(value, [*weights, *biases])
            return value, gradients

        return step

    def torch_compile(self, compile: Any, params: Any, images: Any, labels: Any) -> Any:
        """Both directions in one graph: faster than a compiled loss with the backward pass outside."""
        import torch

        step = compile(torch.func.grad_and_value(torch_loss))
        return lambda: step(params, images, labels)[::-1]
