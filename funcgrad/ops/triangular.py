"""Triangular systems."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.ir.primitive import LinearInput, Operation
from funcgrad.ir.types import ArrayType
from funcgrad.ops.arithmetic import negative, subtract
from funcgrad.ops.batching import move_batch_first
from funcgrad.ops.cotangents import sum_terms
from funcgrad.ops.matrices import (
    MatrixOperation,
    check_matrix,
    conj,
    inexact,
    strictly_lower,
    swap,
    with_lead,
)
from funcgrad.ops.operands import broadcast_shapes, ndim_of, shape_of
from funcgrad.ops.products import matmul
from funcgrad.ops.shape import TRANSPOSE, moveaxis, reshape
from funcgrad.ops.substitution import substitute


class LinearSolve(MatrixOperation):
    """`x` with `a @ x = b`: linear in `b`. Both have the same leading axes."""

    def type_rule(self, a: ArrayType, b: ArrayType, **params: Any) -> ArrayType:
        del params
        if a.dtype != b.dtype or a.shape[:-1] != b.shape[:-1]:
            raise TypeError(f"[{self.name}] operands {a} and {b} do not fit")
        return ArrayType(b.shape, b.dtype)

    def used_part(self, a: Any, **params: Any) -> Any:
        """The part of the matrix that the result depends on."""
        del params
        return a

    def transposed(self, a: Any, ct: Any, **params: Any) -> Any:
        """The solution of the transposed system."""
        return self(swap(a), ct, **params)

    def jvp(self, primals: Any, tangents: Any, **params: Any) -> tuple[Any, Any]:
        (a, b), (da, db) = primals, tangents
        x = self(a, b, **params)
        change = None if da is None else negative(matmul(self.used_part(da, **params), x))
        right = sum_terms([db, change])
        return x, None if right is None else self(a, right, **params)

    def transpose(self, ct: Any, a: Any, b: LinearInput, **params: Any) -> list[Any]:
        del b
        return [None, self.transposed(a, ct, **params)]

    def batch(self, size: int, args: Any, axes: Any, **params: Any) -> tuple[Any, Any]:
        a, b = args
        if axes[0] is not None or ndim_of(a) > 2:
            return super().batch(size, args, axes, **params)
        return solved_as_columns(lambda wide: self(a, wide, **params), size, b, axes[1])


def solved_as_columns(solver: Any, size: int, b: Any, axis: int) -> tuple[Any, int]:
    """Solutions with one matrix for all examples: their right-hand sides become columns of one system."""
    (b,) = move_batch_first([b], [axis])
    _, n, count = shape_of(b)
    wide = reshape(moveaxis(b, 0, 1), (n, size * count))
    return reshape(solver(wide), (n, size, count)), 1


class TriangularSolve(LinearSolve):
    """Solution of a triangular system; the other triangle is not read. Zeros on the diagonal give inf or NaN.

    Params:
        lower: which triangle holds the matrix.
        unit_diagonal: whether the diagonal is taken to be ones.
    """

    def numpy(self, xp: Any, a: Any, b: Any, *, lower: bool, unit_diagonal: bool) -> Any:
        lead, n = a.shape[:-2], a.shape[-1]
        if math.prod(lead) > n:
            return substitute(xp, a, b, lower, unit_diagonal)
        solver = blas_solver(a.dtype) if xp is np else cupy_solver()
        out = xp.empty(b.shape, b.dtype)
        for place in np.ndindex(lead):
            out[place] = solver(a[place], b[place], lower, unit_diagonal)
        return out

    def used_part(self, a: Any, *, lower: bool, unit_diagonal: bool) -> Any:
        turned = a if lower else swap(a)
        below = strictly_lower(turned)
        part = below if unit_diagonal else subtract(turned, swap(strictly_lower(swap(turned))))
        return part if lower else swap(part)

    def transposed(self, a: Any, ct: Any, *, lower: bool, unit_diagonal: bool) -> Any:
        return self(swap(a), ct, lower=not lower, unit_diagonal=unit_diagonal)

    def lower(self, emit: Any, a: Any, b: Any, *, lower: bool, unit_diagonal: bool) -> Any:
        return emit.triangular_solve(a, b, lower, unit_diagonal)


def blas_solver(dtype: np.dtype) -> Any:
    """Solve one triangular system with BLAS `trsm`, which never fails."""
    from scipy.linalg import blas

    routine = getattr(blas, {"f": "s", "d": "d", "F": "c", "D": "z"}[dtype.char] + "trsm")

    def solver(a: Any, b: Any, lower: bool, unit_diagonal: bool) -> Any:
        # BLAS wants Fortran order: the transpose of a C-ordered matrix is the other triangle.
        if a.flags.c_contiguous:
            return routine(1, a.T, b, lower=not lower, trans_a=1, diag=unit_diagonal)
        return routine(1, a, b, lower=lower, diag=unit_diagonal)

    return solver


def cupy_solver() -> Any:
    from cupyx.scipy.linalg import solve_triangular

    return lambda a, b, lower, unit_diagonal: solve_triangular(
        a, b, lower=lower, unit_diagonal=unit_diagonal
    )


TRIANGULAR_SOLVE = TriangularSolve()


# --- matrices that are known to be triangular ---


def triangle_of(known: Any, a: Any) -> str:
    """For a `simplify` rule: which triangle of an operand is not zero, "lower" or "upper"; "" if it may be both."""
    maker = known.makers.get(a)
    if maker is None:
        return ""
    if maker.primitive.name == "conjugate":
        return triangle_of(known, maker.inputs[0])
    if maker.primitive is TRANSPOSE and maker.params["permutation"] == swapped(a):
        return OTHER[triangle_of(known, maker.inputs[0])]
    return getattr(maker.primitive, "triangle", "")


def solved_by_substitution(known: Any, a: Any, b: Any, transposed: bool = False) -> Any:
    """For a `simplify` rule: the solution of `a @ x = b`, or `a^T @ x = b`, if `a` is triangular."""
    triangle = triangle_of(known, a)
    if not triangle:
        return None
    lower = (triangle == "lower") != transposed
    if transposed:
        a = Operation(TRANSPOSE, a, permutation=swapped(a))
    return Operation(TRIANGULAR_SOLVE, a, b, lower=lower, unit_diagonal=False)


OTHER = {"": "", "lower": "upper", "upper": "lower"}


def swapped(a: Any) -> tuple[int, ...]:
    """The order of axes that makes the transpose of each matrix."""
    rank = len(a.type.shape)
    return (*range(rank - 2), rank - 1, rank - 2)


def same_lead(name: str, a: Any, b: Any) -> list[Any]:
    """Both operands with the leading axes that they broadcast to."""
    lead = broadcast_shapes(name, [shape_of(a)[:-2], shape_of(b)[:-2]])
    return [with_lead(a, lead), with_lead(b, lead)]


def check_right_hand_side(name: str, a: Any, b: Any) -> None:
    if shape_of(b)[-2] != shape_of(a)[-1]:
        raise ValueError(
            f"[{name}] a of shape {shape_of(a)} and b of shape {shape_of(b)} do not fit: b needs "
            f"{shape_of(a)[-1]} rows. Use b.T, or b[..., None] for a stack of vectors."
        )


def matrix_solve(primitive: LinearSolve, a: Any, b: Any, **params: Any) -> Any:
    check_right_hand_side(primitive.name, a, b)
    return primitive(*same_lead(primitive.name, a, b), **params)


def triangular_solve(
    a: Any,
    b: Any,
    *,
    left_side: bool = False,
    lower: bool = False,
    transpose_a: bool = False,
    conjugate_a: bool = False,
    unit_diagonal: bool = False,
) -> Any:
    """Solve `op(a) @ x = b` (or `x @ op(a) = b`) for a triangular `a`.

    Args:
        a: square matrices; only one triangle is read.
        b: right-hand sides, with the leading axes of `a`.
        left_side: whether `a` stands left of `x`.
        lower: whether the lower triangle of `a` is read.
        transpose_a, conjugate_a: what `op` does to `a` first.
        unit_diagonal: take the diagonal of `a` to be ones.

    Returns:
        Array of the shape of `b`.

    Example:
        >>> import numpy as np
        >>> triangular_solve(np.array([[2.0, 0.0], [1.0, 1.0]]), np.ones((2, 1)), left_side=True, lower=True)
        array([[0.5],
               [0.5]])
    """
    check_matrix("triangular_solve", a, square=True)
    check_matrix("triangular_solve", b)
    a, b = inexact("triangular_solve", a, b)
    a = conj(a) if conjugate_a else a
    if transpose_a:
        a, lower = swap(a), not lower
    if not left_side:
        out = matrix_solve(
            TRIANGULAR_SOLVE, swap(a), swap(b), lower=not lower, unit_diagonal=unit_diagonal
        )
        return swap(out)
    return matrix_solve(TRIANGULAR_SOLVE, a, b, lower=lower, unit_diagonal=unit_diagonal)
