"""Attention as formulas: results, tangents and gradients for heads that are groups around shared keys and values.

All arrays are *grouped*: rows of queries are (..., groups G, times T, size), keys and values (..., times S, size), with
the same leading axes (examples and heads of keys; none within a loop over these). The logarithm of the sum of powers of
each row lets the weights be computed again, so that nothing of the size T x S needs to be kept for a derivative.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from funcgrad.ops.arithmetic import add, divide, multiply, subtract
from funcgrad.ops.attention_spec import FROM_THE_START, AttentionSpec, Place
from funcgrad.ops.cast import convert
from funcgrad.ops.compare import greater, greater_equal, less, less_equal, logical_and
from funcgrad.ops.cotangents import sum_terms
from funcgrad.ops.create import iota
from funcgrad.ops.exponential import exp, log
from funcgrad.ops.extremal_reduce import reduce_max
from funcgrad.ops.matmul import dot_general
from funcgrad.ops.reduce import accumulator, reduce_sum
from funcgrad.ops.select import select
from funcgrad.ops.shape import expand_dims

Arrays = Mapping[str, Any]  # by name: query, key, value, bias, mask, query_lengths, ...


# --- products ---


def by_keys(rows: Any, keys: Any) -> Any:
    """Products of rows (..., G, T, size) and keys (..., S, size): (..., G, T, S)."""
    lead = tuple(range(keys.ndim - 2))
    return dot_general(rows, keys, ((rows.ndim - 1,), (keys.ndim - 1,)), (lead, lead))


def weighted(weights: Any, values: Any) -> Any:
    """Sums over the keys of weights (..., G, T, S) times values (..., S, size): (..., G, T, size)."""
    lead = tuple(range(values.ndim - 2))
    weights = convert(weights, values.dtype)
    return dot_general(weights, values, ((weights.ndim - 1,), (len(lead),)), (lead, lead))


def over_rows(weights: Any, rows: Any) -> Any:
    """Sums over the rows of weights (..., G, T, S) times rows (..., G, T, size): (..., S, size)."""
    count = rows.ndim - 3
    lead, summed = tuple(range(count)), (count, count + 1)
    return dot_general(convert(weights, rows.dtype), rows, (summed, summed), (lead, lead))


def scaled(spec: AttentionSpec, x: Any) -> Any:
    return multiply(x, np.asarray(spec.scale, x.dtype)[()])


# --- weights ---


def logits_of(spec: AttentionSpec, query: Any, key: Any, bias: Any) -> Any:
    """Scaled products and what is added to them, in float32 for half precision."""
    wide = accumulator(query.dtype)
    if query.dtype == wide:
        logits = by_keys(scaled(spec, query), key)
    else:
        logits = scaled(spec, convert(by_keys(query, key), wide))
    return logits if bias is None else add(logits, convert(bias, wide))


def seen(spec: AttentionSpec, arrays: Arrays, place: Place) -> Any:
    """Which keys the queries may see, to be broadcast to (..., G, T, S); None for all."""
    rows = expand_dims(add(iota((arrays["query"].shape[-2],)), place.query), 1)
    columns = add(iota((arrays["key"].shape[-2],)), place.key)
    parts = [arrays["mask"]] if "mask" in spec.extras else []
    if spec.is_causal:
        parts.append(less_equal(columns, rows))
    if spec.window is not None:
        before, after = spec.window
        parts.append(greater_equal(columns, subtract(rows, before)))
        parts.append(less_equal(columns, add(rows, after)))
    for name, times in (("query_lengths", rows), ("key_lengths", columns)):
        if name in spec.extras:
            parts.append(less(times, arrays[name]))
    found = parts[0] if parts else None
    for part in parts[1:]:
        found = logical_and(found, part)
    return found


def hidden(allowed: Any, x: Any, value: Any) -> Any:
    """`x`, and `value` at keys that may not be seen."""
    return x if allowed is None else select(allowed, x, np.asarray(value, x.dtype)[()])


def masked_logits(spec: AttentionSpec, arrays: Arrays, place: Place) -> tuple[Any, Any]:
    """Logits, the least number at keys that may not be seen (not -inf: a row without keys shall not make NaN)."""
    logits = logits_of(spec, arrays["query"], arrays["key"], arrays.get("bias"))
    allowed = seen(spec, arrays, place)
    return hidden(allowed, logits, np.finfo(logits.dtype).min), allowed


def weights_of(spec: AttentionSpec, arrays: Arrays, place: Place) -> Any:
    """The weights of all keys: those that are there, or from the logarithms of the sums of each row."""
    if "weights" in arrays:
        return arrays["weights"]
    logits, allowed = masked_logits(spec, arrays, place)
    return hidden(allowed, exp(subtract(logits, last(arrays["logsumexp"]))), 0)


def last(x: Any) -> Any:
    """`x` with one more axis behind the others."""
    return expand_dims(x, x.ndim)


# --- results, tangents, gradients ---


def powers_of(spec: AttentionSpec, arrays: Arrays, place: Place) -> tuple[Any, Any, Any]:
    """Powers of the logits over the largest of their row, those, and the sums of the rows; 1 in rows without keys."""
    logits, allowed = masked_logits(spec, arrays, place)
    largest = reduce_max(logits, -1)
    powers = hidden(allowed, exp(subtract(logits, last(largest))), 0)
    total = reduce_sum(powers, -1)
    if allowed is not None:
        total = select(greater(total, 0), total, np.ones((), total.dtype)[()])
    return powers, largest, total


def attend(
    spec: AttentionSpec, arrays: Arrays, place: Place = FROM_THE_START
) -> tuple[Any, Any, Any]:
    """Results, the logarithm of the sum of powers of each row, and the weights; a row without keys has the result 0.

    Args:
        spec: what attention does.
        arrays: query, key, value and the extras.
        place: which times these are.
    """
    powers, largest, total = powers_of(spec, arrays, place)
    weights = divide(powers, last(total))
    out = convert(weighted(weights, arrays["value"]), arrays["query"].dtype)
    return out, add(largest, log(total)), weights


def attend_late(
    spec: AttentionSpec, arrays: Arrays, place: Place = FROM_THE_START
) -> tuple[Any, Any]:
    """Results and logarithms as of `attend`; the results are divided, not the weights, which are more."""
    powers, largest, total = powers_of(spec, arrays, place)
    out = divide(convert(weighted(powers, arrays["value"]), total.dtype), last(total))
    return convert(out, arrays["query"].dtype), add(largest, log(total))


def tangents_of(
    spec: AttentionSpec, arrays: Arrays, moving: Arrays, place: Place = FROM_THE_START
) -> tuple[Any, Any]:
    """Tangents of results and logarithms.

    Args:
        spec, place: see `attend`.
        arrays: those of `attend`, and its results "out", "logsumexp" and, if they are there, "weights".
        moving: tangents of query, key, value and bias, by these names; those that are missing are zero.
    """
    weights = weights_of(spec, arrays, place)
    wide, dtype = weights.dtype, arrays["query"].dtype
    terms = [
        by_keys(moving["query"], arrays["key"]) if "query" in moving else None,
        by_keys(arrays["query"], moving["key"]) if "key" in moving else None,
    ]
    terms = [None if x is None else scaled(spec, convert(x, wide)) for x in terms]
    terms.append(convert(moving["bias"], wide) if "bias" in moving else None)
    logits, out, total = sum_terms(terms), None, None
    if logits is not None:
        slopes = multiply(weights, logits)
        total = reduce_sum(slopes, -1)
        own = multiply(convert(arrays["out"], wide), last(total))
        out = subtract(convert(weighted(slopes, arrays["value"]), wide), own)
    direct = weighted(weights, moving["value"]) if "value" in moving else None
    out = sum_terms([out, None if direct is None else convert(direct, wide)])
    if total is None:
        total = multiply(arrays["logsumexp"], np.zeros((), wide)[()])
    return convert(out, dtype), total


def gradients_of(
    spec: AttentionSpec, arrays: Arrays, place: Place = FROM_THE_START
) -> dict[str, Any]:
    """Cotangents of query, key and value, and that of the logits as "bias".

    Args:
        spec, place: see `attend`.
        arrays: those of `attend`, its results "out" and "logsumexp", the "cotangent" of the first, "pulls", that of
            the second, if it has one, and "weights", if they are there.
    """
    weights = weights_of(spec, arrays, place)
    wide = weights.dtype
    key, query, cotangent = arrays["key"], arrays["query"], arrays["cotangent"]
    slopes = convert(by_keys(cotangent, arrays["value"]), wide)
    if "weights" in arrays:  # then the results may be computed for nobody else
        common = reduce_sum(multiply(weights, slopes), -1)
    else:
        common = reduce_sum(multiply(convert(arrays["out"], wide), convert(cotangent, wide)), -1)
    if "pulls" in arrays:
        common = subtract(common, arrays["pulls"])
    slopes = multiply(weights, subtract(slopes, last(common)))
    return {
        "query": scaled(spec, weighted(slopes, key)),
        "key": over_rows(slopes, scaled(spec, query)),
        "value": over_rows(weights, cotangent),
        "bias": slopes,
    }
