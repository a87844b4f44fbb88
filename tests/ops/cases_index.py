"""Rows of gather, the scatters, and replaced slices."""

from __future__ import annotations

import numpy as np

from funcgrad.ops.dynamic_slice import dynamic_slice, dynamic_update_slice
from funcgrad.ops.gather import GATHER
from funcgrad.ops.scatter import SCATTERS, scatter
from funcgrad.ops.update import UPDATE
from tests.ops.case import EVERY, NUMERIC, Case, distinct, fixed, integers, uniform

ANALYTIC = ("float64", "complex128")
ROWS = fixed(np.array([[0, 2, 2], [-1, 3, -4]]))
COLUMNS = fixed(np.array([1, 0, -1]))
FAR = fixed(np.array([2, 9, 0, 2, -5]))
PARAMS = {"labels": (0,), "drop": False, "unique": False}
SPEC = ((0, None, 2), 1, (3, None, -1))


def combined(name):
    """What a scatter means: one update after the other."""
    functions = {"max": np.maximum, "min": np.minimum, "add": np.add, "multiply": np.multiply}

    def reference(x, updates, *indices, drop=False):
        out = x.copy()
        places = np.broadcast_arrays(*indices)
        for position in np.ndindex(places[0].shape):
            place = tuple(int(p[position]) for p in places)
            if drop and not all(-n <= i < n for i, n in zip(place, x.shape, strict=False)):
                continue
            update = updates[position]
            out[place] = update if name == "set" else functions[name](out[place], update)
        return out

    return reference


def rows_of(name):
    builder = distinct if name in ("max", "min") else uniform
    numbers = builder(-2, 2, (4, 3, 2))
    small = {"max": {"smooth": ("float64",)}, "min": {"smooth": ("float64",)}}.get(name, {})
    common = {"dtypes": (*NUMERIC,), "smooth": ANALYTIC, "tolerance": 64, **small}
    primitive = "scatter_" + name
    run = SCATTERS[name]
    return [
        Case(
            primitive,
            lambda x, u, i: run(x, u, i, **PARAMS),
            (numbers, builder(-1.9, 1.8, (2, 3, 3, 2)), ROWS),
            reference=combined(name),
            argnums=(0, 1),
            **common,
        ),
        Case(
            primitive,
            lambda x, u, i, j: scatter(name, x, (i, j), u),
            (numbers, builder(-1.9, 1.8, (2, 3, 2)), ROWS, COLUMNS),
            label="two axes",
            reference=combined(name),
            argnums=(0, 1),
            **common,
        ),
        Case(
            primitive,
            lambda x, u, i: scatter(name, x, (i,), u, drop=True),
            (numbers, builder(-1.9, 1.8, (5, 3, 2)), FAR),
            label="drop",
            reference=lambda *args: combined(name)(*args, drop=True),
            argnums=(0, 1),
            **common,
        ),
        Case(
            primitive,
            lambda x, u, i: scatter(name, x, (i,), u, unique=True),
            (numbers, builder(-1.9, 1.8, (2, 3, 2)), fixed(np.array([3, 1]))),
            label="unique",
            reference=combined(name),
            argnums=(0, 1),
            **common,
        ),
    ]


def replaced(x, updates):
    out = x.copy()
    out[::2, 1, 3::-1] = updates
    return out


def window_replaced(x, updates, i, j):
    out = x.copy()
    out[i : i + 2, 1:2, j : j + 3] = updates
    return out


CASES = [
    Case(
        "gather",
        lambda x, i: GATHER(x, i, labels=(0,), drop=False),
        (uniform(-2, 2, (4, 3)), ROWS),
        reference=lambda x, i: x[i],
        dtypes=EVERY,
        smooth=ANALYTIC,
    ),
    Case(
        "gather",
        lambda x, i, j: GATHER(x, i, j, labels=(0, 1), drop=False),
        (uniform(-2, 2, (4, 3, 2)), ROWS, COLUMNS),
        label="two axes",
        reference=lambda x, i, j: x[i, j],
        dtypes=EVERY,
        smooth=ANALYTIC,
    ),
    Case(
        "gather",
        lambda x, i: GATHER(x, i, labels=(0,), drop=True),
        (uniform(-2, 2, (4, 3)), FAR),
        label="drop",
        reference=lambda x, i: np.where(((i >= -4) & (i < 4))[:, None], x[i % 4], 0).astype(
            x.dtype
        ),
        dtypes=EVERY,
        smooth=ANALYTIC,
    ),
    Case(
        "gather",
        lambda x, i: GATHER(x, i, labels=(0,), drop=False),
        (uniform(-2, 2, (4, 3)), integers(-4, 4, ())),
        label="scalar",
        reference=lambda x, i: x[i],
        dtypes=EVERY,
        smooth=ANALYTIC,
    ),
    *(row for name in SCATTERS for row in rows_of(name)),
    Case(
        "update",
        lambda x, u: UPDATE(x, u, spec=SPEC),
        (uniform(-2, 2, (3, 2, 5)), uniform(-2, 2, (2, 4))),
        reference=replaced,
        dtypes=EVERY,
        smooth=ANALYTIC,
    ),
    Case(
        "dynamic_slice",
        lambda x, i, j: dynamic_slice(x, (i, 0, j), (2, 3, 2)),
        (uniform(-2, 2, (4, 3, 5)), integers(-4, -2, ()), integers(0, 3, ())),
        reference=lambda x, i, j: x[i + 4 : i + 6, :, j : j + 2],
        dtypes=EVERY,
        smooth=ANALYTIC,
    ),
    Case(
        "dynamic_update",
        lambda x, u, i, j: dynamic_update_slice(x, u, (i, 1, j)),
        (
            uniform(-2, 2, (4, 3, 5)),
            uniform(-2, 2, (2, 1, 3)),
            integers(0, 2, ()),
            integers(0, 2, ()),
        ),
        reference=window_replaced,
        dtypes=EVERY,
        smooth=ANALYTIC,
    ),
]
