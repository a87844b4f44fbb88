"""W9: the blocks of a transformer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.row import Row, float32
from benchmarks.rows.hand_written import (
    gelu,
    gelu_derivative,
    layer_norm,
    layer_norm_backward,
    linear_backward,
    softmax,
    softmax_backward,
)


def to_heads(x: Any, heads: int) -> Any:
    """(batch, time, width) -> (batch, head, time, width / heads)."""
    return x.reshape(*x.shape[:2], heads, -1).swapaxes(1, 2)


def from_heads(x: Any) -> Any:
    x = x.swapaxes(1, 2)
    return x.reshape(*x.shape[:2], -1)


@dataclass(frozen=True)
class Transformer(Row):
    """2 transformer blocks, 4x128x256, 8 heads, value and gradient."""

    blocks: int = 2
    batch: int = 4
    time: int = 128
    width: int = 256
    heads: int = 8

    tiny = {"batch": 2, "time": 3, "width": 4, "heads": 2}
    goal = 2.0
    leaves_out = ("autograd",)

    def data(self, rng: np.random.Generator) -> tuple:
        n = self.width
        shapes = {"attend": (n, 3 * n), "mix": (n, n), "grow": (n, 4 * n), "shrink": (4 * n, n)}

        def block() -> dict[str, Any]:
            params = {}
            for name, (fan, outputs) in shapes.items():
                params[name] = float32(rng.normal(size=(fan, outputs)) / np.sqrt(fan))
                params[name + "_bias"] = float32(rng.normal(size=outputs) / 10)
            for name in ("first", "second"):
                params[name + "_scale"] = float32(1 + rng.normal(size=n) / 10)
                params[name + "_shift"] = float32(rng.normal(size=n) / 10)
            return params

        x = float32(rng.normal(size=(self.batch, self.time, n)))
        return [block() for _ in range(self.blocks)], x

    # --- by hand ---

    def reference(self, params: Any, x: Any) -> Any:
        saved = []
        for p in params:
            x, kept = self.block_by_hand(p, x)
            saved.append(kept)
        ct, gradients = 2 * x / x.size, []
        for p, kept in zip(params[::-1], saved[::-1], strict=True):
            ct, gradient = self.block_backward(p, kept, ct)
            gradients.append(gradient)
        return np.mean(x * x), gradients[::-1]

    def block_by_hand(self, p: Any, x: Any) -> tuple[Any, tuple]:
        normal, norm1 = layer_norm(x, p["first_scale"], p["first_shift"])
        joined = np.split(normal @ p["attend"] + p["attend_bias"], 3, axis=-1)
        q, k, v = (to_heads(part, self.heads) for part in joined)
        shares = softmax(q @ k.swapaxes(-1, -2) / math.sqrt(q.shape[-1]))
        mixed = from_heads(shares @ v)
        x = x + mixed @ p["mix"] + p["mix_bias"]
        second, norm2 = layer_norm(x, p["second_scale"], p["second_shift"])
        before = second @ p["grow"] + p["grow_bias"]
        out = x + gelu(before) @ p["shrink"] + p["shrink_bias"]
        return out, (normal, norm1, q, k, v, shares, mixed, second, norm2, before)

    def block_backward(self, p: Any, kept: tuple, ct: Any) -> tuple[Any, dict[str, Any]]:
        normal, norm1, q, k, v, shares, mixed, second, norm2, before = kept
        g: dict[str, Any] = {}
        d, g["shrink"], g["shrink_bias"] = linear_backward(gelu(before), p["shrink"], ct)
        d = d * gelu_derivative(before)
        d, g["grow"], g["grow_bias"] = linear_backward(second, p["grow"], d)
        d, g["second_scale"], g["second_shift"] = layer_norm_backward(norm2, d)
        ct = ct + d
        d, g["mix"], g["mix_bias"] = linear_backward(mixed, p["mix"], ct)
        d = to_heads(d, self.heads)
        d_scores = softmax_backward(shares, d @ v.swapaxes(-1, -2)) / math.sqrt(q.shape[-1])
        parts = d_scores @ k, d_scores.swapaxes(-1, -2) @ q, shares.swapaxes(-1, -2) @ d
        d = np.concatenate([from_heads(part) for part in parts], axis=-1)
        d, g["attend"], g["attend_bias"] = linear_backward(normal, p["attend"], d)
        d, g["first_scale"], g["first_shift"] = layer_norm_backward(norm1, d)
        return ct + d, g

    # --- by the libraries ---

    def loss(self, np: Any, nn: Any, params: Any, x: Any) -> Any:
        """For libraries with NumPy's names: `nn` has softmax, gelu and standardize."""
        for p in params:
            normal = nn.standardize(x) * p["first_scale"] + p["first_shift"]
            joined = np.split(normal @ p["attend"] + p["attend_bias"], 3, axis=-1)
            q, k, v = (to_heads(part, self.heads) for part in joined)
            shares = nn.softmax(q @ k.swapaxes(-1, -2) / math.sqrt(q.shape[-1]))
            x = x + from_heads(shares @ v) @ p["mix"] + p["mix_bias"]
            normal = nn.standardize(x) * p["second_scale"] + p["second_shift"]
            hidden = nn.gelu(normal @ p["grow"] + p["grow_bias"])
            x = x + hidden @ p["shrink"] + p["shrink_bias"]
        return np.mean(x * x)

    def funcgrad(self, params: Any, x: Any) -> Any:
        import funcgrad as fg

        step = fg.jit(fg.value_and_grad(lambda params, x: self.loss(np, fg.nn, params, x)))
        return lambda: step(params, x)

    def jax(self, params: Any, x: Any) -> Any:
        import jax

        def loss(params: Any, x: Any) -> Any:
            return self.loss(jax.numpy, jax.nn, params, x)

        step = jax.jit(jax.value_and_grad(loss))
        return lambda: step(params, x)

    def torch(self, compile: Any, params: Any, x: Any) -> Any:
        import torch
        from torch.nn import functional

        leaves = [value.requires_grad_() for p in params for value in p.values()]

        def attention(p: Any, normal: Any) -> Any:
            joined = torch.chunk(normal @ p["attend"] + p["attend_bias"], 3, dim=-1)
            q, k, v = (to_heads(part, self.heads) for part in joined)
            return from_heads(functional.scaled_dot_product_attention(q, k, v))

        @compile
        def loss(params: Any, x: Any) -> Any:
            for p in params:
                normal = functional.layer_norm(x, x.shape[-1:], p["first_scale"], p["first_shift"])
                x = x + attention(p, normal) @ p["mix"] + p["mix_bias"]
                normal = functional.layer_norm(
                    x, x.shape[-1:], p["second_scale"], p["second_shift"]
                )
                hidden = functional.gelu(normal @ p["grow"] + p["grow_bias"], approximate="tanh")
                x = x + hidden @ p["shrink"] + p["shrink_bias"]
            return torch.mean(x * x)

        def step() -> Any:
            value = loss(params, x)
            gradients = iter(torch.autograd.grad(value, leaves))
            return value, [{name: next(gradients) for name in p} for p in params]

        return step
