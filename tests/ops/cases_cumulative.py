"""Rows of running operations and of linear recurrences."""

from __future__ import annotations

import numpy as np

from funcgrad.ops import cumulative, recurrence
from tests.ops.case import COMPLEX, INTEGER, REAL, Case, distinct, fixed, uniform

EXACT = ("float32", "float64", *COMPLEX, *INTEGER)
ANALYTIC = ("float64", "complex128")


def running(function):
    """The reference: NumPy's running operation, from the end if `reverse`."""

    def reference(x, axis, reverse=False):
        out = function(np.flip(x, axis) if reverse else x, axis=axis, dtype=x.dtype)
        return np.flip(out, axis) if reverse else out

    return reference


def recur(factor, term, reverse=False):
    order = range(len(term))[::-1] if reverse else range(len(term))
    out, last = np.zeros_like(term), 0
    for k in order:
        out[k] = last = factor[k] * last + term[k]
    return out


def rows_of(name, function, build, dtypes, smooth):
    return [
        Case(
            primitive=name,
            function=getattr(cumulative, name.replace("_", "")),
            inputs=(build(-2, 2, (3, 5, 2)),),
            params={"axis": 1, "reverse": reverse},
            label="reverse" if reverse else "",
            reference=running(function),
            dtypes=dtypes,
            smooth=smooth,
            tolerance=32,
        )
        for reverse in (False, True)
    ]


CASES = [
    *rows_of("cum_sum", np.cumsum, uniform, EXACT, ANALYTIC),
    *rows_of("cum_prod", np.cumprod, uniform, EXACT, ANALYTIC),
    *rows_of("cum_max", np.maximum.accumulate, distinct, (*REAL, *INTEGER), ("float64",)),
    *rows_of("cum_min", np.minimum.accumulate, distinct, (*REAL, *INTEGER), ("float64",)),
    *rows_of(
        "cum_log_sum_exp", np.logaddexp.accumulate, uniform, ("float32", "float64"), ("float64",)
    ),
    Case(
        "cum_prod",
        cumulative.cumprod,
        (fixed(np.array([2.0, 0.0, 3.0, 0.0, 5.0])),),
        label="zeros",
        reference=np.cumprod,
        dtypes=("float64",),
    ),
    *(
        Case(
            "linear_recurrence",
            recurrence.linear_recurrence,
            (uniform(-2, 2, (6, 3)), uniform(-2, 2, (6, 3))),
            {"axis": 0, "reverse": reverse},
            label="reverse" if reverse else "",
            reference=lambda f, t, axis, reverse: recur(f, t, reverse),
            dtypes=("float32", "float64", "complex128"),
            smooth=ANALYTIC,
            tolerance=64,
        )
        for reverse in (False, True)
    ),
]
