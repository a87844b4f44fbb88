"""Math functions as inlined vector code, by primitive name: each writes its instructions at the current block."""

from __future__ import annotations

from collections.abc import Callable

from funcgrad.compiler.llvm.mathlib import (
    error,
    exponential,
    floats,
    hyperbolic,
    inverse_hyperbolic,
    inverse_trigonometric,
    logarithm,
    power,
    rounding,
    trigonometric,
)
from funcgrad.compiler.llvm.mathlib.number import native
from funcgrad.compiler.llvm.types import Value

FAMILIES = (
    exponential,
    logarithm,
    power,
    trigonometric,
    inverse_trigonometric,
    hyperbolic,
    inverse_hyperbolic,
    error,
    rounding,
    floats,
)

MATH: dict[str, Callable[..., Value]] = {
    name: native(formula) for family in FAMILIES for name, formula in family.FUNCTIONS.items()
}
