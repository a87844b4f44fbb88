"""`Repeated`: equal layers one after the other, compiled once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from funcgrad import random, tree
from funcgrad.control.scan import scan
from funcgrad.nn.context import record_named
from funcgrad.nn.filters import is_array
from funcgrad.nn.layers.checkpoint import called_inside, inner_key
from funcgrad.nn.layers.checks import positive
from funcgrad.nn.module import Module
from funcgrad.transforms.checkpoint import checkpoint
from funcgrad.transforms.vmap import vmap


class Repeated(Module):
    """Layers of one kind, each with parameters of its own, run by `scan`: compilation takes no longer for many of them.

    Dropout and state inside work as in a `Sequential`.

    Args:
        make_layer: key -> layer. The result of the layer has the shape and dtype of its input.
        num_layers: how many.
        recompute: whether each layer's intermediates are computed again in the backward pass.
        key: random key or seed; split into one for each layer.

    Attributes:
        layer: all layers as one module, whose arrays have a leading axis of length `num_layers`.

    Example:
        >>> import numpy as np
        >>> from funcgrad import nn
        >>> def block(key):
        ...     return nn.Sequential([nn.Linear(8, 8, key=key), nn.relu, nn.Dropout(0.1)])
        >>> model = Repeated(block, 12, key=0)
        >>> model.layer[0].weight.shape
        (12, 8, 8)
        >>> model(np.ones((5, 8), np.float32)).shape
        (5, 8)
    """

    layer: Any
    num_layers: int
    recompute: bool

    def __init__(
        self,
        make_layer: Callable[[Any], Any],
        num_layers: int,
        recompute: bool = False,
        *,
        key: Any,
    ) -> None:
        positive(self, num_layers=num_layers)
        self.layer = vmap(make_layer)(random.split(key, num_layers))
        self.num_layers, self.recompute = num_layers, recompute

    def __call__(self, x: Any, *, key: Any = None) -> Any:
        """Apply all layers.

        Args:
            x: what the layers take and return.
            key: random key or seed, split into one for each layer; by default made from that of `apply`.

        Returns:
            An array, or a tree of arrays, like `x`.
        """
        key = inner_key(self, key)
        keys = None if key is None else random.split(key, self.num_layers)

        def run(x: Any, layer: Any, key: Any) -> tuple[Any, Any]:
            return called_inside(layer, key, (x,), {})

        def body(x: Any, given: tuple) -> tuple[Any, Any]:
            leaves, key = given
            layer = treedef.unflatten(_filled(leaves, static))
            return (checkpoint(run) if self.recompute else run)(x, layer, key)

        leaves, treedef = tree.flatten(self.layer)
        static = [None if is_array(leaf) else leaf for leaf in leaves]
        arrays = [leaf for leaf in leaves if is_array(leaf)]
        x, updates = scan(body, x, (arrays, keys), self.num_layers)
        record_named(self.layer, updates)
        return x

    def __len__(self) -> int:
        return self.num_layers

    def __getitem__(self, index: int) -> Any:
        """One of the layers."""
        return tree.map(lambda leaf: leaf[index] if is_array(leaf) else leaf, self.layer)


def _filled(arrays: list[Any], static: list[Any]) -> list[Any]:
    """All leaves, with arrays in the places of None."""
    given = iter(arrays)
    return [next(given) if leaf is None else leaf for leaf in static]
