"""Rounding, and division with a remainder."""

from __future__ import annotations

from typing import Any

from funcgrad.ops.arithmetic import negative, subtract
from funcgrad.ops.compare import isinf
from funcgrad.ops.families import Elementwise
from funcgrad.ops.floats import copysign
from funcgrad.ops.public import binary, promote_as, unary
from funcgrad.ops.rules import cast_like, ratio
from funcgrad.ops.select import select


class Rounding(Elementwise):
    """Constant almost everywhere: the derivative is zero."""

    differentiable = False
    keeps_inputs = False


class Floor(Rounding):
    """Largest integer not above each element.

    Example:
        >>> floor(-1.5)
        np.float64(-2.0)
    """

    ufunc = "floor"


class Ceil(Rounding):
    """Smallest integer not below each element.

    Example:
        >>> ceil(-1.5)
        np.float64(-1.0)
    """

    ufunc = "ceil"


class Trunc(Rounding):
    """Each element without its fraction.

    Example:
        >>> trunc(-1.5)
        np.float64(-1.0)
    """

    ufunc = "trunc"


class Rint(Rounding):
    """Nearest integer to each element; halves go to the even one.

    Example:
        >>> rint(2.5)
        np.float64(2.0)
    """

    ufunc = "rint"


class FloorDivide(Rounding):
    """Largest integer not above `x / y`. Integers divided by 0 give 0 and NumPy's warning.

    Example:
        >>> floor_divide(-5, 3)
        np.int64(-2)
    """

    ufunc = "floor_divide"


class Remainder(Elementwise):
    """`x - y * floor(x / y)`, with the sign of `y`; Python's `%`.

    Example:
        >>> remainder(-5, 3)
        np.int64(1)
    """

    ufunc = "remainder"

    def partials(self, out: Any, x: Any, y: Any) -> tuple:
        del out
        return 1.0, lambda: negative(floor_divide(x, y))


class Fmod(Elementwise):
    """`x - y * trunc(x / y)`, with the sign of `x`, as in C.

    Example:
        >>> fmod(-5, 3)
        np.int64(-2)
    """

    ufunc = "fmod"

    def partials(self, out: Any, x: Any, y: Any) -> tuple:
        return 1.0, lambda: negative(rint(ratio(subtract(x, out), y)))


FLOOR, CEIL, TRUNC, RINT = Floor(), Ceil(), Trunc(), Rint()
FLOOR_DIVIDE, REMAINDER, FMOD = FloorDivide(), Remainder(), Fmod()

floor, ceil, trunc, rint = unary(FLOOR), unary(CEIL), unary(TRUNC), unary(RINT)
floor_divide, remainder, fmod = binary(FLOOR_DIVIDE), binary(REMAINDER), binary(FMOD)


def divmod(x: Any, y: Any, /) -> tuple[Any, Any]:
    """Floor quotient and remainder.

    Args:
        x, y: arrays or numbers, broadcast against each other.

    Returns:
        `(floor_divide(x, y), remainder(x, y))`.

    Example:
        >>> divmod(-5, 3)
        (np.int64(-2), np.int64(1))
    """
    return floor_divide(x, y), remainder(x, y)


def modf(x: Any, /) -> tuple[Any, Any]:
    """Fraction and whole part of each element, both with its sign.

    Args:
        x: array or number.

    Returns:
        Two arrays of the shape of `x`, in its floating dtype.

    Example:
        >>> modf(-1.5)
        (np.float64(-0.5), np.float64(-1.0))
    """
    (x,) = promote_as("modf", x)
    bounded = select(isinf(x), copysign(0.0, x), x)
    return cast_like(x, fmod(bounded, 1.0)), trunc(x)
