"""What reductions begin with."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ir.types import BOOL, kind


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
