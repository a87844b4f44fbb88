"""Transposition: run a linear Program backward.

Equations without a linear input are evaluated first (recomputation, after `checkpoint`); the others are then
walked in reverse, each primitive mapping the cotangents of its outputs to those of its linear inputs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from funcgrad.config import config
from funcgrad.ir.attribution import attributed, behind_mask
from funcgrad.ir.builder import close_program
from funcgrad.ir.primitive import LinearInput
from funcgrad.ir.program import Atom, Equation, Literal, Program, Variable
from funcgrad.ir.quiet import quiet
from funcgrad.ops.cotangents import RULES_STATE, zeros_like_type
from funcgrad.transforms.accumulate import is_exact, rounded, sum_cotangents


class Cotangents:
    """Accumulated cotangents of variables, and the `select` that each passed (its line, or True).

    `carried` are variables whose cotangents go from one iteration of a loop to the next.
    """

    def __init__(self, carried: Collection[Atom] = ()) -> None:
        self.carried = carried
        self.values: dict[Any, Any] = {}
        self.masks: dict[Any, Any] = {}

    def accumulate(self, key: Any, cotangent: Any, mask: Any) -> None:
        if cotangent is None:
            return
        known = self.values.get(key)
        self.put(key, cotangent if known is None else sum_cotangents(known, cotangent), mask)

    def put(self, key: Any, total: Any, mask: Any) -> None:
        self.values[key] = total
        if mask is not None:
            self.masks[key] = mask

    def take(self, keys: Sequence[Any]) -> tuple[list[Any], Any]:
        """Finished cotangents, and the mask that one of them passed, if any."""
        mask = next((self.masks[key] for key in keys if key in self.masks), None)
        return [rounded(self.values.pop(key, None)) for key in keys], mask


def backward_pass(
    program: Program,
    linear: Sequence[bool],
    values: Sequence[Any],
    cotangents: Sequence[Any],
    totals: Mapping[Atom, Any] | None = None,
    carried: Collection[Atom] = (),
) -> list[Any]:
    """Pull cotangents back through a Program that is linear in some inputs.

    Args:
        program: the Program.
        linear: per input, whether it is to be transposed.
        values: the other inputs, in order.
        cotangents: per output; None is zero.
        totals: sums of cotangents of linear inputs so far, which the results then include.
        carried: inputs whose cotangents go from one iteration of a loop to the next.

    Returns:
        Cotangent per linear input, None for zero.
    """
    known = [v for v, is_linear in zip(program.inputs, linear, strict=True) if not is_linear]
    environment: dict[Variable, Any] = dict(zip(known, values, strict=True))
    unknown = {v for v, is_linear in zip(program.inputs, linear, strict=True) if is_linear}
    pending = _evaluate_known(program, environment, unknown)
    accumulated = Cotangents(carried)
    accumulated.values.update(totals or {})
    for atom, cotangent in zip(program.outputs, cotangents, strict=True):
        if isinstance(atom, Variable) and atom in unknown:
            accumulated.accumulate(atom, cotangent, True if RULES_STATE.masked else None)
    saved = RULES_STATE.masked
    try:
        with quiet():
            for equation in reversed(pending):
                _transpose_equation(equation, environment, unknown, accumulated)
    finally:
        RULES_STATE.masked = saved
    linear_inputs = [v for v, is_linear in zip(program.inputs, linear, strict=True) if is_linear]
    return accumulated.take(linear_inputs)[0]


def _evaluate_known(program: Program, environment: dict, unknown: set) -> list[Equation]:
    """Evaluate what does not depend on linear inputs; return the equations that do."""
    pending = []
    for equation in program.equations:
        if any(isinstance(atom, Variable) and atom in unknown for atom in equation.inputs):
            pending.append(equation)
            unknown.update(equation.outputs)
            continue
        inputs = [a.value if isinstance(a, Literal) else environment[a] for a in equation.inputs]
        outs = equation.run(*inputs)
        environment.update(zip(equation.outputs, outs, strict=True))
    return pending


def _transpose_equation(
    equation: Equation, environment: dict, unknown: set, accumulated: Cotangents
) -> None:
    cotangents, mask = accumulated.take(equation.outputs)
    if all(cotangent is None for cotangent in cotangents):
        return
    inputs = [
        atom.value
        if isinstance(atom, Literal)
        else LinearInput(atom.type)
        if atom in unknown
        else environment[atom]
        for atom in equation.inputs
    ]
    primitive = equation.primitive
    RULES_STATE.masked = config.nan_safe_where and mask is not None
    first = equation.inputs[0]
    onto = primitive.transpose_onto
    if onto is None and first in accumulated.carried:
        onto = primitive.transpose_onto_carry
    if onto is not None:
        total = accumulated.values.get(first)
        if total is not None and is_exact(total):
            with attributed(behind_mask(equation.source, mask)):
                total = onto(total, cotangents[0], *inputs, **equation.params)
            if total is not None:
                accumulated.put(first, total, mask)
                return
    with attributed(behind_mask(equation.source, mask)):
        pulled = primitive.transpose(
            cotangents if primitive.multiple else cotangents[0], *inputs, **equation.params
        )
    if mask is None and primitive.masks_cotangents:
        mask = equation.source or True
    for atom, cotangent in zip(equation.inputs, pulled, strict=True):
        if isinstance(atom, Variable) and atom in unknown:
            accumulated.accumulate(atom, cotangent, mask)


def transpose_program(
    program: Program, linear: tuple[bool, ...], active: tuple[bool, ...]
) -> tuple[Program, tuple[bool, ...]]:
    """The transpose of a Program as a Program.

    Args:
        program: linear in the inputs marked by `linear`.
        linear: per input.
        active: per output, whether a cotangent comes in.

    Returns:
        A Program from (the other inputs, the active cotangents) to the cotangents that are not zero, and
        per linear input whether it is among them.
    """
    key = ("transpose", linear, active)
    if key not in program.memo:
        known = [
            v.type for v, is_linear in zip(program.inputs, linear, strict=True) if not is_linear
        ]
        seeds = [
            a.type.strong() for a, wanted in zip(program.outputs, active, strict=True) if wanted
        ]
        found: list[tuple[bool, ...]] = []

        def backward(*args: Any) -> list[Any]:
            cotangents = iter(args[len(known) :])
            full = [next(cotangents) if wanted else None for wanted in active]
            pulled = backward_pass(program, linear, args[: len(known)], full)
            found.append(tuple(cotangent is not None for cotangent in pulled))
            return [cotangent for cotangent in pulled if cotangent is not None]

        built = close_program(backward, known + seeds, program.name + "_transpose")
        program.memo[key] = (built, found[0])
    return program.memo[key]


def instantiate(cotangent: Any, type: Any) -> Any:
    """The cotangent, or zeros of this type for None."""
    return zeros_like_type(type) if cotangent is None else cotangent
