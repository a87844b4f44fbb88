"""Bessel functions of the first kind, and the Hurwitz zeta function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from funcgrad.ops.arithmetic import add, multiply, negative, subtract
from funcgrad.ops.families import SpecialFunction
from funcgrad.ops.operands import array_function
from funcgrad.ops.public import FUNCTION_OF_UFUNC, promote_as


class Zeta(SpecialFunction):
    """Hurwitz zeta function. Source: DLMF 25.11.1 and 25.11.17."""

    def numpy(self, xp: Any, x: Any, y: Any) -> Any:
        return array_function(xp, "scipy.special:zeta")(x, y).astype(x.dtype)

    def partials(self, out: Any, x: Any, y: Any) -> tuple:
        del out

        def of_exponent() -> Any:
            raise NotImplementedError(
                "[zeta] has no derivative with respect to its first argument. Write "
                "funcgrad.stop_gradient(x) where it is meant to be constant."
            )

        return of_exponent, lambda: negative(multiply(x, self(add(x, 1.0), y)))


class BesselJ(SpecialFunction):
    """J_v(x) of a fixed order. Source: DLMF 10.6.1."""

    def numpy(self, xp: Any, x: Any, *, order: float) -> Any:
        if order in (0, 1):
            return array_function(xp, f"scipy.special:j{int(order)}")(x)
        return array_function(xp, "scipy.special:jv")(order, x).astype(x.dtype)

    def partials(self, out: Any, x: Any, *, order: float) -> tuple:
        del out
        if order == 0:
            return (negative(self(x, order=1)),)
        return (multiply(subtract(self(x, order=order - 1), self(x, order=order + 1)), 0.5),)


ZETA, BESSEL_J = Zeta(), BesselJ()


def zeta(x: Any, q: Any = 1.0, /) -> Any:
    """Hurwitz zeta function: the sum of `(q + n) ** -x` over n = 0, 1, ...; Riemann's for q = 1.

    Args:
        x: array or number above 1. There is no derivative with respect to it.
        q: array or number; both are broadcast.

    Returns:
        An array of the broadcast shape, in its floating dtype.

    Example:
        >>> zeta(2.0, 1.0)
        np.float64(1.6449340)
    """
    return ZETA(*promote_as("scipy.special:betaln", x, q))


def public_bessel(order: int, example: str) -> Callable[[Any], Any]:
    """The public function `j0` or `j1`."""
    ufunc = f"scipy.special:j{order}"

    def function(x: Any, /) -> Any:
        return BESSEL_J(*promote_as(ufunc, x), order=order)

    function.__name__ = function.__qualname__ = f"j{order}"
    function.__doc__ = (
        f"Bessel function of the first kind of order {order}.\n\nArgs:\n    x: array or number.\n\n"
        f"Returns:\n    An array of the shape of `x`, in its floating dtype.\n\n"
        f"Example:\n    >>> j{order}(0.0)\n    np.float64({example})"
    )
    FUNCTION_OF_UFUNC[ufunc] = function
    return function


j0, j1 = public_bessel(0, "1.0"), public_bessel(1, "0.0")


def jv(v: float, x: Any, /) -> Any:
    """Bessel function of the first kind.

    Args:
        v: order, a Python number.
        x: array or number.

    Returns:
        An array of the shape of `x`, in its floating dtype.

    Example:
        >>> jv(2, 1.0)
        np.float64(0.1149034)
    """
    return BESSEL_J(*promote_as("scipy.special:j0", x), order=int(v) if v == int(v) else float(v))
