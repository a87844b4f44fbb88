"""What only derivative rules need: arithmetic without NumPy's warnings.

A derivative may be infinite, or overflow on the way, where the function itself is harmless (sqrt at
0, arctan far out). NumPy would warn about an operation that the user did not write.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ir.primitive import Operation
from funcgrad.ir.tracer import type_of
from funcgrad.ops.arithmetic import DIVIDE, MULTIPLY, SUBTRACT, negative
from funcgrad.ops.cast import convert
from funcgrad.ops.families import Elementwise


class Quiet(Elementwise):
    """Another elementwise primitive without NumPy's warnings."""

    def __init__(self, inner: Elementwise) -> None:
        super().__init__()
        self.inner = inner
        self.ufunc = inner.ufunc
        self.name = f"quiet_{inner.name}"

    def numpy(self, xp: Any, *xs: Any) -> Any:
        with np.errstate(all="ignore"):
            return self.inner.numpy(xp, *xs)

    def partials(self, out: Any, *xs: Any) -> Any:
        return self.inner.partials(out, *xs)

    def simplify(self, known: Any, *xs: Any) -> Any:
        del known
        return Operation(self.inner, *xs, is_quiet=True)

    def scalar(self, emit: Any, *xs: Any) -> Any:
        return self.inner.scalar(emit, *xs)


class QuietDivide(Elementwise):
    """True division without NumPy's warnings, to any order of derivative."""

    ufunc = "true_divide"

    def numpy(self, xp: Any, x: Any, y: Any) -> Any:
        with np.errstate(all="ignore"):
            return xp.true_divide(x, y)

    def partials(self, out: Any, x: Any, y: Any) -> tuple:
        del x
        return lambda: ratio(1.0, y), lambda: negative(ratio(out, y))

    def simplify(self, known: Any, *xs: Any) -> Any:
        del known
        return Operation(DIVIDE, *xs, is_quiet=True)

    def scalar(self, emit: Any, x: Any, y: Any) -> Any:
        return DIVIDE.scalar(emit, x, y)


QUIET_DIVIDE, QUIET_MULTIPLY, QUIET_SUBTRACT = QuietDivide(), Quiet(MULTIPLY), Quiet(SUBTRACT)


def ratio(x: Any, y: Any) -> Any:
    """`x / y` without warnings."""
    return QUIET_DIVIDE.apply(x, y)


def product(x: Any, y: Any) -> Any:
    """`x * y` without warnings."""
    return QUIET_MULTIPLY.apply(x, y)


def difference(x: Any, y: Any) -> Any:
    """`x - y` without warnings."""
    return QUIET_SUBTRACT.apply(x, y)


def cast_like(out: Any, value: Any) -> Any:
    """`value` in the dtype of `out`, also if it was made from Python scalars alone."""
    return convert(value, type_of(out).dtype)
