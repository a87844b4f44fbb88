"""The kinds of steps that a backend has: one module for each, imported by the first program that has such a step."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from funcgrad.compiler.lowering.graph import Node, Step
from funcgrad.ir.program import Program

# Steps that hold Programs, and the params that do.
HOLDING = {"scan": ("body",), "while": ("cond", "body"), "cond": ("branches",)}

# The numbers of the iterations of a loop: whoever reads them knows them, so nothing is written.
NUMBERS = "run_time_iota"


class StepTable:
    """The kinds of steps of one backend.

    Args:
        table: the name of the module of the table; those of the steps lie beside it.
        steps: by kind: the module, and what it calls two functions: whether a step can be done, from its operands
            and params, and what writes it. Loops and branches, which need no first one, have None.
        holds: whether a Program can be the body of a loop or branch.
    """

    def __init__(
        self,
        table: str,
        steps: Mapping[str, tuple[str, str | None, str]],
        holds: Callable[[Program], bool],
    ) -> None:
        self.package = table.rpartition(".")[0]
        self.steps = steps
        self.holds = holds

    def module(self, name: str) -> Any:
        return importlib.import_module(f"{self.package}.{name}")

    def takes(self, how: str, operands: Sequence[Node], params: dict[str, Any]) -> bool:
        """Whether the backend does a step; else its primitive is called as a library step."""
        if how in HOLDING:
            return all(map(self.holds, held_programs(how, params)))
        if how not in self.steps:
            return how == NUMBERS
        module, takes, _ = self.steps[how]
        return takes is None or getattr(self.module(module), takes)(operands, params)

    def write(self, writer: Any, step: Step) -> None:
        """Have a step written by its module."""
        if step.how in self.steps:  # else it is NUMBERS
            module, _, write = self.steps[step.how]
            getattr(self.module(module), write)(writer, step)


def held_programs(how: str, params: dict[str, Any]) -> list[Program]:
    """The Programs of a loop, or of branches."""
    found: list[Program] = []
    for name in HOLDING[how]:
        held = params[name]
        found += [held] if isinstance(held, Program) else held
    return found
