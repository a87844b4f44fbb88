"""Random programs under `jit` on CuPy arrays, on the emulator: results are those of the plain evaluation."""

import contextlib
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, given, reject, settings

from funcgrad import tree
from funcgrad.compiler.executable import on_cuda
from funcgrad.config import config
from funcgrad.ir.builder import trace_flat
from funcgrad.ir.tracer import type_of
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
from tests.gpu.emulator.available import require_emulator

require_emulator()

from funcgrad.compiler.cuda import stages  # noqa: E402
from tests.gpu.emulator.device import emulated  # noqa: E402
from tests.gpu.emulator.memory import host, put  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*was compiled .* times"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]
ORDERS = 3
quick = settings(deadline=None, suppress_health_check=list(HealthCheck), database=None)


def grouping(program):
    """In half of the programs each small unit is a launch of its own, so that there are graphs."""
    if len(program.steps) % 2:
        return contextlib.nullcontext()
    return patch.object(stages, "groups", lambda plan: [[unit] for unit in plan.units])


def check(program: RandomProgram):
    """Three calls (launched one by one, recorded, replayed) have the same bits, and the right values."""
    args = [x.astype(x.dtype.newbyteorder("="), copy=False) for x in program.arrays()]
    f = program.function()
    flat = lambda *xs: tuple(tree.leaves(f(*xs)))
    try:
        traced, captured = trace_flat(flat, [type_of(x) for x in args], "random")
    except REFUSALS:
        reject()
    args = [
        np.asarray(x, t.dtype) for x, t in zip((*captured, *args), traced.input_types, strict=True)
    ]
    with (
        emulated(len(program.steps) % ORDERS),
        config.override(check_programs=True),
        grouping(program),
    ):
        launches = on_cuda(traced, 0)
        if launches is None:
            reject()
        arrays = [put(x) for x in args]
        calls = [[host(out) for out in launches(*arrays)] for _ in range(3)]
        after = [host(x) for x in arrays]
    assert [bits(x) for x in after] == [bits(x) for x in args], "an argument was written to"
    assert all([bits(x) for x in outs] == [bits(x) for x in calls[0]] for outs in calls)
    wrong = mismatch(traced, args, calls[0])
    assert not wrong, f"{wrong}\n{traced}"


@settings(quick, max_examples=15)
@given(programs)
def test_programs(program):
    check(program)


@settings(quick, max_examples=2)
@given(large_programs)
def test_large_programs(program):
    check(program)


@settings(quick, max_examples=2)
@given(long_programs)
def test_long_programs(program):
    check(program)


@pytest.mark.slow
@pytest.mark.parametrize(
    "strategy", [programs, large_programs, long_programs], ids=["usual", "large", "long"]
)
def test_for_a_long_time(strategy, slow_seconds):
    print(f"{check_for(slow_seconds, strategy, check)} programs")
