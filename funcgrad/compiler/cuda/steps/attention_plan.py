"""Attention that a library has: half precision, all keys or a band around the diagonal, a bias of its own dtype."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from funcgrad.compiler.cuda.steps.convolution_plan import TensorLayout
from funcgrad.compiler.lowering.graph import Node
from funcgrad.compiler.lowering.index import strides_of
from funcgrad.ir.types import ArrayType
from funcgrad.ops.attention_spec import AttentionSpec

DTYPES = ("float16", "bfloat16")
FORWARD, BACKWARD = "attention", "attention_gradient"  # the names of the primitives


@dataclass(frozen=True)
class AttentionPlan:
    """Results of attention with the logarithms of the sums of each row, or the gradients from all of these.

    Attributes:
        kind: `FORWARD` or `BACKWARD`.
        dtype: of all arrays but the logarithms, which are float32.
        query, key, value, out: layouts with the axes examples, heads, times, size.
        totals: layout of the logarithms.
        bias: layout of what is added to the logits, if anything is.
        scale: factor of the logits.
        before, after: how many keys before and behind its own time a query sees; None for all.
        has_totals: whether the logarithms are written.
    """

    kind: str
    dtype: np.dtype
    query: TensorLayout
    key: TensorLayout
    value: TensorLayout
    out: TensorLayout
    totals: TensorLayout
    bias: TensorLayout | None
    scale: float
    before: int | None
    after: int | None
    has_totals: bool = True


def attention_plan(
    name: str, types: Sequence[ArrayType], spec: AttentionSpec, **params: Any
) -> AttentionPlan | None:
    """The plan of a primitive of attention; None if it is nothing that a library has.

    Args:
        name: of the primitive.
        types: of its operands, which begin with query, key, value and the extras.
        spec: what attention does.
        params: the other params of the primitive.
    """
    query, key, value = types[:3]
    is_known = name in (FORWARD, BACKWARD) and query.dtype.name in DTYPES
    if not is_known or params.get("has_pulls") or "bias" in params.get("wanted", ()):
        return None
    if spec.extras not in ((), ("bias",)):
        return None
    examples, rows, heads, _ = query.shape
    if spec.window is not None and rows > key.shape[1]:  # there are queries that see no key
        return None
    bias = types[3] if spec.extras else None
    if bias is not None and not is_whole(bias, query, key):
        return None
    before, after = spec.window or (None, None)
    return AttentionPlan(
        name,
        query.dtype,
        *[by_heads(type.shape) for type in (query, key, value)],
        out=by_heads((examples, rows, heads, value.shape[3])),
        totals=TensorLayout((examples, heads, rows, 1), strides_of((examples, heads, rows, 1))),
        bias=None if bias is None else TensorLayout(bias.shape, strides_of(bias.shape)),
        scale=spec.scale,
        before=before,
        after=0 if spec.is_causal else after,
    )


def is_whole(bias: ArrayType, query: ArrayType, key: ArrayType) -> bool:
    """Whether a bias has the right dtype, and an element for each query and key."""
    return bias.dtype == query.dtype and bias.shape[2:] == (query.shape[1], key.shape[1])


def by_heads(shape: tuple[int, ...], strides: Sequence[int] | None = None) -> TensorLayout:
    """The layout of an array (examples, times, heads, size), contiguous by default, with heads before times."""
    examples, times, heads, size = shape
    lead, row, head, step = strides_of(shape) if strides is None else strides
    return TensorLayout((examples, heads, times, size), (lead, head, row, step))


def contiguous_layout(layout: TensorLayout) -> TensorLayout:
    """The layout of a contiguous array of the same lengths."""
    examples, heads, times, size = layout.lengths
    return by_heads((examples, times, heads, size))


def strided_plan(
    plan: AttentionPlan, nodes: Sequence[Node], strides: Sequence[Sequence[int] | None]
) -> AttentionPlan:
    """A plan for query, key and value with these strides; those that are None are contiguous."""
    query, key, value = map(by_heads, [node.shape for node in nodes], strides)
    return replace(plan, query=query, key=key, value=value)
