"""Rows of the primitives that transformations define: collectives, callbacks, names, stopped gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.ir.types import ArrayType
from funcgrad.ops.arithmetic import multiply
from funcgrad.transforms import collectives
from funcgrad.transforms.callback import DEBUG_CALLBACK, PURE_CALLBACK
from funcgrad.transforms.checkpoint import checkpoint_name
from funcgrad.transforms.stop_gradient import STOP_GRADIENT
from funcgrad.transforms.user_primitives import primitive
from funcgrad.transforms.vmap import vmap
from tests.ops.case import EVERY, FLOAT, NUMERIC, Case, distinct, uniform

ANALYTIC = ("float64", "complex128")
PERMUTATION = [(0, 1), (1, 2)]


def collective(
    primitive: str, function: Callable, reference: Callable, label: str = "", **settings: Any
) -> Case:
    """A row for a function of one example that looks at the others, run over three examples."""
    inputs = (distinct(-2, 2, (3, 2)),)
    settings = {"dtypes": FLOAT, "smooth": ANALYTIC, "inputs": inputs, **settings}
    run = lambda x: vmap(function, axis_name="i")(x)
    return Case(primitive, run, label=label, reference=reference, recorded=(), **settings)


def sums(x: np.ndarray) -> np.ndarray:
    return np.broadcast_to(x.sum(0), x.shape)


def shifted(x: np.ndarray) -> np.ndarray:
    return np.concatenate([np.zeros_like(x[:1]), x[:-1]])


def doubled(x: Any) -> Any:
    """Twice `x`, computed outside; the debug callback sees it."""
    types = (ArrayType(x.shape, x.dtype),)
    (out,) = PURE_CALLBACK(x, callback=lambda a: [a * 2], types=types, vmap_method="sequential")
    return out


def watched(x: Any) -> Any:
    DEBUG_CALLBACK(x, callback=lambda a: None)
    return multiply(x, 3)


CASES = [
    collective("p_sum", lambda x: collectives.psum(x, "i"), sums),
    collective("p_sum_varying", lambda x: collectives.PSUM_VARYING(x, axis_name="i"), sums),
    collective(
        "p_extremum",
        lambda x: collectives.pmax(x, "i"),
        lambda x: np.broadcast_to(x.max(0), x.shape),
        label="max",
        smooth=("float64",),
    ),
    collective(
        "p_extremum",
        lambda x: collectives.pmin(x, "i"),
        lambda x: np.broadcast_to(x.min(0), x.shape),
        label="min",
        smooth=("float64",),
    ),
    collective(
        "all_gather",
        lambda x: collectives.all_gather(x, "i"),
        lambda x: np.broadcast_to(x, (3, *x.shape)),
    ),
    collective("p_permute", lambda x: collectives.ppermute(x, "i", PERMUTATION), shifted),
    collective(
        "axis_index",
        lambda x: multiply(x, collectives.axis_index("i")),
        lambda x: x * np.arange(3).reshape(3, 1),
        dtypes=("float64",),
    ),
    Case(
        "name",
        lambda x: checkpoint_name(x, "kept"),
        (uniform(-2, 2),),
        reference=np.copy,
        dtypes=EVERY,
        smooth=ANALYTIC,
    ),
    Case(
        "stop_gradient",
        STOP_GRADIENT,
        (uniform(-2, 2),),
        reference=np.copy,
        dtypes=EVERY,
        argnums=(),
    ),
    Case(
        "pure_callback",
        doubled,
        (uniform(-2, 2),),
        reference=lambda x: x * 2,
        dtypes=NUMERIC,
        argnums=(),
    ),
    Case(
        "user_call",
        primitive(lambda x: x * x, out_shape=lambda x: x, vmap="elementwise"),
        (uniform(-2, 2),),
        reference=lambda x: x * x,
        dtypes=NUMERIC,
        argnums=(),
    ),
    Case(
        "debug_callback",
        watched,
        (uniform(-2, 2),),
        reference=lambda x: x * 3,
        dtypes=NUMERIC,
        smooth=ANALYTIC,
    ),
]
