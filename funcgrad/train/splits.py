"""Rows for training and rows for testing."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad import tree


def train_test_split(*arrays: Any, test_size: float = 0.25, seed: int = 0) -> list[Any]:
    """Split arrays in two by random rows, the same for all.

    Args:
        *arrays: arrays, or trees of them, of one length.
        test_size: share of the rows for testing, or their number.
        seed: of the choice.

    Returns:
        [first_train, first_test, second_train, second_test, ...].

    Example:
        >>> x_train, x_test = train_test_split(np.arange(8))
        >>> len(x_train), len(x_test)
        (6, 2)
    """
    lengths = {len(leaf) for leaf in tree.leaves(arrays)}
    if len(lengths) != 1:
        raise ValueError(f"[train_test_split] the arrays have the lengths {sorted(lengths)}.")
    (rows,) = lengths
    count = test_size if isinstance(test_size, int) else round(rows * test_size)
    if not 0 < count < rows:
        raise ValueError(f"[train_test_split] test_size {test_size} of {rows} rows leaves nothing.")
    order = np.random.default_rng(seed).permutation(rows)
    test, train = order[:count], order[count:]
    return [tree.map(lambda x, rows=rows: x[rows], one) for one in arrays for rows in (train, test)]
