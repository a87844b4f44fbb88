"""Orthogonal arrays for the initialisers, and kernels that are one only in their middle."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad import random


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
    if len(shape) not in (3, 4, 5):
        raise ValueError(
            f"[delta_orthogonal] needs the shape of a kernel, with inputs, outputs and a window of one to three "
            f"axes, but got {shape}. For a matrix use orthogonal."
        )
    in_axis, out_axis = in_axis % len(shape), out_axis % len(shape)
    inputs, outputs = shape[in_axis], shape[out_axis]
    if inputs > outputs:
        raise ValueError(
            f"[delta_orthogonal] needs at least as many outputs as inputs, but got {outputs} outputs and {inputs} "
            "inputs. Use orthogonal."
        )
    matrix = orthogonal_array(key, (inputs, outputs), column_axis, dtype)
    window = [axis for axis in range(len(shape)) if axis not in (in_axis, out_axis)]
    middle = fnp.expand_dims(matrix if in_axis < out_axis else matrix.T, window)
    around = [((n - 1) // 2, n // 2) if i in window else (0, 0) for i, n in enumerate(shape)]
    return fnp.pad(middle, around)
