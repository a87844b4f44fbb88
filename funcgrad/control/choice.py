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
from funcgrad.ir.primitive import is_linear
from funcgrad.ir.program import Program
from funcgrad.ir.tracer import type_of
from funcgrad.ir.types import ArrayType
from funcgrad.ops.cast import convert
from funcgrad.ops.compare import equal
from funcgrad.ops.families import (
    Linear,
    all_batched,
    zeros_like_type,
)
from funcgrad.ops.reduce import reduce_or
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
        results = outs if not results else _merge(takes, runs, outs, results, branch)
    return results, [0] * len(results)


def _merge(takes: Any, runs: Any, outs: Sequence, old: Sequence, branch: Program) -> list[Any]:
    """The results of one branch for the examples that take it, the old results for the others."""
    return [
        PICK_STACK(runs, y, before) if None in type.shape else select(like(takes, y), y, before)
        for y, before, type in zip(outs, old, branch.output_types, strict=True)
    ]


class PickStack(Linear):
    """The first stack if the flag holds, else the second.

    For residuals of a loop inside a branch: only one branch has made them, the other stack is empty.
    """

    linear_args = (1, 2)

    def type_rule(self, flag: ArrayType, x: ArrayType, y: ArrayType) -> ArrayType:
        del flag, y
        return x.strong()

    def numpy(self, xp: Any, flag: Any, x: Any, y: Any) -> Any:
        del xp
        return x if flag else y

    def transpose(self, cotangent: Any, flag: Any, x: Any, y: Any) -> list[Any]:
        empty = zeros_like_type(type_of(cotangent).strong())
        return [
            None,
            self(flag, cotangent, empty) if is_linear(x) else None,
            self(flag, empty, cotangent) if is_linear(y) else None,
        ]

    def batch(self, size: int, args: Sequence, axes: Sequence) -> tuple[Any, Any]:
        if axes[0] is not None:
            raise NotImplementedError(
                "[vmap] reverse mode through a while_loop inside a cond cannot be batched over two axes at "
                "once. Use one vmap over both axes."
            )
        return self(args[0], *all_batched(size, args[1:], axes[1:])), 0


PICK_STACK = PickStack()


def _zero_branch(program: Program) -> Program:
    """A Program of the same types that returns zeros."""
    if "zero_branch" not in program.memo:

        def run(*args: Any) -> list[Any]:
            del args
            return [zeros_like_type(type.strong()) for type in program.output_types]

        program.memo["zero_branch"] = close_program(run, program.input_types, "no_example")
    return program.memo["zero_branch"]
