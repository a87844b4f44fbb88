"""Error functions."""

from __future__ import annotations

from funcgrad.compiler.llvm.mathlib.coefficients import ERF, ERFC_LOG
from funcgrad.compiler.llvm.mathlib.exponential import exp
from funcgrad.compiler.llvm.mathlib.number import (
    Number,
    at_most,
    copysign,
    fma,
    polynomial,
    select,
)


def erf(x: Number) -> Number:
    """`x` times a polynomial near 0, else `1 - exp` of a polynomial."""
    size = at_most(abs(x), 6.0)
    square = size * size
    near = fma(size, polynomial(square, ERF), size)
    far = 1.0 - exp(-(size * polynomial(size, ERFC_LOG)))
    return copysign(select(size > 1.0, far, near), x)


FUNCTIONS = {"erf": erf}
