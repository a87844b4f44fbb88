"""Examples of a batch that do not take part: in a branch that they do not take, in a loop that they have left.

Such an example computes on the values of one that does take part, so that no code ever sees a value it would
not see alone: nothing divides by zero, and no loop fails to end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcgrad.ir.builder import close_program
from funcgrad.ir.program import evaluate
from funcgrad.ir.tracer import type_of
from funcgrad.ir.types import INT64, ArrayType
from funcgrad.ops.cast import convert
from funcgrad.ops.compare import less
from funcgrad.ops.cotangents import zeros_like_type
from funcgrad.ops.extremal_reduce import argmax, reduce_max
from funcgrad.ops.gather import gather
from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.ops.run_time import RUN_TIME_IOTA, is_run_time, select_stacks
from funcgrad.ops.select import select
from funcgrad.ops.shape import reshape


def like(flags: Any, x: Any) -> Any:
    """Flags per example in a shape that broadcasts against `x`."""
    return reshape(flags, (*shape_of(flags), *(1,) * (ndim_of(x) - 1)))


def borrowed(takes: Any, values: Sequence[Any], axes: Sequence[int | None]) -> list[Any]:
    """Values with batch axis 0 (or None): examples that do not take part get those of one that does."""
    if shape_of(takes) == (0,):
        return list(values)
    lane = argmax(convert(takes, INT64), axis=0)
    return [
        x if axis is None or None in shape_of(x) else select(like(takes, x), x, gather(x, [lane]))
        for x, axis in zip(values, axes, strict=True)
    ]


def chosen(runs: Any, x: Any, y: Any) -> Any:
    """One of two values, which may be stacks."""
    return (select_stacks if is_run_time(x) else select)(runs, x, y)


def batch_lanes(scan: Any, size: int, args: Sequence, axes: Sequence, params: dict) -> tuple:
    """A loop of run-time length with another length per example: run the longest, and let the others rest."""
    (counts,), consts, carry, xs = scan.parts(args, params)
    body, num_carry, num_consts = params["body"], params["num_carry"], params["num_consts"]
    longest = reduce_max(counts) if size else INT64.type(0)
    types = body.input_types

    def resting(*values: Any) -> list[Any]:
        limit, index = values[0], values[1 + num_consts + num_carry]
        inner = [*values[1 : 1 + num_consts + num_carry], *values[2 + num_consts + num_carry :]]
        before = inner[num_consts : num_consts + num_carry]
        outs = evaluate(body, *inner)
        runs = less(index, limit)
        kept = [chosen(runs, new, old) for new, old in zip(outs[:num_carry], before, strict=True)]
        return [*kept, *[chosen(runs, y, zeros_like_type(type_of(y))) for y in outs[num_carry:]]]

    scalar = ArrayType((), INT64)
    first_x = num_consts + num_carry
    resting_body = close_program(
        resting, [scalar, *types[:first_x], scalar, *types[first_x:]], body.name + "_lanes"
    )
    _, const_axes, carry_axes, x_axes = scan.parts(axes, params)
    new_params = {**params, "body": resting_body, "num_consts": num_consts + 1}
    return scan.batch(
        size,
        [longest, counts, *consts, *carry, RUN_TIME_IOTA(longest), *xs],
        [None, axes[0], *const_axes, *carry_axes, None, *x_axes],
        **new_params,
    )
