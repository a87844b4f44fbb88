"""Random trees: one key for each array."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad import random, tree as pytree
from funcgrad.ir.devices import beside_arguments
from funcgrad.nn.filters import is_array_like


def split_key_like(rng_key: Any, target_tree: Any) -> Any:
    """A key for each leaf of a tree.

    Args:
        rng_key: key or seed.
        target_tree: the tree.

    Example:
        >>> split_key_like(0, {"a": np.ones(1)})["a"].shape
        (2,)
    """
    leaves, treedef = pytree.flatten(target_tree)
    return treedef.unflatten(list(random.split(rng_key, len(leaves))))


@beside_arguments
def random_like(
    rng_key: Any,
    target_tree: Any,
    sampler: Callable[..., Any] = random.normal,
    dtype: Any = None,
) -> Any:
    """Random arrays in the shapes and dtypes of a tree.

    Args:
        rng_key: key or seed.
        target_tree: the tree.
        sampler: (key, shape, dtype) -> array.
        dtype: of all arrays; by default that of each.

    Example:
        >>> random_like(0, {"a": np.ones(3)})["a"].shape
        (3,)
    """
    leaves, treedef = pytree.flatten(target_tree)
    keys = random.split(rng_key, max(len(leaves), 1))

    def drawn(key: Any, leaf: Any) -> Any:
        if not is_array_like(leaf):
            return leaf
        return sampler(key, np.shape(leaf), dtype or np.result_type(leaf))

    pairs = zip(keys, leaves, strict=False)
    return treedef.unflatten([drawn(key, leaf) for key, leaf in pairs])
