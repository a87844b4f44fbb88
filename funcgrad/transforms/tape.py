"""Reverse mode for running Python code: each operation is computed at once and leaves its pullback on a tape.

Values are those of the surrounding trace, so Python `if` and `for` work on them where that trace allows it.
Results that have no derivative (indices, comparisons) are handed out as plain values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.config import config
from funcgrad.ir.attribution import behind_mask, current_location
from funcgrad.ir.freeze import FrozenArrays, is_mutable
from funcgrad.ir.quiet import quiet
from funcgrad.ir.source import SourceLocation
from funcgrad.ir.tracer import Trace, Tracer, arguments_behind, refuse_foreign_write, state, type_of
from funcgrad.ir.types import SCALAR_DTYPES, ArrayType, dtype_of, is_inexact
from funcgrad.ops.families import RULES_STATE
from funcgrad.transforms.accumulate import rounded, sum_cotangents
from funcgrad.transforms.jvp import concrete_value, weaken
from funcgrad.transforms.linearize import linearize_equation
from funcgrad.transforms.transpose import backward_pass

SNAPSHOT_BYTES = 1 << 20


class Node:
    """One recorded operation: where its active inputs come from, and how cotangents go back."""

    __slots__ = ("index", "location", "masks", "multiple", "parents", "pullback")

    def __init__(
        self, index: int, parents: Sequence[Any], pullback: Any, masks: bool, multiple: bool
    ) -> None:
        self.index = index
        self.parents = parents
        self.pullback = pullback
        self.location: SourceLocation | None = None
        self.masks = masks
        self.multiple = multiple


class TapeTracer(Tracer):
    """A value and the operation that made it (its `slot`-th result)."""

    __slots__ = ("node", "slot", "value")
    payload = ("value", "node", "slot")
    owner: Tape

    def __init__(self, trace: Tape, value: Any, node: Node, slot: int = 0) -> None:
        self.owner = trace
        self.inplace = None
        self.value = value
        self.node = node
        self.slot = slot

    @property
    def type(self) -> ArrayType:
        return type_of(self.value)

    @property
    def shape(self) -> tuple:
        return getattr(self.value, "shape", ())

    @property
    def dtype(self) -> np.dtype:
        dtype = getattr(self.value, "dtype", None)
        return SCALAR_DTYPES[type(self.value)] if dtype is None else dtype

    @property
    def weak(self) -> bool:
        value = self.value
        return value.weak if isinstance(value, Tracer) else type(value) in (float, complex, int)

    def as_weak(self) -> TapeTracer:
        return TapeTracer(self.owner, weaken(self.value), self.node, self.slot)  # type: ignore[arg-type]

    def concrete(self) -> Any:
        return concrete_value(self.value)

    def __bool__(self) -> bool:
        return bool(self.value)


class Tape(Trace):
    """Records operations and their pullbacks."""

    name = "grad"
    differentiates = True

    def __init__(self, name: str = "grad") -> None:
        self.name = name
        self.nodes: list[Node] = []
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
        return arguments_behind(tracer.value)  # type: ignore[attr-defined]

    def watch(self, value: Any) -> TapeTracer:
        """A tracer for an input whose cotangent is wanted."""
        return TapeTracer(self, value, self.record((), None))

    def watch_all(self, arrays: Sequence[Any]) -> tuple[list[Any], list[Node | None]]:
        """Tracers for the floating arrays, and their nodes; others pass as they are and have None."""
        given, nodes = [], []
        for array in arrays:
            if is_inexact(dtype_of(array)):
                array = self.watch(array)
                nodes.append(array.node)
            else:
                nodes.append(None)
            given.append(array)
        return given, nodes

    def record(
        self, parents: Sequence[Any], pullback: Any, masks: bool = False, multiple: bool = False
    ) -> Node:
        nodes = self.nodes
        node = Node(len(nodes), parents, pullback, masks, multiple)
        nodes.append(node)
        return node

    def process(self, primitive: Any, args: tuple, params: dict) -> Any:
        primals: list[Any] = []
        parents: list[Any] = []
        for arg in args:
            if type(arg) is TapeTracer and arg.owner is self:
                primals.append(arg.value)
                parents.append((arg.node, arg.slot))
                continue
            # While a Program is recorded, its builder holds the array by reference and guards it.
            if (
                type(arg) is np.ndarray
                and primitive.keeps_inputs
                and state.ambient is None
                and (arg.flags.writeable or is_mutable(arg))
            ):
                arg = self.protect(arg, primitive)
            primals.append(arg)
            parents.append(None)
        active = [parent is not None for parent in parents]
        if True not in active:
            return primitive(*primals, **params)
        rule = primitive.vjp
        if rule is None:
            outs, pullback = derive_vjp(primitive, primals, active, params)
        else:
            outs, pullback = rule(primals, active, **params)
        if pullback is None:
            return outs
        node = self.record(parents, pullback, primitive.masks_cotangents, primitive.multiple)
        if config.checks_values or state.ambient is not None:
            node.location = current_location()
        if not primitive.multiple:
            return TapeTracer(self, outs, node)
        return [
            TapeTracer(self, out, node, slot) if is_inexact(type_of(out).dtype) else out
            for slot, out in enumerate(outs)
        ]

    def protect(self, array: np.ndarray, primitive: Any) -> np.ndarray:
        """What the backward pass may keep of an array that the user can write to: a copy, or, if it is
        large, the array itself made read-only until the backward pass is over."""
        if array.nbytes <= SNAPSHOT_BYTES:
            return array.copy()
        self.frozen.freeze(array, primitive.name)
        return array

    def adopt(self, value: Any, target: Tracer) -> TapeTracer:
        if isinstance(value, Tracer) and value.owner.level > self.level:
            refuse_foreign_write(target, value)
        return self.watch(value)

    def lower(self, value: Any) -> Any:
        """The value behind a tracer of this tape; other values as they are."""
        return value.value if isinstance(value, TapeTracer) and value.owner is self else value

    def place(self, value: Any) -> tuple[Node, int] | None:
        """Where a value of this tape comes from; None for other values."""
        if isinstance(value, TapeTracer) and value.owner is self:
            return value.node, value.slot
        return None

    def pull_back(
        self, outputs: Sequence[tuple[Node, int] | None], cotangents: Sequence[Any]
    ) -> list[Any]:
        """Cotangents of all nodes, given those of some outputs, named by their places.

        Returns:
            A list with one entry per node; only entries of watched inputs remain.
        """
        pending: list[Any] = [None] * len(self.nodes)
        masks: list[Any] = [None] * len(self.nodes)  # the `select` behind each, or True
        for output, cotangent in zip(outputs, cotangents, strict=True):
            if output is not None and cotangent is not None:
                _accumulate(pending, *output, cotangent)
        saved = RULES_STATE.masked, state.location
        nan_safe = config.nan_safe_where
        try:
            with quiet():
                for node in reversed(self.nodes):
                    cotangent = pending[node.index]
                    if cotangent is None:
                        continue
                    cotangent = rounded(cotangent)
                    pending[node.index] = cotangent if node.pullback is None else None
                    if node.pullback is None:
                        continue
                    mask = masks[node.index]
                    RULES_STATE.masked = nan_safe and mask is not None
                    if node.location is not None:
                        state.location = behind_mask(node.location, mask)
                    if mask is None and node.masks:
                        mask = node.location or True
                    pulled = node.pullback(_as_list(cotangent) if node.multiple else cotangent)
                    for parent, term in zip(node.parents, pulled, strict=True):
                        if parent is not None and term is not None:
                            _accumulate(pending, parent[0], parent[1], term)
                            if mask is not None:
                                masks[parent[0].index] = mask
        finally:
            RULES_STATE.masked, state.location = saved
        return pending


class _Slots(dict):
    """Cotangents of the results of a node with several, by slot."""


def _as_list(slots: _Slots) -> list[Any]:
    return [rounded(slots.get(i)) for i in range(max(slots) + 1)]


def _accumulate(pending: list[Any], node: Node, slot: int, cotangent: Any) -> None:
    known = pending[node.index]
    if node.multiple:
        if known is None:
            known = pending[node.index] = _Slots()
        known[slot] = sum_cotangents(known[slot], cotangent) if slot in known else cotangent
    else:
        pending[node.index] = cotangent if known is None else sum_cotangents(known, cotangent)


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
