"""Loops whose number of iterations differs between the examples of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcgrad.ir.builder import close_program
from funcgrad.ir.primitive import Primitive
from funcgrad.ir.program import evaluate
from funcgrad.ir.tracer import type_of
from funcgrad.ir.types import INT64, ArrayType
from funcgrad.ops.compare import less
from funcgrad.ops.extremal_reduce import reduce_max
from funcgrad.ops.families import zeros_like_type
from funcgrad.ops.select import select


class RunTimeIota(Primitive):
    """0, 1, 2, ... up to a length that is the value of the operand."""

    def type_rule(self, count: ArrayType) -> ArrayType:
        del count
        return ArrayType((None,), INT64)

    def numpy(self, xp: Any, count: Any) -> Any:
        return xp.arange(int(count), dtype=INT64)


RUN_TIME_IOTA = RunTimeIota()


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
        kept = [select(runs, new, old) for new, old in zip(outs[:num_carry], before, strict=True)]
        return [*kept, *(select(runs, y, zeros_like_type(type_of(y))) for y in outs[num_carry:])]

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
