"""Activation functions that the library of products has, recognised among nodes however their factors are arranged."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from funcgrad.compiler.lowering.graph import Constant, Map, Node

FLOATS = frozenset({"float16", "bfloat16", "float32", "float64"})
# GELU by tanh (Hendrycks and Gimpel, 2016): x / 2 * (1 + tanh(LINEAR * x + CUBIC * x^3)).
LINEAR = math.sqrt(2 / math.pi)
CUBIC = 0.044715 * LINEAR
TOLERANCE = 1e-6  # of coefficients, which may have been rounded to float32
DEPTH = 4  # of products within products
DEGREE = 3


class Activation(NamedTuple):
    """`name(factor * operand)`, where the name is the library's.

    Attributes:
        keeps_nan: whether it is NaN for NaN, which only "relu" need not be.
    """

    name: str
    operand: Node
    factor: float
    keeps_nan: bool = True


def activation_of(node: Node) -> Activation | None:
    """What a node is the activation of; None if it is something else."""
    return relu_of(node) or gelu_of(node)


def relu_of(node: Node) -> Activation | None:
    """The positive part of a node; None for anything else."""
    if not isinstance(node, Map):
        return None
    name, operands = node.primitive.name, node.operands
    if name == "relu":
        return Activation("relu", operands[0], 1.0)
    if name == "maximum":
        for zero, x in (operands, operands[::-1]):
            if factor_of(zero) == 0:
                return Activation("relu", x, 1.0)
    if name == "select":
        return chosen_if_positive(*operands)
    return None


def chosen_if_positive(test: Node, x: Node, y: Node) -> Activation | None:
    """What a choice takes where it is positive (or, if the test is for the others, NaN), if it is 0 elsewhere."""
    if not isinstance(test, Map) or test.primitive.name not in ("less_equal", "greater"):
        return None
    zero, chosen = (x, y) if test.primitive.name == "less_equal" else (y, x)
    is_test = test.operands[0] is chosen and factor_of(test.operands[1]) == 0
    if not is_test or factor_of(zero) != 0:
        return None
    return Activation("relu", chosen, 1.0, test.primitive.name == "less_equal")


def gelu_of(node: Node) -> Activation | None:
    """GELU by tanh, or by the sigmoid of twice its argument; None for anything else."""
    number, arrays = factors(node)
    if len(arrays) != 2:
        return None
    for x, gate in (arrays, arrays[::-1]):
        for operand, scale in ((tanh_operand(gate), 1), (sigmoid_operand(gate), 2)):
            factor = 2 * number / scale
            wanted = scale * np.array([0, LINEAR * factor, 0, CUBIC * factor**3])
            found = None if operand is None else polynomial(operand, x, {})
            if found is not None and np.allclose(found, wanted, rtol=TOLERANCE, atol=0):
                return Activation("gelu", x, factor)
    return None


def tanh_operand(node: Node) -> Node | None:
    """The operand of `1 + tanh`."""
    if not isinstance(node, Map) or node.primitive.name != "add":
        return None
    for one, other in (node.operands, node.operands[::-1]):
        other = unrounded(other)
        if factor_of(one) == 1 and isinstance(other, Map) and other.primitive.name == "tanh":
            return other.operands[0]
    return None


def sigmoid_operand(node: Node) -> Node | None:
    """The operand of a sigmoid."""
    is_sigmoid = isinstance(node, Map) and node.primitive.name == "logistic"
    return node.operands[0] if is_sigmoid else None


def factors(node: Node, depth: int = DEPTH) -> tuple[float, list[Node]]:
    """A product as a number and its other factors."""
    node = unrounded(node)
    number = factor_of(node)
    if number is not None:
        return number, []
    if not depth or not isinstance(node, Map) or node.primitive.name != "multiply":
        return 1.0, [node]
    (a, left), (b, right) = [factors(operand, depth - 1) for operand in node.operands]
    return a * b, [*left, *right]


def polynomial(node: Node, x: Node, known: dict[Node, np.ndarray | None]) -> np.ndarray | None:
    """The coefficients of a node as a polynomial in `x` of at most third degree; None if it is none."""
    node = unrounded(node)
    if node not in known:
        known[node] = expanded(node, x, known)
    return known[node]


def expanded(node: Node, x: Node, known: dict[Node, np.ndarray | None]) -> np.ndarray | None:
    """The same, from the polynomials of its operands."""
    number = factor_of(node)
    if node is x:
        return np.array([0.0, 1.0, 0.0, 0.0])
    if number is not None:
        return np.array([number, 0.0, 0.0, 0.0])
    if not isinstance(node, Map):
        return None
    name = node.primitive.name
    if name == "power":
        exponent = factor_of(node.operands[1])
        base = polynomial(node.operands[0], x, known)
        return times([base] * int(exponent)) if exponent in (2.0, 3.0) else None
    if name not in ("add", "multiply", "square"):
        return None
    parts = [polynomial(operand, x, known) for operand in node.operands]
    if name == "add":
        known_parts = [part for part in parts if part is not None]
        return np.sum(known_parts, axis=0) if len(known_parts) == len(parts) else None
    return times(parts * 2 if name == "square" else parts)


def times(parts: list[np.ndarray | None]) -> np.ndarray | None:
    """The product of polynomials; None if its degree is too high."""
    found = np.ones(1)
    for part in parts:
        if part is None:
            return None
        found = np.convolve(found, part)
    return None if found[DEGREE + 1 :].any() else found[: DEGREE + 1]


def unrounded(node: Node) -> Node:
    """What a node is in another precision."""
    while isinstance(node, Map) and node.primitive.name == "convert":
        source = node.operands[0]
        if not {node.dtype.name, source.dtype.name} <= FLOATS:
            break
        node = source
    return node


def factor_of(node: Node) -> float | None:
    """The real number that a node is."""
    if not isinstance(node, Constant) or isinstance(node.value, complex | np.complexfloating):
        return None
    number = float(node.value)
    return number if math.isfinite(number) else None
