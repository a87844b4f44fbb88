"""Sign, magnitude and binary representation of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ir.primitive import Primitive
from funcgrad.ir.tracer import type_of
from funcgrad.ir.types import BFLOAT16, ArrayType
from funcgrad.ops.arithmetic import multiply, negative, subtract
from funcgrad.ops.batching import move_batch_first
from funcgrad.ops.compare import signbit
from funcgrad.ops.complex import conjugate, real
from funcgrad.ops.cotangents import unbroadcast
from funcgrad.ops.families import Elementwise, Linear
from funcgrad.ops.operands import broadcast_shapes
from funcgrad.ops.public import binary, promote_as, unary
from funcgrad.ops.select import select
from funcgrad.ops.trigonometry import zero_at_origin


class Absolute(Elementwise):
    """Magnitude of each element, real also for complex `x`. Its derivative at 0 is 0.

    Example:
        >>> absolute(-2.0)
        np.float64(2.0)
    """

    ufunc = "absolute"
    result = "real"

    def partials(self, out: Any, x: Any) -> tuple:
        if type_of(x).dtype.kind != "c":
            return (sign(x),)
        return (zero_at_origin(conjugate(x), out),)

    def jvp(self, primals: Any, tangents: Any, **params: Any) -> tuple[Any, Any]:
        out, tangent = super().jvp(primals, tangents, **params)
        return out, None if tangent is None else real(tangent)


class Sign(Elementwise):
    """-1, 0 or 1 as each element is negative, zero or positive; `x / |x|` for complex `x`.

    Example:
        >>> sign(-2.0)
        np.float64(-1.0)
    """

    ufunc = "sign"

    def numpy(self, xp: Any, x: Any) -> Any:
        out = super().numpy(xp, x)
        # The sign of -0 is 0 as for NumPy's own types; only that of bfloat16 would be -0.
        return out + out.dtype.type(0) if out.dtype == BFLOAT16 else out

    def jvp(self, primals: Any, tangents: Any) -> tuple[Any, Any]:
        (x,), (tangent,) = primals, tangents
        out = self(x)
        if type_of(x).dtype.kind != "c" or tangent is None:
            return out, None
        along = multiply(out, real(multiply(tangent, conjugate(out))))
        return out, self.across(subtract(tangent, along), x)

    def vjp(self, primals: Any, active: Any) -> tuple[Any, Any]:
        del active
        (x,) = primals
        out = self(x)
        if type_of(x).dtype.kind != "c":
            return out, None

        def pullback(cotangent: Any) -> list[Any]:
            along = multiply(conjugate(out), real(multiply(cotangent, out)))
            return [self.across(subtract(cotangent, along), x)]

        return out, pullback

    @staticmethod
    def across(change: Any, x: Any) -> Any:
        """A change at right angles to `x`, relative to its magnitude; 0 at 0."""
        return zero_at_origin(change, absolute(x))


class Copysign(Elementwise):
    """The magnitude of `x` with the sign of `y`.

    Example:
        >>> copysign(2.0, -0.0)
        np.float64(-2.0)
    """

    ufunc = "copysign"

    def partials(self, out: Any, x: Any, y: Any) -> tuple:
        del out
        return lambda: select(signbit(y), negative(sign(x)), sign(x)), None


class Nextafter(Elementwise):
    """The next floating-point number after `x` in the direction of `y`.

    Example:
        >>> nextafter(0.0, 1.0)
        np.float64(5e-324)
    """

    ufunc = "nextafter"
    keeps_inputs = False

    def partials(self, out: Any, x: Any, y: Any) -> tuple:
        del out, x, y
        return 1.0, None


class Ldexp(Linear, Elementwise):
    """`x * 2**y` for integer `y`.

    Example:
        >>> ldexp(3.0, 2)
        np.float64(12.0)
    """

    kind = "elementwise"
    ufunc = "ldexp"
    keeps_inputs = True

    def type_rule(self, *types: ArrayType, **params: Any) -> ArrayType:
        del params
        shape = broadcast_shapes(self.name, [type.shape for type in types])
        return ArrayType(shape, types[0].dtype)

    def transpose(self, cotangent: Any, x: Any, y: Any) -> list[Any]:
        return [unbroadcast(self(cotangent, y), x.shape), None]


class Frexp(Primitive):
    """Mantissa in [0.5, 1) and exponent of each element: `x = mantissa * 2**exponent`."""

    multiple = True

    def type_rule(self, x: ArrayType) -> list[ArrayType]:
        return [ArrayType(x.shape, x.dtype), ArrayType(x.shape, np.int32)]

    def numpy(self, xp: Any, x: Any) -> list[Any]:
        return list(xp.frexp(x))

    def jvp(self, primals: Any, tangents: Any) -> tuple[Any, Any]:
        mantissa, exponent = self(*primals)
        (tangent,) = tangents
        slope = None if tangent is None else LDEXP(tangent, negative(exponent))
        return [mantissa, exponent], [slope, None]

    def batch(self, size: int, args: Any, axes: Any) -> tuple[Any, Any]:
        del size
        return self(*move_batch_first(args, axes)), [0, 0]


ABSOLUTE, SIGN, COPYSIGN, NEXTAFTER = Absolute(), Sign(), Copysign(), Nextafter()
LDEXP, FREXP = Ldexp(), Frexp()

absolute, sign = unary(ABSOLUTE), unary(SIGN)
copysign, nextafter = binary(COPYSIGN), binary(NEXTAFTER)


def ldexp(x: Any, y: Any, /) -> Any:
    """`x * 2**y`.

    Args:
        x: array or number.
        y: integer array or number, broadcast against `x`.

    Returns:
        An array of the broadcast shape, in the floating dtype of `x`.

    Example:
        >>> ldexp(3.0, 2)
        np.float64(12.0)
    """
    return LDEXP(*promote_as("ldexp", x, y))


def frexp(x: Any, /) -> tuple[Any, Any]:
    """Mantissa in [0.5, 1) and exponent of each element: `x = mantissa * 2**exponent`.

    Args:
        x: array or number.

    Returns:
        The mantissa in the floating dtype of `x`, and the exponent as int32.

    Example:
        >>> frexp(12.0)
        (np.float64(0.75), np.int32(4))
    """
    mantissa, exponent = FREXP(*promote_as("frexp", x))
    return mantissa, exponent


def fabs(x: Any, /) -> Any:
    """Magnitude of each real element as a floating-point number.

    Args:
        x: array or number.

    Returns:
        An array of the shape of `x`, in its floating dtype.

    Example:
        >>> fabs(-2)
        np.float64(2.0)
    """
    return ABSOLUTE(*promote_as("fabs", x))
