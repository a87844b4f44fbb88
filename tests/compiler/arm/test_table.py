"""The table of primitives as machine code for ARM: values, derivatives and batches are those of the interpreter."""

import numpy as np
import pytest

pytest.importorskip("llvmlite")
pytest.importorskip("unicorn", reason="the emulator of the processor is not installed")

from funcgrad import tree  # noqa: E402
from funcgrad.ir.builder import trace_flat  # noqa: E402
from funcgrad.ir.program import evaluate  # noqa: E402
from funcgrad.ir.quiet import quiet  # noqa: E402
from funcgrad.ir.tracer import type_of  # noqa: E402
from tests.compiler.arm.programs import ArmProgram, Unsupported, arm_target  # noqa: E402
from tests.ops.rows import batched_rows, derivative_rows, value_rows  # noqa: E402
from tests.ops.test_contract import assert_same  # noqa: E402

CHUNKS = 24
KINDS = {"values": value_rows, "derivatives": derivative_rows, "batched": batched_rows}
# The usual tests take one of so many rows of a kind, the slow ones all.
STEPS = {"values": 5, "derivatives": 12, "batched": 5}


def check(row):
    """Whether there is code for a row, which then gives what it should."""
    types = [type_of(x) for x in row.arguments]
    program, captured = trace_flat(lambda *xs: tree.leaves(row.function(*xs)), types)
    try:
        with arm_target():
            compiled = ArmProgram(program)
    except Unsupported:
        return False
    with quiet(), np.errstate(all="ignore"):
        expected = evaluate(program, *captured, *row.arguments)
    assert_same(compiled(*captured, *row.arguments), expected, row.tolerance)
    return True


def check_all(rows):
    failed, done = [], 0
    for row in rows:
        try:
            done += check(row)
        except Exception as error:
            failed.append(
                f"{row.name}: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
            )
    assert not failed, f"{len(failed)} of {len(rows)} rows:\n" + "\n".join(failed)
    assert done > len(rows) // 3


@pytest.mark.parametrize("kind", KINDS)
def test_some_rows(kind):
    check_all([*KINDS[kind]()][:: STEPS[kind]])


@pytest.mark.slow
@pytest.mark.parametrize("number", range(CHUNKS))
@pytest.mark.parametrize("kind", KINDS)
def test_all_rows(kind, number):
    check_all([*KINDS[kind]()][number::CHUNKS])
