"""The native way into a compiled function: a plan for one known call of it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.compiler.llvm.calls import cpython, dispatch
from funcgrad.compiler.llvm.calls.call_arguments import (
    ArraySlot,
    check_captured,
    check_contents,
    check_donated,
    check_name,
    check_outside,
    check_static,
    check_tree,
)
from funcgrad.compiler.llvm.calls.call_plan import Plan, Unsupported
from funcgrad.compiler.llvm.calls.call_results import make_tree, run
from funcgrad.compiler.llvm.calls.dispatch import MAX_PLANS as MAX_PLANS
from funcgrad.config import config, restraints
from funcgrad.ir.tracer import state
from funcgrad.transforms.guards import Guard
from funcgrad.transforms.signature import Signature, StaticLeaf, has_state, object_state


def is_idle() -> bool:
    """Whether this thread neither records what functions do nor runs them in an unusual way."""
    return state.ambient is None and not config.is_unusual


@functools.cache
def shared() -> dispatch.Shared:
    """What the plans of all functions share."""
    return dispatch.Shared(restraints, is_idle)


def install(jitted: Any, plans: list[Plan]) -> Any:
    """Let native code make the calls that these plans are for; what must live as long as `jitted`."""
    return dispatch.install(jitted, plans, shared())


def make_plan(
    jitted: Any, signature: Signature, args: tuple, kwargs: dict, entry: Any
) -> Plan | None:
    """Instructions for calls like this one; None where native code cannot make them.

    Args:
        jitted: the jitted function.
        signature: the call taken apart.
        args, kwargs: the call.
        entry: what is compiled for it.
    """
    program = entry.native()
    if program is None or not cpython.is_supported() or not _fits(signature, entry):
        return None
    plan = Plan(program, len(args), list(kwargs))
    try:
        donated = _check_arguments(plan, signature, args, kwargs, len(entry.captured))
        _check_owner(plan, jitted)
        for guard in entry.guards:
            _check_guard(plan, guard)
        for number, array in enumerate(entry.captured):
            check_captured(plan, array, number)
        slots = run(plan, donated, jitted.name)
        outputs = dict(zip(entry.outputs.places, slots, strict=True))
        make_tree(plan, entry.outputs.treedef, entry.outputs.leaves, outputs)
        return plan if len(plan.memory) else None
    except Unsupported:
        return None


def _fits(signature: Signature, entry: Any) -> bool:
    """Whether a plan would recognise this very call: its arrays can be read where they are."""
    arrays = [leaf for flat in signature.flats if flat is not None for leaf in flat.leaves]
    return all(
        leaf.flags.c_contiguous and leaf.flags.aligned and leaf.dtype.isnative
        for leaf in [*arrays, *entry.captured]
        if isinstance(leaf, np.ndarray)
    )


def _check_arguments(
    plan: Plan, signature: Signature, args: tuple, kwargs: dict, first: int
) -> list[ArraySlot]:
    """Check all arguments; the arrays among them that are donated."""
    names = list(kwargs)
    slots = [*range(len(args)), *[len(args) + names.index(n) for n in signature.kwargs_names]]
    static = iter(signature.static)
    number = first
    donated: list[ArraySlot] = []
    others: list[ArraySlot] = []
    for slot, flat, is_donated in zip(slots, signature.flats, signature.gives, strict=True):
        if flat is None:
            check_static(plan, slot, next(static), equality_with)
            continue
        inputs = {place: number + i for i, place in enumerate(flat.places)}
        found = check_tree(plan, slot, flat.treedef, flat.leaves, inputs, equality_with)
        (donated if is_donated else others).extend(found)
        number += len(inputs)
    if donated:
        check_donated(plan, donated, others)
    return donated


def equality_with(value: Any) -> Callable[[Any], bool] | None:
    """A test whether another static value is equal; None if only the object itself is."""
    if type(value).__eq__ is object.__eq__ and not has_state(value):
        return None
    known = StaticLeaf(value, "a static value")

    def is_equal(other: Any) -> bool:
        found = StaticLeaf(other, "a static value")
        return found.hash == known.hash and found == known  # the hash also tells of a change

    return is_equal


def _check_owner(plan: Plan, jitted: Any) -> None:
    owner = getattr(jitted.fun, "__self__", jitted.fun)
    if has_state(owner):
        known = object_state(owner)
        check_outside(plan, owner, lambda owner: object_state(owner) == known)


def _check_guard(plan: Plan, guard: Guard) -> None:
    check_name(plan, guard.cell, guard.namespace, guard.name, guard.now())
    if guard.captured and not check_contents(plan, guard.value, guard.captured):
        check_outside(plan, guard, Guard.holds)
