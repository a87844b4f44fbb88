"""Cholesky and QR factorizations."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ir.types import ArrayType, is_complex
from funcgrad.ops.arithmetic import add, multiply, negative, subtract
from funcgrad.ops.cast import convert
from funcgrad.ops.complex import imag
from funcgrad.ops.matrices import (
    MatrixOperation,
    adjoint,
    chain,
    check_matrix,
    columns,
    diagonal,
    diagonal_matrix,
    hermitian_part,
    identity,
    inexact,
    is_below,
    join_columns,
    rows,
    strictly_lower,
)
from funcgrad.ops.operands import shape_of
from funcgrad.ops.products import matmul
from funcgrad.ops.spectral import symmetric
from funcgrad.ops.triangular import triangular_solve


class Cholesky(MatrixOperation):
    """Lower triangular `l` with `l @ l^H` the Hermitian part of the matrix, which must be positive definite."""

    triangle = "lower"

    def type_rule(self, a: ArrayType) -> ArrayType:
        return a

    def numpy(self, xp: Any, a: Any) -> Any:
        return xp.linalg.cholesky(symmetric(xp, a))

    def lower(self, emit: Any, a: Any) -> Any:
        return emit.step("cholesky", (emit.traced(hermitian_part, a),))

    def jvp(self, primals: Any, tangents: Any) -> tuple[Any, Any]:
        out = self(*primals)
        left = triangular_solve(out, hermitian_part(tangents[0]), left_side=True, lower=True)
        both = triangular_solve(
            out, left, lower=True, transpose_a=True, conjugate_a=is_complex(out.dtype)
        )
        n = shape_of(out)[-1]
        halved = add(convert(is_below(n), out.dtype), multiply(identity(n, out.dtype), 0.5))
        return out, matmul(out, multiply(both, halved))


class Qr(MatrixOperation):
    """Orthonormal `q` and upper triangular `r` with `a = q @ r`.

    Differentiable where the first columns, as many as `q` needs, are linearly independent. The columns that
    `full_matrices` adds are only defined up to a rotation; their derivative is the smallest one.
    """

    multiple = True

    def type_rule(self, a: ArrayType, *, full_matrices: bool) -> list[ArrayType]:
        *lead, m, n = a.shape
        k = m if full_matrices else min(m, n)
        return [a.update((*lead, m, k)), a.update((*lead, k, n))]

    def numpy(self, xp: Any, a: Any, *, full_matrices: bool) -> list[Any]:
        return list(xp.linalg.qr(a, "complete" if full_matrices else "reduced"))

    def lower(self, emit: Any, a: Any, *, full_matrices: bool) -> Any:
        return emit.step("qr", (a,), full_matrices=full_matrices)

    def jvp(
        self, primals: Any, tangents: Any, *, full_matrices: bool
    ) -> tuple[list[Any], list[Any]]:
        (a,), (da,) = primals, tangents
        q, r = self(a, full_matrices=full_matrices)
        k = min(shape_of(a)[-2:])
        basis, square = columns(q, 0, k), columns(rows(r, 0, k), 0, k)
        dq = change_of_basis(basis, square, columns(da, 0, k))
        extra = shape_of(q)[-1] - k
        if extra:
            rest = columns(q, k, k + extra)
            dq = join_columns(dq, negative(chain(basis, adjoint(dq), rest)))
        return [q, r], [dq, add(matmul(adjoint(q), da), matmul(adjoint(dq), a))]


def change_of_basis(q: Any, r: Any, da: Any) -> Any:
    """The change of `q` in `a = q @ r` with a square `r`, for a change of `a`."""
    moved = triangular_solve(r, da)
    inside = matmul(adjoint(q), moved)
    lower = strictly_lower(inside)
    rotation = subtract(lower, adjoint(lower))
    if is_complex(q.dtype):
        # LAPACK keeps the diagonal of r real, so the phases belong to q.
        rotation = add(rotation, diagonal_matrix(multiply(imag(diagonal(inside)), 1j)))
    return add(moved, matmul(q, subtract(rotation, inside)))


CHOLESKY, QR = Cholesky(), Qr()


def cholesky(a: Any) -> Any:
    """Lower Cholesky factor of positive definite matrices, of which the Hermitian part is taken."""
    check_matrix("cholesky", a, square=True)
    try:
        return CHOLESKY(*inexact("cholesky", a))
    except np.linalg.LinAlgError:
        raise np.linalg.LinAlgError(
            f"[cholesky] Matrix is not positive definite (an array of shape {shape_of(a)}). "
            "Add a small multiple of the identity: a + 1e-6 * np.eye(n), or use eigh."
        ) from None


def qr(a: Any, full_matrices: bool = False) -> list[Any]:
    """`q` and `r` of each matrix."""
    check_matrix("qr", a)
    return QR(*inexact("qr", a), full_matrices=full_matrices)
