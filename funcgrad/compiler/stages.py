"""The stages from a Program to machine code, as a list that can be read, dumped and checked.

Imported by the first compilation that finds no machine code in the cache.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

from funcgrad.compiler.llvm.entry import write_entry
from funcgrad.compiler.llvm.kernels.elements import supports
from funcgrad.compiler.llvm.loading.machine_code import Source
from funcgrad.compiler.llvm.module_writer import ModuleWriter
from funcgrad.compiler.llvm.steps.table import STEPS, divisions, functions_of, write_fused
from funcgrad.compiler.llvm.target import host
from funcgrad.compiler.lowering.check import check_graph, check_partition, check_plan
from funcgrad.compiler.lowering.epilogues import Fused
from funcgrad.compiler.lowering.fusion import partition
from funcgrad.compiler.lowering.graph import Graph, Step
from funcgrad.compiler.lowering.in_place import Pairs
from funcgrad.compiler.lowering.kernels import Partition
from funcgrad.compiler.lowering.lower import lower_program
from funcgrad.compiler.lowering.plan import Plan
from funcgrad.compiler.pipeline import simplified
from funcgrad.compiler.report import count, timed
from funcgrad.config import config
from funcgrad.ir.check import check_program
from funcgrad.ir.program import Equation, Program

ENTRY = "program"


@dataclass
class Emitted:
    """LLVM text, and what is known of it.

    Attributes:
        source: the text.
        libraries: the steps that call back into Python, in the order of their numbers.
        sites: equations that errors name by number.
        work: simple operations of a call.
        in_place: outputs that may lie in the memory of inputs: (output number, input number).
    """

    source: Source
    libraries: list[Step]
    sites: list[Equation]
    work: int
    in_place: Pairs

    def __str__(self) -> str:
        return self.source.text


def lower(program: Program) -> Graph:
    """Array nodes. Products, convolutions and loops become steps here, and so do calls of the library."""
    return lower_program(program, supports, STEPS.takes)


def plan(partition: Partition, donated: Collection[int] = ()) -> Plan:
    """Loops and memory, also of the Programs inside. The memory of donated inputs may be written to."""
    known: dict[int, Plan] = {}

    def inner(program: Program) -> Plan:
        if id(program) not in known:
            inner_partition = fuse(lower(simplified(program)))
            known[id(program)] = Plan(inner_partition, inner, divisions=divisions)
        return known[id(program)]

    return Plan(partition, inner, donated, divisions)


def fuse(graph: Graph) -> Partition:
    """Kernels and steps."""
    return partition(graph)


def shared_functions(plan: Plan) -> set[str]:
    """The functions that steps of a plan and of those inside will call, and that programs share."""
    found: set[str] = set()
    for unit in plan.units:
        step = unit.step if isinstance(unit, Fused) else unit
        if isinstance(step, Step):
            found |= functions_of(step, plan.in_memory)
        for inner in plan.inner.get(step, ()):
            found |= shared_functions(inner)
    return found


def emit(plan: Plan) -> Emitted:
    """LLVM text."""
    writer = ModuleWriter(host(), STEPS.write, write_fused)
    writer.module.is_fast = plan.graph.is_fast
    write_entry(writer, plan, ENTRY)
    count("kernels", len(writer.kernels))
    return Emitted(
        Source(writer.text()), writer.libraries, writer.module.sites, writer.work, plan.in_place
    )


class Stage(NamedTuple):
    """One step of a compilation.

    Attributes:
        name: what it does.
        run: from what the stage before has made to what the next one takes. It can be printed.
        check: raises AssertionError or TypeError if the result breaks a rule.
    """

    name: str
    run: Callable[[Any], Any]
    check: Callable[[Any], None]


# From a Program as it was recorded. What follows is LLVM's work and that of the loader (`llvm/load.py`), and a
# dispatcher for calls that are known (`transforms/native_calls.py`).
STAGES = [
    Stage("simplify", simplified, check_program),
    Stage("lower", lower, check_graph),
    Stage("fuse", fuse, check_partition),
    Stage("plan", plan, check_plan),
    Stage("emit", emit, lambda emitted: None),
]


def run_stages(
    program: Program,
    donated: Collection[int] = (),
    begin: Callable[[Collection[str]], None] | None = None,
) -> dict[str, Any]:
    """What each stage makes of a Program, by its name.

    Args:
        program: as it was recorded.
        donated: numbers of the inputs that the caller gives up.
        begin: is told the names of functions that programs share and this one will call, before it is written.
    """
    made: dict[str, Any] = {}
    value: Any = program
    for stage in STAGES:
        if stage.run is emit and begin is not None:
            begin(shared_functions(value))
        with timed(stage.name):
            run = functools.partial(plan, donated=donated) if stage.run is plan else stage.run
            made[stage.name] = value = run(value)
            if config.check_programs:
                stage.check(value)
    return made
