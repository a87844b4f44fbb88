"""Operations on CuPy arrays, eagerly: every primitive and its derivatives, on CuPy as strict as it is."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.ir.types import is_inexact
from tests.gpu import strict_cupy
from tests.ops.cases import CASES
from tests.ops.derivatives import as_list
from tests.ops.test_contract import assert_same

# CuPy has few functions of bfloat16; compiled code has all.
PAIRS = [
    (case, np.dtype(dtype)) for case in CASES for dtype in case.dtypes if str(dtype) != "bfloat16"
]
SMOOTH = [
    (case, dtype) for case in CASES if case.argnums != () and case.inputs for dtype in case.smooth
]
BATCHED = [case for case in CASES if case.batched and case.inputs]


def on_host(value):
    return value.get() if isinstance(value, strict_cupy.ndarray) else value


def assert_on_gpu(outs):
    """Arrays of CuPy; Python scalars and numbers may stay what they are."""
    wrong = [out for out in as_list(outs) if isinstance(out, np.ndarray)]
    assert not wrong, f"NumPy arrays among the results: {wrong}"


def check(found, expected, tolerance):
    assert_on_gpu(found)
    found = [np.asarray(on_host(out)) for out in as_list(found) if out is not None]
    expected = [np.asarray(out) for out in as_list(expected) if out is not None]
    assert_same(found, expected, tolerance)


@pytest.mark.parametrize(("case", "dtype"), PAIRS, ids=[f"{c}-{d}" for c, d in PAIRS])
def test_value(case, dtype, strict):
    args = case.arguments(dtype)
    expected = case.call(*args)
    with fg.default_device("cuda"):  # for those that have no arguments
        found = case.call(*map(strict_cupy.put, args))
    check(found, expected, 1000.0)
    assert not strict_cupy.leaks


@pytest.mark.parametrize(("case", "dtype"), SMOOTH, ids=[f"{c}-{d}" for c, d in SMOOTH])
def test_derivatives(case, dtype, strict):
    args = case.arguments(dtype)
    argnums = case.argnums if case.argnums is not None else range(len(args))
    places = [i for i in argnums if is_inexact(args[i].dtype)]

    def run(put):
        given = [put(x) for x in args]

        def fun(*moving):
            full = list(given)
            for place, value in zip(places, moving, strict=True):
                full[place] = value
            return case.call(*full)

        moving = [given[i] for i in places]
        out, pull = fg.vjp(fun, *moving)
        _, tangent = fg.jvp(fun, tuple(moving), tuple(moving))
        return [*as_list(out), *pull(out), *as_list(tangent)]

    with np.errstate(all="ignore"):
        check(run(strict_cupy.put), run(np.array), 1e5)
    assert not strict_cupy.leaks


@pytest.mark.parametrize("case", BATCHED, ids=map(str, BATCHED))
def test_batched(case, strict):
    dtype = case.dtypes[0]
    args = [
        np.stack([x, y])
        for x, y in zip(case.arguments(dtype), case.arguments(dtype, 1), strict=True)
    ]
    with np.errstate(all="ignore"):
        expected = fg.vmap(case.call)(*args)
        check(fg.vmap(case.call)(*map(strict_cupy.put, args)), expected, 1e5)
    assert not strict_cupy.leaks
