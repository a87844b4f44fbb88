"""Steps as native code: one function for each kind, found by its name."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.compiler.llvm.program import ProgramWriter
from funcgrad.compiler.lowering.epilogues import Fused
from funcgrad.compiler.lowering.graph import Node, Step
from funcgrad.compiler.lowering.parts import Division

Takes = Callable[[Sequence[Node], dict[str, Any]], bool]
Writes = Callable[[ProgramWriter, Step], None]

# Name -> the module, imported by the first program that has such a step, and what it calls the two functions: whether
# this step can be native, and the code that writes it.
STEPS = {
    "library": ("library", "takes", "write"),
    "dot": ("dots", "takes", "write"),
    "scan": ("loops", "takes_scan", "write_scan"),
    "while": ("loops", "takes_while", "write_while"),
    "cond": ("loops", "takes_cond", "write_cond"),
    "run_time_iota": ("loops", "takes_iota", "write_iota"),
    "convolution": ("convolutions", "takes", "write"),
    "dynamic_update": ("updates", "takes", "write"),
    "dynamic_update_in_full": ("updates", "takes", "write"),
    "cumulative": ("cumulatives", "takes_cumulative", "write_cumulative"),
    "recurrence": ("cumulatives", "takes_recurrence", "write_recurrence"),
    "scatter": ("scatters", "takes", "write"),
    "scatter_in_full": ("scatters", "takes", "write"),
    "windows": ("convolutions", "takes_windows", "write_windows"),
}


def step_module(name: str) -> Any:
    return importlib.import_module(f"funcgrad.compiler.llvm.steps.{name}")


@functools.cache
def functions(how: str) -> tuple[Takes, Writes]:
    """The two functions of a kind of steps."""
    module, takes, write = STEPS[how]
    found = step_module(module)
    return getattr(found, takes), getattr(found, write)


def takes(how: str, operands: Sequence[Node], params: dict[str, Any]) -> bool:
    """Whether a step has native code; else its primitive is called as a library step."""
    return how in STEPS and functions(how)[0](operands, params)


def write_step(writer: ProgramWriter, step: Step) -> None:
    functions(step.how)[1](writer, step)


# Kinds of steps that can be done in parts, on each of which a kernel runs: the module with the functions `divisions`,
# `operands`, `write_part` and `work`.
IN_PARTS = {"dot": "dots", "convolution": "convolutions"}


def divisions(step: Step, in_memory: set[Node]) -> Sequence[Division]:
    """How a step divides into parts, the best way first."""
    if step.how not in IN_PARTS:
        return ()
    return step_module(IN_PARTS[step.how]).divisions(step, in_memory)


def write_fused(writer: ProgramWriter, unit: Fused) -> None:
    """A step in parts, with the kernel that runs on each."""
    step_module("fused").write(writer, unit, step_module(IN_PARTS[unit.step.how]))
