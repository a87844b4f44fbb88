"""Determinants. The derivative of `det` is the adjugate, which is right for singular matrices as well."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ir.primitive import Operation
from funcgrad.ir.types import ArrayType, is_complex, real_dtype
from funcgrad.ops.arithmetic import add, divide, multiply, negative, subtract
from funcgrad.ops.cast import convert
from funcgrad.ops.compare import equal, isfinite
from funcgrad.ops.complex import imag, real
from funcgrad.ops.lu import (
    FACTORED_SOLVE,
    LU_DETERMINANT,
    LU_FACTOR,
    LU_LOGARITHM,
    LU_SIGN,
    factors_known,
)
from funcgrad.ops.matrices import (
    INDEX,
    MatrixOperation,
    adjoint,
    chain,
    check_matrix,
    column_vector,
    columns,
    diagonal,
    diagonal_matrix,
    identity,
    inexact,
    is_diagonal,
    join_columns,
    row_vector,
    rows,
    swap,
)
from funcgrad.ops.operands import shape_of
from funcgrad.ops.pieces import concatenate
from funcgrad.ops.product import reduce_prod
from funcgrad.ops.reduce import reduce_and, reduce_sum
from funcgrad.ops.select import select
from funcgrad.ops.shape import broadcast_to
from funcgrad.ops.spectral import SVD


class Det(MatrixOperation):
    """Determinant of square matrices."""

    def type_rule(self, a: ArrayType) -> ArrayType:
        return ArrayType(a.shape[:-2], a.dtype)

    def numpy(self, xp: Any, a: Any) -> Any:
        return xp.linalg.det(a)

    def jvp(self, primals: Any, tangents: Any) -> tuple[Any, Any]:
        cofactors = swap(ADJUGATE(*primals))
        return self(*primals), reduce_sum(multiply(tangents[0], cofactors), (-2, -1))

    def simplify(self, known: Any, a: Any) -> Any:
        factors = factors_known(known, a)
        return factors and Operation(LU_DETERMINANT, *factors)


class Adjugate(MatrixOperation):
    """The adjugate: `det(a) * inv(a)`, continued to singular matrices.

    Both are computed from `a = U S V^H`, with products of singular values that leave one or two of them out:
    the adjugate of a diagonal matrix needs no division.
    """

    def type_rule(self, a: ArrayType) -> ArrayType:
        return a

    def numpy(self, xp: Any, a: Any) -> Any:
        known = xp.isfinite(a).all((-2, -1), keepdims=True)
        u, s, vh = xp.linalg.svd(xp.where(known, a, 0))
        n = a.shape[-1]
        others = xp.where(xp.eye(n, dtype=bool), 1, s[..., None, :]).prod(-1)
        sign = xp.linalg.det(u) * xp.linalg.det(vh)
        inner = xp.swapaxes(vh, -1, -2).conj() * others[..., None, :]
        out = sign[..., None, None] * (inner @ xp.swapaxes(u, -1, -2).conj())
        return xp.where(known, out, np.nan).astype(a.dtype)

    def lower(self, emit: Any, a: Any) -> Any:
        return emit.traced(small_adjugate, a) if a.shape[-1] in (1, 2, 3) else NotImplemented

    def jvp(self, primals: Any, tangents: Any) -> tuple[Any, Any]:
        (a,) = primals
        u, s, vh = SVD(a, full_matrices=False)
        changed = chain(adjoint(u), tangents[0], adjoint(vh))
        pairs = products_without_two(s)
        on_diagonal = column_vector(diagonal(changed))
        inner = subtract(
            diagonal_matrix(reduce_sum(multiply(swap(pairs), on_diagonal), -2)),
            multiply(changed, pairs),
        )
        sign = column_vector(column_vector(multiply(DET(u), DET(vh))))
        return self(a), multiply(sign, chain(adjoint(vh), inner, adjoint(u)))


def small_adjugate(a: Any) -> Any:
    """The adjugate of matrices with up to three rows, from their elements."""
    n, last = shape_of(a)[-1], len(shape_of(a)) - 1

    def entry(i: int, j: int) -> Any:
        return columns(rows(a, i % n, i % n + 1), j % n, j % n + 1)

    def cofactor(i: int, j: int) -> Any:
        if n == 2:
            found = entry(j + 1, i + 1)
            return found if i == j else negative(found)
        first = multiply(entry(j + 1, i + 1), entry(j + 2, i + 2))
        return subtract(first, multiply(entry(j + 1, i + 2), entry(j + 2, i + 1)))

    lines = [join_columns(*[cofactor(i, j) for j in range(n)]) for i in range(n)] if n > 1 else []
    found = concatenate(lines, last - 1) if lines else identity_like(a)
    is_known = column_vector(column_vector(reduce_and(isfinite(a), (-2, -1))))
    return select(is_known, found, a.dtype.type(np.nan))


def identity_like(a: Any) -> Any:
    return broadcast_to(identity(shape_of(a)[-1], a.dtype), shape_of(a))


def products_without_two(s: Any) -> Any:
    """Entry (i, j): the product of all `s` but those at i and j; zero where i = j."""
    n = shape_of(s)[-1]
    is_zero = equal(s, 0)
    safe = select(is_zero, 1.0, s)
    everything = column_vector(column_vector(reduce_prod(safe, -1)))
    rest = divide(everything, multiply(column_vector(safe), row_vector(safe)))
    zeros = convert(is_zero, INDEX)
    left_out = add(column_vector(zeros), row_vector(zeros))
    total = column_vector(column_vector(reduce_sum(zeros, -1)))
    survives = equal(left_out, total)
    return select(is_diagonal(n), 0.0, select(survives, rest, 0.0))


class Slogdet(MatrixOperation):
    """Sign and logarithm of the absolute value of the determinant."""

    multiple = True

    def type_rule(self, a: ArrayType) -> list[ArrayType]:
        lead = a.shape[:-2]
        return [ArrayType(lead, a.dtype), ArrayType(lead, real_dtype(a.dtype))]

    def numpy(self, xp: Any, a: Any) -> list[Any]:
        return list(xp.linalg.slogdet(a))

    def jvp(self, primals: Any, tangents: Any) -> tuple[list[Any], list[Any]]:
        factors = LU_FACTOR(*primals)
        return FACTORED_SLOGDET.jvp((*primals, *factors), (*tangents, None, None))

    def simplify(self, known: Any, a: Any) -> Any:
        factors = factors_known(known, a)
        return factors and slogdet_of(*factors)


class FactoredSlogdet(MatrixOperation):
    """`Slogdet` of a matrix whose factors are known."""

    multiple = True

    def type_rule(self, a: ArrayType, factors: ArrayType, pivots: ArrayType) -> list[ArrayType]:
        del factors, pivots
        return SLOGDET.type_rule(a)

    def numpy(self, xp: Any, a: Any, factors: Any, pivots: Any) -> list[Any]:
        del a
        return [LU_SIGN.numpy(xp, factors, pivots), LU_LOGARITHM.numpy(xp, factors)]

    def jvp(self, primals: Any, tangents: Any) -> tuple[list[Any], list[Any]]:
        a = primals[0]
        sign, logarithm = self(*primals)
        inverse = FACTORED_SOLVE(*primals, identity_like(a), transposed=True)  # its transpose
        change = reduce_sum(multiply(tangents[0], inverse), (-2, -1))
        if not is_complex(a.dtype):
            return [sign, logarithm], [None, change]
        turn = multiply(multiply(sign, 1j), imag(change))
        return [sign, logarithm], [turn, real(change)]

    def simplify(self, known: Any, a: Any, factors: Any, pivots: Any) -> Any:
        del known, a
        return slogdet_of(factors, pivots)


def slogdet_of(factors: Any, pivots: Any) -> list[Operation]:
    return [Operation(LU_SIGN, factors, pivots), Operation(LU_LOGARITHM, factors)]


DET, ADJUGATE, SLOGDET, FACTORED_SLOGDET = Det(), Adjugate(), Slogdet(), FactoredSlogdet()


def det(a: Any) -> Any:
    """Determinant of square matrices."""
    check_matrix("det", a, square=True)
    return DET(*inexact("det", a))


def slogdet(a: Any) -> list[Any]:
    """Sign and logarithm of the absolute value of the determinant; (0, -inf) for a singular matrix."""
    check_matrix("slogdet", a, square=True)
    return SLOGDET(*inexact("slogdet", a))
