"""Rows of sorting, alone and together with other arrays."""

from __future__ import annotations

import numpy as np

from funcgrad.ops import sort
from funcgrad.ops.top_k import top_k
from tests.ops.case import INTEGER, REAL, Case, distinct, integers, uniform


def sorted_together(x, y, z):
    order = np.lexsort((y, x))
    return [v[order] for v in (x, y, z)]


def largest_three(x):
    backward = x[..., ::-1] if x.dtype.kind in "iu" else x[..., ::-1].astype(np.float64)
    order = np.argsort(backward, axis=-1, kind="stable")[..., ::-1]
    return x.shape[-1] - 1 - order[..., :3]


CASES = [
    Case(
        "sort",
        sort.sort,
        (distinct(-9, 9, (3, 4, 2)),),
        {"axis": 1},
        reference=np.sort,
        dtypes=(*REAL, *INTEGER, "bool"),
    ),
    Case(
        "sort",
        lambda x, y, z: sort.sort_together([x, y, z], num_keys=2),
        (integers(0, 3, (8,)), distinct(-2, 2, (8,)), uniform(-2, 2, (8,))),
        label="together",
        reference=sorted_together,
        dtypes=("float32", "float64"),
    ),
    Case(
        "top_positions",
        lambda x: top_k(x, 3)[1],
        (distinct(-9, 9, (2, 4, 5)),),
        reference=largest_three,
        dtypes=(*REAL, *INTEGER),
        argnums=(),
    ),
]
