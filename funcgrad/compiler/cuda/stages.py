"""The stages from a Program to launches on a GPU, as a list that can be read, dumped and checked."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

from funcgrad.compiler.cuda.fusion import partition
from funcgrad.compiler.cuda.kernels.elements import supports
from funcgrad.compiler.cuda.kernels.write import write_kernel
from funcgrad.compiler.cuda.launches import Launches
from funcgrad.compiler.cuda.listing import sources
from funcgrad.compiler.cuda.lowering import CudaLowering
from funcgrad.compiler.cuda.plan import CudaPlan
from funcgrad.compiler.cuda.program import Backend, write_program
from funcgrad.compiler.cuda.steps import blocks, runs
from funcgrad.compiler.cuda.steps.epilogues import with_epilogues
from funcgrad.compiler.cuda.steps.runs import groups, write_group
from funcgrad.compiler.cuda.steps.shared_operands import with_shared_operands
from funcgrad.compiler.cuda.steps.table import STEPS
from funcgrad.compiler.lowering.check import check_graph, check_partition, check_plan
from funcgrad.compiler.lowering.graph import Graph
from funcgrad.compiler.lowering.kernels import Partition
from funcgrad.compiler.lowering.lower import lower_program
from funcgrad.compiler.pipeline import simplified
from funcgrad.compiler.report import count, timed
from funcgrad.config import config
from funcgrad.ir.check import check_program
from funcgrad.ir.program import Program


@dataclass
class Context:
    """What the stages know besides the Program.

    Attributes:
        donated: numbers of the inputs that the caller gives up.
        unaligned: numbers of the inputs that do not allow the widest accesses.
        products: the library of matrix products; None where there is no device.
    """

    donated: Collection[int] = ()
    unaligned: Collection[int] = ()
    products: Any = None


def lower(program: Program, context: Context) -> Graph:
    """Array nodes. Products, convolutions and loops become steps here, and so do calls of the library."""
    kind = functools.partial(CudaLowering, products=context.products)
    return lower_program(program, supports, STEPS.takes, kind)


def fuse(graph: Graph, context: Context) -> Partition:
    """Kernels and steps."""
    del context
    return partition(graph)


def add_epilogues(partition: Partition, context: Context) -> Partition:
    """Products with what can be done before they are written."""
    shared = with_shared_operands(partition)
    return with_epilogues(shared, context.products, runs.MOST_PRODUCTS)


def plan(partition: Partition, context: Context) -> CudaPlan:
    """Memory, also of the Programs inside. That of donated inputs may be written to."""
    known: dict[int, CudaPlan] = {}

    def inner(program: Program) -> CudaPlan:
        if id(program) not in known:
            body = fuse(lower(simplified(program), context), context)
            body = with_shared_operands(body)
            body = with_epilogues(body, context.products, blocks.MOST_PRODUCTS)
            known[id(program)] = CudaPlan(body, inner)
        return known[id(program)]

    return CudaPlan(partition, inner, context.donated)


def write(plan: CudaPlan, context: Context) -> Launches:
    """Launches."""
    backend = Backend(write_kernel, STEPS.write, context.products, groups, write_group)
    launches = write_program(backend, plan, context.unaligned)
    count("kernels", len(sources(launches.items)))
    count("launches", len(launches.items))
    return launches


class Stage(NamedTuple):
    """One step of a compilation.

    Attributes:
        name: what it does.
        run: from what the stage before has made, and the context, to what the next one takes. It can be printed.
        check: raises AssertionError or TypeError if the result breaks a rule.
    """

    name: str
    run: Callable[[Any, Context], Any]
    check: Callable[[Any], None]


STAGES = [
    Stage("simplify", lambda program, context: simplified(program), check_program),
    Stage("lower", lower, check_graph),
    Stage("fuse", fuse, check_partition),
    Stage("epilogues", add_epilogues, check_partition),
    Stage("plan", plan, check_plan),
    Stage("write", write, lambda launches: None),
]


def run_stages(program: Program, context: Context) -> dict[str, Any]:
    """What each stage makes of a Program, by its name."""
    made: dict[str, Any] = {}
    value: Any = program
    for stage in STAGES:
        with timed(stage.name):
            made[stage.name] = value = stage.run(value, context)
            if config.check_programs:
                stage.check(value)
    return made
