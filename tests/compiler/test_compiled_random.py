"""Random programs: compiled results are those of the plain evaluation, in the same bits where arithmetic is exact."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, reject, settings

import funcgrad as fg
from funcgrad import tree
from funcgrad.compiler.native import compile_native, pointers
from funcgrad.config import config
from funcgrad.ir.builder import trace_flat
from funcgrad.ir.tracer import type_of
from tests.compiler.guarded import guarded
from tests.compiler.programs import bits
from tests.compiler.random_programs import (
    REFUSALS,
    RandomProgram,
    check_for,
    large_programs,
    long_programs,
    programs,
)
from tests.compiler.reference import mismatch

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*was compiled .* times"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]


def recorded(program, args):
    """The Program as traced, its captured arrays, and the function."""
    f = program.function()
    flat = lambda *xs: tuple(tree.leaves(f(*xs)))
    try:
        return *trace_flat(flat, [type_of(x) for x in args], "random"), flat
    except REFUSALS:
        reject()


def check(program: RandomProgram):
    args = program.arrays()
    traced, captured, f = recorded(program, args)
    given = [*captured, *args]
    with config.override(cache=False):
        found = check_calls(fg.jit(f), args)
        wrong = mismatch(traced, given, found)
        assert not wrong, f"{wrong}\n{traced}"
        check_bounds(traced, given, found)


def check_calls(jitted, args):
    """The results of a first call; the second one has the same bits, and all are fresh."""
    before = [bits(x) for x in args]
    first, second = [tree.leaves(jitted(*args)) for _ in range(2)]
    assert [bits(x) for x in first] == [bits(x) for x in second], "the second call differs"
    assert [bits(x) for x in args] == before, "an argument was written to"
    arrays = [x for x in first + second if isinstance(x, np.ndarray)]
    for i, x in enumerate(arrays):
        # Without machine code a result may be the only view of memory that nobody else knows.
        is_own = x.flags.owndata or (x.base.flags.owndata and x.base.nbytes == x.nbytes)
        assert is_own and x.flags.carray, "a result is not fresh"
        assert not any(np.shares_memory(x, y) for y in (*args, *arrays[:i])), "results share memory"
    return [np.asarray(x) for x in first]


def check_bounds(traced, given, found):
    """The machine code touches nothing behind its arrays, and needs no more alignment than that of elements."""
    native = compile_native(traced)
    assert native is not None, "this runs as generated Python"
    inputs = [
        guarded(np.require(np.asarray(x, t.dtype), requirements="C"))
        for x, t in zip(given, native.input_types, strict=True)
    ]
    outputs = [guarded(np.zeros(t.shape, t.dtype)) for t in native.output_types]
    code = native.run(pointers(inputs), pointers(outputs))
    assert code == 0, f"code {code}"
    assert [bits(x) for x in outputs] == [bits(x) for x in found], "results depend on places"


quick = settings(deadline=None, suppress_health_check=list(HealthCheck), database=None)


@settings(quick, max_examples=60)
@given(programs)
def test_programs(program):
    check(program)


@settings(quick, max_examples=10)
@given(large_programs)
def test_large_programs(program):
    check(program)


@settings(quick, max_examples=10)
@given(long_programs)
def test_long_programs(program):
    check(program)


@pytest.mark.slow
@pytest.mark.parametrize(
    "strategy", [programs, large_programs, long_programs], ids=["usual", "large", "long"]
)
def test_for_a_long_time(strategy, slow_seconds):
    print(f"{check_for(slow_seconds, strategy, check)} programs")
