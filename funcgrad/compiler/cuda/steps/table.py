"""Steps as launches: one function for each kind, found by its name."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.compiler.cuda.program import LaunchWriter
from funcgrad.compiler.lowering.graph import Node, Step

Takes = Callable[[Sequence[Node], dict[str, Any]], bool]
Writes = Callable[[LaunchWriter, Step], None]

# Name -> the module, imported by the first program that has such a step, and what it calls the two functions: whether
# this step can be launched, and what writes its launches.
STEPS = {
    "library": ("library", "takes", "write"),
    "dot": ("products", "takes", "write"),
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
    "windows": ("windows", "takes", "write"),
    "positive_bits": ("positive_bits", "takes", "write"),
}


@functools.cache
def functions(how: str) -> tuple[Takes, Writes]:
    """The two functions of a kind of steps."""
    module, takes, write = STEPS[how]
    found = importlib.import_module(f"funcgrad.compiler.cuda.steps.{module}")
    return getattr(found, takes), getattr(found, write)


def takes(how: str, operands: Sequence[Node], params: dict[str, Any]) -> bool:
    """Whether a step can be launched; else its primitive is called as a library step."""
    return how in STEPS and functions(how)[0](operands, params)


def write_step(writer: LaunchWriter, step: Step) -> None:
    """Add the launches of a step."""
    functions(step.how)[1](writer, step)
