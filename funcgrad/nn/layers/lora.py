"""Low-rank updates of frozen layers: `LoRA` for `Linear`, `LoRAAttention` for the projections of attention."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import funcgrad.numpy as fnp
from funcgrad import random
from funcgrad.nn.freezing import freeze
from funcgrad.nn.initializers import symmetric_uniform
from funcgrad.nn.layers.checks import positive
from funcgrad.nn.layers.linear import Linear
from funcgrad.nn.layers.multihead_attention import MultiheadAttention
from funcgrad.nn.layers.recurrent_cells import affine
from funcgrad.nn.module import Module

PROJECTIONS = ("q_proj", "k_proj", "v_proj")


class _LowRank(Module):
    """What both share: the rank, and the scale of the updates."""

    layer: Any
    lora_a: Any
    lora_b: Any
    rank: int
    alpha: float

    kind: type = Linear

    def __init__(self, layer: Any, rank: int, alpha: float | None) -> None:
        positive(self, rank=rank)
        if not isinstance(layer, self.kind):
            raise TypeError(
                f"[{type(self).__name__}] expected a {self.kind.__name__}, but got {type(layer).__name__}."
            )
        # What is LoRA inside goes on to be trained.
        self.layer = freeze(layer, lambda path: "lora_" not in path)
        self.rank = rank
        self.alpha = rank if alpha is None else alpha

    @property
    def scale(self) -> float:
        """alpha / rank."""
        return self.alpha / self.rank

    def updated(self, weight: Any, lora_a: Any, lora_b: Any) -> Any:
        """A weight with its update."""
        total = weight + (lora_b @ lora_a) * self.scale
        return total.astype(weight.dtype)


class LoRA(_LowRank):
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

    def __init__(self, layer: Linear, rank: int, alpha: float | None = None, *, key: Any) -> None:
        super().__init__(layer, rank, alpha)
        self.lora_a, self.lora_b = first_update(key, layer.weight, rank)

    def __call__(self, x: Any, *, key: Any = None) -> Any:
        """The layer's result plus the update's; `key` is not used."""
        y = self.layer(x, key=key)
        return y + affine(affine(x, self.lora_a, None), self.lora_b, None) * self.scale

    def merged(self) -> Linear:
        """A plain `Linear` that computes the same."""
        weight = self.updated(self.layer.weight, self.lora_a, self.lora_b)
        return self.layer.replace(weight=weight)


class LoRAAttention(_LowRank):
    """A frozen `MultiheadAttention` with trained updates of low rank of its projections (Hu et al., 2021).

    Args:
        layer: the `MultiheadAttention`; it is frozen, but for a `LoRA` in the place of its `out_proj`.
        rank: rank of each update.
        alpha: the scale is alpha / rank.
        projections: which have updates, of "q_proj", "k_proj" and "v_proj".
        key: random key or seed.

    Attributes:
        lora_a: name of a projection -> (rank, inputs), uniform.
        lora_b: name of a projection -> (outputs, rank), zeros.

    Example:
        >>> import numpy as np
        >>> layer = LoRAAttention(MultiheadAttention(2, 8, key=0), rank=2, projections=["q_proj"], key=1)
        >>> x = np.ones((3, 5, 8), np.float32)
        >>> layer(x, x, x).shape, {name: b.shape for name, b in layer.lora_b.items()}
        ((3, 5, 8), {'q_proj': (8, 2)})
    """

    kind = MultiheadAttention

    def __init__(
        self,
        layer: MultiheadAttention,
        rank: int,
        alpha: float | None = None,
        projections: Iterable[str] = PROJECTIONS,
        *,
        key: Any,
    ) -> None:
        super().__init__(layer, rank, alpha)
        names = tuple(projections)
        if not names or not set(names) <= set(PROJECTIONS):
            raise ValueError(
                f"[LoRAAttention] projections must be some of {PROJECTIONS}, but got {names}."
            )
        weights, keys = projection_weights(layer), random.split(key, len(names))
        pairs = {n: first_update(k, weights[n], rank) for n, k in zip(names, keys, strict=True)}
        self.lora_a = {name: a for name, (a, _) in pairs.items()}
        self.lora_b = {name: b for name, (_, b) in pairs.items()}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the layer with the updated projections returns; arguments as for `MultiheadAttention`."""
        return self.merged()(*args, **kwargs)

    def merged(self) -> MultiheadAttention:
        """A plain `MultiheadAttention` that computes the same."""
        weights = projection_weights(self.layer)
        for name, lora_a in self.lora_a.items():
            weights[name] = self.updated(weights[name], lora_a, self.lora_b[name])
        if self.layer.in_proj_weight is not None:
            return self.layer.replace(in_proj_weight=fnp.concatenate(list(weights.values())))
        return self.layer.replace(**{f"{name}_weight": w for name, w in weights.items()})


def first_update(key: Any, weight: Any, rank: int) -> tuple[Any, Any]:
    """The factors (rank, inputs) and (outputs, rank) of an update, whose product is 0."""
    outputs, inputs = weight.shape
    lora_a = symmetric_uniform(inputs**-0.5)(key, (rank, inputs), weight.dtype)
    return lora_a, fnp.zeros((outputs, rank), weight.dtype)


def projection_weights(layer: MultiheadAttention) -> dict[str, Any]:
    """The weights of queries, keys and values by name, also where one array holds all three."""
    weights = [layer.q_proj_weight, layer.k_proj_weight, layer.v_proj_weight]
    if layer.in_proj_weight is not None:
        weights = fnp.split(layer.in_proj_weight, 3)
    return dict(zip(PROJECTIONS, weights, strict=True))
