"""What tests do with random programs: record them, and check some, or as many as a time allows."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, Verbosity, given, reject, seed, settings

from funcgrad import tree
from funcgrad.ir.builder import trace_flat
from funcgrad.ir.program import Program
from funcgrad.ir.tracer import type_of
from tests.compiler.random_programs import REFUSALS, STRATEGIES, RandomProgram

Check = Callable[[RandomProgram], None]

MARKS = [
    pytest.mark.filterwarnings("ignore:.*was compiled .* times"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]
QUICK = settings(deadline=None, suppress_health_check=list(HealthCheck), database=None)


def recorded(
    program: RandomProgram, args: Sequence[Any]
) -> tuple[Program, list[Any], Callable[..., tuple]]:
    """The Program as traced, its captured arrays, and the function that returns all leaves of the results."""
    f = program.function()
    flat = lambda *xs: tuple(tree.leaves(f(*xs)))
    try:
        return *trace_flat(flat, [type_of(x) for x in args], "random"), flat
    except REFUSALS:
        reject()


def check_some(count: int, kind: str, check: Check) -> None:
    """Check so many programs; one that fails is made smaller."""
    settings(QUICK, max_examples=count)(given(STRATEGIES[kind])(check))()


def check_for(seconds: float, kind: str, check: Check) -> int:
    """Check programs for so long; how many there were. FUNCGRAD_SLOW_SEED, a number, leads to others.

    What fails is shown as it is: making it smaller can take minutes, and printing it in full as well.
    """
    end, number, count = time.monotonic() + seconds, int(os.environ.get("FUNCGRAD_SLOW_SEED", 0)), 0
    quiet = settings(QUICK, max_examples=10, phases=[Phase.generate], verbosity=Verbosity.quiet)

    def named(program: RandomProgram) -> None:
        nonlocal count
        count += 1
        try:
            check(program)
        except Exception as error:
            error.add_note(f"Program: {program!r}")
            raise

    while time.monotonic() < end:
        number += 1
        seed(number)(quiet(given(STRATEGIES[kind])(named)))()
    return count
