"""A static estimate of the work in a Program: arithmetic operations, and bytes that move."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from funcgrad.ir.program import Equation, Program, Variable, subprograms
from funcgrad.ir.types import ArrayType

# A loop of unknown length counts as if it ran this often, and so does a dimension of unknown length.
UNKNOWN_LENGTH = 100

# Arithmetic operations per element of elementwise functions that are no single instruction.
DEAR = {
    "divide": 4, "sqrt": 4, "reciprocal": 4, "threefry": 120, "power": 60,
    "arctan2": 40, "remainder": 20, "floor_divide": 20, "fmod": 20,
}  # fmt: skip
MATH = 20  # exp, log, sin, ...
CHEAP = frozenset({
    "add", "subtract", "multiply", "negative", "absolute", "maximum", "minimum", "square", "select",
    "equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "convert", "sign",
    "logical_and", "logical_or", "logical_not", "logical_xor", "bitwise_and", "bitwise_or",
    "bitwise_xor", "invert", "left_shift", "right_shift", "floor", "ceil", "trunc", "rint", "clip",
    "relu", "isnan", "isfinite", "isinf", "real", "imag", "conjugate", "complex", "masked_multiply",
})  # fmt: skip


class Cost(NamedTuple):
    """What a Program costs.

    Attributes:
        flops: arithmetic operations; one multiplication and addition of a matrix product count as two.
        bytes: what is read and written if every equation goes through memory. Fused code moves less.
    """

    flops: float
    bytes: float

    def times(self, count: float) -> Cost:
        return Cost(self.flops * count, self.bytes * count)

    def plus(self, other: Cost) -> Cost:
        return Cost(self.flops + other.flops, self.bytes + other.bytes)


NOTHING = Cost(0.0, 0.0)


def size_of(type: ArrayType) -> int:
    """Number of elements."""
    return math.prod(UNKNOWN_LENGTH if n is None else n for n in type.shape)


def bytes_of(type: ArrayType) -> int:
    return size_of(type) * type.dtype.itemsize


def is_cheap(primitive: Any) -> bool:
    """Whether an element costs about as much as one addition."""
    return primitive.kind == "elementwise" and primitive.name in CHEAP


def program_cost(program: Program) -> Cost:
    """The cost of one run of a Program, remembered.

    Args:
        program: the Program; loops whose length is not known count as `UNKNOWN_LENGTH` iterations, and a
            branch as dear as the dearest.

    Returns:
        A `Cost`: an estimate to decide by (threads, releasing the interpreter's lock, how often to look for
        Ctrl-C), right to a small factor.
    """
    if "cost" not in program.memo:
        total = NOTHING
        for equation in program.equations:
            total = total.plus(equation_cost(equation))
        program.memo["cost"] = total
    return program.memo["cost"]


def equation_cost(equation: Equation) -> Cost:
    """The cost of one equation."""
    primitive = equation.primitive
    inner = INNER.get(primitive.name)
    if inner is not None:
        return inner(equation)
    programs = subprograms(equation)
    if programs:
        return _sum_of(programs)
    sizes = [size_of(variable.type) for variable in equation.outputs]
    operands = [atom.type for atom in equation.inputs if isinstance(atom, Variable)]
    moved = sum(bytes_of(type) for type in (*operands, *[v.type for v in equation.outputs]))
    if primitive.kind == "index_map":
        return Cost(0.0, 2.0 * sum(bytes_of(variable.type) for variable in equation.outputs))
    if primitive.kind == "elementwise":
        each = 1 if is_cheap(primitive) else DEAR.get(primitive.name, MATH)
        return Cost(float(each * sum(sizes)), float(moved))
    composition = primitive.composition(*[atom.type for atom in equation.inputs], **equation.params)
    if composition is not None:
        return Cost(program_cost(composition).flops, float(moved))
    work = max([*sizes, *[size_of(type) for type in operands]], default=0)
    return Cost(float(work * (1 if primitive.kind == "reduction" else MATH)), float(moved))


def _sum_of(programs: list[Program]) -> Cost:
    total = NOTHING
    for program in programs:
        total = total.plus(program_cost(program))
    return total


def _dot_cost(equation: Equation) -> Cost:
    x, y = (atom.type for atom in equation.inputs)
    (out,) = (variable.type for variable in equation.outputs)
    summed = math.prod(x.shape[i] for i in equation.params["contract"][0])
    return Cost(2.0 * size_of(out) * summed, float(bytes_of(x) + bytes_of(y) + bytes_of(out)))


def _scan_cost(equation: Equation) -> Cost:
    length = equation.params["length"]
    count = UNKNOWN_LENGTH if length is None else length
    return program_cost(equation.params["body"]).times(count)


def _while_cost(equation: Equation) -> Cost:
    both = _sum_of([equation.params["cond"], equation.params["body"]])
    return both.times(UNKNOWN_LENGTH)


def _cond_cost(equation: Equation) -> Cost:
    costs = [program_cost(branch) for branch in equation.params["branches"]]
    return Cost(max(cost.flops for cost in costs), max(cost.bytes for cost in costs))


# By the names of the primitives.
INNER: dict[str, Callable[[Equation], Cost]] = {
    "dot_general": _dot_cost,
    "scan": _scan_cost,
    "while": _while_cost,
    "cond": _cond_cost,
}
