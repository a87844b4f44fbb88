"""Random programs: compiled results are those of the plain evaluation, in the same bits where arithmetic is exact."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import tree
from funcgrad.compiler.native import compile_native, pointers
from funcgrad.config import config
from tests.compiler.guarded import guarded
from tests.compiler.programs import bits
from tests.compiler.random_checks import MARKS, check_for, check_some, recorded
from tests.compiler.random_programs import STRATEGIES, RandomProgram
from tests.compiler.reference import mismatch

pytestmark = MARKS


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


@pytest.mark.parametrize(("kind", "count"), [("usual", 60), ("large", 10), ("long", 10)])
def test_programs(kind, count):
    check_some(count, kind, check)


@pytest.mark.slow
@pytest.mark.parametrize("kind", STRATEGIES)
def test_for_a_long_time(kind, slow_seconds):
    print(f"{check_for(slow_seconds, kind, check)} programs")
