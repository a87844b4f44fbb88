"""`scan`: a loop over the leading axis of arrays with a carried state.

The length is fixed, or (length None) the value of the first input: then the stacked arrays have a leading axis
that is known only at run time. Loops of the second kind are what reverse-mode `while_loop` makes.
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
from funcgrad.control.lanes import batch_lanes
from funcgrad.control.residuals import (
    LoopResiduals,
    interleave,
    make_stack,
    stack_elements,
    stacked_type,
    to_front,
    with_zeros,
)
from funcgrad.control.scan_transpose import transpose_scan
from funcgrad.control.ties import RETRY, Shared
from funcgrad.ir.program import Program
from funcgrad.ir.tracer import type_of
from funcgrad.ir.types import ArrayType
from funcgrad.ops.operands import shape_of
from funcgrad.ops.shape import moveaxis
from funcgrad.transforms.arguments import check_callable, fresh_outputs
from funcgrad.transforms.batch import batch_program, place_axis
from funcgrad.transforms.call import HigherOrder, present, spread
from funcgrad.transforms.jvp import jvp_program
from funcgrad.transforms.linearize import linearize_program


class Scan(HigherOrder):
    """Inputs: (count if length is None), constants, carry, stacked xs. Outputs: carry, stacked ys."""

    def type_rule(
        self,
        *types: ArrayType,
        body: Program,
        num_consts: int,
        num_carry: int,
        length: Any,
        reverse: bool,
    ) -> list[ArrayType]:
        del types, num_consts, reverse
        outs = [type.strong() for type in body.output_types]
        return outs[:num_carry] + [stacked_type(type, length) for type in outs[num_carry:]]

    def numpy(
        self,
        xp: Any,
        *args: Any,
        body: Program,
        num_consts: int,
        num_carry: int,
        length: Any,
        reverse: bool,
    ) -> list[Any]:
        if xp is np and length is not None and length >= LONG:
            params = {"num_consts": num_consts, "num_carry": num_carry, "length": length}
            found = run_natively(self, args, {"body": body, **params, "reverse": reverse})
            if found is not None:
                return found
        if length is None:
            length, args = int(args[0]), args[1:]
        consts, carry = args[:num_consts], list(args[num_consts : num_consts + num_carry])
        first = num_consts + num_carry
        xs = [
            stack_elements(xp, x, type, length)
            for x, type in zip(args[first:], body.input_types[first:], strict=True)
        ]
        step = compiled(body, xp)
        stacks = [make_stack(xp, type, length) for type in body.output_types[num_carry:]]
        for i in range(length - 1, -1, -1) if reverse else range(length):
            outs = step(*consts, *carry, *[x[i] for x in xs])
            carry = outs[:num_carry]
            for stack, y in zip(stacks, outs[num_carry:], strict=True):
                stack[i] = y
        return [*carry, *stacks]

    # --- the parts of the inputs ---

    def parts(self, values: Sequence, params: dict) -> tuple[list, list, list, list]:
        """(count), constants, carry, xs."""
        head = 1 if params["length"] is None else 0
        consts = head + params["num_consts"]
        carry = consts + params["num_carry"]
        return (
            list(values[:head]),
            list(values[head:consts]),
            list(values[consts:carry]),
            list(values[carry:]),
        )

    def active_flags(self, tangents: Sequence, params: dict, step: Callable) -> tuple[bool, ...]:
        """Which body inputs have a tangent, once those of the carry have settled."""
        _, consts, carry, xs = self.parts([t is not None for t in tangents], params)
        count = len(carry)

        def grow(flags: tuple[bool, ...]) -> list[bool]:
            out_active = step((*consts, *flags, *xs))
            return list(out_active[:count])

        return (*consts, *fixpoint(carry, grow), *xs)

    def jvp(self, primals: Sequence, tangents: Sequence, **params: Any) -> tuple[Any, Any]:
        body, num_carry = params["body"], params["num_carry"]
        active = self.active_flags(tangents, params, lambda flags: jvp_program(body, flags)[1])
        count, consts, carry, xs = self.parts(primals, params)
        _, d_consts, d_carry, d_xs = self.parts(
            with_zeros(primals, tangents, active, len(count)), params
        )
        moving = active[len(consts) : len(consts) + num_carry]
        forced = tuple(i for i, flag in enumerate(moving) if flag)
        forward, out_active = jvp_program(body, active, forced)
        # The jvp body takes (consts, carry, xs, their tangents); a scan wants each part together.
        sizes = [len(consts), len(carry), len(xs)]
        moved_sizes = [len(present(d)) for d in (d_consts, d_carry, d_xs)]
        order = interleave(sizes, moved_sizes)
        outs_count = len(body.outputs)
        moved_carry = moved_sizes[1]
        outputs = [
            *range(num_carry),
            *range(outs_count, outs_count + moved_carry),
            *range(num_carry, outs_count),
            *range(outs_count + moved_carry, len(forward.outputs)),
        ]
        results = self(
            *count,
            *consts, *present(d_consts),
            *carry, *present(d_carry),
            *xs, *present(d_xs),
            body=select_outputs(permute_inputs(forward, order), outputs),
            num_consts=len(consts) + moved_sizes[0],
            num_carry=num_carry + moved_carry,
            length=params["length"],
            reverse=params["reverse"],
        )  # fmt: skip
        num_ys = outs_count - num_carry
        start_ys = num_carry + moved_carry
        outs = [*results[:num_carry], *results[start_ys : start_ys + num_ys]]
        moved = [*results[num_carry:start_ys], *results[start_ys + num_ys :]]
        return outs, spread(out_active, moved)

    def linearize(self, primals: Sequence, tangents: Sequence, **params: Any) -> tuple[Any, Any]:
        body, num_carry = params["body"], params["num_carry"]
        active = self.active_flags(
            tangents, params, lambda flags: linearize_program(body, flags).active
        )
        count, consts, carry, xs = self.parts(primals, params)
        moving = active[len(consts) : len(consts) + num_carry]
        forced = tuple(i for i, flag in enumerate(moving) if flag)
        halves = linearize_program(body, active, forced)
        residuals = LoopResiduals(halves, len(body.outputs), len(consts), num_carry)
        outs = self(*primals, **{**params, "body": residuals.primal})
        num_outs = len(body.outputs)
        fixed, stacked = residuals.values(consts, xs, outs[num_outs:])
        _, d_consts, d_carry, d_xs = self.parts(
            with_zeros(primals, tangents, active, len(count)), params
        )
        moved = SCAN(
            *count,
            *fixed, *present(d_consts),
            *present(d_carry),
            *stacked, *present(d_xs),
            body=residuals.linear_body(len(present(d_consts)), len(present(d_carry))),
            num_consts=len(fixed) + len(present(d_consts)),
            num_carry=len(present(d_carry)),
            length=params["length"],
            reverse=params["reverse"],
        )  # fmt: skip
        return outs[:num_outs], spread(halves.active, moved)

    def transpose(self, cotangent: Sequence, *inputs: Any, **params: Any) -> list[Any]:
        return transpose_scan(self, cotangent, inputs, params)

    def batch(self, size: int, args: Sequence, axes: Sequence, **params: Any) -> tuple[Any, Any]:
        count, consts, carry, xs = self.parts(args, params)
        count_axis, const_axes, carry_axes, x_axes = self.parts(axes, params)
        if any(axis is not None for axis in count_axis):
            return batch_lanes(self, size, args, axes, params)
        body, num_carry = params["body"], params["num_carry"]
        in_consts = tuple(None if a is None else 0 for a in const_axes)
        in_xs = tuple(None if a is None else 0 for a in x_axes)

        def grow(flags: tuple[bool, ...]) -> list[bool]:
            in_carry = tuple(0 if flag else None for flag in flags)
            _, out_axes = batch_program(body, size, (*in_consts, *in_carry, *in_xs))
            return [axis is not None for axis in out_axes[:num_carry]]

        batched = fixpoint([a is not None for a in carry_axes], grow)
        in_carry = tuple(0 if flag else None for flag in batched)
        force = (*batched, *[False] * (len(body.outputs) - num_carry))
        new_body, out_axes = batch_program(body, size, (*in_consts, *in_carry, *in_xs), force)
        outs = self(
            *count,
            *[to_front(x, a) for x, a in zip(consts, const_axes, strict=True)],
            *[
                place_axis(x, a, size, 0) if flag else x
                for x, a, flag in zip(carry, carry_axes, batched, strict=True)
            ],
            *[x if a is None else moveaxis(x, a, 1) for x, a in zip(xs, x_axes, strict=True)],
            **{**params, "body": new_body},
        )
        axes_out = [
            *(0 if flag else None for flag in batched),
            *(None if axis is None else 1 for axis in out_axes[num_carry:]),
        ]
        return outs, axes_out

    def lower(self, emit: Any, *values: Any, **params: Any) -> Any:
        return emit.scan(values, **params)


SCAN = Scan()


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
) -> tuple[Any, Any]:
    """Loop over the leading axis of arrays, carrying a state.

    Args:
        f: `(carry, x) -> (carry, y)`; the carry keeps its structure, shapes and dtypes.
        init: initial carry; a tree of arrays.
        xs: tree of arrays whose leading axis is scanned, or None.
        length: number of iterations; needed when `xs` is None.
        reverse: scan from the end; ys keep the order of xs.
        unroll: accepted for compatibility of calls; it does not change results.

    Returns:
        (final carry, ys), where ys stacks the y of every iteration along a new leading axis.

    Raises:
        TypeError: the carry changes structure, shape or dtype.
        ValueError: arrays of `xs` with different lengths.

    Example:
        >>> import numpy as np
        >>> import funcgrad as fg
        >>> total, sums = fg.lax.scan(lambda c, x: (c + x, c + x), 0.0, np.array([1.0, 2.0, 3.0]))
        >>> float(total), sums
        (6.0, array([1., 3., 6.]))
    """
    check_callable(f, "lax.scan")
    if not isinstance(unroll, int) or unroll < 0:
        raise ValueError(f"[scan] unroll must be a positive int or a bool, but got {unroll!r}.")
    shared = Shared(init)
    if shared.has_ties:
        with contextlib.suppress(*RETRY):
            final, ys = scan(shared.scanning(f), shared.leaves, xs, length, reverse, unroll)
            return shared.restore(final), ys
    carry = array_flat(init, "[scan] init")
    stacked = array_flat(xs, "[scan] xs")
    count = scan_length(stacked, length)
    x_types = [ArrayType(type_of(x).shape[1:], type_of(x).dtype) for x in stacked.arrays]
    before = [type_of(x) for x in carry.arrays]
    num_carry = len(before)
    for _ in range(3):
        body = record(f, [carry, stacked], [*before, *x_types], "scan body")
        outputs = split_result(body.outputs, "scan")
        check_same_structure(
            "[scan] the carry that goes in and the carry that the body returns",
            carry,
            outputs[0],
            "The body must return (new_carry, y).",
        )
        settled = carry_types("scan", carry, before, body.program.output_types[:num_carry])
        if settled == before:
            break
        before = settled
    program = converted_outputs(body.program, dict(enumerate(t.strong() for t in before)))
    results = SCAN(
        *body.captured,
        *as_types(carry.arrays, before),
        *stacked.arrays,
        body=program,
        num_consts=len(body.captured),
        num_carry=num_carry,
        length=count,
        reverse=bool(reverse),
    )
    results = fresh_outputs(results, [*body.captured, *carry.arrays])
    return outputs[0].rebuild(results[:num_carry]), outputs[1].rebuild(results[num_carry:])


def scan_length(stacked: Any, length: int | None) -> int:
    """The common leading length of all scanned arrays."""
    found = {}
    for index, x in enumerate(stacked.arrays):
        shape = shape_of(x)
        if not shape:
            raise ValueError(
                f"[scan] xs{'.' + stacked.path(index) if stacked.path(index) else ''} is a scalar; scanned "
                "arrays need a leading axis. Close over it in the body instead."
            )
        found[stacked.path(index) or "xs"] = shape[0]
    lengths = set(found.values())
    if length is not None:
        if not isinstance(length, int | np.integer):
            raise TypeError(
                f"[scan] length must be a Python int, but got {length!r}. For a number of iterations known "
                "only at run time use lax.fori_loop or lax.while_loop."
            )
        lengths.add(int(length))
    if len(lengths) > 1:
        listed = ", ".join(f"{path}: {n}" for path, n in found.items())
        given = f", length={length}" if length is not None else ""
        raise ValueError(
            f"[scan] leading axes differ: {listed}{given}. All arrays of xs need the same length."
        )
    if not lengths:
        raise ValueError("[scan] needs xs or length to know how often to run. Give length=n.")
    return lengths.pop()


def split_result(outputs: Any, name: str) -> tuple[Any, Any]:
    """The two halves of a body's (carry, y) result, as Flats without arrays."""
    value = outputs.treedef.unflatten(outputs.leaves)
    if not isinstance(value, tuple) or len(value) != 2:
        form = str(outputs.treedef).removeprefix("PyTreeDef(").removesuffix(")")
        found = "one array" if form == "*" else f"{form}, where * is an array"
        raise TypeError(
            f"[{name}] the body must return a pair (carry, y), but returned {found}. "
            f"Write `return carry, None` if there is no y."
        )
    return _split_flat(outputs)


def _split_flat(outputs: Any) -> tuple[Any, Any]:
    first, second = outputs.treedef.children()
    halves = []
    start = 0
    for treedef in (first, second):
        half = object.__new__(type(outputs))
        half.treedef = treedef
        half.leaves = outputs.leaves[start : start + treedef.num_leaves]
        half.places = [p - start for p in outputs.places if start <= p < start + treedef.num_leaves]
        half.arrays = []
        halves.append(half)
        start += treedef.num_leaves
    return halves[0], halves[1]
