"""Sums of cotangents. Those in half precision are added up in float32 and rounded once."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ir.types import dtype_of
from funcgrad.ops.arithmetic import add
from funcgrad.ops.cast import convert
from funcgrad.ops.operands import shape_of
from funcgrad.ops.reduce import accumulator
from funcgrad.ops.run_time import ADD_STACKS, is_run_time


class WideSum:
    """A sum in a wider dtype than that of its terms."""

    __slots__ = ("dtype", "value")

    def __init__(self, value: Any, dtype: np.dtype) -> None:
        self.value = value
        self.dtype = dtype

    @property
    def shape(self) -> tuple:
        return shape_of(self.value)


def sum_cotangents(known: Any, cotangent: Any) -> Any:
    """The sum of two cotangents, of which the first may be a sum already."""
    if type(known) is WideSum:
        return WideSum(add(known.value, convert(cotangent, known.value.dtype)), known.dtype)
    if is_run_time(cotangent) or shape_of(known) != shape_of(cotangent):
        return ADD_STACKS(known, cotangent)
    wide = accumulator(cotangent.dtype)
    if wide == cotangent.dtype:
        return add(known, cotangent)
    return WideSum(add(convert(known, wide), convert(cotangent, wide)), cotangent.dtype)


def is_exact(total: Any) -> bool:
    """Whether terms can be added to elements of a sum in its own dtype."""
    if type(total) is WideSum or is_run_time(total):
        return False
    return is_exact_dtype(dtype_of(total))


def is_exact_dtype(dtype: np.dtype) -> bool:
    """Whether sums are made in this dtype itself."""
    return accumulator(dtype) == dtype


def rounded(cotangent: Any) -> Any:
    """A finished sum in the dtype of its terms."""
    return convert(cotangent.value, cotangent.dtype) if type(cotangent) is WideSum else cotangent
