"""Attention head by head, and within a head block by block: for machines with caches.

The logits of a block stay in cache from the product that makes them to the one that reads their powers. Where queries
see only some keys, blocks of queries take only the products that they need.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from funcgrad import tree
from funcgrad.control.scan import scan
from funcgrad.ir.tracer import Tracer
from funcgrad.ops.arithmetic import add
from funcgrad.ops.attention import Arrays, attend_late, gradients_of
from funcgrad.ops.attention_spec import AttentionSpec, Place
from funcgrad.ops.create import full_beside, iota
from funcgrad.ops.pieces import PLACE, concatenate, slice_axis
from funcgrad.ops.reduce import accumulator
from funcgrad.ops.shape import broadcast_to, moveaxis, reshape

LEAST_HEAD_BYTES = 1 << 20  # logits of a head that is worth a step of a loop
LEAST_BYTES = 1 << 21  # logits of all heads that may as well be written whole
BLOCK_BYTES = 1 << 20  # logits of a block
MOST_PARTS = 4  # into which the queries of a head are divided where they see different keys

ROWS = ("query", "out", "cotangent", "logsumexp")
COLUMNS = ("key", "value")


class Block(NamedTuple):
    """Times of queries and of the keys that they may see: from, to."""

    start: int
    stop: int
    low: int
    high: int


def logit_bytes(arrays: Arrays) -> int:
    """Of the logits of one head of keys."""
    groups, rows = arrays["query"].shape[-3:-1]
    itemsize = accumulator(arrays["query"].dtype).itemsize
    return groups * rows * arrays["key"].shape[-2] * itemsize


def is_partial(spec: AttentionSpec) -> bool:
    """Whether queries at different times see different keys."""
    return spec.is_causal or spec.window is not None


def is_large(spec: AttentionSpec, arrays: Arrays) -> bool:
    """Whether heads should be looked at one by one: earlier where that leaves out half of the work."""
    nbytes, count = logit_bytes(arrays), math.prod(arrays["key"].shape[:-2])
    least = LEAST_HEAD_BYTES // MOST_PARTS if is_partial(spec) else LEAST_HEAD_BYTES
    return nbytes >= least and nbytes * count >= LEAST_BYTES


def loop(step: Callable[[Any, Any], Any], carry: Any, xs: Any) -> tuple[Any, Any]:
    """`scan`, or a loop of Python over arrays that are there."""
    leaves = tree.leaves(xs)
    if any(isinstance(x, Tracer) for x in leaves):
        return scan(step, carry, xs)
    outs = []
    for i in range(len(leaves[0])):
        carry, out = step(carry, tree.map(lambda x, i=i: x[i], xs))
        outs.append(out)
    return carry, tree.map(lambda *parts: np.stack(parts), *outs)


# --- over the heads ---


def over_heads(run: Callable[[dict[str, Any]], Any], arrays: Arrays) -> Any:
    """What `run` makes of the arrays of each head, with the axes of examples and heads in front."""
    lead = arrays["key"].shape[:2]
    same = {name for name, x in arrays.items() if x.shape[:2] == (1, 1) != lead}
    fixed = {name: reshape(arrays[name], arrays[name].shape[2:]) for name in same}

    def joined(x: Any) -> Any:
        rest = x.shape[2:]
        return reshape(broadcast_to(x, (*lead, *rest)), (math.prod(lead), *rest))

    each = {name: joined(x) for name, x in arrays.items() if name not in same}
    outs = loop(lambda carry, xs: (carry, run({**fixed, **xs})), [], each)[1]
    return [reshape(x, (*lead, *x.shape[1:])) for x in outs]


def attend_by_heads(spec: AttentionSpec, arrays: Arrays) -> Any:
    """`attend`, head by head."""
    return over_heads(lambda own: attend_by_blocks(spec, own), arrays)


def gradients_by_heads(spec: AttentionSpec, arrays: Arrays) -> dict[str, Any]:
    """`gradients_of`, head by head: cotangents of query, key and value."""
    found = over_heads(lambda own: gradients_by_blocks(spec, own), arrays)
    return dict(zip(("query", "key", "value"), found, strict=True))


# --- over the blocks of a head ---


def parts_of(spec: AttentionSpec, arrays: Arrays) -> int:
    """Into how many blocks a head is divided: smaller ones where not all see all."""
    count = logit_bytes(arrays) * (MOST_PARTS if is_partial(spec) else 1) // BLOCK_BYTES
    return min(max(count, 1), MOST_PARTS)


def ranges(count: int, parts: int) -> list[tuple[int, int]]:
    """So many times in parts of nearly equal length."""
    size = -(-count // parts)
    return [(start, min(start + size, count)) for start in range(0, count, size)]


def blocks_of_queries(spec: AttentionSpec, arrays: Arrays) -> list[Block]:
    """Blocks of queries, with the keys that they may see; one if all see all."""
    rows, keys = arrays["query"].shape[-2], arrays["key"].shape[-2]
    count = parts_of(spec, arrays) if is_partial(spec) else 1
    return [
        Block(start, stop, *spec.keys_of(start, stop, keys)) for start, stop in ranges(rows, count)
    ]


def part_of(arrays: Arrays, block: Block) -> dict[str, Any]:
    """What the queries of a block need."""
    found = {}
    for name, x in arrays.items():
        if has_rows(name, x):
            x = slice_axis(x, row_axis(name, x), block.start, block.stop)
        if name in COLUMNS or (name in ("bias", "mask") and x.shape[-1] > 1):
            x = slice_axis(x, x.ndim - (2 if name in COLUMNS else 1), block.low, block.high)
        found[name] = x
    return found


def has_rows(name: str, x: Any) -> bool:
    """Whether an array has an element, or a row, for each query."""
    return name in ROWS or (name in ("bias", "mask") and x.shape[-2] > 1)


def row_axis(name: str, x: Any) -> int:
    return x.ndim - (1 if name == "logsumexp" else 2)


def attend_by_blocks(spec: AttentionSpec, arrays: Arrays) -> tuple[Any, Any]:
    """`attend` for one head."""
    parts = []
    for block in blocks_of_queries(spec, arrays):
        place, own = Place(block.start, block.low), part_of(arrays, block)
        run = functools.partial(attend_late, spec)
        parts.append(by_chunks(run, own, place))
    outs, totals = zip(*parts, strict=True)
    return concatenate(outs, 1), concatenate(totals, 1)


def gradients_by_blocks(spec: AttentionSpec, arrays: Arrays) -> tuple[Any, Any, Any]:
    """`gradients_of` for one head, block of keys by block of keys: the sums of a block stay in cache."""
    rows, total, found = arrays["query"].shape[-2], None, []
    for block in blocks_of_keys(spec, arrays):
        place, own = Place(block.start, block.low), part_of(arrays, block)

        def run(arrays: Mapping[str, Any], place: Place) -> tuple[tuple[Any], tuple[Any, Any]]:
            parts = gradients_of(spec, arrays, place)
            return (parts["query"],), (parts["key"], parts["value"])

        (query,), sums = summed_by_chunks(run, own, place)
        found.append(sums)
        query = at_rows(query, block, rows)
        total = query if total is None else add(total, query)
    keys, values = zip(*found, strict=True)
    return total, concatenate(keys, 0), concatenate(values, 0)


def blocks_of_keys(spec: AttentionSpec, arrays: Arrays) -> list[Block]:
    """Blocks of keys, with the queries that may see them."""
    rows, keys = arrays["query"].shape[-2], arrays["key"].shape[-2]
    return [
        Block(*spec.queries_of(low, high, rows), low, high)
        for low, high in ranges(keys, parts_of(spec, arrays))
    ]


def at_rows(x: Any, block: Block, rows: int) -> Any:
    """What belongs to the queries of a block, with zeros for the others."""
    if block.stop - block.start == rows:
        return x
    groups, _, size = x.shape
    spec = ((0, groups, 1), (block.start, block.stop, 1), (0, size, 1))
    return PLACE(x, spec=spec, shape=(groups, rows, size))


# --- over the chunks of a block ---


def chunks_of(arrays: Arrays) -> int:
    """Into how many chunks of equal length the queries are divided."""
    rows = arrays["query"].shape[-2]
    wanted = min(-(-logit_bytes(arrays) // BLOCK_BYTES), rows)
    return next((n for n in range(wanted, min(4 * wanted, rows) + 1) if rows % n == 0), 1)


def by_chunks(run: Callable[..., Any], arrays: Arrays, place: Place) -> Any:
    """Results for chunks of queries, joined along their times."""
    return summed_by_chunks(lambda *args: (run(*args), ()), arrays, place)[0]


def summed_by_chunks(run: Callable[..., Any], arrays: Arrays, place: Place) -> tuple[Any, Any]:
    """Results of `run(arrays, place) -> (results, terms)` for chunks of queries, joined, and the sums of the terms."""
    count = chunks_of(arrays)
    if count == 1:
        return run(arrays, place)
    size = arrays["query"].shape[-2] // count
    fixed = {name: x for name, x in arrays.items() if not has_rows(name, x)}
    each = {name: chunked(name, x, count) for name, x in arrays.items() if has_rows(name, x)}
    starts = add(iota((count,)) * size, place.query)

    def step(sums: Any, xs: Any) -> Any:
        start, own = xs
        results, terms = run({**fixed, **own}, Place(start, place.key))
        return [add(x, y) for x, y in zip(sums, terms, strict=True)], results

    zeros = [full_beside(arrays[n], arrays[n].shape, 0, arrays[n].dtype) for n in COLUMNS]
    has_terms = "cotangent" in arrays
    sums, results = loop(step, zeros if has_terms else [], (starts, each))
    return tuple([unchunked(x) for x in results]), sums


def chunked(name: str, x: Any, count: int) -> Any:
    """Rows (G, T, ...) as chunks (count, G, T / count, ...)."""
    axis = row_axis(name, x)
    split = reshape(x, (*x.shape[:axis], count, x.shape[axis] // count, *x.shape[axis + 1 :]))
    return moveaxis(split, axis, 0)


def unchunked(x: Any) -> Any:
    """The inverse of `chunked` for results (count, G, size, ...)."""
    count, groups, size = x.shape[:3]
    return reshape(moveaxis(x, 0, 1), (groups, count * size, *x.shape[3:]))
