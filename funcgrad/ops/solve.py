"""Linear systems, the inverse and the pseudoinverse."""

from __future__ import annotations

from typing import Any

from funcgrad.ir.primitive import Operation
from funcgrad.ir.types import ArrayType
from funcgrad.ops.arithmetic import negative, subtract
from funcgrad.ops.cast import CONVERT
from funcgrad.ops.compare import EQUAL
from funcgrad.ops.cotangents import sum_terms
from funcgrad.ops.create import IOTA
from funcgrad.ops.lu import FACTORED_SOLVE, LU_FACTOR, LU_SOLVE, factors_known
from funcgrad.ops.matrices import (
    INDEX,
    MatrixOperation,
    adjoint,
    chain,
    check_matrix,
    inexact,
)
from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.ops.shape import reshape
from funcgrad.ops.triangular import LinearSolve, matrix_solve, solved_by_substitution


class Solve(LinearSolve):
    """Solution of a square linear system by LU factorization with partial pivoting."""

    def numpy(self, xp: Any, a: Any, b: Any) -> Any:
        return xp.linalg.solve(a, b)

    def jvp(self, primals: Any, tangents: Any) -> tuple[Any, Any]:
        (a, b), (da, db) = primals, tangents
        factors = LU_FACTOR(a)
        return FACTORED_SOLVE.jvp((a, *factors, b), (da, None, None, db), transposed=False)

    def simplify(self, known: Any, a: Any, b: Any) -> Any:
        found = solved_by_substitution(known, a, b)
        if found is not None:
            return found
        factors = factors_known(known, a)
        return factors and Operation(LU_SOLVE, *factors, b, transposed=False)


class Inv(MatrixOperation):
    """Inverse of square matrices."""

    def type_rule(self, a: ArrayType) -> ArrayType:
        return a

    def numpy(self, xp: Any, a: Any) -> Any:
        return xp.linalg.inv(a)

    def jvp(self, primals: Any, tangents: Any) -> tuple[Any, Any]:
        out = self(*primals)
        return out, negative(chain(out, tangents[0], out))

    def simplify(self, known: Any, a: Any) -> Any:
        factors = factors_known(known, a)
        return factors and Operation(LU_SOLVE, *factors, identity_like(a), transposed=False)


class Pinv(MatrixOperation):
    """Moore-Penrose pseudoinverse; singular values up to `cutoff` times the largest count as zero.

    Its derivative is that at constant rank.
    Source: Golub, Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares", 1973.
    """

    def type_rule(self, a: ArrayType, cutoff: ArrayType) -> ArrayType:
        del cutoff
        return ArrayType((*a.shape[:-2], a.shape[-1], a.shape[-2]), a.dtype)

    def numpy(self, xp: Any, a: Any, cutoff: Any) -> Any:
        return xp.linalg.pinv(a, cutoff)

    def jvp(self, primals: Any, tangents: Any) -> tuple[Any, Any]:
        a, cutoff = primals
        out = self(a, cutoff)
        if tangents[0] is None:
            return out, None
        change = negative(chain(out, tangents[0], out))
        turned, inverse = adjoint(tangents[0]), adjoint(out)
        left = chain(out, inverse, subtract(turned, chain(turned, a, out)))
        right = chain(subtract(turned, chain(out, a, turned)), inverse, out)
        return out, sum_terms([change, left, right])


def identity_like(a: Any) -> Operation:
    """For a `simplify` rule: the identities of the shape of an operand."""
    shape, index = a.type.shape, {"shape": a.type.shape, "dtype": INDEX}
    row, column = (Operation(IOTA, axis=len(shape) - k, **index) for k in (2, 1))
    return Operation(CONVERT, Operation(EQUAL, row, column), dtype=a.type.dtype)


SOLVE, INV, PINV = Solve(), Inv(), Pinv()


def solve(a: Any, b: Any) -> Any:
    """`x` with `a @ x = b`, for arrays; `b` has one axis, or columns in its last one."""
    check_matrix("solve", a, square=True)
    a, b = inexact("solve", a, b)
    if ndim_of(b) == 1:
        return reshape(matrix_solve(SOLVE, a, reshape(b, (-1, 1))), (*shape_of(a)[:-2], -1))
    check_matrix("solve", b)
    return matrix_solve(SOLVE, a, b)


def inv(a: Any) -> Any:
    """Inverse of square matrices."""
    check_matrix("inv", a, square=True)
    return INV(*inexact("inv", a))
