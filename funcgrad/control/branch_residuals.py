"""Residuals of all branches of a `cond` side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcgrad.ir.builder import close_program
from funcgrad.ir.program import Program, evaluate
from funcgrad.ir.types import ArrayType
from funcgrad.ops.cotangents import zeros_like_type


class ResidualSlots:
    """Residuals of all branches side by side: branches share a slot for residuals of equal type.

    A residual that is an operand is read from the operands again and needs no slot.
    """

    def __init__(self, halves: Sequence[Any], num_outs: int) -> None:
        self.halves = halves
        self.num_outs = num_outs
        self.types: list[ArrayType] = []
        self.placed = [self._place(half) for half in halves]

    def _place(self, half: Any) -> dict[int, int]:
        """Slot per residual of one branch."""
        taken: set[int] = set()
        placed = {}
        for index, (type, operand) in enumerate(
            zip(half.residual_types, half.forwarded, strict=True)
        ):
            if operand is not None:
                continue
            type = type.strong()
            free = [
                i
                for i, t in enumerate(self.types)
                if t == type and i not in taken and None not in t.shape
            ]
            if free:
                slot = free[0]
            else:
                slot = len(self.types)
                self.types.append(type)
            taken.add(slot)
            placed[index] = slot
        return placed

    def primal_branches(self) -> tuple[Program, ...]:
        """Per branch, a Program that also returns all slots."""
        return tuple(
            self._primal(half, placed)
            for half, placed in zip(self.halves, self.placed, strict=True)
        )

    def _primal(self, half: Any, placed: dict[int, int]) -> Program:
        def run(*args: Any) -> list[Any]:
            outs = evaluate(half.primal, *args)
            slots: list[Any] = [None] * len(self.types)
            for residual, slot in placed.items():
                slots[slot] = outs[self.num_outs + residual]
            filled = [
                zeros_like_type(t) if x is None else x
                for t, x in zip(self.types, slots, strict=True)
            ]
            return [*outs[: self.num_outs], *filled]

        return close_program(run, half.primal.input_types, half.primal.name)

    def linear_branches(self, operand_types: Sequence[ArrayType]) -> tuple[Program, ...]:
        """Per branch, a linear Program of (operands, slots, tangents)."""
        return tuple(
            self._linear(half, placed, operand_types)
            for half, placed in zip(self.halves, self.placed, strict=True)
        )

    def _linear(self, half: Any, placed: dict[int, int], operand_types: Sequence) -> Program:
        count, slots = len(operand_types), len(self.types)
        tangent_types = half.linear.input_types[len(half.residual_types) :]

        def run(*args: Any) -> list[Any]:
            residuals = [
                args[count + placed[i]] if operand is None else args[operand]
                for i, operand in enumerate(half.forwarded)
            ]
            return evaluate(half.linear, *residuals, *args[count + slots :])

        types = [*operand_types, *self.types, *tangent_types]
        return close_program(run, types, half.linear.name)
