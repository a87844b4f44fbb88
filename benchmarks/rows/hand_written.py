"""Layers and their derivatives in plain NumPy, for the references."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

GELU = math.sqrt(2 / math.pi)


def softmax(x: Any) -> Any:
    exponentials = np.exp(x - x.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def softmax_backward(out: Any, ct: Any) -> Any:
    return out * (ct - (out * ct).sum(-1, keepdims=True))


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def gelu(x: Any) -> Any:
    """The approximation by tanh."""
    return 0.5 * x * (1 + np.tanh(GELU * (x + 0.044715 * x**3)))


def gelu_derivative(x: Any) -> Any:
    t = np.tanh(GELU * (x + 0.044715 * x**3))
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * GELU * (1 + 3 * 0.044715 * x * x)


def layer_norm(x: Any, scale: Any, bias: Any, epsilon: float = 1e-5) -> tuple[Any, tuple]:
    """The result, and what the backward pass needs."""
    centred = x - x.mean(-1, keepdims=True)
    inverse = 1 / np.sqrt((centred * centred).mean(-1, keepdims=True) + epsilon)
    normal = centred * inverse
    return normal * scale + bias, (normal, inverse, scale)


def layer_norm_backward(saved: tuple, ct: Any) -> tuple[Any, Any, Any]:
    """Gradients of input, scale and bias."""
    normal, inverse, scale = saved
    rows = tuple(range(ct.ndim - 1))
    d = ct * scale
    d = d - d.mean(-1, keepdims=True) - normal * (d * normal).mean(-1, keepdims=True)
    return inverse * d, (ct * normal).sum(rows), ct.sum(rows)


def linear_backward(x: Any, weight: Any, ct: Any) -> tuple[Any, Any, Any]:
    """Gradients of input, weight and bias of x @ weight + bias."""
    flat = ct.reshape(-1, ct.shape[-1])
    return ct @ weight.T, x.reshape(-1, x.shape[-1]).T @ flat, flat.sum(0)


def cross_entropy(logits: Any, labels: Any) -> tuple[Any, Any]:
    """Mean over the examples, and the gradient of the logits."""
    shares = softmax(logits)
    examples = np.arange(len(labels))
    value = -np.log(shares[examples, labels]).mean()
    shares[examples, labels] -= 1
    return value, shares / len(labels)
