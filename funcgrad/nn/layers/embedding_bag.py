"""Sums, means and maxima of bags of vectors: `EmbeddingBag`."""

from __future__ import annotations

from typing import Any

import funcgrad.numpy as fnp
from funcgrad.ir.devices import beside_arguments
from funcgrad.ir.tracer import Tracer
from funcgrad.nn.context import described
from funcgrad.nn.initializers import Initializer
from funcgrad.nn.layers.checks import refuse
from funcgrad.nn.layers.embedding import Table
from funcgrad.ops.segments import least, segment_max, segment_sum
from funcgrad.ops.sequences import as_array


class EmbeddingBag(Table):
    """A table of vectors that adds up, averages or takes the maximum of the vectors of each bag of integers.

    Args:
        num_embeddings, embedding_size, weight, padding_idx, dtype: as for `Embedding`. Integers that are equal to
            `padding_idx` are left out of their bags.
        mode: "mean", "sum" or "max". The result of an empty bag is 0.
        include_last_offset: whether the last of `offsets` is the end of the last bag.
        key: random key or seed; needed unless `weight` is given.
        weight_init: initialiser instead of N(0, 1).

    Attributes:
        weight: (num_embeddings, embedding_size).

    Example:
        >>> import numpy as np
        >>> bag = EmbeddingBag(weight=np.array([[1.0, 2.0], [3.0, 4.0]]), mode="sum")
        >>> bag([[0, 1], [1, 1]])
        array([[4., 6.],
               [6., 8.]])
        >>> bag([0, 1, 1], offsets=[0, 2])
        array([[4., 6.],
               [3., 4.]])
    """

    mode: str
    include_last_offset: bool

    def __init__(
        self,
        num_embeddings: int | None = None,
        embedding_size: int | None = None,
        weight: Any = None,
        mode: str = "mean",
        padding_idx: int | None = None,
        include_last_offset: bool = False,
        dtype: Any = None,
        *,
        key: Any = None,
        weight_init: Initializer | None = None,
    ) -> None:
        super().__init__(
            num_embeddings, embedding_size, weight, dtype, padding_idx, key, weight_init
        )
        if mode not in ("mean", "sum", "max"):
            raise ValueError(
                f"[EmbeddingBag] mode must be 'mean', 'sum' or 'max', but got {mode!r}."
            )
        self.mode = mode
        self.include_last_offset = include_last_offset

    @beside_arguments
    def __call__(
        self, x: Any, offsets: Any = None, per_sample_weights: Any = None, *, key: Any = None
    ) -> Any:
        """Look up and combine.

        Args:
            x: integers (..., length), where each row is a bag; or (length,) with `offsets`.
            offsets: (bags,), where each bag begins, not falling and the first one 0.
            per_sample_weights: factors of the vectors, like `x`; for the mode "sum".
            key: not used.

        Returns:
            (..., embedding_size), or (bags, embedding_size).

        Raises:
            IndexError: an integer is not in 0 ... num_embeddings - 1.
            ValueError: the arguments do not fit each other.
        """
        del key
        x = as_array(x)
        self._check(x, offsets, per_sample_weights)
        vectors, is_padding = self.looked_up(x)
        if per_sample_weights is not None:
            vectors = vectors * as_array(per_sample_weights)[..., None]
        counted = fnp.ones(x.shape, bool) if is_padding is None else ~is_padding
        if offsets is None:
            greatest = fnp.max if x.shape[-1] else fnp.sum  # there is no maximum of nothing
            return self._combined(vectors, counted, fnp.sum, greatest, axis=-2)
        starts = as_array(offsets)
        numbers = fnp.searchsorted(starts, fnp.arange(len(x)), side="right") - 1
        count = len(starts) - self.include_last_offset
        return self._combined(
            vectors, counted, segment_sum, segment_max,
            segment_ids=numbers, num_segments=count, mode="drop",
        )  # fmt: skip

    def _combined(self, vectors: Any, counted: Any, add: Any, greatest: Any, **options: Any) -> Any:
        """The vectors that count of each bag as one; functions and options say along what bags lie."""
        counted = fnp.broadcast_to(counted[..., None], vectors.shape)
        zero = fnp.zeros((), vectors.dtype)
        if self.mode == "max":
            low = fnp.full((), least(vectors.dtype), vectors.dtype)
            found = greatest(fnp.where(counted, vectors, low), **options)
            return fnp.where(add(counted.astype(int), **options) > 0, found, zero)
        total = add(fnp.where(counted, vectors, zero), **options)
        if self.mode == "sum":
            return total
        counts = fnp.maximum(add(counted.astype(int), **options), 1)
        return total / counts.astype(total.dtype)

    def _check(self, x: Any, offsets: Any, weights: Any) -> None:
        if offsets is None and x.ndim < 2:
            refuse(
                self, "(..., length)", x, "Give offsets=, where each bag begins, or write x[None]."
            )
        if offsets is not None and x.ndim != 1:
            refuse(self, "(length,) beside offsets", x, "Leave offsets out: each row is a bag.")
        starts = None if offsets is None or isinstance(offsets, Tracer) else as_array(offsets)
        if starts is not None and (starts.ndim != 1 or not len(starts) or starts[0] != 0):
            raise ValueError(
                f"[{described(self)}] offsets are the places where bags begin, the first one 0, but got {starts}."
            )
        if weights is None:
            return
        if self.mode != "sum":
            raise ValueError(
                f"[{described(self)}] per_sample_weights go with mode='sum', but the mode is {self.mode!r}."
            )
        if as_array(weights).shape != x.shape:
            raise ValueError(
                f"[{described(self)}] per_sample_weights have shape {as_array(weights).shape}; expected that of x, "
                f"{x.shape}."
            )
