"""`dot_product_attention`: at once, or in chunks of queries for long sequences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad import random
from funcgrad.control.attention import ATTENTION
from funcgrad.control.loops import map as loop_map
from funcgrad.ir.devices import beside_arguments
from funcgrad.ir.types import FLOAT32, is_inexact
from funcgrad.ops.attention_spec import AttentionSpec
from funcgrad.ops.reduce import accumulator
from funcgrad.ops.sequences import as_array
from funcgrad.transforms.checkpoint import checkpoint


@beside_arguments
def dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    bias: Any = None,
    mask: Any = None,
    *,
    scale: float | None = None,
    is_causal: bool = False,
    query_seq_lengths: Any = None,
    key_value_seq_lengths: Any = None,
    local_window_size: int | tuple[int, int] | None = None,
    dropout_rate: float = 0.0,
    dropout_key: Any = None,
    chunk_size: int | None = None,
) -> Any:
    """Attention: means of values, weighted by the softmax of products of queries and keys (Vaswani et al., 2017).

    Args:
        query: (examples, times T, heads N, size H), or without the axis of examples.
        key, value: (examples, times S, heads K, size H or, for `value`, any). N must be a multiple of K: each head
            of keys and values serves N / K heads of queries.
        bias: added to the logits; broadcast to (examples, heads, T, S).
        mask: bool, broadcast to (examples, heads, T, S): False leaves a key out.
        scale: factor of the logits; 1 / sqrt(H) by default.
        is_causal: whether query t sees only the keys up to t.
        query_seq_lengths, key_value_seq_lengths: (examples,), how many times of each example are there. The results of
            queries that are not there are 0.
        local_window_size: how many keys before and after its own time a query sees; a number or a pair.
        dropout_rate: probability of a zero among the weights.
        dropout_key: random key for it.
        chunk_size: how many queries are looked at at a time, where memory for the weights of all of them is too much:
            for long sequences on a GPU in float32, say. The CPU goes block by block anyway. Not with dropout.

    Returns:
        (examples, T, heads N, size of value), in the dtype of the query. A query that sees no key has the result 0.

    Raises:
        ValueError: shapes do not fit.

    Example:
        >>> import numpy as np
        >>> x = np.ones((2, 5, 4, 8), np.float32)
        >>> dot_product_attention(x, x, x, is_causal=True).shape
        (2, 5, 4, 8)
    """
    query, key, value = as_array(query), as_array(key), as_array(value)
    has_examples = query.ndim == 4
    if not has_examples:
        query, key, value = (x[None] for x in (query, key, value))
    _check_shapes(query, key, value)
    bias, mask = _with_four_axes("bias", bias), _with_four_axes("mask", mask)
    times = (query.shape[1], key.shape[1])
    lengths = [
        None if n is None else as_array(n) for n in (query_seq_lengths, key_value_seq_lengths)
    ]
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale

    def attend(query: Any, start: Any, bias: Any, mask: Any) -> Any:
        """The results of queries that begin at time `start`."""
        rows = fnp.arange(query.shape[1]) + start
        seen = _seen(rows, times[1], is_causal, _pair(local_window_size), lengths)
        allowed = [m for m in (mask, seen) if m is not None]
        both = allowed[0] & allowed[1] if len(allowed) == 2 else (allowed or [None])[0]
        return _attend(query, key, value, bias, both, scale, (dropout_rate, dropout_key))

    if chunk_size is None or chunk_size >= times[0]:
        extras = (bias, mask, *lengths)
        is_dropped = dropout_key is not None and dropout_rate
        spec = spec_of((query, key, value), extras, scale, is_causal, local_window_size)
        if spec is None or is_dropped:
            out = attend(query, 0, bias, mask)
        else:
            given = [x for x in extras if x is not None]
            out = ATTENTION(query, key, value, *given, spec=spec)[0]
    else:
        if dropout_key is not None and dropout_rate:
            raise ValueError(
                "[dot_product_attention] chunk_size and dropout do not go together: drop the results instead."
            )
        out = _in_chunks(attend, query, bias, mask, chunk_size)
    return out if has_examples else out[0]


def spec_of(
    arrays: Sequence[Any], extras: Sequence[Any], scale: Any, is_causal: Any, window: Any
) -> AttentionSpec | None:
    """What the primitive shall do; None if it is nothing for it.

    Args:
        arrays: query, key and value, with four axes.
        extras: bias and mask with four axes, lengths of queries and of keys; those that are not there are None.
        scale, is_causal, window: see `dot_product_attention`.
    """
    query, key, _ = arrays
    dtype = query.dtype
    is_plain = all(x.dtype == dtype and math.prod(x.shape) for x in arrays)
    if not is_plain or not is_inexact(dtype) or dtype.kind == "c":
        return None
    if not isinstance(scale, float | int | np.number):
        return None
    examples, rows, heads, _ = query.shape
    logits = (examples, heads, rows, key.shape[1])
    bias, mask, *lengths = extras
    for x in (bias, mask):
        if x is not None and any(n not in (1, m) for n, m in zip(x.shape, logits, strict=True)):
            return None
    if bias is not None and bias.dtype not in (dtype, accumulator(dtype)):
        return None
    if any(n is not None and n.shape != (examples,) for n in lengths):
        return None
    names = ("bias", "mask", "query_lengths", "key_lengths")
    present = tuple([name for name, x in zip(names, extras, strict=True) if x is not None])
    return AttentionSpec(float(scale), bool(is_causal), _pair(window), present)


def _attend(
    query: Any, key: Any, value: Any, bias: Any, mask: Any, scale: float, dropout: tuple
) -> Any:
    examples, length, heads, size = query.shape
    groups = key.shape[2]
    grouped = fnp.reshape(
        query * _like(scale, query), (examples, length, groups, heads // groups, size)
    )
    logits = fnp.einsum("btkgh,bskh->bkgts", grouped, key)
    shape = (examples, heads, length, key.shape[1])
    logits = fnp.reshape(logits, shape)
    if logits.dtype.itemsize < 4:
        logits = logits.astype(FLOAT32)
    if bias is not None:
        logits = logits + bias
    weights = _masked_softmax(logits, mask)
    rate, dropout_key = dropout
    if rate and dropout_key is not None:
        weights = _dropped(weights, rate, dropout_key)
    grouped = fnp.reshape(weights, (examples, groups, heads // groups, length, key.shape[1]))
    out = fnp.einsum("bkgts,bskh->btkgh", grouped.astype(value.dtype), value)
    return fnp.reshape(out, (examples, length, heads, value.shape[-1])).astype(query.dtype)


def _masked_softmax(logits: Any, mask: Any) -> Any:
    """Softmax over the last axis; 0 in rows without any key."""
    if mask is not None:
        # Not -inf: a row without keys must not make NaN on the way.
        logits = fnp.where(mask, logits, np.finfo(logits.dtype).min)
    shifted = fnp.exp(logits - fnp.max(logits, axis=-1, keepdims=True))
    if mask is not None:
        shifted = fnp.where(mask, shifted, 0)
    total = fnp.sum(shifted, axis=-1, keepdims=True)
    if mask is not None:
        total = fnp.where(total > 0, total, 1)
    return shifted / total


def _dropped(weights: Any, rate: float, key: Any) -> Any:
    kept = random.bernoulli(key, 1 - rate, weights.shape)
    return fnp.where(kept, weights / (1 - rate), 0)


def _like(number: float, x: Any) -> Any:
    return number if x.dtype.itemsize >= 4 else np.asarray(number, x.dtype)


def _seen(rows: Any, count: int, is_causal: bool, window: Any, lengths: list[Any]) -> Any:
    """Which keys the queries at the times `rows` may see, or None for all; broadcasts to (examples, 1, T, S)."""
    columns = fnp.arange(count)
    parts = []
    if is_causal:
        parts.append(columns <= rows[:, None])
    if window is not None:
        before, after = window
        parts.append((columns >= rows[:, None] - before) & (columns <= rows[:, None] + after))
    for there, places in zip(lengths, (rows[:, None], columns), strict=True):
        if there is not None:
            parts.append(places < there[:, None, None, None])
    seen = parts[0] if parts else None
    for part in parts[1:]:
        seen = seen & part
    return seen


def _pair(window: int | tuple[int, int] | None) -> tuple[int, int] | None:
    return (window, window) if isinstance(window, int) else window


def _in_chunks(attend: Any, query: Any, bias: Any, mask: Any, size: int) -> Any:
    """Whole chunks of queries in a loop, whose weights are computed again for the gradient; then the rest."""
    examples, length, heads, width = query.shape
    count = length // size
    whole = count * size

    def chunks(x: Any, axis: int) -> Any:
        """`x` with chunks of its times as the first axis, or as it is if it is the same at all times."""
        if x is None or x.shape[axis] == 1:
            return None
        cut = x[(slice(None),) * axis + (slice(0, whole),)]
        split = fnp.reshape(cut, (*x.shape[:axis], count, size, *x.shape[axis + 1 :]))
        return fnp.moveaxis(split, axis, 0)

    def one(part: Any) -> Any:
        start, query, own_bias, own_mask = part
        return attend(
            query,
            start,
            bias if own_bias is None else own_bias,
            mask if own_mask is None else own_mask,
        )

    starts = fnp.arange(count) * size
    parts = (starts, chunks(query, 1), chunks(bias, 2), chunks(mask, 2))
    out = fnp.moveaxis(loop_map(checkpoint(one), parts), 0, 1)
    out = fnp.reshape(out, (examples, whole, heads, out.shape[-1]))
    if whole == length:
        return out
    rest = [x if x is None or x.shape[2] == 1 else x[:, :, whole:] for x in (bias, mask)]
    return fnp.concatenate([out, attend(query[:, whole:], whole, *rest)], axis=1)


def _with_four_axes(name: str, x: Any) -> Any:
    if x is None:
        return None
    x = as_array(x)
    if x.ndim > 4 or (name == "mask" and x.dtype != bool):
        raise ValueError(
            f"[dot_product_attention] {name} must be {'a bool array' if name == 'mask' else 'an array'} that "
            "broadcasts "
            f"to (examples, heads, T, S), but got {x.dtype}{list(x.shape)}."
            + (" Write mask != 0 for one of numbers." if name == "mask" else "")
        )
    return fnp.reshape(x, (*(1,) * (4 - x.ndim), *x.shape))


def _check_shapes(query: Any, key: Any, value: Any) -> None:
    shapes = f"query {query.shape}, key {key.shape}, value {value.shape}"
    if not query.ndim == key.ndim == value.ndim == 4:
        raise ValueError(
            f"[dot_product_attention] expected (examples, times, heads, size) for all three, but got {shapes}."
        )
    if query.shape[0] != key.shape[0] or key.shape[:3] != value.shape[:3]:
        raise ValueError(
            f"[dot_product_attention] numbers of examples, and times and heads of key and value, must be equal, but "
            f"got {shapes}."
        )
    if query.shape[3] != key.shape[3] or query.shape[2] % key.shape[2]:
        raise ValueError(
            f"[dot_product_attention] sizes of query and key must be equal, and the heads of the query a multiple "
            f"of those of the key, but got {shapes}."
        )
