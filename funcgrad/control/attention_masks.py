"""Masks and lengths as biases, for libraries that know biases only.

A number that is far below all logits takes the place of a mask. Queries without keys get 0 afterwards, and have no
cotangent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.ir.types import ArrayType
from funcgrad.ops.attention import seen
from funcgrad.ops.attention_spec import FROM_THE_START, AttentionSpec, grouped, ungrouped
from funcgrad.ops.reduce import reduce_or
from funcgrad.ops.select import select
from funcgrad.ops.shape import broadcast_to, expand_dims, transpose

# Instead of -inf, which would make NaN of rows without keys.
LEAST = {"float16": -65504.0, "bfloat16": -1e30, "float32": -1e30, "float64": -1e30}


def with_bias_only(spec: AttentionSpec, types: Sequence[ArrayType]) -> list[ArrayType] | None:
    """The types of query, key, value and of the bias that stands for all extras; None if there is none.

    Args:
        spec: what attention does.
        types: of its inputs.
    """
    query, key, value = types[:3]
    extras = dict(zip(spec.extras, types[3:], strict=True))
    bias = extras.get("bias")
    if not extras or (bias is not None and bias.dtype != query.dtype):
        return None
    lead = np.broadcast_shapes(*[lead_of(name, type) for name, type in extras.items()])
    shape = (*lead, query.shape[1], key.shape[1])
    return [query, key, value, ArrayType(shape, query.dtype)]


def lead_of(name: str, type: ArrayType) -> tuple[int, int]:
    """How many examples and heads an extra tells apart; lengths of queries are no matter of the bias."""
    if name == "query_lengths":
        return (1, 1)
    return (type.shape[0], 1) if name == "key_lengths" else (type.shape[0], type.shape[1])


def bias_for(spec: AttentionSpec, arrays: dict[str, Any], type: ArrayType) -> Any:
    """The bias that hides what mask and lengths of keys hide."""
    extras = tuple([name for name in spec.extras if name in ("mask", "key_lengths")])
    allowed = allowed_by(AttentionSpec(spec.scale, extras=extras), arrays)
    bias = arrays.get("bias", np.zeros((), type.dtype)[()])
    if allowed is not None:
        least = np.asarray(LEAST[type.dtype.name], type.dtype)[()]
        bias = select(allowed, bias, least)
    return broadcast_to(bias, type.shape)


def allowed_by(spec: AttentionSpec, arrays: dict[str, Any]) -> Any:
    """Which keys the queries may see, to be broadcast to (examples, heads, T, S); None for all."""
    heads = arrays["key"].shape[2]
    parts = {name: grouped(name, arrays[name], heads) for name in ("query", "key", *spec.extras)}
    found = seen(spec, parts, FROM_THE_START)
    if found is None:
        return None
    while found.ndim < 5:
        found = expand_dims(found, 0)
    return ungrouped("bias", found)


def without_blind(spec: AttentionSpec, arrays: dict[str, Any], x: Any) -> Any:
    """An array (examples, T, heads, size) with 0 for queries that see no key."""
    allowed = allowed_by(spec, arrays)
    if allowed is None:
        return x
    seeing = expand_dims(transpose(reduce_or(allowed, -1), (0, 2, 1)), 3)
    return select(seeing, x, np.zeros((), x.dtype)[()])
