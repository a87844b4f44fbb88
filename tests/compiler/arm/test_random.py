"""Random programs as machine code for ARM: their results are those of the plain evaluation."""

import pytest
from hypothesis import reject

pytest.importorskip("llvmlite")
pytest.importorskip("unicorn", reason="the emulator of the processor is not installed")

from tests.compiler.arm.programs import ArmProgram, Unsupported, arm_target  # noqa: E402
from tests.compiler.random_checks import MARKS, check_for, check_some, recorded  # noqa: E402
from tests.compiler.random_programs import RandomProgram  # noqa: E402
from tests.compiler.reference import mismatch  # noqa: E402

pytestmark = MARKS


def check(program: RandomProgram):
    args = program.arrays()
    traced, captured, _ = recorded(program, args)
    given = [*captured, *args]
    try:
        with arm_target():
            compiled = ArmProgram(traced)
    except Unsupported:
        reject()
    wrong = mismatch(traced, given, compiled(*given))
    assert not wrong, f"{wrong}\n{traced}"


@pytest.mark.parametrize(("kind", "count"), [("usual", 30), ("large", 5)])
def test_programs(kind, count):
    check_some(count, kind, check)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["usual", "large", "long"])
def test_for_a_long_time(kind, slow_seconds):
    print(f"{check_for(slow_seconds, kind, check)} programs")
