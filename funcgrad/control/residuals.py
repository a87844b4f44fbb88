"""What loops keep for their linear half: stacks over the iterations, and how their inputs are ordered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcgrad.control.common import (
    invariant_outputs,
    output_slice,
    permute_inputs,
    select_outputs,
)
from funcgrad.ir.program import Program, evaluate
from funcgrad.ir.tracer import type_of
from funcgrad.ir.types import ArrayType
from funcgrad.ops.cotangents import zeros_like_type
from funcgrad.ops.ragged import RaggedStack
from funcgrad.ops.shape import moveaxis


def stacked_type(type: ArrayType, length: int | None) -> ArrayType:
    return ArrayType((length, *type.shape), type.dtype)


def make_stack(xp: Any, type: ArrayType, length: int) -> Any:
    """A buffer for `length` values."""
    if None in type.shape:
        return RaggedStack([None] * length, type)
    return xp.empty((length, *type.shape), type.dtype)


def stack_elements(xp: Any, stack: Any, type: ArrayType, length: int) -> Any:
    """The `length` elements of a stack, each of this type; one without elements stands for zeros."""
    if isinstance(stack, RaggedStack) and stack:
        return stack.elements()
    if len(stack) or not length:
        return stack
    return [xp.zeros(tuple(n or 0 for n in type.shape), type.dtype)] * length


def to_front(x: Any, axis: int | None) -> Any:
    return x if axis is None else moveaxis(x, axis, 0)


def with_zeros(
    primals: Sequence, tangents: Sequence, active: Sequence[bool], head: int
) -> list[Any]:
    """Tangents, with zeros where the loop needs one; the leading count has none."""
    filled: list[Any] = [None] * head
    for x, t, flag in zip(primals[head:], tangents[head:], active, strict=True):
        filled.append(zeros_like_type(type_of(x).strong()) if flag and t is None else t)
    return filled


def interleave(sizes: Sequence[int], moved: Sequence[int]) -> list[int]:
    """Input order (consts, d_consts, carry, d_carry, xs, d_xs) of a body that has tangents last."""
    order: list[int] = []
    start, moved_start = 0, sum(sizes)
    for size, count in zip(sizes, moved, strict=True):
        order += range(start, start + size)
        order += range(moved_start, moved_start + count)
        start += size
        moved_start += count
    return order


class LoopResiduals:
    """What the linear half of a loop body needs from the primal half, and how it gets there.

    A residual that is a constant of the loop, or computed from constants only, is passed once; one that is an
    element of xs is read from xs again; only the others are stacked over the iterations.
    """

    def __init__(self, halves: Any, num_outs: int, num_consts: int, num_carry: int) -> None:
        self.halves = halves
        self.num_consts = num_consts
        self.first_x = num_consts + num_carry
        count = len(halves.forwarded)
        self.from_const = [
            i for i, f in enumerate(halves.forwarded) if f is not None and f < num_consts
        ]
        self.from_xs = [
            i for i, f in enumerate(halves.forwarded) if f is not None and f >= self.first_x
        ]
        rest = [i for i in range(count) if i not in self.from_const and i not in self.from_xs]
        places = [num_outs + i for i in rest]
        invariant = invariant_outputs(halves.primal, num_consts, places)
        self.hoisted = [place - num_outs for place in invariant]
        self.stacked = [i for i in rest if i not in self.hoisted]
        self.hoist = output_slice(halves.primal, num_consts, invariant)
        keep = [*range(num_outs), *(num_outs + i for i in self.stacked)]
        self.primal = select_outputs(halves.primal, keep)

    def values(
        self, consts: Sequence, xs: Sequence, stacks: Sequence
    ) -> tuple[list[Any], list[Any]]:
        """Residuals that are constants of the linear loop, and those that it scans over."""
        forwarded = self.halves.forwarded
        fixed = [consts[forwarded[i]] for i in self.from_const]
        if self.hoisted:
            fixed += evaluate(self.hoist, *consts)
        scanned = [xs[forwarded[i] - self.first_x] for i in self.from_xs]
        return fixed, [*scanned, *stacks]

    def linear_body(self, moved_consts: int, moved_carry: int) -> Program:
        """The linear half with inputs (fixed residuals, d_consts, d_carry, scanned residuals, d_xs)."""
        count = len(self.halves.forwarded)
        tangents = range(count, len(self.halves.linear.inputs))
        order = [
            *self.from_const,
            *self.hoisted,
            *tangents[:moved_consts],
            *tangents[moved_consts : moved_consts + moved_carry],
            *self.from_xs,
            *self.stacked,
            *tangents[moved_consts + moved_carry :],
        ]
        return permute_inputs(self.halves.linear, order)
