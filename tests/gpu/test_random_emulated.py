"""Random programs under `jit` on CuPy arrays, on the emulator: results are those of the plain evaluation."""

import contextlib
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import reject

from funcgrad.compiler.executable import on_cuda
from funcgrad.config import config
from tests.compiler.programs import bits
from tests.compiler.random_checks import MARKS, check_for, check_some, recorded
from tests.compiler.random_programs import STRATEGIES, RandomProgram
from tests.compiler.reference import mismatch
from tests.gpu.emulator.available import require_emulator

require_emulator()

from funcgrad.compiler.cuda import stages  # noqa: E402
from tests.gpu.emulator.device import emulated  # noqa: E402
from tests.gpu.emulator.memory import host, put  # noqa: E402

pytestmark = MARKS
ORDERS = 3


def grouping(program):
    """In half of the programs each small unit is a launch of its own, so that there are graphs."""
    if len(program.steps) % 2:
        return contextlib.nullcontext()
    return patch.object(stages, "groups", lambda plan: [[unit] for unit in plan.units])


def check(program: RandomProgram):
    """Three calls (launched one by one, recorded, replayed) have the same bits, and the right values."""
    args = [x.astype(x.dtype.newbyteorder("="), copy=False) for x in program.arrays()]
    traced, captured, _ = recorded(program, args)
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


@pytest.mark.parametrize(("kind", "count"), [("usual", 15), ("large", 2), ("long", 2)])
def test_programs(kind, count):
    check_some(count, kind, check)


@pytest.mark.slow
@pytest.mark.parametrize("kind", STRATEGIES)
def test_for_a_long_time(kind, slow_seconds):
    print(f"{check_for(slow_seconds, kind, check)} programs")
