"""Matrix products with NumPy's rules for vectors, matrices and stacks of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ops.matmul import dot_general
from funcgrad.ops.operands import broadcast_shapes, ndim_of, shape_of
from funcgrad.ops.select import promote
from funcgrad.ops.sequences import as_array
from funcgrad.ops.shape import broadcast_to, moveaxis


def promoted_arrays(*args: Any) -> list[Any]:
    """Strong arrays of one dtype."""
    arrays = [arg if type(arg) is np.ndarray else as_array(arg) for arg in args]
    dtype = arrays[0].dtype
    for array in arrays:
        if array.dtype != dtype:
            return promote(*arrays)
    return arrays


def check_matmul_shapes(shape_x: tuple, shape_y: tuple) -> None:
    """Raise for operands that `matmul` cannot multiply."""
    if not shape_x or not shape_y:
        raise ValueError(
            f"[matmul] got operands of shapes {shape_x} and {shape_y}, but a scalar has no axis to sum over. "
            "Use x * y."
        )
    inner_y = shape_y[max(len(shape_y) - 2, 0)]
    if shape_x[-1] != inner_y:
        raise ValueError(
            f"[matmul] shapes {shape_x} and {shape_y} do not fit: the last axis of the first has length "
            f"{shape_x[-1]}, the {'second-last' if len(shape_y) > 1 else 'only'} axis of the second "
            f"{inner_y}. Use x.T or np.swapaxes(x, -1, -2) to turn a matrix."
        )


def matmul(x: Any, y: Any) -> Any:
    """Matrix product of the last two axes, with broadcasting over the others, as `np.matmul`."""
    x, y = promoted_arrays(x, y)
    shape_x, shape_y = shape_of(x), shape_of(y)
    check_matmul_shapes(shape_x, shape_y)
    rank_x, rank_y = len(shape_x), len(shape_y)
    if rank_y <= 2:
        return dot_general(x, y, ((rank_x - 1,), (max(rank_y - 2, 0),)))
    if rank_x == 1:
        return dot_general(x, y, ((0,), (rank_y - 2,)))
    if rank_x == 2:
        return moveaxis(dot_general(x, y, ((1,), (rank_y - 2,))), 0, -2)
    lead = broadcast_shapes("matmul", [shape_x[:-2], shape_y[:-2]])
    x = broadcast_to(x, (*lead, *shape_x[-2:]))
    y = broadcast_to(y, (*lead, *shape_y[-2:]))
    batch = tuple(range(len(lead)))
    return dot_general(x, y, ((ndim_of(x) - 1,), (ndim_of(y) - 2,)), (batch, batch))
