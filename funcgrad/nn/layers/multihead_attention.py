"""`MultiheadAttention`: attention between learned projections, several heads at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import funcgrad.numpy as fnp
from funcgrad import random
from funcgrad.nn.attention import dot_product_attention
from funcgrad.nn.context import is_training, next_key
from funcgrad.nn.initializers import Initializer, for_layer, symmetric_uniform, zeros
from funcgrad.nn.layers.checks import positive, refuse
from funcgrad.nn.layers.linear import Linear
from funcgrad.nn.layers.recurrent_cells import affine
from funcgrad.nn.module import Module
from funcgrad.ops.sequences import as_array


class MultiheadAttention(Module):
    """Attention of several heads, each with its own projections of queries, keys and values (Vaswani et al., 2017).

    Args:
        num_heads: number of heads.
        query_size: length of the last axis of queries.
        key_size, value_size, output_size: those of keys, values and results; `query_size` by default.
        qk_size, vo_size: size of queries and keys, and of values, within a head; query_size / num_heads by default.
        use_query_bias, use_key_bias, use_value_bias, use_output_bias: whether the projections have biases.
        dropout_p: probability of a zero among the weights, in training.
        inference: whether it never drops.
        dtype: of the parameters; float32 by default.
        num_key_value_heads: number of heads of keys and values, which serve several heads of queries each;
            `num_heads` by default (Ainslie et al., 2023).
        key: random key or seed.
        weight_init: initialiser instead of the uniform distribution (Glorot and Bengio, 2010).

    Attributes:
        in_proj_weight: (3 * query_size, query_size), for queries, keys and values, if all their sizes are equal.
            Else it is None, and there are q_proj_weight, k_proj_weight, v_proj_weight.
        in_proj_bias: biases of queries, keys and values one after the other, if all have some. Else it is None, and
            there are q_proj_bias, k_proj_bias, v_proj_bias, each an array or None.
        out_proj: `Linear`.

    Example:
        >>> import numpy as np
        >>> layer = MultiheadAttention(2, 8, key=0)
        >>> x = np.ones((3, 5, 8), np.float32)
        >>> layer(x, x, x).shape
        (3, 5, 8)
    """

    in_proj_weight: Any
    q_proj_weight: Any
    k_proj_weight: Any
    v_proj_weight: Any
    in_proj_bias: Any
    q_proj_bias: Any
    k_proj_bias: Any
    v_proj_bias: Any
    out_proj: Linear
    num_heads: int
    num_key_value_heads: int
    query_size: int
    key_size: int
    value_size: int
    output_size: int
    qk_size: int
    vo_size: int
    dropout_p: float
    inference: bool

    def __init__(
        self,
        num_heads: int,
        query_size: int,
        key_size: int | None = None,
        value_size: int | None = None,
        output_size: int | None = None,
        qk_size: int | None = None,
        vo_size: int | None = None,
        use_query_bias: bool = False,
        use_key_bias: bool = False,
        use_value_bias: bool = False,
        use_output_bias: bool = False,
        dropout_p: float = 0.0,
        inference: bool = False,
        dtype: Any = None,
        *,
        key: Any,
        num_key_value_heads: int | None = None,
        weight_init: Initializer | None = None,
    ) -> None:
        positive(self, num_heads=num_heads, query_size=query_size)
        self.num_heads, self.num_key_value_heads = num_heads, num_key_value_heads or num_heads
        _check_heads(num_heads, self.num_key_value_heads, query_size, qk_size, vo_size)
        self.query_size = query_size
        self.key_size, self.value_size = key_size or query_size, value_size or query_size
        self.output_size = output_size or query_size
        self.qk_size = qk_size or query_size // num_heads
        self.vo_size = vo_size or query_size // num_heads
        self.dropout_p, self.inference = dropout_p, inference
        keys = random.split(key, 4)
        self._make_projections(keys, for_layer(weight_init or _glorot), dtype)
        self._make_biases((use_query_bias, use_key_bias, use_value_bias), dtype)
        self.out_proj = Linear(
            num_heads * self.vo_size,
            self.output_size,
            use_output_bias,
            dtype,
            key=keys[3],
            bias_init=zeros,
        )

    def _rows(self) -> tuple[int, int, int]:
        """How many rows the projections of queries, keys and values have."""
        return (
            self.num_heads * self.qk_size,
            self.num_key_value_heads * self.qk_size,
            self.num_key_value_heads * self.vo_size,
        )

    def _make_projections(self, keys: Any, init: Initializer, dtype: Any) -> None:
        sizes = (self.query_size, self.key_size, self.value_size)
        rows = self._rows()
        self.in_proj_weight = self.q_proj_weight = self.k_proj_weight = self.v_proj_weight = None
        if len(set(sizes)) == 1 and set(rows) == set(sizes):
            self.in_proj_weight = init(keys[0], (sum(rows), self.query_size), dtype)
            return
        shapes = list(zip(rows, sizes, strict=True))
        self.q_proj_weight = init(keys[0], shapes[0], dtype)
        self.k_proj_weight = init(keys[1], shapes[1], dtype)
        self.v_proj_weight = init(keys[2], shapes[2], dtype)

    def _make_biases(self, wanted: tuple[bool, bool, bool], dtype: Any) -> None:
        is_joined = all(wanted)
        self.in_proj_bias = fnp.zeros((sum(self._rows()),), dtype) if is_joined else None
        single = [
            fnp.zeros((rows,), dtype) if has_bias and not is_joined else None
            for has_bias, rows in zip(wanted, self._rows(), strict=True)
        ]
        self.q_proj_bias, self.k_proj_bias, self.v_proj_bias = single

    def __call__(
        self,
        query: Any,
        key_: Any,
        value: Any,
        mask: Any = None,
        *,
        key: Any = None,
        inference: bool | None = None,
        process_heads: Callable[[Any, Any, Any], tuple[Any, Any, Any]] | None = None,
        is_causal: bool = False,
        chunk_size: int | None = None,
    ) -> Any:
        """Attend.

        Args:
            query: (..., T, query_size).
            key_: (..., S, key_size).
            value: (..., S, value_size).
            mask: bool, True where a query may see a key: (T, S), or anything that broadcasts to (..., heads, T, S).
            key: random key or seed for dropout; by default made from that of `apply`.
            inference: whether not to drop; by default as the call of the model says.
            process_heads: function of queries (..., T, heads, size), keys and values that returns all three, for
                example with rotary positions.
            is_causal: whether query t sees only the keys up to t.
            chunk_size: how many queries are looked at at a time; see `dot_product_attention`.

        Returns:
            (..., T, output_size).
        """
        query, key_, value = as_array(query), as_array(key_), as_array(value)
        for x, size in ((query, self.query_size), (key_, self.key_size), (value, self.value_size)):
            if x.ndim < 2 or x.shape[-1] != size:
                refuse(self, f"(..., times, {size})", x)
        q, k, v = self.projected(query, key_, value)
        if process_heads is not None:
            q, k, v = process_heads(q, k, v)
        lead = q.shape[:-3]
        q, k, v = (fnp.reshape(x, (math.prod(lead), *x.shape[-3:])) for x in (q, k, v))
        if mask is not None:
            mask = as_array(mask)
            if mask.ndim > 3:
                mask = fnp.broadcast_to(mask, (*lead, *mask.shape[-3:]))
                mask = fnp.reshape(mask, (math.prod(lead), *mask.shape[-3:]))
        drops = self.dropout_p and (
            is_training(self, inference) or (key is not None and not self.inference)
        )
        out = dot_product_attention(
            q,
            k,
            v,
            mask=mask,
            is_causal=is_causal,
            dropout_rate=self.dropout_p if drops else 0.0,
            dropout_key=(next_key(self) if key is None else key) if drops else None,
            chunk_size=chunk_size,
        )
        out = fnp.reshape(out, (*lead, out.shape[1], self.num_heads * self.vo_size))
        return self.out_proj(out)

    def projected(self, query: Any, key: Any, value: Any) -> tuple[Any, Any, Any]:
        """Queries, keys and values (..., times, heads, size)."""
        heads = (self.num_heads, self.num_key_value_heads, self.num_key_value_heads)
        rows = self._rows()
        places = [rows[0], rows[0] + rows[1]]
        has_single = any(b is not None for b in self.biases(None))
        if self.in_proj_weight is not None and query is key is value and not has_single:
            joined = affine(query, self.in_proj_weight, self.in_proj_bias)
            parts = fnp.split(joined, places, axis=-1)
        else:
            if self.in_proj_weight is not None:
                weights = fnp.split(self.in_proj_weight, places, axis=0)
            else:
                weights = [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight]
            biases = self.biases(places)
            columns = zip((query, key, value), weights, biases, strict=True)
            parts = [affine(x, weight, bias) for x, weight, bias in columns]
        split = [
            fnp.reshape(part, (*part.shape[:-1], count, part.shape[-1] // count))
            for part, count in zip(parts, heads, strict=True)
        ]
        return split[0], split[1], split[2]

    def biases(self, places: list[int] | None) -> list[Any]:
        """The biases of queries, keys and values; with `places` also those that are joined in one array."""
        if places is not None and self.in_proj_bias is not None:
            return fnp.split(self.in_proj_bias, places)
        return [self.q_proj_bias, self.k_proj_bias, self.v_proj_bias]


def _check_heads(
    heads: int, key_value_heads: int, size: int, qk_size: int | None, vo_size: int | None
) -> None:
    """Raise ValueError unless heads share evenly."""
    if heads % key_value_heads:
        raise ValueError(
            f"[MultiheadAttention] num_heads={heads} must be a multiple of num_key_value_heads={key_value_heads}."
        )
    if (qk_size is None or vo_size is None) and size % heads:
        raise ValueError(
            f"[MultiheadAttention] query_size={size} cannot be split into {heads} equal heads. The number of "
            "heads comes first, MultiheadAttention(2, 8, key=key). Use a divisor, or give qk_size and vo_size."
        )


def _glorot(key: Any, shape: tuple[int, int], dtype: Any) -> Any:
    """Uniform up to sqrt(6 / (inputs + outputs)), as PyTorch initialises the projections."""
    return symmetric_uniform(math.sqrt(6 / sum(shape)))(key, shape, dtype)
