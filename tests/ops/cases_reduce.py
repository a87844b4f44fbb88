"""Rows of products, extrema, their positions, and logical reductions."""

from __future__ import annotations

import numpy as np

from funcgrad.ops import extremal_reduce, logsumexp, product, reduce
from tests.ops.case import INTEGER, NUMERIC, REAL, Case, distinct, fixed, uniform

ORDERED = (*REAL, *INTEGER)
ZEROS = fixed(np.array([[2.0, 0.0, 3.0], [0.0, 0.0, 1.5], [1.0, 2.0, -3.0]]))


def reference(name):
    return lambda x, axes: getattr(np, name)(x, axis=axes, dtype=x.dtype)


CASES = [
    Case(
        "reduce_and",
        reduce.reduce_and,
        (uniform(-1, 1, (2, 3, 4)),),
        {"axes": (0, 2)},
        reference=lambda x, axes: np.all(x, axis=axes),
        dtypes=("bool", "float64", "int32"),
        argnums=(),
    ),
    Case(
        "reduce_or",
        reduce.reduce_or,
        (uniform(-1, 1, (2, 3, 4)),),
        {"axes": (1,)},
        reference=lambda x, axes: np.any(x, axis=axes),
        dtypes=("bool", "float64", "int32"),
        argnums=(),
    ),
    Case(
        "reduce_prod",
        product.reduce_prod,
        (uniform(-2, 2, (2, 3, 4)),),
        {"axes": (0, 2)},
        reference=reference("prod"),
        dtypes=("float32", "float64", "complex128", *INTEGER),
        smooth=("float64", "complex128"),
        tolerance=32,
    ),
    Case(
        "reduce_prod",
        product.reduce_prod,
        (ZEROS,),
        {"axes": 1},
        label="zeros",
        reference=lambda x, axes: np.prod(x, axis=axes),
        dtypes=("float64",),
    ),
    Case(
        "reduce_max",
        extremal_reduce.reduce_max,
        (distinct(-2, 2, (2, 3, 4)),),
        {"axes": (0, 2)},
        reference=lambda x, axes: np.max(x, axis=axes),
        dtypes=ORDERED,
    ),
    Case(
        "reduce_min",
        extremal_reduce.reduce_min,
        (distinct(-2, 2, (2, 3, 4)),),
        {"axes": 1},
        reference=lambda x, axes: np.min(x, axis=axes),
        dtypes=ORDERED,
    ),
    Case(
        "arg_max",
        extremal_reduce.argmax,
        (distinct(-100, 100, (2, 5, 3)),),
        {"axis": 1},
        reference=np.argmax,
        dtypes=NUMERIC,
        argnums=(),
    ),
    Case(
        "arg_min",
        extremal_reduce.argmin,
        (distinct(-100, 100, (2, 5, 3)),),
        {"axis": -1},
        reference=np.argmin,
        dtypes=NUMERIC,
        argnums=(),
    ),
    Case(
        "log_sum_exp",
        logsumexp.logsumexp,
        (uniform(-2, 2, (2, 3, 4)),),
        {"axes": (0, 2)},
        reference=lambda x, axes: np.log(np.sum(np.exp(x), axis=axes)),
        dtypes=("float32", "float64"),
        tolerance=16,
    ),
]
