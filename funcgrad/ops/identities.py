"""Constants that leave the other operand of an operation as it is, in IEEE arithmetic."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.ir.types import kind


def is_constant(known: Any, atom: Any, value: float, other: Any) -> bool:
    """Whether all elements of a real operand are this number, beside the real operand `other`.

    0.0 and -0.0 differ where the dtype of `other` tells them apart.
    """
    found = known.constant(atom)
    if found is None or found != value or kind(atom.type.dtype) not in "iuf":
        return False
    if value or kind(other.type.dtype) in "iu":
        return kind(other.type.dtype) in "iuf"
    return is_float(other) and math.copysign(1.0, float(found)) == math.copysign(1.0, value)


def is_float(atom: Any) -> bool:
    """Whether an operand has real floating numbers."""
    return kind(atom.type.dtype) == "f"


def inverse_power_of_two(known: Any, atom: Any) -> Any:
    """`1 / y` for a divisor that is one power of two above 1, so that a product gives the quotient; else None."""
    found = known.constant(atom)
    if found is None or kind(atom.type.dtype) not in "iuf":
        return None
    value = float(found)
    mantissa, exponent = math.frexp(value)
    if abs(mantissa) != 0.5 or not 1 < exponent <= 64:
        return None
    inverse = 1.0 / value if isinstance(found, int) else type(found)(1.0 / value)
    return inverse if float(inverse) * value == 1.0 else None  # in half precision it may underflow


def is_lossless(source: np.dtype, target: np.dtype) -> bool:
    """Whether every real number or bool of dtype `source` keeps its value in dtype `target`."""
    kinds = kind(source) + kind(target)
    if source == target or kinds[0] == "b":
        return kinds[1] != "c"
    if kinds in ("ii", "uu"):
        return target.itemsize >= source.itemsize
    if kinds == "ui":
        return target.itemsize > source.itemsize
    if kinds in ("if", "uf"):
        return (target == np.float64 and source.itemsize <= 4) or (
            target == np.float32 and source.itemsize <= 2
        )
    if kinds == "ff":
        return target.itemsize > source.itemsize and target.itemsize >= 4
    return False
