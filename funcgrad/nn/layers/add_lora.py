"""Low-rank updates for whole models: `add_lora` and `merge_lora`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from funcgrad import random
from funcgrad.nn.freezing import freeze
from funcgrad.nn.layers.linear import Linear
from funcgrad.nn.layers.lora import PROJECTIONS, LoRA, LoRAAttention
from funcgrad.nn.layers.multihead_attention import MultiheadAttention
from funcgrad.nn.paths import matcher
from funcgrad.nn.walk import join, map_modules, named_modules


def add_lora(
    model: Any, rank: int, alpha: float | None = None, *, pattern: Any = r".*", key: Any
) -> Any:
    """The model, frozen, with a low-rank update for each `Linear` and each projection of attention that matches.

    Args:
        model: any module.
        rank, alpha: as for `LoRA`.
        pattern: regular expression for whole paths of layers, or a function of them. The projections of a
            `MultiheadAttention` are `q_proj`, `k_proj`, `v_proj` and `out_proj` inside its path, such as
            `r"layers\\.\\d+\\.self_attn\\.(q|v)_proj"`.
        key: random key or seed.

    Returns:
        A copy in which only the updates are trained. What else is to be trained is chosen by `unfreeze`.

    Raises:
        ValueError: no path matches.

    Example:
        >>> from funcgrad import nn
        >>> model = add_lora(nn.MLP(4, 2, 8, 1, key=0), rank=2, key=1)
        >>> [path for path, _ in nn.named_parameters(model, trainable=True)]
        ['layers.0.lora_a', 'layers.0.lora_b', 'layers.1.lora_a', 'layers.1.lora_b']
    """
    matches, frozen = matcher(pattern), freeze(model)
    found = list(_places(frozen))
    chosen: dict[int, list[str]] = {}
    for path, module, name in found:
        if matches(path):
            chosen.setdefault(id(module), []).append(name)
    if not chosen:
        listed = ", ".join(path for path, _, _ in found) or "none"
        raise ValueError(f"[add_lora] no Linear matches {pattern!r}. There are: {listed}.")
    keys = dict(zip(chosen, random.split(key, len(chosen)), strict=True))

    def wrapped(module: Any, original: Any) -> Any:
        if id(original) not in chosen:
            return module
        names, own = chosen[id(original)], keys[id(original)]
        if isinstance(original, Linear):
            return LoRA(module, rank, alpha, key=own)
        return LoRAAttention(module, rank, alpha, names, key=own)

    return map_modules(wrapped, frozen)


def _places(model: Any) -> Iterator[tuple[str, Any, str]]:
    """What can have an update: path, module, and the name of the projection in attention."""
    for path, module in named_modules(model):
        if isinstance(module, Linear):
            yield path, module, ""
        if isinstance(module, MultiheadAttention):
            for name in PROJECTIONS:
                yield join(path, name), module, name


def merge_lora(model: Any) -> Any:
    """The model with plain layers in the place of `LoRA` and `LoRAAttention`, which compute the same.

    Example:
        >>> from funcgrad import nn
        >>> model = nn.MLP(4, 2, 8, 1, key=0)
        >>> merged = merge_lora(add_lora(model, rank=2, key=1))
        >>> nn.tree_equal(nn.unfreeze(merged), model)
        True
    """

    def plain(module: Any, original: Any) -> Any:
        del original
        return module.merged() if isinstance(module, LoRA | LoRAAttention) else module

    return map_modules(plain, model)
