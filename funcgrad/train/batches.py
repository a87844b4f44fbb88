"""Batches of arrays in a shuffled order that depends on the seed and the epoch alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from funcgrad import tree


class Minibatches:
    """Batches of the rows of arrays, epoch after epoch.

    Iterating over it gives the batches of one epoch, or what is left of it after `restore`; the next iteration
    gives the next epoch. The order of an epoch is a function of seed and epoch, so that a run that was stopped
    sees the same batches after it resumed as one that was not.

    Args:
        arrays: an array, or a tree of them, all of one length.
        batch_size: rows of a batch.
        seed: of the order.
        shuffle: False for the order of the arrays.
        drop_last: leave out the last batch of an epoch if it is smaller, so that all have one shape and a
            compiled step is compiled once.
        transform: applied to each batch.

    Example:
        >>> batches = Minibatches({"x": np.arange(6), "y": np.arange(6) ** 2}, 2, seed=0)
        >>> len(batches), [batch["x"].shape for batch in batches]
        (3, [(2,), (2,), (2,)])
    """

    def __init__(
        self,
        arrays: Any,
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = True,
        drop_last: bool = False,
        transform: Callable[[Any], Any] | None = None,
    ) -> None:
        self.arrays, self.batch_size = arrays, batch_size
        self.seed, self.shuffle, self.drop_last = seed, shuffle, drop_last
        self.transform = transform
        self.rows = _common_length(arrays)
        self.epoch, self.position = 0, 0
        if batch_size < 1 or (drop_last and batch_size > self.rows):
            raise ValueError(
                f"[Minibatches] batch_size must be from 1 to {self.rows}, the number of rows, but got {batch_size}."
            )

    def __repr__(self) -> str:
        place = f"epoch={self.epoch}, position={self.position} of {len(self)}"
        return f"Minibatches({self.rows} rows, batch_size={self.batch_size}, {place})"

    def __len__(self) -> int:
        """How many batches an epoch has."""
        whole, rest = divmod(self.rows, self.batch_size)
        return whole + bool(rest and not self.drop_last)

    def order(self, epoch: int) -> np.ndarray:
        """The rows of an epoch, in its order."""
        if not self.shuffle:
            return np.arange(self.rows)
        return np.random.default_rng([self.seed, epoch]).permutation(self.rows)

    def __iter__(self) -> Iterator[Any]:
        """The batches that are left of this epoch."""
        order = self.order(self.epoch)
        while self.position < len(self):
            begin = self.position * self.batch_size
            rows = order[begin : begin + self.batch_size]
            # Counted before it is handed out: a state saved inside the loop points behind this batch.
            self.position += 1
            batch = tree.map(lambda x, rows=rows: x[rows], self.arrays)
            yield batch if self.transform is None else self.transform(batch)
        self.epoch, self.position = self.epoch + 1, 0

    def epochs(self, count: int) -> Iterator[Any]:
        """The batches of all epochs up to number `count`, one after the other.

        Example:
            >>> sum(1 for batch in Minibatches(np.arange(6), 2).epochs(2))
            6
        """
        while self.epoch < count:
            yield from self

    @property
    def state(self) -> dict[str, int]:
        """Where it is: for a checkpoint."""
        return {"epoch": self.epoch, "position": self.position, "seed": self.seed}

    def restore(self, state: Mapping[str, Any]) -> Minibatches:
        """Go to where a state says; returns itself.

        Raises:
            ValueError: the state is that of another order.
        """
        if int(state["seed"]) != self.seed or not 0 <= int(state["position"]) <= len(self):
            raise ValueError(
                f"[Minibatches] the state {dict(state)} is not one of these batches: seed {self.seed}, "
                f"{len(self)} batches in an epoch. Make them as they were made when it was saved."
            )
        self.epoch, self.position = int(state["epoch"]), int(state["position"])
        return self


def _common_length(arrays: Any) -> int:
    lengths = {tree.path_string(path): len(leaf) for path, leaf in tree.leaves_with_path(arrays)}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"[Minibatches] all arrays must have one length, but got {lengths}.")
    return next(iter(lengths.values()))
