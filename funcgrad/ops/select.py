"""Choice between arrays, element by element. A branch that is not taken has exactly zero derivative."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ir.primitive import Operation, is_linear
from funcgrad.ir.tracer import type_of
from funcgrad.ir.types import ArrayType
from funcgrad.ops.cast import convert
from funcgrad.ops.compare import LOGICAL_NOT
from funcgrad.ops.cotangents import unbroadcast
from funcgrad.ops.families import Elementwise
from funcgrad.ops.operands import RULES, as_operand, broadcast_shapes, operand_key, shape_of


class Select(Elementwise):
    """`x` where `condition` holds, else `y`."""

    ufunc = "where"
    masks_cotangents = True

    def type_rule(self, condition: ArrayType, x: ArrayType, y: ArrayType) -> ArrayType:
        branches = super().type_rule(x, y)
        shapes = [condition.shape, branches.shape]
        return ArrayType(broadcast_shapes(self.name, shapes), branches.dtype)

    def jvp(self, primals: Any, tangents: Any) -> tuple[Any, Any]:
        condition, x, y = primals
        out = self(*primals)
        _, dx, dy = tangents
        if dx is None and dy is None:
            return out, None
        tangent = self(condition, 0 if dx is None else dx, 0 if dy is None else dy)
        if shape_of(tangent) != shape_of(out):
            tangent = RULES["broadcast_to"](tangent, shape_of(out))
        return out, tangent

    def vjp(self, primals: Any, active: Any) -> tuple[Any, Any]:
        condition, x, y = primals

        def pullback(cotangent: Any) -> list[Any]:
            return [
                None,
                unbroadcast(self(condition, cotangent, 0), shape_of(x)) if active[1] else None,
                unbroadcast(self(condition, 0, cotangent), shape_of(y)) if active[2] else None,
            ]

        return self(*primals), pullback

    def transpose(self, cotangent: Any, condition: Any, x: Any, y: Any) -> list[Any]:
        return [
            None,
            unbroadcast(self(condition, cotangent, 0), x.shape) if is_linear(x) else None,
            unbroadcast(self(condition, 0, cotangent), y.shape) if is_linear(y) else None,
        ]

    def simplify(self, known: Any, condition: Any, x: Any, y: Any) -> Any:
        chosen = known.constant(condition)
        if x is y or chosen is not None:
            return x if x is y or chosen else y
        inverted = known.made_by(condition, LOGICAL_NOT)
        if inverted and inverted.inputs[0].type.dtype == np.bool_:
            return Operation(self, *inverted.inputs, y, x)
        return None

    def scalar(self, emit: Any, condition: Any, x: Any, y: Any) -> Any:
        return emit.select(condition, x, y)


SELECT = Select()


def promote(*args: Any) -> list[Any]:
    """Arrays in their common dtype by NumPy's rules; Python scalars stay as they are beside an array."""
    operands = [as_operand(arg) for arg in args]
    keys = [operand_key(arg) for arg in operands]
    kinds = [k[0] if isinstance(k, tuple) else k for k in keys]
    samples = [k(0) if isinstance(k, type) else k for k in kinds]
    dtype = np.result_type(*samples)
    strong = any(not isinstance(k, type) for k in keys)
    return [
        x if strong and isinstance(k, type) else convert(x, dtype)
        for x, k in zip(operands, keys, strict=True)
    ]


def select(condition: Any, x: Any, y: Any) -> Any:
    """`x` where `condition` holds, else `y`, with broadcasting and promotion."""
    condition = as_operand(condition)
    if type_of(condition).dtype != np.bool_:
        condition = convert(condition, np.bool_)
    return SELECT(condition, *promote(x, y))
