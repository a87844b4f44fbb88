"""Random programs under random stacks of transformations.

Values are compared with NumPy and Python loops alone. First derivatives are compared with central differences;
derivatives of any order with forward mode, applied eagerly, one direction at a time.
"""

import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings, strategies as st

import funcgrad as fg
from funcgrad.ir.builder import trace_flat
from funcgrad.ir.tracer import type_of
from tests.compiler.reference import mismatch
from tests.transforms.programs import points, programs, run, run_plain

# A program that makes a large number warns in NumPy too; fresh functions are compiled all the time.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*was compiled .* times"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]

DIRECTION = np.array([0.8, -0.5, 1.1])
SCALES = np.array([1.0, 0.6])
BASIS = np.eye(3)

TRANSFORMS = {
    "jit": fg.jit,
    "checkpoint": fg.checkpoint,
    "vmap": lambda f: lambda x: np.sum(fg.vmap(lambda s: f(s * x))(SCALES), axis=0),
    "grad": lambda f: fg.grad(lambda x: np.sum(np.sin(f(x)))),
    "vjp": lambda f: lambda x: fg.vjp(f, x)[1](DIRECTION)[0],
    "jvp": lambda f: lambda x: fg.jvp(f, (x,), (DIRECTION,))[1],
    "linearize": lambda f: lambda x: fg.linearize(f, x)[1](DIRECTION),
    "jacfwd": lambda f: lambda x: fg.jacfwd(f)(x) @ DIRECTION,
    "jacrev": lambda f: lambda x: DIRECTION @ fg.jacrev(f)(x),
}


def along(f, x, direction):
    return fg.jvp(f, (x,), (direction,))[1]


MEANINGS = {
    "jit": lambda f: f,
    "checkpoint": lambda f: f,
    "vmap": lambda f: lambda x: sum(f(s * x) for s in SCALES),
    "grad": lambda f: (
        lambda x: np.stack([along(lambda x: np.sum(np.sin(f(x))), x, e) for e in BASIS])
    ),
    "vjp": lambda f: lambda x: np.stack([np.sum(along(f, x, e) * DIRECTION) for e in BASIS]),
    "jvp": lambda f: lambda x: along(f, x, DIRECTION),
}
MEANINGS |= {"linearize": MEANINGS["jvp"], "jacfwd": MEANINGS["jvp"], "jacrev": MEANINGS["vjp"]}
DERIVATIVES = set(TRANSFORMS) - {"jit", "checkpoint", "vmap"}

stacks = st.lists(st.sampled_from(sorted(TRANSFORMS)), min_size=1, max_size=3)


def stacked(table, stack, f):
    for name in stack:
        f = table[name](f)
    return f


def assert_close(found, expected, tolerance):
    scale = 1.0 + np.max(np.abs(expected), initial=0.0, where=np.isfinite(expected))
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * scale)


def check_stack(steps, x, stack):
    f = lambda x: run(steps, x)
    found = stacked(TRANSFORMS, stack, f)(x)
    order = sum(name in DERIVATIVES for name in stack)
    if order == 0:
        expected = stacked(MEANINGS, stack, lambda x: run_plain(steps, x))(x)
    else:
        expected = stacked(MEANINGS, stack, f)(x)
    assert found.shape == (3,) and found.dtype == np.float64
    assert_close(found, expected, (1e-11, 1e-9, 1e-8, 1e-7)[order])


def check_difference(steps, x):
    """jvp and grad against central differences, unless there is a kink or a jump nearby."""
    plain = lambda x: run_plain(steps, x)
    fine, coarse = (
        (plain(x + h * DIRECTION) - plain(x - h * DIRECTION)) / (2 * h) for h in (1e-6, 2e-5)
    )
    moved = along(lambda x: run(steps, x), x, DIRECTION)
    pulled = fg.vjp(lambda x: run(steps, x), x)[1](DIRECTION)[0]
    np.testing.assert_allclose(pulled @ DIRECTION, moved @ DIRECTION, rtol=1e-8, atol=1e-8)
    if np.allclose(fine, coarse, rtol=1e-4, atol=1e-5):
        assert_close(moved, fine, 1e-4)


def check_dtypes(steps, x, dtype):
    """All ways to run a program give NumPy's dtypes and values in any precision."""
    steps = [step for step in steps if step.table != "vector"]  # the carry of a loop has one dtype
    x = (10 * x).astype(dtype) if np.issubdtype(dtype, np.integer) else x.astype(dtype)
    expected = run_plain(steps, x)
    # Functions of short integers are computed in float32, and some results are promoted after that.
    tolerance = 50 * np.finfo(np.float32 if np.dtype(dtype).itemsize <= 4 else expected.dtype).eps
    batch = np.stack([x, x])
    for found in (
        run(steps, x),
        fg.jit(lambda x: run(steps, x))(x),
        fg.vmap(lambda x: run(steps, x))(batch)[1],
        fg.jvp(lambda x: run(steps, x), (x,), (np.ones_like(x),))[0],
        fg.vjp(lambda x: run(steps, x), x)[0],
    ):
        assert found.dtype == expected.dtype
        assert_close(found, expected, tolerance)


def check_compiled(steps, x, stack):
    """Machine code gives what the plain evaluation of the same Program gives."""
    f = stacked(TRANSFORMS, stack, lambda x: run(steps, x))
    traced, captured = trace_flat(lambda x: [f(x)], [type_of(x)], "random")
    found = [np.asarray(out) for out in fg.jit(lambda x: (f(x),))(x)]
    wrong = mismatch(traced, [*captured, x], found)
    assert not wrong, wrong


quick = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
dtypes = st.sampled_from([np.float32, np.float64, np.int64, np.int16])


@quick
@given(programs, points, stacks)
def test_stacks(steps, x, stack):
    check_stack(steps, x, stack)


@quick
@given(programs, points, stacks)
def test_compiled(steps, x, stack):
    check_compiled(steps, x, stack)


@quick
@given(programs, points)
def test_differences(steps, x):
    check_difference(steps, x)


@quick
@given(programs, points, dtypes)
def test_dtypes(steps, x, dtype):
    check_dtypes(steps, x, dtype)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("check", "arguments"),
    [
        (check_stack, (stacks,)),
        (check_compiled, (stacks,)),
        (check_difference, ()),
        (check_dtypes, (dtypes,)),
    ],
    ids=["stacks", "compiled", "differences", "dtypes"],
)
def test_for_a_long_time(check, arguments, slow_seconds):
    end, number = time.monotonic() + slow_seconds, 0
    while time.monotonic() < end:
        number += 1
        batch = settings(quick, max_examples=100, database=None)
        seed(number)(batch(given(programs, points, *arguments)(check)))()
