"""`cond` with a predicate that differs between examples: every example takes its own branch.

Each branch runs for all examples, but an example that does not take it computes on the values of one that does.
A branch that no example takes does not run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.control.lanes import borrowed, like
from funcgrad.ir.builder import close_program
from funcgrad.ir.program import Program
from funcgrad.ops.cast import convert
from funcgrad.ops.compare import equal
from funcgrad.ops.cotangents import zeros_like_type
from funcgrad.ops.reduce import reduce_or
from funcgrad.ops.run_time import ADD_STACKS
from funcgrad.ops.select import select
from funcgrad.ops.shape import moveaxis
from funcgrad.transforms.batch import batch_program


def batch_choice(
    cond: Any, size: int, args: Sequence, axes: Sequence, branches: Sequence[Program]
) -> tuple[list[Any], list[int]]:
    """Every example takes its own branch."""
    index = moveaxis(args[0], axes[0], 0)
    operands = [
        x if axis is None else moveaxis(x, axis, 0)
        for x, axis in zip(args[1:], axes[1:], strict=True)
    ]
    in_axes = tuple(None if axis is None else 0 for axis in axes[1:])
    force = (True,) * len(branches[0].outputs)
    results: list[Any] = []
    for number, branch in enumerate(branches):
        takes = equal(index, number)
        safe = borrowed(takes, operands, in_axes)
        batched, _ = batch_program(branch, size, in_axes, force)
        runs = reduce_or(takes)
        outs = cond(convert(runs, np.int64), *safe, branches=(_zero_branch(batched), batched))
        results = outs if not results else _merge(takes, outs, results, branch)
    return results, [0] * len(results)


def _merge(takes: Any, outs: Sequence, old: Sequence, branch: Program) -> list[Any]:
    """The results of one branch for the examples that take it, the old results for the others.

    A stack is the residual of a loop that only one branch has; those of the other branches are empty.
    """
    return [
        ADD_STACKS(y, before) if None in type.shape else select(like(takes, y), y, before)
        for y, before, type in zip(outs, old, branch.output_types, strict=True)
    ]


def _zero_branch(program: Program) -> Program:
    """A Program of the same types that returns zeros."""
    if "zero_branch" not in program.memo:

        def run(*args: Any) -> list[Any]:
            del args
            return [zeros_like_type(type.strong()) for type in program.output_types]

        program.memo["zero_branch"] = close_program(run, program.input_types, "no_example")
    return program.memo["zero_branch"]
