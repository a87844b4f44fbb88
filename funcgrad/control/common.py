"""What loops and branches share: recording bodies, carry types, and fixpoints over flags."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.ir.builder import trace_flat
from funcgrad.ir.program import Equation, Program, Variable, evaluate
from funcgrad.ir.tracer import type_of
from funcgrad.ir.types import ArrayType
from funcgrad.ops.cast import convert
from funcgrad.transforms.arguments import Flat, is_array_leaf, name_of


class Body:
    """A recorded loop body or branch.

    Attributes:
        program: its first inputs are the captured values.
        captured: values of these inputs.
        outputs: structure of the result.
    """

    __slots__ = ("captured", "outputs", "program")

    def __init__(self, program: Program, captured: list[Any], outputs: Flat) -> None:
        self.program = program
        self.captured = captured
        self.outputs = outputs


def record(
    fun: Callable[..., Any], flats: Sequence[Flat], types: Sequence[ArrayType], what: str
) -> Body:
    """Record `fun` of trees with the structures of `flats` and array leaves of these types."""
    found: list[Flat] = []

    def flat_fun(*tracers: Any) -> list[Any]:
        given = iter(tracers)
        args = [flat.rebuild([next(given) for _ in flat.places]) for flat in flats]
        out = Flat(fun(*args), f"the result of {what} {name_of(fun)}", tie=False)
        found.append(out)
        return out.detach()

    program, captured = trace_flat(flat_fun, types, name_of(fun))
    return Body(program, captured, found[0])


def array_flat(value: Any, what: str) -> Flat:
    """A tree of arrays and numbers, and functions, as models hold them; every position is its own leaf."""
    flat = Flat(value, what, tie=False)
    for index, leaf in enumerate(flat.leaves):
        if not is_array_leaf(leaf) and not callable(leaf):
            path = tree.path_string(flat.treedef.paths()[index])
            raise TypeError(
                f"{what} must hold arrays, but {path or 'it'} is {type(leaf).__name__}: {leaf!r:.60}. "
                "Close over it in the body instead."
            )
    return flat


class array:  # noqa: N801
    """Stands for an array where only the structures of trees are compared, under the name that errors show."""

    def __repr__(self) -> str:
        return ""


def check_same_structure(what: str, expected: Flat, found: Flat, hint: str) -> None:
    """Raise TypeError with the first differing path if two trees differ."""
    if expected.treedef == found.treedef and expected.places == found.places:
        return
    try:
        leaves = [array() for _ in range(found.treedef.num_leaves)]
        expected.treedef.flatten_up_to(found.treedef.unflatten(leaves))
        detail = f"{expected.treedef} and {found.treedef}"
    except ValueError as error:
        detail = str(error)
    raise TypeError(f"{what} must have the same tree structure: {detail}. {hint}")


def carry_types(
    name: str, carry: Flat, before: Sequence[ArrayType], after: Sequence[ArrayType]
) -> list[ArrayType]:
    """The types the carry must start with so that the body returns them again.

    A Python number is promoted once to what the body makes of it; any other change of type is an error.
    """
    result = []
    for index, (old, new) in enumerate(zip(before, after, strict=True)):
        if old.shape == new.shape and old.dtype == new.dtype:
            result.append(new.strong() if not new.weak else old)
            continue
        promotes = old.weak and old.shape == new.shape
        if not promotes and not (new.weak and old.shape == new.shape and _adopts(old, new)):
            path = carry.path(index)
            raise TypeError(
                f"[{name}] the carry must keep its type, but {path or 'it'} goes in as {old} and comes "
                f"out of the body as {new}. Start with that type, as np.zeros(shape, np.{new.dtype.name}), "
                f"or convert in the body: x.astype(np.{old.dtype.name})."
            )
        result.append(new if promotes else old)
    return result


def _adopts(old: ArrayType, new: ArrayType) -> bool:
    """Whether a Python number of type `new` may stand for an array element of type `old`."""
    return (
        np.result_type(old.dtype, {"i": 0, "f": 0.0, "c": 0j, "b": False}[new.dtype.kind])
        == old.dtype
    )


def as_types(values: Sequence[Any], types: Sequence[ArrayType]) -> list[Any]:
    """Values converted to these dtypes."""
    return [
        value if type_of(value) == type else convert(value, type.dtype)
        for value, type in zip(values, types, strict=True)
    ]


def converted_outputs(program: Program, types: dict[int, ArrayType]) -> Program:
    """The Program with some outputs converted to other dtypes."""
    if all(program.outputs[i].type == type for i, type in types.items()):
        return program

    def run(*args: Any) -> list[Any]:
        outs = evaluate(program, *args)
        return [convert(out, types[i].dtype) if i in types else out for i, out in enumerate(outs)]

    built, captured = trace_flat(run, program.input_types, program.name)
    if captured:
        raise AssertionError("a recorded body captured values")
    return built


def fixpoint(
    start: Sequence[bool], step: Callable[[tuple[bool, ...]], Sequence[bool]]
) -> tuple[bool, ...]:
    """The smallest flags above `start` with `step(flags) <= flags`."""
    flags = tuple(start)
    while True:
        grown = tuple(a or b for a, b in zip(flags, step(flags), strict=True))
        if grown == flags:
            return flags
        flags = grown


def permute_inputs(program: Program, order: Sequence[int]) -> Program:
    """The same Program with its inputs in another order: input `i` is the old `order[i]`."""
    key = ("permute", tuple(order))
    if key not in program.memo:
        program.memo[key] = Program(
            [program.inputs[i] for i in order], program.equations, program.outputs, program.name
        )
    return program.memo[key]


def invariant_outputs(program: Program, num_consts: int, outputs: Sequence[int]) -> list[int]:
    """Which of these outputs depend on the first `num_consts` inputs only."""
    known = set(program.inputs[:num_consts])
    for equation in program.equations:
        atoms = [atom for atom in equation.inputs if isinstance(atom, Variable)]
        if all(atom in known for atom in atoms) and not equation.primitive.has_effect:
            known.update(equation.outputs)
    return [
        index
        for index in outputs
        if not isinstance(program.outputs[index], Variable) or program.outputs[index] in known
    ]


def output_slice(program: Program, num_inputs: int, outputs: Sequence[int]) -> Program:
    """The part of a Program that computes some outputs from its first inputs."""
    wanted = [program.outputs[i] for i in outputs]
    needed = {atom for atom in wanted if isinstance(atom, Variable)}
    equations: list[Equation] = []
    for equation in reversed(program.equations):
        if any(variable in needed for variable in equation.outputs):
            equations.append(equation)
            needed.update(atom for atom in equation.inputs if isinstance(atom, Variable))
    return Program(program.inputs[:num_inputs], equations[::-1], wanted, program.name)


def select_outputs(program: Program, outputs: Sequence[int]) -> Program:
    """The Program that returns only some outputs."""
    return Program(
        program.inputs, program.equations, [program.outputs[i] for i in outputs], program.name
    )
