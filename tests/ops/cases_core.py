"""Rows of casts, creation, index maps, sums and products."""

from __future__ import annotations

import numpy as np

from funcgrad.ops import cast, compare, create, matmul, pieces, reduce, run_time, shape
from tests.ops.case import COMPLEX, EVERY, NUMERIC, REAL, Case, uniform

ANALYTIC = ("float64", "complex128")
SPEC = ((0, None, 2), 1, (3, None, -1))


def place(x, spec, shape):
    out = np.zeros(shape, x.dtype)
    out[::2, 1, 3::-1] = x
    return out


CASES = [
    Case(
        "convert",
        lambda x: cast.convert(x, np.complex128),
        (uniform(-2, 2),),
        reference=lambda x: x.astype(np.complex128),
        dtypes=EVERY,
        recorded=tuple(dtype for dtype in EVERY if dtype != "complex128"),
        elementwise=True,
    ),
    Case(
        "convert",
        lambda x: cast.convert(x, np.float32),
        (uniform(-2, 2),),
        label="narrow",
        reference=lambda x: (x.real if x.dtype.kind == "c" else x).astype(np.float32),
        dtypes=(*REAL, *COMPLEX, "int64", "bool"),
        recorded=(*COMPLEX, "float64", "int64", "bool"),
        argnums=(),
        elementwise=True,
    ),
    Case(
        "full",
        lambda: create.full((2, 3), 1.5, np.float32),
        (),
        reference=lambda: np.full((2, 3), 1.5, np.float32),
        dtypes=("float32",),
        argnums=(),
        batched=False,
    ),
    Case(
        "iota",
        lambda: create.iota((2, 3), 1, np.int32),
        (),
        reference=lambda: np.tile(np.arange(3, dtype=np.int32), (2, 1)),
        dtypes=("int32",),
        argnums=(),
        batched=False,
    ),
    Case(
        "broadcast_to",
        shape.broadcast_to,
        (uniform(-2, 2, (3, 1)),),
        {"shape": (2, 3, 4)},
        reference=np.broadcast_to,
        dtypes=EVERY,
        smooth=ANALYTIC,
    ),
    Case(
        "reshape",
        shape.reshape,
        (uniform(-2, 2, (2, 6)),),
        {"shape": (3, -1)},
        reference=np.reshape,
        dtypes=EVERY,
        smooth=ANALYTIC,
    ),
    Case(
        "transpose",
        lambda x: shape.transpose(x, (1, 2, 0)),
        (uniform(-2, 2, (2, 3, 4)),),
        reference=lambda x: x.transpose(1, 2, 0),
        dtypes=EVERY,
        smooth=ANALYTIC,
    ),
    Case(
        "concatenate",
        lambda *xs: pieces.concatenate(xs, 1),
        (uniform(-2, 2, (2, 3)), uniform(-2, 2, (2, 1)), uniform(-2, 2, (2, 2))),
        reference=lambda *xs: np.concatenate(xs, 1),
        dtypes=EVERY,
        smooth=ANALYTIC,
    ),
    Case(
        "static_slice",
        lambda x: pieces.STATIC_SLICE(x, spec=SPEC),
        (uniform(-2, 2, (3, 2, 5)),),
        reference=lambda x: x[::2, 1, 3::-1],
        dtypes=EVERY,
        smooth=ANALYTIC,
    ),
    Case(
        "place",
        pieces.PLACE,
        (uniform(-2, 2, (2, 4)),),
        {"spec": SPEC, "shape": (3, 2, 5)},
        reference=place,
        dtypes=EVERY,
        smooth=ANALYTIC,
    ),
    Case(
        "reduce_sum",
        reduce.reduce_sum,
        (uniform(-2, 2, (2, 3, 4)),),
        {"axes": (0, 2)},
        reference=lambda x, axes: x.sum(axes, dtype=x.dtype),
        dtypes=NUMERIC,
        smooth=ANALYTIC,
        tolerance=16,
    ),
    Case(
        "dot_general",
        lambda x, y: matmul.dot_general(x, y, ((1,), (0,))),
        (uniform(-2, 2, (2, 3)), uniform(-2, 2, (3, 4))),
        reference=np.matmul,
        dtypes=("float32", "float64", *COMPLEX, "int64"),
        smooth=ANALYTIC,
    ),
    Case(
        "dot_general",
        lambda x, y: matmul.dot_general(x, y, ((2, 0), (3, 1)), ((1,), (0,))),
        (uniform(-2, 2, (2, 5, 3, 4)), uniform(-2, 2, (5, 2, 1, 3))),
        label="batched",
        reference=lambda x, y: np.einsum("cbka,bcmk->bam", x, y),
        dtypes=("float32", "float64", "complex128"),
        smooth=ANALYTIC,
        tolerance=64,
    ),
    Case(
        "repeat_stack",
        lambda x: run_time.REPEAT_STACK(x, axis=1, size=4),
        (uniform(-2, 2, (2, 3)),),
        reference=lambda x: np.repeat(x[:, None], 4, 1),
        dtypes=NUMERIC,
        smooth=ANALYTIC,
    ),
    Case(
        "mask_stack",
        lambda x: run_time.MASK_STACK(compare.not_equal(create.iota((1, 3), 1), 1), x, axes=(2, 1)),
        (uniform(-2, 2, (2, 3, 1, 2)),),
        reference=lambda x: x * np.array([1, 0, 1], x.dtype)[:, None, None],
        dtypes=NUMERIC,
        smooth=ANALYTIC,
    ),
    Case(
        "sum_stack",
        lambda x: run_time.SUM_STACK(x, axis=1, size=3),
        (uniform(-2, 2, (2, 3, 4)),),
        reference=lambda x: x.sum(1, dtype=x.dtype),
        dtypes=NUMERIC,
        smooth=ANALYTIC,
        tolerance=16,
    ),
]
