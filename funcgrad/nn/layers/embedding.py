"""Lookup of vectors: `Embedding`, and the table that it shares with `EmbeddingBag`."""

from __future__ import annotations

from typing import Any

import funcgrad.numpy as fnp
from funcgrad import random
from funcgrad.nn.context import described
from funcgrad.nn.initializers import Initializer, for_layer
from funcgrad.nn.labels import checked_labels
from funcgrad.nn.module import Module
from funcgrad.transforms.stop_gradient import stop_gradient


class Table(Module):
    """Vectors that are found by their numbers: what the layers share."""

    weight: Any
    num_embeddings: int
    embedding_size: int
    padding_idx: int | None

    def __init__(
        self,
        num_embeddings: int | None,
        embedding_size: int | None,
        weight: Any,
        dtype: Any,
        padding_idx: int | None,
        key: Any,
        weight_init: Initializer | None,
    ) -> None:
        name = type(self).__name__
        if weight is None:
            if num_embeddings is None or embedding_size is None or key is None:
                raise ValueError(
                    f"[{name}] give the sizes and a key, {name}(10, 4, key=0), or weight=table."
                )
            init = for_layer(weight_init or random.normal)
            weight = init(key, (num_embeddings, embedding_size), dtype)
            if padding_idx is not None:
                is_padding = fnp.equal(fnp.arange(num_embeddings), padding_idx % num_embeddings)
                weight = fnp.where(is_padding[:, None], fnp.zeros((), weight.dtype), weight)
        shape = weight.shape
        wanted = (num_embeddings or shape[0], embedding_size or shape[-1])
        if len(shape) != 2 or shape != wanted:
            raise ValueError(
                f"[{name}] weight has shape {shape}; expected a matrix of "
                f"({num_embeddings or 'any number'}, {embedding_size or 'any size'})."
            )
        if padding_idx is not None and not -shape[0] <= padding_idx < shape[0]:
            raise ValueError(
                f"[{name}] padding_idx must be one of the {shape[0]} numbers, but got {padding_idx}."
            )
        self.weight = weight
        self.num_embeddings, self.embedding_size = shape
        self.padding_idx = None if padding_idx is None else padding_idx % shape[0]

    def looked_up(self, x: Any) -> tuple[Any, Any]:
        """The vectors of integers, and which of the integers are padding; None without a `padding_idx`."""
        labels = checked_labels(lambda: described(self), x, self.num_embeddings)
        vectors = fnp.take(self.weight, labels, axis=0)
        if self.padding_idx is None:
            return vectors, None
        is_padding = fnp.equal(labels, self.padding_idx)
        return fnp.where(is_padding[..., None], stop_gradient(vectors), vectors), is_padding


class Embedding(Table):
    """A table of vectors, one for each integer from 0 to num_embeddings - 1.

    Args:
        num_embeddings, embedding_size: number and length of the vectors; drawn from N(0, 1).
        weight: the table itself, instead of the sizes.
        dtype: float32 by default.
        padding_idx: the integer whose vector is not trained, and 0 where it is drawn.
        key: random key or seed; needed unless `weight` is given.
        weight_init: initialiser instead of N(0, 1).

    Attributes:
        weight: (num_embeddings, embedding_size).

    Example:
        >>> table = Embedding(10, 4, key=0)
        >>> table([[1, 2, 3]]).shape
        (1, 3, 4)
    """

    def __init__(
        self,
        num_embeddings: int | None = None,
        embedding_size: int | None = None,
        weight: Any = None,
        dtype: Any = None,
        *,
        padding_idx: int | None = None,
        key: Any = None,
        weight_init: Initializer | None = None,
    ) -> None:
        super().__init__(
            num_embeddings, embedding_size, weight, dtype, padding_idx, key, weight_init
        )

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
        return self.looked_up(x)[0]
