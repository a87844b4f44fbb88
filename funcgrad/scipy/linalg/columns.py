"""Right-hand sides: vectors are matrices of one column."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.ops.shape import reshape


def solved(solver: Callable[[Any], Any], b: Any) -> Any:
    """What `solver` gives for `b`, which is a vector or has right-hand sides as columns."""
    if ndim_of(b) > 1:
        return solver(b)
    x = solver(reshape(b, (-1, 1)))
    return reshape(x, shape_of(x)[:-1])
