"""Low-rank updates of frozen layers: `LoRA` and `add_lora`, `merge_lora` for whole models."""

from __future__ import annotations

from typing import Any

import funcgrad.numpy as fnp
from funcgrad import random
from funcgrad.nn.freezing import freeze
from funcgrad.nn.initializers import symmetric_uniform
from funcgrad.nn.layers.checks import positive
from funcgrad.nn.layers.linear import Linear
from funcgrad.nn.layers.recurrent_cells import affine
from funcgrad.nn.module import Module
from funcgrad.nn.paths import matcher
from funcgrad.nn.walk import map_modules, named_modules


class LoRA(Module):
    """A frozen `Linear` with a trained update of low rank (Hu et al., 2021).

    `layer(x) + alpha / rank * x @ lora_a.T @ lora_b.T`.

    Args:
        layer: the `Linear`; it is frozen.
        rank: rank of the update.
        alpha: the scale is alpha / rank.
        key: random key or seed.

    Attributes:
        lora_a: (rank, in_features), uniform.
        lora_b: (out_features, rank), zeros.

    Example:
        >>> import numpy as np
        >>> linear = Linear(4, 3, key=0)
        >>> x = np.ones((2, 4), np.float32)
        >>> bool((LoRA(linear, rank=2, key=1)(x) == linear(x)).all())
        True
    """

    layer: Linear
    lora_a: Any
    lora_b: Any
    rank: int
    alpha: float

    def __init__(self, layer: Linear, rank: int, alpha: float | None = None, *, key: Any) -> None:
        positive(self, rank=rank)
        if not isinstance(layer, Linear):
            raise TypeError(f"[LoRA] expected a Linear, but got {type(layer).__name__}.")
        outputs, inputs = layer.weight.shape
        dtype = layer.weight.dtype
        self.layer = freeze(layer)
        self.rank = rank
        self.alpha = rank if alpha is None else alpha
        self.lora_a = symmetric_uniform(inputs**-0.5)(key, (rank, inputs), dtype)
        self.lora_b = fnp.zeros((outputs, rank), dtype)

    def __call__(self, x: Any, *, key: Any = None) -> Any:
        """The layer's result plus the update's; `key` is not used."""
        y = self.layer(x, key=key)
        return y + affine(affine(x, self.lora_a, None), self.lora_b, None) * self.scale

    @property
    def scale(self) -> float:
        """alpha / rank."""
        return self.alpha / self.rank

    def merged(self) -> Linear:
        """A plain `Linear` that computes the same."""
        update = (self.lora_b @ self.lora_a) * self.scale
        return self.layer.replace(weight=(self.layer.weight + update).astype(update.dtype))


def add_lora(
    model: Any, rank: int, alpha: float | None = None, *, pattern: Any = r".*", key: Any
) -> Any:
    """The model, frozen, with a low-rank update for each `Linear` whose path matches.

    Args:
        model: any module.
        rank, alpha: as for `LoRA`.
        pattern: regular expression for whole paths of layers, or a function of them, such as
            `r"layers\\.\\d+\\.self_attn.*"`.
        key: random key or seed.

    Returns:
        A copy in which only the updates are trained. What else is to be trained is chosen by `unfreeze`.

    Raises:
        ValueError: no `Linear` matches.

    Example:
        >>> from funcgrad import nn
        >>> model = add_lora(nn.MLP(4, 2, 8, 1, key=0), rank=2, key=1)
        >>> [path for path, _ in nn.named_parameters(model, trainable=True)]
        ['layers.0.lora_a', 'layers.0.lora_b', 'layers.1.lora_a', 'layers.1.lora_b']
    """
    matches, frozen = matcher(pattern), freeze(model)
    found = [(path, m) for path, m in named_modules(frozen) if isinstance(m, Linear)]
    chosen = {id(module): number for number, (path, module) in enumerate(found) if matches(path)}
    if not chosen:
        listed = ", ".join(path for path, _ in found) or "none"
        raise ValueError(f"[add_lora] no Linear matches {pattern!r}. There are: {listed}.")
    keys = random.split(key, len(found))

    def wrapped(module: Any, original: Any) -> Any:
        number = chosen.get(id(original))
        return module if number is None else LoRA(original, rank, alpha, key=keys[number])

    return map_modules(wrapped, frozen)


def merge_lora(model: Any) -> Any:
    """The model with plain layers in the place of `LoRA`, which compute the same.

    Example:
        >>> from funcgrad import nn
        >>> model = nn.MLP(4, 2, 8, 1, key=0)
        >>> merged = merge_lora(add_lora(model, rank=2, key=1))
        >>> nn.tree_equal(nn.unfreeze(merged), model)
        True
    """
    return map_modules(lambda m, _: m.merged() if isinstance(m, LoRA) else m, model)
