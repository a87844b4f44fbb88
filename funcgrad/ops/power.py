"""Powers and roots."""

from __future__ import annotations

from typing import Any

from funcgrad.ir.primitive import Operation
from funcgrad.ir.types import PYTHON_SCALARS, is_inexact
from funcgrad.ops.arithmetic import divide, multiply, negative, subtract
from funcgrad.ops.compare import equal, isfinite, logical_and, logical_not
from funcgrad.ops.exponential import QUIET_LOG
from funcgrad.ops.families import Elementwise
from funcgrad.ops.identities import is_constant, is_float
from funcgrad.ops.public import dtype_of_number, promote_as, unary
from funcgrad.ops.rules import Quiet, cast_like, product, ratio
from funcgrad.ops.select import select


class Sqrt(Elementwise):
    """Square root of each element; its derivative at 0 is infinite.

    Example:
        >>> sqrt(9.0)
        np.float64(3.0)
    """

    ufunc = "sqrt"

    def partials(self, out: Any, x: Any) -> tuple:
        del x
        return (ratio(0.5, out),)


class Cbrt(Elementwise):
    """Cube root of each element, also of negative ones.

    Example:
        >>> cbrt(-8.0)
        np.float64(-2.0)
    """

    ufunc = "cbrt"

    def partials(self, out: Any, x: Any) -> tuple:
        del x
        return (ratio(1.0 / 3.0, multiply(out, out)),)


class Square(Elementwise):
    """Square of each element.

    Example:
        >>> square(3.0)
        np.float64(9.0)
    """

    ufunc = "square"

    def partials(self, out: Any, x: Any) -> tuple:
        del out
        return (multiply(x, 2.0),)


class Reciprocal(Elementwise):
    """`1 / x` for each element, in the dtype of `x` (for integers the truncated quotient).

    Example:
        >>> reciprocal(4.0)
        np.float64(0.25)
    """

    ufunc = "reciprocal"

    def partials(self, out: Any, x: Any) -> tuple:
        del x
        return (negative(product(out, out)),)


class Power(Elementwise):
    """`x` to the power of `y`."""

    ufunc = "power"

    def simplify(self, known: Any, x: Any, y: Any) -> Any:
        if is_float(x) and is_constant(known, y, 1.0, x):
            return x
        return Operation(SQUARE, x) if is_float(x) and is_constant(known, y, 2.0, x) else None

    def partials(self, out: Any, x: Any, y: Any) -> tuple:
        return lambda: slope_in_base(x, y), lambda: slope_in_exponent(out, x, y)


SQRT, CBRT, SQUARE, RECIPROCAL, POWER = Sqrt(), Cbrt(), Square(), Reciprocal(), Power()
QUIET_POWER = Quiet(POWER)

sqrt, cbrt, square, reciprocal = map(unary, (SQRT, CBRT, SQUARE, RECIPROCAL))


def slope_in_base(x: Any, y: Any) -> Any:
    """`y * x**(y - 1)`, and 0 for `y = 0` even where `x**-1` is infinite."""
    if type(y) in PYTHON_SCALARS:
        if y == 0:
            return None
        return 1.0 if y == 1 else product(QUIET_POWER.apply(x, y - 1), y)
    constant = logical_and(equal(y, 0), logical_not(isfinite(ratio(1.0, x))))
    lowered = QUIET_POWER.apply(select(constant, 1, x), subtract(y, 1))
    return select(constant, 0, product(lowered, y))


def slope_in_exponent(out: Any, x: Any, y: Any) -> Any:
    """`x**y * log(x)`, and 0 for `x = 0` where the power is finite."""
    del y
    base = cast_like(out, x)
    vanishes = logical_and(equal(base, 0), isfinite(out))
    return product(out, QUIET_LOG.apply(select(vanishes, 1, base)))


def power(x: Any, y: Any, /) -> Any:
    """`x` to the power of `y`, with finite derivatives at `x = 0` and for `y = 0` where they exist.

    Args:
        x, y: arrays or numbers, broadcast against each other.

    Returns:
        An array of the broadcast shape, in the dtype that NumPy promotes the arguments to.

    Raises:
        ValueError: an integer to a negative integer power; use `float_power`.

    Example:
        >>> power(2.0, 3.0)
        np.float64(8.0)
    """
    dtype = dtype_of_number(x)
    if type(y) in (int, float) and y == 2 and dtype is not None and is_inexact(dtype):
        is_widened = type(y) is float and dtype.kind not in "fc"  # as bfloat16 is by Python floats
        return POWER.apply(x, y) if is_widened else SQUARE.apply(x)
    return POWER.apply(x, y)


def float_power(x: Any, y: Any, /) -> Any:
    """`x` to the power of `y`, in at least float64, so that integers may have negative powers.

    Args:
        x, y: arrays or numbers, broadcast against each other.

    Returns:
        An array of dtype float64 or complex128.

    Example:
        >>> float_power(2, -1)
        np.float64(0.5)
    """
    return POWER(*promote_as("float_power", x, y))


def rsqrt(x: Any, /) -> Any:
    """`1 / sqrt(x)` for each element.

    Args:
        x: array or number.

    Returns:
        An array of the shape of `x`, in its floating dtype.

    Example:
        >>> rsqrt(4.0)
        np.float64(0.5)
    """
    return divide(1.0, sqrt(x))
