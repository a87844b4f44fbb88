"""Eigenvalues of Hermitian matrices, and singular values, with derivatives at repeated values.

Values alone never need a division. Vectors of equal values are only defined up to a rotation among each
other, so their derivative exists only for functions that do not see that rotation. `PairQuotient` divides by the
gaps between values, and at a gap of zero it lets a zero pass and answers NaN to everything else.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ir.primitive import LinearInput
from funcgrad.ir.types import ArrayType, real_dtype
from funcgrad.ops.arithmetic import add, multiply, negative, subtract
from funcgrad.ops.cotangents import sum_terms, unbroadcast
from funcgrad.ops.families import Elementwise
from funcgrad.ops.matrices import (
    MatrixOperation,
    adjoint,
    anti_hermitian_part,
    chain,
    column_vector,
    columns,
    conj,
    diagonal_matrix,
    hermitian_part,
    join_columns,
    real_part,
    row_vector,
)
from funcgrad.ops.operands import shape_of
from funcgrad.ops.products import matmul
from funcgrad.ops.reduce import reduce_sum


def symmetric(xp: Any, a: Any, sign: int = 1) -> Any:
    """Half of `a + sign * a^H`."""
    return (a + sign * xp.swapaxes(a, -1, -2).conj()) * 0.5


class PairQuotient(MatrixOperation):
    """Entry (i, j) of `x` divided by `w[j] - w[i]`; zero on the diagonal. Linear in `x`.

    Gaps of the size of rounding errors count as zero, and so do numerators.

    Params:
        sign: 1 to divide the Hermitian part of `x`, -1 the anti-Hermitian part. One is the transpose of the
            other.
        separately: whether entries (i, j) and (j, i) must both be zero, not only their combination, where
            the gap is. Otherwise 0/0 may hide a derivative that depends on the values as well.
    """

    def type_rule(self, x: ArrayType, w: ArrayType, *, sign: int, separately: bool) -> ArrayType:
        del w, sign, separately
        return x

    def numpy(self, xp: Any, x: Any, w: Any, *, sign: int, separately: bool) -> Any:
        if not x.size:
            return x
        rounding = float(16 * x.shape[-1] * xp.finfo(x.dtype).eps)
        part = symmetric(xp, x, sign)
        gap = w[..., None, :] - w[..., :, None]
        is_equal = abs(gap) <= rounding * abs(w).max(-1)[..., None, None]
        size = abs(x)
        largest = size.max((-2, -1))[..., None, None]
        if separately:
            size = xp.maximum(size, xp.swapaxes(size, -1, -2))
        else:
            size = abs(part)
        undefined = is_equal & ~(size <= rounding * largest)
        undefined &= ~xp.eye(x.shape[-1], dtype=bool)
        quotient = xp.where(is_equal, 0, part) / xp.where(is_equal, 1, gap)
        return xp.where(undefined, np.nan, quotient).astype(x.dtype)

    def jvp(self, primals: Any, tangents: Any, **params: Any) -> tuple[Any, Any]:
        (x, w), (dx, dw) = primals, tangents
        out = self(x, w, **params)
        direct = None if dx is None else self(dx, w, **params)
        if dw is None:
            return out, direct
        closing = self(multiply(out, differences(dw)), w, **params)
        return out, sum_terms([direct, negative(closing)])

    def transpose(
        self, ct: Any, x: LinearInput, w: Any, *, sign: int, separately: bool
    ) -> list[Any]:
        del x
        return [self(ct, w, sign=-sign, separately=separately), None]


class SpectralChange(MatrixOperation):
    """First-order change of values `w` and rotation of vectors, for a change `x` in the basis of the vectors.

    Returns the real diagonal of `x`, and the anti-Hermitian matrix with entries `x[i, j] / (w[j] - w[i])`
    made of its Hermitian part. Linear in `x`.

    It is one operation because its transpose must know whether the values take part: in a function of the
    vectors alone a cotangent that cancels at a repeated value means a derivative of zero, but in
    `V diag(f(w)) V^H` it hides `f'(w)`.
    """

    multiple = True

    def type_rule(self, x: ArrayType, w: ArrayType) -> list[ArrayType]:
        return [w, x]

    def numpy(self, xp: Any, x: Any, w: Any) -> list[Any]:
        values = xp.diagonal(x, axis1=-2, axis2=-1).real
        return [values, PAIR_QUOTIENT.numpy(xp, x, w, sign=1, separately=False)]

    def jvp(self, primals: Any, tangents: Any) -> tuple[list[Any], list[Any]]:
        (x, w), (dx, dw) = primals, tangents
        values, rotation = self(x, w)
        d_values, d_rotation = (None, None) if dx is None else self(dx, w)
        if dw is None:
            return [values, rotation], [d_values, d_rotation]
        closing = PAIR_QUOTIENT(multiply(rotation, differences(dw)), w, sign=1, separately=False)
        return [values, rotation], [d_values, sum_terms([d_rotation, negative(closing)])]

    def transpose(self, cts: Any, x: LinearInput, w: Any) -> list[Any]:
        of_values, of_rotation = cts
        diagonal_part = pair_part = None
        if of_values is not None:
            diagonal_part = cast_to(diagonal_matrix(of_values), x)
        if of_rotation is not None:
            separately = of_values is not None
            pair_part = PAIR_QUOTIENT(of_rotation, w, sign=-1, separately=separately)
        return [sum_terms([diagonal_part, pair_part]), None]


class Quotient(Elementwise):
    """`x / y`, linear in `x`, with 0/0 = 0 to any order."""

    ufunc = "true_divide"
    vjp = None  # type: ignore[assignment]  # by linearizing: the tangent is divided, not multiplied

    def numpy(self, xp: Any, x: Any, y: Any) -> Any:
        with np.errstate(all="ignore"):
            return xp.where(xp.equal(x, 0), xp.zeros_like(x), xp.true_divide(x, y))

    def jvp(self, primals: Any, tangents: Any) -> tuple[Any, Any]:
        (x, y), (dx, dy) = primals, tangents
        out = self(x, y)
        direct = None if dx is None else self(dx, y)
        closing = None if dy is None else negative(self(multiply(out, dy), y))
        return out, sum_terms([direct, closing])

    def transpose(self, ct: Any, x: LinearInput, y: Any) -> list[Any]:
        return [unbroadcast(self(ct, y), x.shape), None]

    def scalar(self, emit: Any, x: Any, y: Any) -> Any:
        zero = emit.constant(0)
        return emit.select(emit.equal(x, zero), zero, emit.divide(x, y))


class Eigh(MatrixOperation):
    """Eigenvalues, ascending, and eigenvectors of the Hermitian part of square matrices."""

    multiple = True

    def type_rule(self, a: ArrayType) -> list[ArrayType]:
        return [ArrayType(a.shape[:-1], real_dtype(a.dtype)), a]

    def numpy(self, xp: Any, a: Any) -> list[Any]:
        return list(xp.linalg.eigh(symmetric(xp, a)))

    def lower(self, emit: Any, a: Any) -> Any:
        return emit.step("eigh", (emit.traced(hermitian_part, a),))

    def jvp(self, primals: Any, tangents: Any) -> tuple[list[Any], list[Any]]:
        w, v = self(*primals)
        rotated = chain(adjoint(v), hermitian_part(tangents[0]), v)
        values, rotation = SPECTRAL_CHANGE(rotated, w)
        return [w, v], [values, matmul(v, rotation)]


class Eigvalsh(MatrixOperation):
    """Eigenvalues, ascending, of the Hermitian part of square matrices."""

    def type_rule(self, a: ArrayType) -> ArrayType:
        return ArrayType(a.shape[:-1], real_dtype(a.dtype))

    def numpy(self, xp: Any, a: Any) -> Any:
        return xp.linalg.eigvalsh(symmetric(xp, a))

    def lower(self, emit: Any, a: Any) -> Any:
        return emit.step("eigh", (emit.traced(hermitian_part, a),))

    def jvp(self, primals: Any, tangents: Any) -> tuple[Any, Any]:
        w, v = EIGH(*primals)
        return w, inner_products(v, matmul(hermitian_part(tangents[0]), v))


class Svd(MatrixOperation):
    """`u`, `s`, `vh` with `a = u @ diag(s) @ vh`; `full_matrices` completes u and vh to square ones.

    The columns that complete them are only defined up to a rotation; their derivative is the smallest one.
    """

    multiple = True

    def type_rule(self, a: ArrayType, *, full_matrices: bool) -> list[ArrayType]:
        *lead, m, n = a.shape
        k = min(m, n)
        left, right = (m, n) if full_matrices else (k, k)
        s = ArrayType((*lead, k), real_dtype(a.dtype))
        return [a.update((*lead, m, left)), s, a.update((*lead, right, n))]

    def numpy(self, xp: Any, a: Any, *, full_matrices: bool) -> list[Any]:
        return list(xp.linalg.svd(a, full_matrices))

    def lower(self, emit: Any, a: Any, *, full_matrices: bool) -> Any:
        return emit.step("svd", (a,), full_matrices=full_matrices)

    def jvp(
        self, primals: Any, tangents: Any, *, full_matrices: bool
    ) -> tuple[list[Any], list[Any]]:
        (a,), (da,) = primals, tangents
        u_full, s, vh_full = self(a, full_matrices=full_matrices)
        v_full, k = adjoint(vh_full), min(shape_of(a)[-2:])
        u, v = columns(u_full, 0, k), columns(v_full, 0, k)
        rotated = chain(adjoint(u), da, v)
        values, mean = SPECTRAL_CHANGE(rotated, s)
        sums = add(row_vector(s), column_vector(s))
        difference = QUOTIENT.apply(anti_hermitian_part(rotated), sums)
        du = completed(u_full, u, chain(u, add(mean, difference)), matmul(da, v), s)
        dv = subtract(mean, difference)
        dv = completed(v_full, v, matmul(v, dv), matmul(adjoint(da), u), s)
        return [u_full, s, vh_full], [du, values, adjoint(dv)]


class Svdvals(MatrixOperation):
    """Singular values, descending."""

    def type_rule(self, a: ArrayType) -> ArrayType:
        return ArrayType((*a.shape[:-2], min(a.shape[-2:])), real_dtype(a.dtype))

    def numpy(self, xp: Any, a: Any) -> Any:
        return xp.linalg.svd(a, compute_uv=False)

    def lower(self, emit: Any, a: Any) -> Any:
        return emit.step("svd", (a,))

    def jvp(self, primals: Any, tangents: Any) -> tuple[Any, Any]:
        u, s, vh = SVD(*primals, full_matrices=False)
        return s, inner_products(u, matmul(tangents[0], adjoint(vh)))


PAIR_QUOTIENT, SPECTRAL_CHANGE, QUOTIENT = PairQuotient(), SpectralChange(), Quotient()
EIGH, EIGVALSH, SVD, SVDVALS = Eigh(), Eigvalsh(), Svd(), Svdvals()


def cast_to(x: Any, like: Any) -> Any:
    return x if x.dtype == like.dtype else multiply(x, 1 + 0j)


def differences(w: Any) -> Any:
    """Entry (i, j): `w[j] - w[i]`."""
    return subtract(row_vector(w), column_vector(w))


def inner_products(x: Any, y: Any) -> Any:
    """Real parts of the inner products of corresponding columns."""
    return reduce_sum(real_part(multiply(conj(x), y)), -2)


def completed(full: Any, basis: Any, change: Any, moved: Any, s: Any) -> Any:
    """The change of singular vectors: add what leaves their span, and how a completion follows.

    Args:
        full: the basis with its completion.
        basis: orthonormal columns, the first ones of `full`.
        change: their change within their span.
        moved: `da @ v` for left vectors, `da^H @ u` for right ones.
        s: singular values.
    """
    size, count = shape_of(basis)[-2:]
    if size > count:
        outside = subtract(moved, chain(basis, adjoint(basis), moved))
        change = add(change, QUOTIENT.apply(outside, row_vector(s)))
    extra = shape_of(full)[-1] - count
    if not extra:
        return change
    rest = columns(full, count, count + extra)
    return join_columns(change, negative(chain(basis, adjoint(change), rest)))
