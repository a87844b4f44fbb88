"""What reductions begin with, what they give of nothing, and the dtype in which they accumulate."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.compiler.lowering.graph import Reduce
from funcgrad.ir.types import BOOL, kind
from funcgrad.ops.reduce import accumulator

POSITIONS = ("argmax", "argmin")
OF_NOTHING = {"add": 0, "multiply": 1, "and": True, "or": False}  # reductions of no elements


def start_value(name: str, dtype: np.dtype) -> Any:
    """What a reduction begins with. As in NumPy 0.0 for sums, which then are never -0.0."""
    if name in ("multiply", "and"):
        return 1
    if name in ("add", "or"):
        return 0
    largest = name in ("minimum", "argmin")
    if dtype == BOOL:
        return largest
    if kind(dtype) in "fc":
        limit = np.inf if largest else -np.inf
        return limit if kind(dtype) == "f" else complex(limit, limit)
    limits = np.iinfo(dtype)
    return limits.max if largest else limits.min


def accumulator_dtype(node: Reduce) -> np.dtype:
    """The dtype in which a reduction accumulates."""
    return accumulator(node.operands[0].dtype)
