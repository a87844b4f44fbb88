"""Reverse mode for running Python code: each operation is computed at once and leaves its pullback on a tape.

Values are those of the surrounding trace, so Python `if` and `for` work on them where that trace allows it.
Results that have no derivative (indices, comparisons) are handed out as plain values.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from funcgrad.config import config, restraints
from funcgrad.ir.attribution import behind_mask, current_location
from funcgrad.ir.freeze import FrozenArrays, is_mutable
from funcgrad.ir.quiet import quiet
from funcgrad.ir.source import SourceLocation
from funcgrad.ir.tracer import Trace, Tracer, arguments_behind, refuse_foreign_write, state, type_of
from funcgrad.ir.types import dtype_of, is_inexact
from funcgrad.ops.cotangents import RULES_STATE
from funcgrad.transforms.accumulate import WideSum, rounded, sum_cotangents
from funcgrad.transforms.jvp import ValueTracer, weaken
from funcgrad.transforms.linearize import linearize_equation
from funcgrad.transforms.transpose import backward_pass

SNAPSHOT_BYTES = 1 << 20
STRONG = frozenset(
    {np.ndarray, np.float64, np.float32}
)  # values that decide promotion by their dtype


# One recorded operation. Every value of a tape has a number, under which its cotangent is kept:
# - the number of the result, or of the first of several,
# - how many results a primitive with several has; 0 for one that has a single result,
# - per operand its number, None for one that is not of this tape,
# - the pullback: from the cotangent (or list of cotangents) of the result to those of the operands,
# - the user's line, if errors or Programs may have to name it,
# - whether the cotangents are zero where a branch was not taken.
Node = tuple[int, int, list[int | None], Callable[..., Any], SourceLocation | None, bool]


class TapeTracer(ValueTracer):
    """A value and its number on the tape."""

    __slots__ = ("index",)
    payload = ("value", "index")
    owner: Tape

    def __init__(self, trace: Tape, value: Any, index: int) -> None:
        self.owner = trace
        self.inplace = None
        self.value = value
        self.index = index

    def as_weak(self) -> TapeTracer:
        return TapeTracer(self.owner, weaken(self.value), self.index)


class Tape(Trace):
    """Records operations and their pullbacks."""

    name = "grad"
    differentiates = True

    def __init__(self, name: str = "grad") -> None:
        self.name = name
        self.nodes: list[Node] = []
        self.count = 0
        self.frozen = FrozenArrays()

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        try:
            super().__exit__(kind, error, traceback)
        finally:
            if error is not None:
                self.frozen.release()

    def explain(self, error: BaseException) -> BaseException:
        return self.frozen.explain(super().explain(error))

    def arguments_behind(self, tracer: Tracer) -> list[str]:
        assert isinstance(tracer, TapeTracer)
        return arguments_behind(tracer.value)

    def watch(self, value: Any) -> TapeTracer:
        """A tracer for an input whose cotangent may be wanted."""
        index = self.count
        self.count = index + 1
        return TapeTracer(self, value, index)

    def watch_all(
        self, arrays: Sequence[Any], constants: Collection[int] = ()
    ) -> tuple[list[Any], list[int | None]]:
        """Tracers for the floating arrays, and their numbers; others pass as they are and have None.

        So do those whose position is among `constants`.
        """
        given: list[Any] = []
        numbers: list[int | None] = []
        for place, array in enumerate(arrays):
            if is_inexact(dtype_of(array)) and place not in constants:
                array = self.watch(array)
                numbers.append(array.index)
            else:
                numbers.append(None)
            given.append(array)
        return given, numbers

    def process(self, primitive: Any, args: tuple, params: dict) -> Any:
        primals: list[Any] = []
        parents: list[int | None] = []
        active: list[bool] = []
        for arg in args:
            if type(arg) is TapeTracer and arg.owner is self:
                primals.append(arg.value)
                parents.append(arg.index)
                active.append(True)
                continue
            # While a Program is recorded, its builder holds the array by reference and guards it.
            if (
                type(arg) is np.ndarray
                and primitive.keeps_inputs
                and not (restraints and state.ambient is not None)
                and (arg.flags.writeable or is_mutable(arg))
            ):
                arg = self.protect(arg, primitive)
            primals.append(arg)
            parents.append(None)
            active.append(False)
        if True not in active:
            return primitive(*primals, **params)
        if primitive.vjp is None:
            outs, pullback = derive_vjp(primitive, primals, active, params)
        else:
            outs, pullback = primitive.vjp(primals, active, **params)
        if pullback is None:
            return outs
        index = self.count
        count = len(outs) if primitive.multiple else 0
        self.count = index + (count or 1)
        location = None
        if restraints and (config.checks_values or state.ambient is not None):
            location = current_location()
        masks = primitive.masks_cotangents
        self.nodes.append((index, count, parents, pullback, location, masks))
        if not primitive.multiple:
            return TapeTracer(self, outs, index)
        return [
            TapeTracer(self, out, index + slot) if is_inexact(type_of(out).dtype) else out
            for slot, out in enumerate(outs)
        ]

    def protect(self, array: np.ndarray, primitive: Any) -> np.ndarray:
        """What the backward pass may keep of an array that the user can write to: a copy, or, if it is
        large, the array itself made read-only until the backward pass is over."""
        if array.nbytes <= SNAPSHOT_BYTES:
            return array.copy()
        self.frozen.freeze(array, primitive.name)
        return array

    def adopt(self, value: Any, target: Tracer | None) -> TapeTracer:
        if isinstance(value, Tracer) and value.owner.level > self.level:
            refuse_foreign_write(target, value)
        return self.watch(value)

    def lower(self, value: Any) -> Any:
        """The value behind a tracer of this tape; other values as they are."""
        return value.value if isinstance(value, TapeTracer) and value.owner is self else value

    def number(self, value: Any) -> int | None:
        """The number of a value of this tape; None for other values."""
        if isinstance(value, TapeTracer) and value.owner is self:
            return value.index
        return None

    def pull_back(
        self,
        outputs: Sequence[int | None],
        cotangents: Sequence[Any],
        wanted: Sequence[int | None],
    ) -> list[Any]:
        """Cotangents of the wanted values, given those of some outputs; all are named by their numbers."""
        pending: list[Any] = [None] * self.count
        for output, cotangent in zip(outputs, cotangents, strict=True):
            if output is not None and cotangent is not None:
                _accumulate(pending, output, cotangent)
        saved = RULES_STATE.masked, state.location
        RULES_STATE.masked = False
        try:
            with quiet():
                self._walk_back(pending)
        finally:
            RULES_STATE.masked, state.location = saved
        return [None if number is None else rounded(pending[number]) for number in wanted]

    def _walk_back(self, pending: list[Any]) -> None:
        """Run the pullbacks, last operation first; `pending` has a place for every value."""
        masks: dict[int, Any] = {}  # the `select` that a cotangent passed: its line, or True
        nan_safe = config.nan_safe_where
        is_masked = False
        for index, count, parents, pullback, location, masks_cotangents in reversed(self.nodes):
            cotangent = _take_all(pending, index, count) if count else pending[index]
            if cotangent is None:
                continue
            if not count:
                pending[index] = None
                if type(cotangent) is WideSum:
                    cotangent = rounded(cotangent)
            mask = _mask_of(masks, index, count) if masks else None
            if is_masked is not (nan_safe and mask is not None):
                RULES_STATE.masked = is_masked = not is_masked
            if location is not None:
                state.location = behind_mask(location, mask)
            if mask is None and masks_cotangents:
                mask = location or True
            for parent, term in zip(parents, pullback(cotangent), strict=True):
                if parent is not None and term is not None:
                    known = pending[parent]
                    pending[parent] = term if known is None else sum_cotangents(known, term)
                    if mask is not None:
                        masks[parent] = mask


def _take_all(pending: list[Any], index: int, count: int) -> list[Any] | None:
    """The finished cotangents of several results; None if all of them are zero."""
    results = slice(index, index + count)
    found = pending[results]
    pending[results] = [None] * count
    if all(cotangent is None for cotangent in found):
        return None
    return [rounded(cotangent) for cotangent in found]


def _mask_of(masks: dict[int, Any], index: int, count: int) -> Any:
    results = range(index, index + (count or 1))
    return next((masks[number] for number in results if number in masks), None)


def _accumulate(pending: list[Any], number: int, cotangent: Any) -> None:
    known = pending[number]
    pending[number] = cotangent if known is None else sum_cotangents(known, cotangent)


def derive_vjp(
    primitive: Any, primals: Sequence[Any], active: Sequence[bool], params: dict
) -> tuple[Any, Callable[..., Any] | None]:
    """The reverse rule of any primitive: linearize it, and transpose that."""
    active = [
        wanted and is_inexact(type_of(x).dtype) for wanted, x in zip(active, primals, strict=True)
    ]
    outs, linearized = linearize_equation(primitive, primals, active, params)
    if not any(linearized.active):
        return (outs if primitive.multiple else outs[0]), None

    def pullback(cotangent: Any) -> list[Any]:
        given = list(cotangent) if primitive.multiple else [cotangent]
        given += [None] * (len(linearized.active) - len(given))
        seeds = [ct for ct, wanted in zip(given, linearized.active, strict=True) if wanted]
        pulled = iter(
            backward_pass(linearized.program, linearized.linear, linearized.residuals, seeds)
        )
        return [next(pulled) if wanted else None for wanted in active]

    return (outs if primitive.multiple else outs[0]), pullback
