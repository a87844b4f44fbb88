"""What the compiler makes of a Program, stage by stage, to be read."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator, Sequence
from typing import Any

from funcgrad.compiler.codegen import python_source
from funcgrad.compiler.executable import has_llvm
from funcgrad.compiler.llvm.loading.machine_code import assembly
from funcgrad.compiler.lowering.ragged import is_native, keeps_stacks
from funcgrad.compiler.pipeline import simplified
from funcgrad.config import config
from funcgrad.ir.devices import CPU, Device, module_of
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
        llvm: on the CPU, the text that LLVM compiles.
        assembly: on the CPU, the machine code as text.
        launches: on a GPU, what is launched in order, and on which memory.
        cuda: on a GPU, the kernels as CUDA C.

    Without compiled code (no llvmlite, `FUNCGRAD_NATIVE=0`, or results of unknown length) those from `graph` on
    are None. `launches` and `cuda` need no GPU: for functions of NumPy arrays they show what CuPy arrays would run.
    """

    def __init__(self, program: Program, donated: Sequence[int] = (), device: Device = CPU) -> None:
        self.program = program
        self.device = device
        self.simplified = simplified(program)
        self.python = python_source(self.simplified, module_of(device))[0]
        self._donated = donated
        self._made = _compiled(program, donated) if device == CPU else self._launched

    @property
    def stages(self) -> dict[str, Any]:
        """The attributes that there are, by name, in the order in which the compiler makes them."""
        found = {name: getattr(self, name) for name in self._names}
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
        return self._made["emit"].source.text if "emit" in self._made else None

    @functools.cached_property
    def assembly(self) -> str | None:
        return assembly(self._made["emit"].source) if "emit" in self._made else None

    @functools.cached_property
    def launches(self) -> str | None:
        return _listing().listing(self._launched["write"]) if self._launched else None

    @functools.cached_property
    def cuda(self) -> str | None:
        return _listing().cuda_text(self._launched["write"]) if self._launched else None

    @functools.cached_property
    def _launched(self) -> dict[str, Any]:
        """What the stages for a GPU make; empty where there are no launches."""
        if not config.native or not keeps_stacks(self.simplified):
            return {}
        stages = importlib.import_module("funcgrad.compiler.cuda.stages")
        return stages.run_stages(self.program, stages.Context(self._donated))

    @property
    def _names(self) -> tuple[str, ...]:
        return CPU_STAGES if self.device == CPU else GPU_STAGES

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
                f"[inspect] {self.program.name} has no stage {stage!r}{self._reason()}"
            )
        return str(value)

    def _reason(self) -> str:
        if self.device != CPU and self._made:
            return ", because its arguments are on a GPU. .cuda and .launches show what runs."
        return (
            ", because it runs as generated Python. "
            "Install llvmlite and leave FUNCGRAD_NATIVE on to see machine code; .python shows what runs."
        )

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


SHARED_STAGES = ("program", "simplified", "python", "graph", "kernels", "plan")
CPU_STAGES = (*SHARED_STAGES, "llvm", "assembly")
GPU_STAGES = (*SHARED_STAGES, "launches", "cuda")
STAGES = (*CPU_STAGES, "launches", "cuda")
SUMMARY = ("program", "simplified", "kernels", "plan")


def _listing() -> Any:
    # Only those who look at launches import what makes them.
    return importlib.import_module("funcgrad.compiler.cuda.listing")


def _compiled(program: Program, donated: Sequence[int]) -> dict[str, Any]:
    """What the stages make; empty where there is no machine code."""
    if not config.native or not has_llvm():
        return {}
    if not is_native(simplified(program)):
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
        for kernel in getattr(unit, "kernels", [unit]):  # those that run on parts of a product
            if kernel in plan.schedules:
                yield from ["  " + line for line in str(plan.schedules[kernel]).splitlines()]
            yield from [f"    {node!r}" for node in sorted(kernel.members, key=lambda n: n.number)]
