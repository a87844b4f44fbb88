"""Rows of attention: its results and logarithms, their tangents, and the gradients of its inputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.control.attention import ATTENTION, ATTENTION_GRADIENT, ATTENTION_TANGENT
from funcgrad.ops.attention_spec import AttentionSpec
from funcgrad.ops.reduce import accumulator
from tests.ops.case import BFLOAT16, Case, bools, fixed, uniform

EXAMPLES, ROWS, KEYS, HEADS, OWN, SIZE, WIDTH = 2, 4, 5, 4, 2, 3, 2
QUERY, KEY = (EXAMPLES, ROWS, HEADS, SIZE), (EXAMPLES, KEYS, OWN, SIZE)
VALUE, OUT = (EXAMPLES, KEYS, OWN, WIDTH), (EXAMPLES, ROWS, HEADS, WIDTH)
TOTALS = (EXAMPLES, HEADS, ROWS)
INPUTS = (uniform(-2, 2, QUERY), uniform(-2, 2, KEY), uniform(-2, 2, VALUE))


def logarithms(rng: np.random.Generator, dtype: np.dtype) -> np.ndarray:
    """What stands for sums of powers: at least float32."""
    return rng.uniform(2, 3, TOTALS).astype(accumulator(dtype))


RESULTS = (uniform(-1, 1, OUT), logarithms)

PLAIN = AttentionSpec(0.5)
CAUSAL = AttentionSpec(0.5, is_causal=True)
BIASED = AttentionSpec(0.5, extras=("bias",))
EVERYTHING = AttentionSpec(0.5, True, (2, 1), ("bias", "mask", "query_lengths", "key_lengths"))
BIAS = uniform(-1, 1, (1, HEADS, 1, KEYS))
EXTRAS = (
    BIAS,
    bools((EXAMPLES, 1, ROWS, KEYS)),
    fixed(np.array([3, 4])),
    fixed(np.array([5, 2], np.int32)),
)


def reference(
    query: Any, key: Any, value: Any, *extras: Any, spec: AttentionSpec
) -> list[np.ndarray]:
    """The formula in float64, head by head."""
    given = dict(zip(spec.extras, extras, strict=True))
    shape = (EXAMPLES, HEADS, ROWS, KEYS)
    bias = np.broadcast_to(given.get("bias", 0.0), shape).astype(float)
    allowed = np.broadcast_to(given.get("mask", True), shape).copy()
    rows, columns = np.arange(ROWS)[:, None], np.arange(KEYS)
    if spec.is_causal:
        allowed &= columns <= rows
    if spec.window is not None:
        allowed &= (columns >= rows - spec.window[0]) & (columns <= rows + spec.window[1])
    for name, places in (("query_lengths", rows), ("key_lengths", columns)):
        if name in given:
            allowed &= places < given[name][:, None, None, None]
    q, k, v = (x.astype(float) for x in (query, key, value))
    k, v = (x.repeat(HEADS // OWN, axis=2) for x in (k, v))
    logits = np.einsum("btnh,bsnh->bnts", q, k) * spec.scale + bias
    powers = np.exp(logits) * allowed
    total = powers.sum(-1)
    out = np.einsum("bnts,bsnh->btnh", powers / np.where(total, total, 1)[..., None], v)
    wide = np.float64 if query.dtype == np.float64 else np.float32
    least = float(np.finfo(wide).min)
    logarithms = np.where(total > 0, np.log(np.where(total > 0, total, 1)), least)
    return [out.astype(query.dtype), logarithms.astype(wide)]


def attention(spec: AttentionSpec) -> Any:
    return lambda *xs: ATTENTION(*xs, spec=spec)


def tangent(spec: AttentionSpec, *moving: str) -> Any:
    return lambda *xs: ATTENTION_TANGENT(*xs, spec=spec, moving=moving)


def gradient(spec: AttentionSpec, *wanted: str, has_pulls: bool = False) -> Any:
    return lambda *xs: ATTENTION_GRADIENT(*xs, spec=spec, wanted=wanted, has_pulls=has_pulls)


def row(spec: AttentionSpec, label: str, *extras: Any, **settings: Any) -> Case:
    settings = {"dtypes": ("float32", "float64"), "tolerance": 32.0, **settings}
    formula = lambda *xs: reference(*xs, spec=spec)
    return Case(
        "attention", attention(spec), (*INPUTS, *extras), label=label, reference=formula, **settings
    )


def half_row(spec: AttentionSpec, label: str, *extras: Any) -> Case:
    """The results only: logarithms have more digits than what they are made of."""
    return Case(
        "attention",
        lambda *xs: ATTENTION(*xs, spec=spec)[:1],
        (*INPUTS, *extras),
        label=label,
        reference=lambda *xs: reference(*xs, spec=spec)[:1],
        dtypes=("float16", BFLOAT16),
        smooth=(),
        tolerance=8.0,
    )


def derivative(function: Any, label: str, primitive: str, *inputs: Any, **settings: Any) -> Case:
    settings = {"dtypes": ("float32", "float64", BFLOAT16), "tolerance": 64.0, **settings}
    return Case(primitive, function, inputs, label=label, slack=1e-5, **settings)


CASES = [
    row(PLAIN, "plain"),
    row(CAUSAL, "causal"),
    row(EVERYTHING, "everything", *EXTRAS, argnums=(0, 1, 2, 3)),
    half_row(PLAIN, "plain half"),
    half_row(EVERYTHING, "everything half", *EXTRAS),
    derivative(
        tangent(BIASED, "query", "key", "value", "bias"),
        "all",
        "attention_tangent",
        *(*INPUTS, BIAS, *RESULTS, *INPUTS, BIAS),
    ),
    derivative(
        tangent(CAUSAL, "value"), "value", "attention_tangent", *INPUTS, *RESULTS, INPUTS[2]
    ),
    derivative(
        gradient(BIASED, "query", "key", "value", "bias", has_pulls=True),
        "all",
        "attention_gradient",
        *(*INPUTS, BIAS, *RESULTS, uniform(-1, 1, OUT), uniform(-1, 1, TOTALS)),
    ),
    derivative(
        gradient(EVERYTHING, "query", "value"),
        "everything",
        "attention_gradient",
        *(*INPUTS, *EXTRAS, *RESULTS, uniform(-1, 1, OUT)),
    ),
]
