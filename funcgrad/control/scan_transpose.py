"""The transpose of `scan`: a loop that runs the other way and carries cotangents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcgrad.ir.builder import close_program
from funcgrad.ir.primitive import is_linear
from funcgrad.ir.program import Atom, Program
from funcgrad.ir.tracer import type_of
from funcgrad.ir.types import ArrayType, is_inexact
from funcgrad.ops.arithmetic import add
from funcgrad.ops.cotangents import zeros_like_type
from funcgrad.ops.run_time import ADD_STACKS, is_run_time
from funcgrad.transforms.accumulate import is_exact_dtype
from funcgrad.transforms.call import present, spread
from funcgrad.transforms.transpose import backward_pass


def transpose_scan(scan: Any, cotangent: Sequence, inputs: Sequence, params: dict) -> list[Any]:
    """The transposed loop runs the other way and carries (cotangents of constants, of the carry)."""
    body, num_carry = params["body"], params["num_carry"]
    count, consts, carry, xs = scan.parts(inputs, params)
    if not all(is_inexact(type_of_input(x).dtype) for x in carry):
        raise NotImplementedError(
            "[linear_transpose] a loop whose carry is only partly linear cannot be transposed. Keep counters "
            "out of the carry: scan over np.arange(n) instead."
        )
    # A carry that starts as constant zeros is linear all the same: the body adds to it.
    linear = (
        *(is_linear(x) for x in consts),
        *[True] * num_carry,
        *(is_linear(x) for x in xs),
    )
    known_consts = [x for x in consts if not is_linear(x)]
    known_xs = [x for x in xs if not is_linear(x)]
    linear_consts = [x for x in consts if is_linear(x)]
    linear_xs = [x for x in xs if is_linear(x)]
    ct_ys = cotangent[num_carry:]
    active_ys = tuple(ct is not None for ct in ct_ys)
    transposed = _transposed_body(body, linear, active_ys, len(consts), num_carry)
    start_consts = [zeros_like_type(x.type.strong()) for x in linear_consts]
    start_carry = [
        zeros_like_type(type_of_input(x).strong()) if ct is None else ct
        for x, ct in zip(carry, cotangent[:num_carry], strict=True)
    ]
    outs = scan(
        *count,
        *known_consts,
        *start_consts, *start_carry,
        *present(ct_ys), *known_xs,
        body=transposed,
        num_consts=len(known_consts),
        num_carry=len(linear_consts) + num_carry,
        length=params["length"],
        reverse=not params["reverse"],
    )  # fmt: skip
    pulled = spread(linear[: len(consts)], outs[: len(linear_consts)])
    pulled += [
        ct if is_linear(x) else None
        for x, ct in zip(
            carry, outs[len(linear_consts) : len(linear_consts) + num_carry], strict=True
        )
    ]
    pulled += spread([is_linear(x) for x in xs], outs[len(linear_consts) + num_carry :])
    assert len(outs) == len(linear_consts) + num_carry + len(linear_xs)
    return [*[None] * len(count), *pulled]


def add_constants(total: Any, ct: Any) -> Any:
    """The cotangent of a constant after one more iteration."""
    return ADD_STACKS(total, ct) if is_run_time(total) else add(total, ct)


def gathered_constants(body: Program, linear: Sequence[bool]) -> dict[Atom, int]:
    """The linear constants of which iterations read only parts, and their places among those that are linear.

    Their cotangents are added to in place: an array of their size in each iteration would make long loops slow.
    """
    variables = [v for v, wanted in zip(body.inputs, linear, strict=False) if wanted]
    found: dict[Atom, int] = {}
    found |= {v: i for i, v in enumerate(variables) if is_exact_dtype(v.type.dtype)}
    for equation in body.equations:
        parts = equation.inputs[:1] if equation.primitive.transpose_onto is not None else ()
        for atom in equation.inputs[len(parts) :]:
            found.pop(atom, None)
    for atom in body.outputs:
        found.pop(atom, None)
    return found


def type_of_input(x: Any) -> ArrayType:
    return x.type if is_linear(x) else type_of(x)


def _transposed_body(
    body: Program,
    linear: tuple[bool, ...],
    active_ys: tuple[bool, ...],
    num_consts: int,
    num_carry: int,
) -> Program:
    """(known consts, ct consts, ct carry, ct ys, known xs) -> (ct consts, ct carry, ct xs)."""
    key = ("transpose_scan", linear, active_ys, num_consts, num_carry)
    if key in body.memo:
        return body.memo[key]
    types = body.input_types
    split = (
        slice(0, num_consts),
        slice(num_consts, num_consts + num_carry),
        slice(num_consts + num_carry, None),
    )
    known = [
        [t for t, is_lin in zip(types[s], linear[s], strict=True) if not is_lin] for s in split
    ]
    moving = [[t for t, is_lin in zip(types[s], linear[s], strict=True) if is_lin] for s in split]
    ys = [
        t.strong() for t, flag in zip(body.output_types[num_carry:], active_ys, strict=True) if flag
    ]
    sizes = [len(known[0]), len(moving[0]), num_carry, len(ys), len(known[2])]

    gathered = gathered_constants(body, linear[:num_consts])

    def backward(*args: Any) -> list[Any]:
        groups, start = [], 0
        for size in sizes:
            groups.append(args[start : start + size])
            start += size
        known_consts, ct_consts, ct_carry, ct_ys, known_xs = groups
        given = iter(ct_ys)
        seeds = [*ct_carry, *(next(given) if flag else None for flag in active_ys)]
        totals = dict(zip(gathered, [ct_consts[i] for i in gathered.values()], strict=True))
        known_inputs = [*known_consts, *known_xs]
        pulled = backward_pass(body, linear, known_inputs, seeds, totals, body.inputs[split[1]])
        types_out = [*moving[0], *moving[1], *moving[2]]
        filled = [
            zeros_like_type(t.strong()) if ct is None else ct
            for t, ct in zip(types_out, pulled, strict=True)
        ]
        count = len(moving[0])
        in_place = set(gathered.values())
        summed = [
            total if ct is None else ct if i in in_place else add_constants(total, ct)
            for i, (total, ct) in enumerate(zip(ct_consts, pulled[:count], strict=True))
        ]
        return [*summed, *filled[count:]]

    inputs = [*known[0], *moving[0], *moving[1], *ys, *known[2]]
    inputs = [t.strong() for t in inputs]
    body.memo[key] = close_program(backward, inputs, body.name + "_transpose")
    return body.memo[key]
