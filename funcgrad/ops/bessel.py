"""Modified Bessel functions of the first kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from funcgrad.ops.arithmetic import add, multiply, subtract
from funcgrad.ops.families import SpecialFunction
from funcgrad.ops.floats import sign
from funcgrad.ops.operands import array_function
from funcgrad.ops.public import FUNCTION_OF_UFUNC, promote_as


class BesselI(SpecialFunction):
    """I_n(x) for integer `n = order`, times `exp(-|x|)` if `scaled`. Source: DLMF 10.29.1."""

    def numpy(self, xp: Any, x: Any, *, order: int, scaled: bool) -> Any:
        suffix = "e" if scaled else ""
        if order < 2:
            return array_function(xp, f"scipy.special:i{order}{suffix}")(x)
        return array_function(xp, f"scipy.special:iv{suffix}")(order, x)

    def partials(self, out: Any, x: Any, *, order: int, scaled: bool) -> tuple:
        slope = self(x, order=order + 1, scaled=scaled)
        if order:
            slope = multiply(add(self(x, order=order - 1, scaled=scaled), slope), 0.5)
        return (subtract(slope, multiply(sign(x), out)) if scaled else slope,)


BESSEL_I = BesselI()


def public_bessel(order: int, scaled: bool, example: str) -> Callable[[Any], Any]:
    """The public function `i0`, `i0e`, `i1` or `i1e`."""
    name = f"i{order}{'e' if scaled else ''}"
    ufunc = f"scipy.special:{name}"

    def function(x: Any, /) -> Any:
        return BESSEL_I(*promote_as(ufunc, x), order=order, scaled=scaled)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"Modified Bessel function of the first kind of order {order}"
        f"{', times `exp(-|x|)`' if scaled else ''}.\n\nArgs:\n    x: array or number.\n\n"
        "Returns:\n    An array of the shape of `x`, in its floating dtype.\n\n"
        f"Example:\n    >>> {name}(0.0)\n    np.float64({example})"
    )
    FUNCTION_OF_UFUNC[ufunc] = function
    return function


i0, i0e = public_bessel(0, False, "1.0"), public_bessel(0, True, "1.0")
i1, i1e = public_bessel(1, False, "0.0"), public_bessel(1, True, "0.0")
