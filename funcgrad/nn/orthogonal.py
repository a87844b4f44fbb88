"""Orthogonal arrays for the initialisers, and kernels that are one only in their middle."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad import random
from funcgrad.nn.weight_axes import check_kernel, with_window


def orthogonal_array(key: Any, shape: tuple[int, ...], column_axis: int, dtype: Any) -> Any:
    """An array whose rows or columns are orthonormal; all axes but `column_axis` together are the rows."""
    if len(shape) < 2:
        raise ValueError(f"[orthogonal] needs a shape of at least two axes, but got {shape}.")
    columns = shape[column_axis]
    rows = math.prod(shape) // columns if columns else 0
    tall = (max(rows, columns), min(rows, columns))
    dtype = np.dtype(np.float32 if dtype is None else dtype)
    wide = np.float32 if dtype.itemsize < 4 else dtype  # LAPACK has no half precision
    q, r = fnp.linalg.qr(random.normal(key, tall, wide))
    # The signs make the result unique, and uniform over all orthogonal matrices.
    q = q * fnp.where(fnp.diagonal(r) < 0, -1, 1).astype(q.dtype)
    q = q.T if columns > rows else q
    others = [n for i, n in enumerate(shape) if i != column_axis % len(shape)]
    return fnp.moveaxis(fnp.reshape(q, (*others, columns)), -1, column_axis).astype(dtype)


def delta_array(
    key: Any, shape: tuple[int, ...], in_axis: int, out_axis: int, column_axis: int, dtype: Any
) -> Any:
    """A kernel that is an orthogonal matrix (inputs, outputs) in its middle, and zero elsewhere."""
    check_kernel("delta_orthogonal", shape, "orthogonal")
    inputs, outputs = shape[in_axis], shape[out_axis]
    if inputs > outputs:
        raise ValueError(
            f"[delta_orthogonal] needs at least as many outputs as inputs, but got {outputs} outputs and {inputs} "
            "inputs. Use orthogonal."
        )
    matrix = orthogonal_array(key, (inputs, outputs), column_axis, dtype)
    return with_window(matrix, shape, in_axis, out_axis, lambda n: (n - 1) // 2)
