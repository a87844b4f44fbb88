"""Lengths that are known only at run time: how such stacks are held, and which Programs compiled code can run.

A stack is a *header*: its length, then the address of each level. Levels are the axes up to the last one of unknown
length; elements of the last level are rows of known size, those of the others entries: where the elements of one
element begin in the next level, and how many there are. A stack of length 0 stands for zeros of any length.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from funcgrad.ir.program import Equation, Program, subprograms
from funcgrad.ir.types import ArrayType

# What hands stacks on, to Programs inside or without looking at them.
LOOPS = ("while", "scan", "run_time_iota")
HOLDING_STACKS = (*LOOPS, "cond", "remat")

# What computes with them.
OPERATIONS = ("empty_stack", "add_stacks", "repeat_stack", "sum_stack", "mask_stack", "transpose")


def is_ragged(shape: tuple) -> bool:
    return None in shape


def level_count(shape: tuple) -> int:
    """How many levels a stack has: axes up to the last one of unknown length."""
    return len(shape) - shape[::-1].index(None)


def header_bytes(shape: tuple) -> int:
    return 8 * (1 + level_count(shape))


def row_bytes(type: ArrayType) -> int:
    """The size of an element of the last level; at least 1, so that there are addresses."""
    return max(1, math.prod(type.shape[level_count(type.shape) :]) * type.dtype.itemsize)


def has_stacks(equation: Equation) -> bool:
    """Whether an equation reads or makes a stack of unknown length."""
    return any(map(is_ragged, shapes_of(equation)))


def shapes_of(equation: Equation) -> list[tuple]:
    return [atom.type.shape for atom in (*equation.inputs, *equation.outputs)]


def is_native(program: Program) -> bool:
    """Whether machine code can run a Program: no stack of unknown length comes from outside or leaves it."""
    return not any(map(is_ragged, border_shapes(program))) and is_native_body(program)


def border_shapes(program: Program) -> list[tuple]:
    return [atom.type.shape for atom in (*program.inputs, *program.outputs)]


def is_native_body(program: Program) -> bool:
    """Whether machine code can run a Program inside another one."""
    if "is_native" not in program.memo:
        program.memo["is_native"] = all(
            equation.primitive.name in OPERATIONS
            or equation.primitive.name in HOLDING_STACKS
            and all(is_ragged(a) == is_ragged(b) for a, b in matched_shapes(equation))
            and all(map(is_native_body, subprograms(equation)))
            for equation in program.equations
            if has_stacks(equation)
        )
    return program.memo["is_native"]


def matched_shapes(equation: Equation) -> Iterator[tuple[tuple, tuple]]:
    """The shapes of what goes into Programs and comes out, each with what it is called inside."""
    name, params = equation.primitive.name, equation.params
    given = [atom.type.shape for atom in equation.inputs]
    made = [atom.type.shape for atom in equation.outputs]
    if name == "cond":
        for branch in params["branches"]:
            yield from _matched(branch, given[1:], made)
    elif name == "remat":
        yield from _matched(params["program"], given, made)
    elif name == "scan":
        given = given[int(params["length"] is None) :]
        first, carries = params["num_consts"] + params["num_carry"], params["num_carry"]
        given[first:] = [shape[1:] for shape in given[first:]]
        yield from _matched(params["body"], given, _elements(made, carries))
    elif name == "while":
        tests, first = params["num_cond"], params["num_cond"] + params["num_body"]
        yield from _matched(params["cond"], given[:tests] + given[first:], [()])
        made = made[: len(params["body"].outputs)]
        yield from _matched(params["body"], given[tests:], _elements(made, len(given) - first))


def _elements(shapes: list[tuple], first: int) -> list[tuple]:
    """The shapes with those from a place on without their first axis."""
    return shapes[:first] + [shape[1:] for shape in shapes[first:]]


def _matched(program: Program, given: list[tuple], made: list[tuple]) -> Iterator:
    yield from zip(given, [atom.type.shape for atom in program.inputs], strict=True)
    yield from zip(made, [atom.type.shape for atom in program.outputs], strict=True)


def keeps_stacks(program: Program) -> bool:
    """Whether stacks of unknown length only go from loop to loop, of this Program or of one inside."""
    if "keeps_stacks" not in program.memo:
        program.memo["keeps_stacks"] = not any(map(is_ragged, border_shapes(program))) and all(
            map(_keeps_stacks, program.equations)
        )
    return program.memo["keeps_stacks"]


def _keeps_stacks(equation: Equation) -> bool:
    if not has_stacks(equation):
        return True
    if equation.primitive.name not in LOOPS:
        return False
    is_flat = not any(is_ragged(shape[1:]) for shape in shapes_of(equation))
    return is_flat and all(map(keeps_stacks, subprograms(equation)))
