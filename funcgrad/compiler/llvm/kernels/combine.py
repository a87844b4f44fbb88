"""Reductions in registers: start values, combining two partial results, and the lanes of a vector."""

from __future__ import annotations

import numpy as np

from funcgrad.compiler.llvm.builder import Function, Module
from funcgrad.compiler.llvm.kernels.elements import Elements
from funcgrad.compiler.llvm.kernels.registers import register_type
from funcgrad.compiler.llvm.types import Value, constant, lanes_of, with_element
from funcgrad.compiler.lowering.elements import Element, Unsupported
from funcgrad.compiler.lowering.reductions import start_value
from funcgrad.ir.types import kind

LAST = 2**63 - 1  # the position of no element


def start(name: str, dtype: np.dtype, type: str) -> Value:
    """The start value as a register of this type."""
    return constant(type, start_value(name, dtype))


def combine(f: Function, name: str, dtype: np.dtype, a: Value, b: Value) -> Value:
    """Two partial results as one. `dtype` is that of the accumulation."""
    if name in ("and", "or"):
        return f.op(name, a, b)
    elements = Elements(f, dtype, lanes_of(a.type))
    primitive = {"add": "add", "multiply": "multiply"}.get(name, name)
    return elements.math(primitive, Element(dtype, a), Element(dtype, b)).value


def combines(name: str, dtype: np.dtype) -> bool:
    """Whether partial results of this dtype can be combined."""
    probe = Module().function("probe", "void", [])
    try:
        x = Value(register_type(dtype), "%x")
        combine(probe, name, dtype, x, x)
    except Unsupported:
        return False
    return True


def across_lanes(f: Function, name: str, dtype: np.dtype, a: Value) -> Value:
    """All lanes combined, by halves."""
    lanes = lanes_of(a.type)
    while lanes > 1:
        lanes //= 2
        low = f.shuffle(a, a, range(lanes))
        high = f.shuffle(a, a, range(lanes, 2 * lanes))
        a = combine(f, name, dtype, low, high)
    return f.extract(a, 0) if lanes_of(a.type) else a


# --- positions of extrema: pairs of a value and where it is ---


def better(f: Function, name: str, dtype: np.dtype, a: tuple, b: tuple) -> tuple[Value, Value]:
    """The more extreme of two (value, position) pairs; of equal ones the first. NaN is the most extreme."""
    elements = Elements(f, dtype, lanes_of(a[0].type))
    x, y = Element(dtype, a[0]), Element(dtype, b[0])
    wins = elements.compare("greater" if name == "argmax" else "less", y, x).value
    ties = elements.compare("equal", y, x).value
    if kind(dtype) == "f":
        x_nan, y_nan = f.fcmp("uno", a[0], a[0]), f.fcmp("uno", b[0], b[0])
        only = f.op("and", y_nan, f.op("xor", x_nan, constant(x_nan.type, 1)))
        wins = f.op("or", wins, only)
        ties = f.op("or", ties, f.op("and", x_nan, y_nan))
    earlier = f.icmp("slt", b[1], a[1])
    take = f.op("or", wins, f.op("and", ties, earlier))
    return f.select(take, b[0], a[0]), f.select(take, b[1], a[1])


def best_lane(f: Function, name: str, dtype: np.dtype, pair: tuple) -> tuple[Value, Value]:
    """The most extreme of all lanes."""
    lanes = lanes_of(pair[0].type)
    while lanes > 1:
        lanes //= 2
        low = tuple(f.shuffle(v, v, range(lanes)) for v in pair)
        high = tuple(f.shuffle(v, v, range(lanes, 2 * lanes)) for v in pair)
        pair = better(f, name, dtype, low, high)
    value, position = [f.extract(v, 0) if lanes_of(v.type) else v for v in pair]
    return value, position


def position_type(type: str) -> str:
    return with_element(type, "i64")
