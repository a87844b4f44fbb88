"""`while_loop`: a loop whose number of iterations is known only at run time, in forward and reverse mode.

Reverse mode stacks the residuals of every iteration in buffers that grow, and scans over them backward.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.compiler.pipeline import compiled
from funcgrad.control.common import (
    array_flat,
    as_types,
    carry_types,
    check_same_structure,
    converted_outputs,
    fixpoint,
    permute_inputs,
    record,
    select_outputs,
)
from funcgrad.control.eager import LONG, run_natively
from funcgrad.control.lanes import borrowed, like
from funcgrad.control.residuals import (
    LoopResiduals,
    interleave,
    stacked_type,
    to_front,
    with_zeros,
)
from funcgrad.control.scan import SCAN
from funcgrad.control.ties import RETRY, Shared
from funcgrad.ir.builder import close_program
from funcgrad.ir.program import Program, Variable, evaluate
from funcgrad.ir.tracer import type_of
from funcgrad.ir.types import INT64, ArrayType, kind
from funcgrad.ops.arithmetic import add
from funcgrad.ops.cast import convert
from funcgrad.ops.create import full
from funcgrad.ops.ragged import RaggedStack
from funcgrad.ops.reduce import reduce_or
from funcgrad.ops.select import select
from funcgrad.transforms.arguments import check_callable, fresh_outputs
from funcgrad.transforms.batch import batch_program, place_axis
from funcgrad.transforms.call import HigherOrder, present, spread
from funcgrad.transforms.jvp import jvp_program
from funcgrad.transforms.linearize import linearize_program

COUNT = ArrayType((), INT64)


class While(HigherOrder):
    """Inputs: constants of the condition, constants of the body, carry.

    Outputs: the carry; with `collect` also one stack per further result of the body, and the number of
    iterations. `cond` takes (its constants, carry), `body` takes (its constants, carry).
    """

    def type_rule(
        self,
        *types: ArrayType,
        cond: Program,
        body: Program,
        num_cond: int,
        num_body: int,
        collect: bool,
    ) -> list[ArrayType]:
        num_carry = len(types) - num_cond - num_body
        outs = [type.strong() for type in body.output_types]
        stacks = [stacked_type(type, None) for type in outs[num_carry:]]
        return [*outs[:num_carry], *stacks, *([COUNT] if collect else [])]

    def numpy(
        self,
        xp: Any,
        *args: Any,
        cond: Program,
        body: Program,
        num_cond: int,
        num_body: int,
        collect: bool,
    ) -> list[Any]:
        params = {"num_cond": num_cond, "num_body": num_body, "collect": collect}
        params.update(cond=cond, body=body)
        cond_consts, body_consts = args[:num_cond], args[num_cond : num_cond + num_body]
        carry = list(args[num_cond + num_body :])
        num_carry = len(carry)
        test, step = compiled(cond, xp), compiled(body, xp)
        columns: list[list[Any]] = [[] for _ in body.outputs[num_carry:]]
        count = 0
        while test(*cond_consts, *carry)[0]:
            outs = step(*body_consts, *carry)
            carry = outs[:num_carry]
            for column, y in zip(columns, outs[num_carry:], strict=True):
                column.append(y)
            count += 1
            if count == LONG and xp is np and not collect:
                found = run_natively(self, [*cond_consts, *body_consts, *carry], params)
                if found is not None:
                    return found
        if not collect:
            return carry
        stacks = [
            _stack(xp, column, type)
            for column, type in zip(columns, body.output_types[num_carry:], strict=True)
        ]
        return [*carry, *stacks, np.int64(count)]

    def parts(self, values: Sequence, params: dict) -> tuple[list, list, list]:
        """Constants of the condition, constants of the body, carry."""
        first = params["num_cond"]
        second = first + params["num_body"]
        return list(values[:first]), list(values[first:second]), list(values[second:])

    def active_flags(self, tangents: Sequence, params: dict, step: Callable) -> tuple[bool, ...]:
        _, consts, carry = self.parts([t is not None for t in tangents], params)
        count = len(carry)
        settled = fixpoint(carry, lambda flags: list(step((*consts, *flags))[:count]))
        return (*consts, *settled)

    def jvp(self, primals: Sequence, tangents: Sequence, **params: Any) -> tuple[Any, Any]:
        body, cond = params["body"], params["cond"]
        active = self.active_flags(tangents, params, lambda flags: jvp_program(body, flags)[1])
        cond_consts, consts, carry = self.parts(primals, params)
        moving = active[len(consts) :]
        forward, out_active = jvp_program(
            body, active, tuple(i for i, flag in enumerate(moving) if flag)
        )
        head = len(cond_consts)
        tangents = with_zeros(primals[head:], tangents[head:], active, 0)
        d_consts, d_carry = present(tangents[: len(consts)]), present(tangents[len(consts) :])
        num_carry, num_outs = len(carry), len(body.outputs)
        order = interleave([len(consts), num_carry], [len(d_consts), len(d_carry)])
        outputs = [
            *range(num_carry),
            *range(num_outs, num_outs + len(d_carry)),
            *range(num_carry, num_outs),
            *range(num_outs + len(d_carry), len(forward.outputs)),
        ]
        results = self(
            *cond_consts,
            *consts, *d_consts,
            *carry, *d_carry,
            cond=with_extra_inputs(cond, [type_of(t) for t in d_carry]),
            body=select_outputs(permute_inputs(forward, order), outputs),
            num_cond=len(cond_consts),
            num_body=len(consts) + len(d_consts),
            collect=params["collect"],
        )  # fmt: skip
        ys = results[num_carry + len(d_carry) :]
        tail = [ys.pop()] if params["collect"] else []
        num_ys = num_outs - num_carry
        outs = [*results[:num_carry], *ys[:num_ys], *tail]
        moved = [*results[num_carry : num_carry + len(d_carry)], *ys[num_ys:]]
        return outs, [*spread(out_active, moved), *([None] if tail else [])]

    def linearize(self, primals: Sequence, tangents: Sequence, **params: Any) -> tuple[Any, Any]:
        body = params["body"]
        active = self.active_flags(
            tangents, params, lambda flags: linearize_program(body, flags).active
        )
        cond_consts, consts, carry = self.parts(primals, params)
        moving = active[len(consts) :]
        halves = linearize_program(body, active, tuple(i for i, flag in enumerate(moving) if flag))
        num_outs, num_carry = len(body.outputs), len(carry)
        residuals = LoopResiduals(halves, num_outs, len(consts), num_carry)
        outs = self(*primals, **{**params, "body": residuals.primal, "collect": True})
        count = outs.pop()
        fixed, stacked = residuals.values(consts, (), outs[num_outs:])
        filled = with_zeros(primals[len(cond_consts) :], tangents[len(cond_consts) :], active, 0)
        d_consts, d_carry = present(filled[: len(consts)]), present(filled[len(consts) :])
        moved = SCAN(
            count,
            *fixed, *d_consts,
            *d_carry,
            *stacked,
            body=residuals.linear_body(len(d_consts), len(d_carry)),
            num_consts=len(fixed) + len(d_consts),
            num_carry=len(d_carry),
            length=None,
            reverse=False,
        )  # fmt: skip
        tail = [count] if params["collect"] else []
        return [*outs[:num_outs], *tail], [*spread(halves.active, moved), *([None] if tail else [])]

    def batch(self, size: int, args: Sequence, axes: Sequence, **params: Any) -> tuple[Any, Any]:
        cond, body = params["cond"], params["body"]
        cond_consts, consts, carry = self.parts(args, params)
        cond_axes, const_axes, carry_axes = self.parts(axes, params)
        in_cond = tuple(None if a is None else 0 for a in cond_axes)
        in_consts = tuple(None if a is None else 0 for a in const_axes)
        num_carry = len(carry)

        def axes_of(flags: Sequence[bool]) -> tuple:
            return tuple(0 if flag else None for flag in flags)

        def condition_differs(flags: Sequence[bool]) -> bool:
            return batch_program(cond, size, (*in_cond, *axes_of(flags)))[1][0] is not None

        def grow(flags: tuple[bool, ...]) -> list[bool]:
            if condition_differs(flags):
                return [True] * num_carry
            _, out_axes = batch_program(body, size, (*in_consts, *axes_of(flags)))
            return [axis is not None for axis in out_axes[:num_carry]]

        batched = fixpoint([a is not None for a in carry_axes], grow)
        differs = condition_differs(batched)
        force = (*batched, *[differs] * (len(body.outputs) - num_carry))
        new_cond, _ = batch_program(cond, size, (*in_cond, *axes_of(batched)))
        new_body, out_axes = batch_program(body, size, (*in_consts, *axes_of(batched)), force)
        operands = [
            *[to_front(x, a) for x, a in zip(cond_consts, cond_axes, strict=True)],
            *[to_front(x, a) for x, a in zip(consts, const_axes, strict=True)],
            *[
                place_axis(x, a, size, 0) if flag else x
                for x, a, flag in zip(carry, carry_axes, batched, strict=True)
            ],
        ]
        if differs:
            return self._batch_lanes(size, operands, in_consts, new_cond, new_body, params)
        outs = self(*operands, **{**params, "cond": new_cond, "body": new_body})
        ys_axes = [None if axis is None else 1 for axis in out_axes[num_carry:]]
        tail = [None] if params["collect"] else []
        return outs, [*axes_of(batched), *ys_axes, *tail]

    def _batch_lanes(
        self,
        size: int,
        operands: list,
        in_consts: Sequence,
        cond: Program,
        body: Program,
        params: dict,
    ) -> tuple[Any, Any]:
        """Run until the last example is done; examples that are done keep their carry."""
        num_cond, num_body = params["num_cond"], params["num_body"]
        num_carry = len(operands) - num_cond - num_body
        collect = params["collect"]
        cond_types = cond.input_types[:num_cond]
        const_types = body.input_types[:num_body]
        carry_part = body.input_types[num_body:]
        counts_type = ArrayType((size,), INT64)

        def any_runs(*values: Any) -> list[Any]:
            return [reduce_or(evaluate(cond, *values[: num_cond + num_carry])[0])]

        def resting(*values: Any) -> list[Any]:
            tests, consts = values[:num_cond], values[num_cond : num_cond + num_body]
            before = values[num_cond + num_body : num_cond + num_body + num_carry]
            counts = values[-1]
            runs = evaluate(cond, *tests, *before)[0]
            safe = borrowed(runs, [*consts, *before], [*in_consts, *[0] * num_carry])
            outs = evaluate(body, *safe)
            kept = [
                select(like(runs, new), new, old)
                for new, old in zip(outs[:num_carry], before, strict=True)
            ]
            return [*kept, add(counts, convert(runs, INT64)), *outs[num_carry:]]

        carry_types = [*carry_part, counts_type]
        outs = self(
            *operands[:num_cond],
            *operands[:num_cond], *operands[num_cond : num_cond + num_body],
            *operands[num_cond + num_body :],
            full((size,), 0, INT64),
            cond=close_program(any_runs, [*cond_types, *carry_types], cond.name),
            body=close_program(resting, [*cond_types, *const_types, *carry_types], body.name),
            num_cond=num_cond,
            num_body=num_cond + num_body,
            collect=collect,
        )  # fmt: skip
        carry, counts, rest = outs[:num_carry], outs[num_carry], outs[num_carry + 1 :]
        if not collect:
            return carry, [0] * num_carry
        stacks = rest[:-1]
        return [*carry, *stacks, counts], [*[0] * num_carry, *[1] * len(stacks), 0]

    def lower(self, emit: Any, *values: Any, **params: Any) -> Any:
        return emit.while_loop(values, **params)


WHILE = While()


def _stack(xp: Any, column: list[Any], type: ArrayType) -> Any:
    if None in type.shape:
        return RaggedStack(column, type)
    if not column:
        return xp.empty((0, *type.shape), type.dtype)
    return xp.stack([xp.asarray(y) for y in column])


def with_extra_inputs(program: Program, types: Sequence[ArrayType]) -> Program:
    """The same Program with inputs at the end that it does not read."""
    extra = [Variable(type) for type in types]
    return Program([*program.inputs, *extra], program.equations, program.outputs, program.name)


def while_loop(
    cond_fun: Callable[[Any], Any], body_fun: Callable[[Any], Any], init_val: Any
) -> Any:
    """Apply a function to a state as long as a condition holds.

    Can be differentiated in reverse: residuals of all iterations that ran are kept.

    Args:
        cond_fun: `carry -> bool scalar`.
        body_fun: `carry -> carry`; keeps structure, shapes and dtypes.
        init_val: initial carry; a tree of arrays.

    Returns:
        The final carry.

    Example:
        >>> import funcgrad as fg
        >>> f = lambda x: fg.lax.while_loop(lambda c: c < 10.0, lambda c: 2.0 * c, x)
        >>> float(f(1.0)), float(fg.grad(f)(1.0))
        (16.0, 16.0)
    """
    check_callable(cond_fun, "lax.while_loop")
    check_callable(body_fun, "lax.while_loop")
    shared = Shared(init_val)
    if shared.has_ties:
        with contextlib.suppress(*RETRY):
            step = shared.updating(body_fun)
            return shared.restore(while_loop(shared.reading(cond_fun), step, shared.leaves))
    carry = array_flat(init_val, "[while_loop] init_val")
    before = [type_of(x) for x in carry.arrays]
    for _ in range(3):
        body = record(body_fun, [carry], before, "while_loop body")
        check_same_structure(
            "[while_loop] the carry that goes in and the carry that the body returns",
            carry,
            body.outputs,
            "The body must return its argument's structure.",
        )
        settled = carry_types("while_loop", carry, before, body.program.output_types)
        if settled == before:
            break
        before = settled
    test = record(cond_fun, [carry], before, "while_loop condition")
    _check_condition(test)
    program = converted_outputs(body.program, dict(enumerate(t.strong() for t in before)))
    results = WHILE(
        *test.captured,
        *body.captured,
        *as_types(carry.arrays, before),
        cond=test.program,
        body=program,
        num_cond=len(test.captured),
        num_body=len(body.captured),
        collect=False,
    )
    inputs = [*test.captured, *body.captured, *carry.arrays]
    return carry.rebuild(fresh_outputs(results, inputs))


def _check_condition(test: Any) -> None:
    types = test.program.output_types
    if len(types) != 1 or types[0].shape != () or kind(types[0].dtype) != "b":
        shown = types[0] if len(types) == 1 else f"{len(types)} arrays"
        raise TypeError(
            f"[while_loop] cond_fun must return one bool scalar, but returned {shown}. Write a comparison "
            "such as `carry < 10`, and np.any(...) or np.all(...) around a comparison of arrays."
        )
