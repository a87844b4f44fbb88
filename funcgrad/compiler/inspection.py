"""What the compiler makes of a Program, stage by stage, to be read."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from funcgrad.compiler.codegen import python_source
from funcgrad.compiler.executable import has_llvm
from funcgrad.compiler.llvm.loading.machine_code import assembly
from funcgrad.compiler.lowering.ragged import is_native_body
from funcgrad.compiler.pipeline import simplified
from funcgrad.config import config
from funcgrad.ir.program import Program


class Inspection:
    """The compilation of one function for one signature. Printing it shows the stages that fit on a few screens.

    Attributes:
        program: as it was recorded.
        simplified: without calls, dead code and common subexpressions.
        python: the generated Python that computes the same, as text.
        graph: array nodes.
        kernels: what is computed together: loops, and steps such as matrix products; as text.
        plan: which arrays share memory.
        llvm: the text that LLVM compiles.
        assembly: the machine code as text.

    Without machine code (no llvmlite, `FUNCGRAD_NATIVE=0`, or lengths known only at run time) those from `graph` on
    are None.
    """

    def __init__(self, program: Program, donated: Sequence[int] = ()) -> None:
        self.program = program
        self.simplified = simplified(program)
        self.python = python_source(self.simplified, np)[0]
        self._made = _compiled(program, donated)

    @property
    def stages(self) -> dict[str, Any]:
        """The attributes that there are, by name, in the order in which the compiler makes them."""
        found = {name: getattr(self, name) for name in STAGES}
        return {name: value for name, value in found.items() if value is not None}

    @property
    def graph(self) -> Any:
        return self._made.get("lower")

    @functools.cached_property
    def kernels(self) -> str | None:
        return "\n".join(kernel_lines(self._made["plan"])) if self._made else None

    @property
    def plan(self) -> Any:
        return self._made.get("plan")

    @property
    def llvm(self) -> str | None:
        return self._made["emit"].source.text if self._made else None

    @functools.cached_property
    def assembly(self) -> str | None:
        return assembly(self._made["emit"].source) if self._made else None

    def text(self, stage: str) -> str:
        """One stage.

        Args:
            stage: one of `stages`.
        """
        if stage not in STAGES:
            raise ValueError(f"[inspect] there is no stage {stage!r}. Stages: {', '.join(STAGES)}.")
        value = getattr(self, stage)
        if value is None:
            raise ValueError(
                f"[inspect] {self.program.name} has no stage {stage!r}, because it runs as generated Python. "
                "Install llvmlite and leave FUNCGRAD_NATIVE on to see machine code; .python shows what runs."
            )
        return str(value)

    def show(self, stage: str | None = None) -> None:
        """Print one stage, or all that fit on a few screens."""
        print(self if stage is None else self.text(stage))

    def __str__(self) -> str:
        shown = SUMMARY if self._made else ("program", "simplified", "python")
        parts = [f"--- {stage} ---\n{self.text(stage)}" for stage in shown]
        hidden = [stage for stage in self.stages if stage not in shown]
        if hidden:
            sizes = [f"{stage} ({len(self.text(stage).splitlines())} lines)" for stage in hidden]
            parts.append(f"--- see also: {', '.join(sizes)} ---")
        return "\n\n".join(parts)

    __repr__ = __str__


STAGES = ("program", "simplified", "python", "graph", "kernels", "plan", "llvm", "assembly")
SUMMARY = ("program", "simplified", "kernels", "plan")


def _compiled(program: Program, donated: Sequence[int]) -> dict[str, Any]:
    """What the stages make; empty where there is no machine code."""
    if not config.native or not has_llvm():
        return {}
    if not is_native_body(simplified(program)):
        return {}
    # Imported when there is something to compile, as in `native.py`.
    return importlib.import_module("funcgrad.compiler.stages").run_stages(program, donated)


def kernel_lines(plan: Any) -> Iterator[str]:
    """Kernels with their loops and what they compute, steps, and what is inside of loops and branches."""
    for unit in plan.units:
        if unit in plan.inner:
            yield f"step {unit!r}"
            for inner in plan.inner[unit]:
                yield f"  {inner.graph.name}:"
                yield from ["    " + line for line in kernel_lines(inner)]
            continue
        yield repr(unit)
        if unit in plan.schedules:
            yield from ["  " + line for line in str(plan.schedules[unit]).splitlines()]
        yield from [f"    {node!r}" for node in sorted(unit.members, key=lambda n: n.number)]
