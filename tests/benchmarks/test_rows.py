"""The benchmark programs at tiny sizes: each side that is installed here computes what the reference does."""

import importlib.util
from itertools import pairwise

import numpy as np
import pytest

from benchmarks.libraries import arrays_of, library
from benchmarks.row import SIDES, Training, check, doubled, leaves_of
from benchmarks.rows import ROWS, SERIES, row_named

INSTALLED = [side for side in ("funcgrad", "autograd") if importlib.util.find_spec(side)]
PROGRAMS = [
    pytest.param(row.shrunk(), side, id=f"{name}-{side}")
    for name, row in ROWS.items()
    for side in (*INSTALLED, "numpy")
    if side in row.sides()
]
SMALLEST = [
    pytest.param(row_named(f"{name}@{min(series.rows)}"), id=name)
    for name, series in SERIES.items()
]


def tiny_data(row):
    return row.data(np.random.default_rng(0))


def reference(row):
    return leaves_of(row.reference(*doubled(tiny_data(row))))


@pytest.mark.parametrize("row, side", PROGRAMS)
def test_side_computes_the_reference(row, side):
    used = library(side)
    work = used.build(row, tiny_data(row))
    call, reset = work if isinstance(work, Training) else (work, lambda: None)
    for _ in range(3):  # traced, compiled, and from the cache
        check(row, arrays_of(used, call()), reference(row))
        reset()


@pytest.mark.parametrize("row", SMALLEST)
def test_smallest_of_a_series_computes_the_reference(row):
    used = library("funcgrad")
    call = used.build(row, tiny_data(row))
    check(row, arrays_of(used, call()), reference(row))


@pytest.mark.parametrize("name", SERIES)
def test_series_grows_by_factors_of_ten(name):
    units = list(SERIES[name].rows)
    growths = [more / fewer for fewer, more in pairwise(units)]
    assert len(units) == 4 and all(9.5 < growth < 10.5 for growth in growths)


@pytest.mark.parametrize("name", ROWS)
def test_row_is_complete(name):
    row = ROWS[name]
    assert row.goal > 0 and row.title and set(row.sides()) <= set(SIDES)
    assert ("funcgrad" in row.sides()) != bool(row.not_yet)
    assert set(row.leaves_out).isdisjoint(row.sides())
    arrays = leaves_of(tiny_data(row))
    assert all(a.dtype in (np.float32, np.int64) for a in arrays)


def wrong_value(arrays):
    arrays[0] = arrays[0] * np.float32(1.01)


def wrong_dtype(arrays):
    arrays[0] = arrays[0].astype(np.float64)


def wrong_shape(arrays):
    arrays[0] = arrays[0][None]


def not_a_number(arrays):
    arrays[0] = arrays[0] * np.float32(np.nan)


def one_less(arrays):
    arrays.pop()


@pytest.mark.parametrize("damage", [wrong_value, wrong_dtype, wrong_shape, not_a_number, one_less])
def test_check_refuses_wrong_results(damage):
    for row in (row.shrunk() for row in ROWS.values()):
        expected = reference(row)
        arrays = [np.asarray(a, np.float32) for a in expected]
        check(row, arrays, expected)
        damage(arrays)
        with pytest.raises(ValueError, match="result"):
            check(row, arrays, expected)
