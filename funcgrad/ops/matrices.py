"""Matrices in the last two axes: the small vocabulary that the rules of linear algebra are written in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.ir.primitive import Primitive
from funcgrad.ir.types import is_complex
from funcgrad.ops.arithmetic import add, multiply, negative
from funcgrad.ops.batching import all_batched, move_batch_first
from funcgrad.ops.cast import convert
from funcgrad.ops.compare import equal, greater
from funcgrad.ops.complex import conjugate, real
from funcgrad.ops.create import iota
from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.ops.pieces import PLACE, STATIC_SLICE, concatenate
from funcgrad.ops.products import matmul
from funcgrad.ops.reduce import reduce_sum
from funcgrad.ops.shape import broadcast_to, moveaxis, reshape

INDEX = np.dtype(np.int64)


class MatrixOperation(Primitive):
    """A library routine on the matrices in the last axes, for every place of the leading ones."""

    kind = "library"

    def batch(self, size: int, args: Any, axes: Any, **params: Any) -> tuple[Any, Any]:
        operands = move_batch_first(args, axes)
        if len(args) > 1:
            operands = all_batched(size, args, axes)
        out = self(*operands, **params)
        return (out, [0] * len(out)) if self.multiple else (out, 0)


def check_matrix(name: str, x: Any, square: bool = False) -> None:
    """Raise LinAlgError for anything but (stacks of) matrices, or square ones."""
    shape = shape_of(x)
    if len(shape) < 2:
        raise np.linalg.LinAlgError(
            f"[{name}] needs a matrix or a stack of matrices, but got shape {shape}. "
            "Use x[:, None] for a column, x[None, :] for a row."
        )
    if square and shape[-1] != shape[-2]:
        raise np.linalg.LinAlgError(
            f"[{name}] needs square matrices in the last two axes, but got shape {shape}. "
            f"Use {'pinv' if name == 'inv' else 'lstsq' if name == 'solve' else 'svd'} for others."
        )


def inexact(name: str, *arrays: Any) -> list[Any]:
    """Arrays in one dtype that LAPACK computes in; integers become float64, as in NumPy."""
    dtype = np.result_type(*[array.dtype for array in arrays])
    if dtype.kind in "biu":
        dtype = np.dtype(np.float64)
    if dtype.char not in "fdFD":
        raise TypeError(
            f"[{name}] array type {dtype} is unsupported in linalg: LAPACK has float32, float64, complex64 "
            "and complex128. Use x.astype(np.float32)."
        )
    return [convert(array, dtype) for array in arrays]


def swap(x: Any) -> Any:
    """The transpose of each matrix."""
    return moveaxis(x, -1, -2)


def adjoint(x: Any) -> Any:
    """The conjugate transpose of each matrix."""
    return swap(conj(x))


def conj(x: Any) -> Any:
    """The conjugate; real arrays are left as they are."""
    return conjugate(x) if is_complex(x.dtype) else x


def real_part(x: Any) -> Any:
    """The real part; real arrays are left as they are."""
    return real(x) if is_complex(x.dtype) else x


def chain(*factors: Any) -> Any:
    """Product of matrices, from left to right."""
    out = factors[0]
    for factor in factors[1:]:
        out = matmul(out, factor)
    return out


def hermitian_part(x: Any) -> Any:
    return multiply(add(x, adjoint(x)), 0.5)


def anti_hermitian_part(x: Any) -> Any:
    return multiply(add(x, negative(adjoint(x))), 0.5)


def columns(x: Any, start: int, stop: int) -> Any:
    """`x[..., start:stop]`."""
    spec = [(0, n, 1) for n in shape_of(x)[:-1]]
    return STATIC_SLICE(x, spec=(*spec, (start, stop, 1)))


def rows(x: Any, start: int, stop: int) -> Any:
    """`x[..., start:stop, :]`."""
    spec = [(0, n, 1) for n in shape_of(x)]
    spec[-2] = (start, stop, 1)
    return STATIC_SLICE(x, spec=tuple(spec))


def diagonal_spec(shape: Sequence[int]) -> tuple:
    """The slice of flattened matrices that holds their main diagonals."""
    length, stride = min(shape[-2:]), shape[-1] + 1
    stop = (length - 1) * stride + 1 if length else 0
    return (*((0, n, 1) for n in shape[:-2]), (0, stop, stride))


def diagonal(x: Any) -> Any:
    """The main diagonals of the matrices."""
    shape = shape_of(x)
    flat = reshape(x, (*shape[:-2], shape[-2] * shape[-1]))
    return STATIC_SLICE(flat, spec=diagonal_spec(shape))


def diagonal_matrix(x: Any) -> Any:
    """Square matrices that are zero off the diagonals in the last axis of `x`."""
    *lead, n = shape_of(x)
    flat = PLACE(x, spec=diagonal_spec((*lead, n, n)), shape=(*lead, n * n))
    return reshape(flat, (*lead, n, n))


def trace_of(x: Any) -> Any:
    return reduce_sum(diagonal(x), -1)


def is_diagonal(n: int) -> Any:
    """Mask of the diagonal of an n x n matrix."""
    return equal(iota((n, n), 0, INDEX), iota((n, n), 1, INDEX))


def is_below(n: int) -> Any:
    """Mask of the entries below the diagonal of an n x n matrix."""
    return greater(iota((n, n), 0, INDEX), iota((n, n), 1, INDEX))


def identity(n: int, dtype: Any) -> Any:
    return convert(is_diagonal(n), dtype)


def strictly_lower(x: Any) -> Any:
    return multiply(x, convert(is_below(shape_of(x)[-1]), x.dtype))


def join_columns(*parts: Any) -> Any:
    """Matrices side by side."""
    return concatenate(parts, ndim_of(parts[0]) - 1)


def row_vector(x: Any) -> Any:
    """`x[..., None, :]`."""
    shape = shape_of(x)
    return reshape(x, (*shape[:-1], 1, shape[-1]))


def column_vector(x: Any) -> Any:
    """`x[..., :, None]`."""
    return reshape(x, (*shape_of(x), 1))


def with_lead(x: Any, lead: tuple) -> Any:
    """`x` stretched to these leading lengths before its last two axes."""
    return broadcast_to(x, (*lead, *shape_of(x)[-2:]))
