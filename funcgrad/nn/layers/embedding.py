"""Lookup of vectors: `Embedding`."""

from __future__ import annotations

from typing import Any

import funcgrad.numpy as fnp
from funcgrad import random
from funcgrad.nn.context import described
from funcgrad.nn.initializers import Initializer, for_layer
from funcgrad.nn.labels import checked_labels
from funcgrad.nn.module import Module


class Embedding(Module):
    """A table of vectors, one for each integer from 0 to num_embeddings - 1.

    Args:
        num_embeddings, embedding_size: number and length of the vectors; drawn from N(0, 1).
        weight: the table itself, instead of the sizes.
        dtype: float32 by default.
        key: random key or seed; needed unless `weight` is given.
        weight_init: initialiser instead of N(0, 1).

    Attributes:
        weight: (num_embeddings, embedding_size).

    Example:
        >>> table = Embedding(10, 4, key=0)
        >>> table([[1, 2, 3]]).shape
        (1, 3, 4)
    """

    weight: Any
    num_embeddings: int
    embedding_size: int

    def __init__(
        self,
        num_embeddings: int | None = None,
        embedding_size: int | None = None,
        weight: Any = None,
        dtype: Any = None,
        *,
        key: Any = None,
        weight_init: Initializer | None = None,
    ) -> None:
        if weight is None:
            if num_embeddings is None or embedding_size is None or key is None:
                raise ValueError(
                    "[Embedding] give the sizes and a key, Embedding(10, 4, key=0), or weight=table."
                )
            weight = for_layer(weight_init or random.normal)(
                key, (num_embeddings, embedding_size), dtype
            )
        elif weight.ndim != 2 or (
            num_embeddings or len(weight),
            embedding_size or weight.shape[1],
        ) != (weight.shape):
            raise ValueError(
                f"[Embedding] weight has shape {weight.shape}; expected a matrix of "
                f"({num_embeddings or 'any number'}, {embedding_size or 'any size'})."
            )
        self.weight = weight
        self.num_embeddings, self.embedding_size = weight.shape

    def __call__(self, x: Any, *, key: Any = None) -> Any:
        """Look vectors up.

        Args:
            x: integers of any shape.
            key: not used.

        Returns:
            (*x.shape, embedding_size).

        Raises:
            IndexError: an integer is not in 0 ... num_embeddings - 1.
        """
        del key
        labels = checked_labels(lambda: described(self), x, self.num_embeddings)
        return fnp.take(self.weight, labels, axis=0)
