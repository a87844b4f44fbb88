"""Steps as native code: one function for each kind, found by its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.compiler.graph import Node, Step
from funcgrad.compiler.llvm import (
    convolutions,
    cumulatives,
    dots,
    library,
    loops,
    scatters,
    updates,
)
from funcgrad.compiler.llvm.program import ProgramWriter

Writer = Callable[[ProgramWriter, Step], None]

# Name -> (whether this step can be native, the code that writes it).
STEPS: dict[str, tuple[Callable[[Sequence[Node], dict[str, Any]], bool], Writer]] = {
    "library": (library.takes, library.write),
    "dot": (dots.takes, dots.write),
    "scan": (loops.takes_scan, loops.write_scan),
    "while": (loops.takes_while, loops.write_while),
    "cond": (loops.takes_cond, loops.write_cond),
    "run_time_iota": (loops.takes_iota, loops.write_iota),
    "convolution": (convolutions.takes, convolutions.write),
    "dynamic_update": (updates.takes, updates.write),
    "dynamic_update_in_full": (updates.takes, updates.write),
    "cumulative": (cumulatives.takes_cumulative, cumulatives.write_cumulative),
    "recurrence": (cumulatives.takes_recurrence, cumulatives.write_recurrence),
    "scatter": (scatters.takes, scatters.write),
    "scatter_in_full": (scatters.takes, scatters.write),
    "windows": (convolutions.takes_windows, convolutions.write_windows),
}


def takes(how: str, operands: Sequence[Node], params: dict[str, Any]) -> bool:
    """Whether a step has native code; else its primitive is called as a library step."""
    known = STEPS.get(how)
    return known is not None and known[0](operands, params)


def write_step(writer: ProgramWriter, step: Step) -> None:
    STEPS[step.how][1](writer, step)
