"""`cond` and `switch` for users: record the branches and make their types agree."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.control.common import (
    array_flat,
    check_same_structure,
    converted_outputs,
    record,
)
from funcgrad.control.cond import COND
from funcgrad.control.ties import RETRY, SharedBranches
from funcgrad.ir.program import Program, Variable
from funcgrad.ir.tracer import type_of
from funcgrad.ir.types import ArrayType, kind
from funcgrad.ops.cast import convert
from funcgrad.ops.extrema import clip
from funcgrad.ops.operands import as_operand
from funcgrad.transforms.arguments import check_callable, fresh_outputs, name_of


def choose(
    name: str, index: Any, branches: Sequence[Callable[..., Any]], operands: Sequence[Any]
) -> Any:
    """Record all branches on the same operands, make their types agree, and bind the primitive."""
    shared = SharedBranches(operands)
    if shared.has_ties:
        with contextlib.suppress(*RETRY):
            groups = [operand.leaves for operand in shared.operands]
            results = choose(name, index, [shared.reading(b) for b in branches], groups)
            return shared.restore(results)
    flats = [array_flat(x, f"[{name}] operand {i}") for i, x in enumerate(operands)]
    arrays = [x for flat in flats for x in flat.arrays]
    types = [type_of(x) for x in arrays]
    bodies = [record(branch, flats, types, f"{name} branch") for branch in branches]
    first = bodies[0]
    for number, body in enumerate(bodies[1:], 1):
        check_same_structure(
            f"[{name}] the results of branch 0 ({name_of(branches[0])}) and branch {number} "
            f"({name_of(branches[number])})",
            first.outputs,
            body.outputs,
            "All branches must return the same tree.",
        )
    agreed = _agreed_types(name, branches, bodies)
    programs = _with_common_captures(bodies, agreed)
    captured = [x for body in bodies for x in body.captured]
    results = COND(index, *captured, *arrays, branches=programs)
    return first.outputs.rebuild(fresh_outputs(results, [*captured, *arrays]))


def _agreed_types(name: str, branches: Sequence, bodies: Sequence) -> dict[int, ArrayType]:
    """The common type of each output; Python numbers adopt the dtype of the other branches."""
    agreed = {}
    for place, types in enumerate(
        zip(*[body.program.output_types for body in bodies], strict=True)
    ):
        strong = [type for type in types if not type.weak] or list(types)
        target = strong[0].strong()
        for number, type in enumerate(types):
            dtype = target.dtype if type.weak else type.dtype
            if type.shape != target.shape or dtype != target.dtype:
                path = bodies[0].outputs.path(place)
                raise TypeError(
                    f"[{name}] branches must return equal types, but {path or 'the result'} is {target} "
                    f"in {name_of(branches[0])} and {type} in {name_of(branches[number])}. Convert one: "
                    f"x.astype(np.{target.dtype.name}), np.broadcast_to(x, {target.shape})."
                )
        agreed[place] = target
    return agreed


def _with_common_captures(bodies: Sequence, agreed: dict[int, ArrayType]) -> tuple[Program, ...]:
    """Programs that take the captured values of all branches, then the operands."""
    programs = []
    counts = [len(body.captured) for body in bodies]
    for number, body in enumerate(bodies):
        program = converted_outputs(body.program, agreed)
        start = sum(counts[:number])
        own = range(start, start + counts[number])
        captured_types = [type_of(x) for other in bodies for x in other.captured]
        operand_types = program.input_types[counts[number] :]
        padded = [Variable(type) for type in (*captured_types, *operand_types)]
        for i, position in enumerate(own):
            padded[position] = program.inputs[i]
        padded[len(captured_types) :] = program.inputs[counts[number] :]
        programs.append(Program(padded, program.equations, program.outputs, program.name))
    return tuple(programs)


def cond(
    pred: Any, true_fun: Callable[..., Any], false_fun: Callable[..., Any], *operands: Any
) -> Any:
    """Run one of two functions.

    Args:
        pred: scalar bool (or number; nonzero is true).
        true_fun, false_fun: functions of `operands`; both are traced and must return equal types.
        *operands: trees of arrays.

    Returns:
        The result of the function that ran.

    Example:
        >>> import numpy as np
        >>> import funcgrad as fg
        >>> safe_log = lambda x: fg.lax.cond(x > 0.0, np.log, lambda x: 0.0 * x, x)
        >>> float(fg.grad(safe_log)(0.0)), float(fg.grad(safe_log)(2.0))
        (0.0, 0.5)
    """
    check_callable(true_fun, "lax.cond")
    check_callable(false_fun, "lax.cond")
    pred = as_operand(pred)
    found = type_of(pred)
    if found.shape != ():
        raise TypeError(
            f"[cond] the predicate must be a scalar, but got {found}. Use np.all(pred), np.any(pred), "
            "or np.where(pred, a, b) for a choice per element."
        )
    if found.dtype != np.bool_:
        pred = pred != 0
    return choose("cond", convert(pred, np.int64), [false_fun, true_fun], operands)


def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """Run one of several functions.

    Args:
        index: integer scalar; clamped to the range of branches.
        branches: functions of `operands`; all are traced and must return equal types.
        *operands: trees of arrays.

    Returns:
        The result of the function that ran.

    Example:
        >>> import funcgrad as fg
        >>> float(fg.lax.switch(1, [lambda x: x, lambda x: 10.0 * x], 2.0))
        20.0
    """
    if callable(branches):
        raise TypeError("[switch] needs a list of functions: switch(index, [first, second], x).")
    branches = list(branches)
    for branch in branches:
        check_callable(branch, "lax.switch")
    if not branches:
        raise ValueError("[switch] needs at least one branch.")
    index = as_operand(index)
    found = type_of(index)
    if found.shape != () or kind(found.dtype) not in "iu":
        raise TypeError(f"[switch] the index must be an integer scalar, but got {found}.")
    index = clip(convert(index, np.int64), 0, len(branches) - 1)
    return choose("switch", index, branches, operands)
