"""The four operations, sign, and the masked product that derivatives use."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ir.primitive import Operation, is_linear
from funcgrad.ir.types import PYTHON_SCALARS
from funcgrad.ops.cotangents import RULES_STATE, Staged, scale, sum_terms, unbroadcast
from funcgrad.ops.families import Elementwise
from funcgrad.ops.identities import inverse_power_of_two, is_constant, is_float
from funcgrad.ops.operands import RULES, shape_of


class SignedSum(Elementwise):
    """The sum of the operands, each with its sign: its pullback needs nothing but their shapes."""

    keeps_inputs = False
    signs: tuple[float, ...]

    def partials(self, out: Any, *xs: Any) -> tuple:
        del out, xs
        return self.signs

    def vjp(self, primals: Any, active: Any) -> tuple[Any, Any]:
        shapes = [getattr(x, "shape", ()) for x in primals]

        def pullback(cotangent: Any) -> list[Any]:
            return [
                unbroadcast(cotangent if sign == 1.0 else negative(cotangent), shape)
                if wanted
                else None
                for wanted, sign, shape in zip(active, self.signs, shapes, strict=True)
            ]

        return self(*primals), pullback

    def transpose(self, cotangent: Any, *xs: Any) -> list[Any]:
        return [
            unbroadcast(scale(cotangent, sign), x.shape) if is_linear(x) else None
            for sign, x in zip(self.signs, xs, strict=True)
        ]


class Add(SignedSum):
    """Sum of two arrays."""

    ufunc = "add"
    operator = "+"
    commutes = True
    signs = (1.0, 1.0)

    def simplify(self, known: Any, x: Any, y: Any) -> Any:
        for a, b in ((x, y), (y, x)):
            if is_constant(known, b, -0.0, a):  # 0.0 would make 0.0 of -0.0
                return a
            if negated := known.made_by(b, NEGATIVE):
                return Operation(SUBTRACT, a, *negated.inputs)
        return None

    def scalar(self, emit: Any, x: Any, y: Any) -> Any:
        return emit.add(x, y)


class Subtract(SignedSum):
    """Difference of two arrays."""

    ufunc = "subtract"
    operator = "-"
    signs = (1.0, -1.0)

    def simplify(self, known: Any, x: Any, y: Any) -> Any:
        if is_constant(known, y, 0.0, x):
            return x
        if is_constant(known, x, -0.0, y):
            return Operation(NEGATIVE, y)
        negated = known.made_by(y, NEGATIVE)
        return Operation(ADD, x, *negated.inputs) if negated else None

    def scalar(self, emit: Any, x: Any, y: Any) -> Any:
        return emit.subtract(x, y)


class Multiply(Elementwise):
    """Product of two arrays."""

    ufunc = "multiply"
    operator = "*"
    commutes = True

    def simplify(self, known: Any, x: Any, y: Any) -> Any:
        for a, b in ((x, y), (y, x)):
            if is_constant(known, b, 1.0, a):
                return a
            if is_constant(known, b, -1.0, a):
                return Operation(NEGATIVE, a)
        return None

    def partials(self, out: Any, x: Any, y: Any) -> tuple:
        del out
        return y, x

    def transpose(self, cotangent: Any, x: Any, y: Any) -> list[Any]:
        if is_linear(x):
            return [unbroadcast(scale(cotangent, y), x.shape), None]
        return [None, unbroadcast(scale(cotangent, x), y.shape)]

    def scalar(self, emit: Any, x: Any, y: Any) -> Any:
        return emit.multiply(x, y)


class MaskedMultiply(Elementwise):
    """`x * y`, but exactly zero where `x` is zero, whatever `y` is.

    Pulls cotangents back through the branch that a `select` did not take. Each term of its derivative is
    masked by its own factor, so the zeros survive to any order.
    """

    ufunc = "multiply"

    def numpy(self, xp: Any, x: Any, y: Any) -> Any:
        with np.errstate(all="ignore"):
            return xp.where(xp.equal(x, 0), xp.zeros_like(x), xp.multiply(x, y))

    def jvp(self, primals: Any, tangents: Any) -> tuple[Any, Any]:
        (x, y), (dx, dy) = primals, tangents
        out = self(x, y)
        terms = [None if dx is None else self(dx, y), None if dy is None else self(x, dy)]
        tangent = sum_terms(terms)
        if tangent is not None and shape_of(tangent) != shape_of(out):
            tangent = RULES["broadcast_to"](tangent, shape_of(out))
        return out, tangent

    def vjp(self, primals: Any, active: Any) -> tuple[Any, Any]:
        x, y = primals

        def pullback(cotangent: Any) -> list[Any]:
            return [
                unbroadcast(self(cotangent, y), shape_of(x)) if active[0] else None,
                unbroadcast(self(x, cotangent), shape_of(y)) if active[1] else None,
            ]

        return self(x, y), pullback

    def transpose(self, cotangent: Any, x: Any, y: Any) -> list[Any]:
        if is_linear(x):
            return [unbroadcast(self(cotangent, y), x.shape), None]
        return [None, unbroadcast(self(x, cotangent), y.shape)]

    masks_cotangents = True

    def scalar(self, emit: Any, x: Any, y: Any) -> Any:
        zero = emit.constant(0)
        return emit.select(emit.equal(x, zero), zero, emit.multiply(x, y))


class Divide(Elementwise):
    """True division."""

    ufunc = "true_divide"
    operator = "/"

    def partials(self, out: Any, x: Any, y: Any) -> tuple:
        del x
        if shape_of(y) != shape_of(out) and not RULES_STATE.masked:
            return lambda: inverse(y), Staged(negative(out), y)
        return lambda: inverse(y), lambda: negative(divide(out, y))

    def transpose(self, cotangent: Any, x: Any, y: Any) -> list[Any]:
        return [unbroadcast(scale(cotangent, inverse(y)), x.shape), None]

    def simplify(self, known: Any, x: Any, y: Any) -> Any:
        if not is_float(x):
            return None
        if is_constant(known, y, 1.0, x):
            return x
        factor = inverse_power_of_two(known, y)
        return None if factor is None else Operation(MULTIPLY, x, factor)

    def scalar(self, emit: Any, x: Any, y: Any) -> Any:
        return emit.divide(x, y)


class Negative(SignedSum):
    """Each element with the other sign."""

    ufunc = "negative"
    operator = "-"
    signs = (-1.0,)

    def simplify(self, known: Any, x: Any) -> Any:
        negated = known.made_by(x, self)
        return negated.inputs[0] if negated else None

    def scalar(self, emit: Any, x: Any) -> Any:
        return emit.negative(x)


ADD, SUBTRACT, MULTIPLY, DIVIDE = Add(), Subtract(), Multiply(), Divide()
NEGATIVE, MASKED_MULTIPLY = Negative(), MaskedMultiply()


def inverse(y: Any) -> Any:
    """`1 / y`; a number for a number, which leaves cotangents of half and single precision as they are."""
    return 1.0 / y if type(y) in PYTHON_SCALARS and y else divide(1.0, y)


def add(x: Any, y: Any) -> Any:
    """Sum of two arrays, element by element, with NumPy broadcasting and promotion."""
    return ADD.apply(x, y)


def subtract(x: Any, y: Any) -> Any:
    """Difference of two arrays, element by element, with NumPy broadcasting and promotion."""
    return SUBTRACT.apply(x, y)


def multiply(x: Any, y: Any) -> Any:
    """Product of two arrays, element by element, with NumPy broadcasting and promotion."""
    return MULTIPLY.apply(x, y)


def divide(x: Any, y: Any) -> Any:
    """True quotient of two arrays; integers give floats, as in NumPy."""
    return DIVIDE.apply(x, y)


def negative(x: Any) -> Any:
    """Each element with the other sign."""
    return NEGATIVE.apply(x)


RULES.update(
    divide=divide,
    add=ADD,
    negative=NEGATIVE,
    multiply=MULTIPLY.apply,
    masked_multiply=MASKED_MULTIPLY.apply,
)
