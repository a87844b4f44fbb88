"""LU factorization, once for all that is computed from a matrix: solutions, inverse, determinant, and derivatives.

The factors themselves have no derivative. Whatever uses them takes the matrix as well, and its derivatives are those
with respect to the matrix: another system with the same factors, to any order.
"""

from __future__ import annotations

import functools
import math
import warnings
from typing import Any

import numpy as np

from funcgrad.ir.primitive import LinearInput, Operation
from funcgrad.ir.types import ArrayType, is_complex, real_dtype
from funcgrad.ops.arithmetic import add, multiply, negative, subtract
from funcgrad.ops.compare import equal, less
from funcgrad.ops.cotangents import sum_terms
from funcgrad.ops.create import iota
from funcgrad.ops.exponential import exp, log
from funcgrad.ops.floats import absolute, sign
from funcgrad.ops.matrices import MatrixOperation, diagonal, identity, strictly_lower, swap
from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.ops.product import reduce_prod
from funcgrad.ops.products import matmul
from funcgrad.ops.reduce import reduce_or, reduce_sum
from funcgrad.ops.select import select
from funcgrad.ops.shape import TRANSPOSE
from funcgrad.ops.substitution import eliminate, exchange_all, substitute_factors
from funcgrad.ops.triangular import (
    solved_as_columns,
    solved_by_substitution,
    swapped,
    triangular_solve,
)

LETTERS = {"f": "s", "d": "d", "F": "c", "D": "z"}
PIVOT = np.dtype(np.int32)


class LuFactor(MatrixOperation):
    """Factors of square matrices: `l` (its ones left out) and `u` in one matrix, transposed, as LAPACK holds them.

    The second result says for each row which one it changed places with. Never fails.
    """

    multiple = True

    def type_rule(self, a: ArrayType) -> list[ArrayType]:
        return [a, ArrayType(a.shape[:-1], PIVOT)]

    def numpy(self, xp: Any, a: Any) -> list[Any]:
        lead, n = a.shape[:-2], a.shape[-1]
        if math.prod(lead) > n:
            lu, pivots = eliminate(xp, a.reshape(-1, n, n))
            turned = xp.ascontiguousarray(lu.swapaxes(-1, -2))
            return [turned.reshape(a.shape), pivots.reshape(a.shape[:-1])]
        factor = lapack("getrf", a.dtype) if xp is np else cupy_factor
        factors, pivots = xp.empty(a.shape, a.dtype), xp.empty(a.shape[:-1], PIVOT)
        for place in np.ndindex(lead):
            if n:
                lu, pivots[place] = factor(a[place])[:2]
                factors[place] = lu.T
        return [factors, pivots]

    def jvp(self, primals: Any, tangents: Any) -> tuple[list[Any], list[None]]:
        del tangents
        return self(*primals), [None, None]

    def lower(self, emit: Any, a: Any) -> Any:
        return emit.step("lu_factor", (a,))


def lapack(name: str, dtype: np.dtype) -> Any:
    """A function of LAPACK for this dtype."""
    from scipy.linalg import lapack

    return getattr(lapack, LETTERS[dtype.char] + name)


def cupy_factor(a: Any) -> Any:
    from cupyx.scipy.linalg import lu_factor

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # singular matrices are no error here
        return lu_factor(a, check_finite=False)


class LuSolve(MatrixOperation):
    """Solutions of systems with factored matrices; in a Program that is only run, instead of `FactoredSolve`.

    Params:
        transposed: whether the matrix of the system is the transpose of the factored one.
    """

    def type_rule(
        self, factors: ArrayType, pivots: ArrayType, b: ArrayType, *, transposed: bool
    ) -> ArrayType:
        del factors, pivots, transposed
        return b

    def numpy(self, xp: Any, factors: Any, pivots: Any, b: Any, *, transposed: bool) -> Any:
        lead, n = b.shape[:-2], b.shape[-2]
        if xp is np and not np.diagonal(factors, axis1=-2, axis2=-1).all():
            raise np.linalg.LinAlgError("Singular matrix")
        if math.prod(lead) > n:
            lu = factors.swapaxes(-1, -2).reshape(-1, n, n)
            columns = b.reshape(-1, *b.shape[-2:])
            out = substitute_factors(xp, lu, pivots.reshape(-1, n), columns, transposed)
            return out.reshape(b.shape)
        solver = lapack_solver(b.dtype) if xp is np else cupy_solver()
        out = xp.empty(b.shape, b.dtype)
        for place in np.ndindex(lead) if b.size else ():
            out[place] = solver(factors[place].T, pivots[place], b[place], int(transposed))
        return out

    def batch(self, size: int, args: Any, axes: Any, *, transposed: bool) -> tuple[Any, Any]:
        factors, pivots, b = args
        if axes[0] is not None or axes[1] is not None or ndim_of(factors) > 2:
            return super().batch(size, args, axes, transposed=transposed)
        solver = functools.partial(self, factors, pivots, transposed=transposed)
        return solved_as_columns(solver, size, b, axes[2])

    def lower(self, emit: Any, factors: Any, pivots: Any, b: Any, *, transposed: bool) -> Any:
        return emit.step("lu_solve", (factors, pivots, b), transposed=transposed)


def lapack_solver(dtype: np.dtype) -> Any:
    solver = lapack("getrs", dtype)
    return lambda lu, pivots, b, trans: solver(lu, pivots, b, trans)[0]


def cupy_solver() -> Any:
    from cupyx.scipy.linalg import lu_solve

    return lambda lu, pivots, b, trans: lu_solve((lu, pivots), b, trans, check_finite=False)


class FactoredSolve(MatrixOperation):
    """`x` with `a @ x = b`, or `a^T @ x = b`, where the factors of `a` are known. Linear in `b`.

    Params:
        transposed: whether the matrix of the system is the transpose of `a`.
    """

    def type_rule(
        self, a: ArrayType, factors: ArrayType, pivots: ArrayType, b: ArrayType, *, transposed: bool
    ) -> ArrayType:
        del a, factors, pivots, transposed
        return b

    def numpy(self, xp: Any, a: Any, factors: Any, pivots: Any, b: Any, *, transposed: bool) -> Any:
        del a
        return LU_SOLVE.numpy(xp, factors, pivots, b, transposed=transposed)

    def jvp(self, primals: Any, tangents: Any, *, transposed: bool) -> tuple[Any, Any]:
        *known, b = primals
        da, _, _, db = tangents
        x = self(*known, b, transposed=transposed)
        moved = None
        if da is not None:
            moved = negative(matmul(swap(da) if transposed else da, x))
        right = sum_terms([db, moved])
        return x, None if right is None else self(*known, right, transposed=transposed)

    def transpose(
        self, ct: Any, a: Any, factors: Any, pivots: Any, b: LinearInput, *, transposed: bool
    ) -> list[Any]:
        del b
        return [None, None, None, self(a, factors, pivots, ct, transposed=not transposed)]

    def batch(self, size: int, args: Any, axes: Any, *, transposed: bool) -> tuple[Any, Any]:
        *known, b = args
        if any(axis is not None for axis in axes[:3]) or ndim_of(known[0]) > 2:
            return super().batch(size, args, axes, transposed=transposed)
        solver = functools.partial(self, *known, transposed=transposed)
        return solved_as_columns(solver, size, b, axes[3])

    def simplify(
        self, known: Any, a: Any, factors: Any, pivots: Any, b: Any, *, transposed: bool
    ) -> Any:
        found = solved_by_substitution(known, a, b, transposed)
        return found or Operation(LU_SOLVE, factors, pivots, b, transposed=transposed)


class Lu(MatrixOperation):
    """The factors of square matrices as SciPy holds them, not transposed, and with derivatives."""

    multiple = True

    def type_rule(self, a: ArrayType) -> list[ArrayType]:
        return LU_FACTOR.type_rule(a)

    def numpy(self, xp: Any, a: Any) -> list[Any]:
        factors, pivots = LU_FACTOR.numpy(xp, a)
        return [xp.ascontiguousarray(factors.swapaxes(-1, -2)), pivots]

    def jvp(self, primals: Any, tangents: Any) -> tuple[list[Any], list[Any]]:
        (a,), (da,) = primals, tangents
        lu, pivots = self(a)
        below = strictly_lower(lu)
        lower, upper = add(below, identity(shape_of(a)[-1], a.dtype)), subtract(lu, below)
        # What the exchanged rows of `da` are between the factors: l^-1 @ p @ da @ u^-1.
        moved = matmul(upper, FACTORED_SOLVE(a, *LU_FACTOR(a), da, transposed=False))
        inner = triangular_solve(upper, moved)
        inside = strictly_lower(inner)
        change = add(matmul(lower, inside), matmul(subtract(inner, inside), upper))
        return [lu, pivots], [change, None]

    def simplify(self, known: Any, a: Any) -> Any:
        found = factors_known(known, a)
        return found and [Operation(TRANSPOSE, found[0], permutation=swapped(a)), found[1]]


class LuPermutation(MatrixOperation):
    """The rows of a matrix that its factors have, in their order, from those that changed places."""

    def type_rule(self, pivots: ArrayType) -> ArrayType:
        return pivots

    def numpy(self, xp: Any, pivots: Any) -> Any:
        n = pivots.shape[-1]
        rows = xp.broadcast_to(xp.arange(n, dtype=PIVOT)[:, None], (pivots.size // max(1, n), n, 1))
        found = exchange_all(xp, rows, pivots.reshape(-1, n), is_backward=False)
        return found.reshape(pivots.shape)

    def lower(self, emit: Any, pivots: Any) -> Any:
        return emit.step("lu_permutation", (pivots,))


# --- determinants ---


class LuSign(MatrixOperation):
    """The sign of the determinant of factored matrices; 0 for singular ones."""

    def type_rule(self, factors: ArrayType, pivots: ArrayType) -> ArrayType:
        del pivots
        return ArrayType(factors.shape[:-2], factors.dtype)

    def numpy(self, xp: Any, factors: Any, pivots: Any) -> Any:
        numbers = xp.diagonal(factors, axis1=-2, axis2=-1)
        is_odd = (pivots != xp.arange(pivots.shape[-1])).sum(-1) % 2
        signs = xp.sign(numbers) if is_complex(factors.dtype) else xp.where(numbers < 0, -1, 1)
        signs = xp.where((numbers == 0).any(-1), 0, signs.prod(-1))
        return (xp.where(is_odd, -1, 1) * signs).astype(factors.dtype)

    def lower(self, emit: Any, factors: Any, pivots: Any) -> Any:
        return emit.traced(sign_of, factors, pivots)


class LuLogarithm(MatrixOperation):
    """The logarithm of the absolute value of the determinant of factored matrices; -inf for singular ones."""

    def type_rule(self, factors: ArrayType) -> ArrayType:
        return ArrayType(factors.shape[:-2], real_dtype(factors.dtype))

    def numpy(self, xp: Any, factors: Any) -> Any:
        sizes = abs(xp.diagonal(factors, axis1=-2, axis2=-1))
        with np.errstate(divide="ignore"):
            return xp.where((sizes == 0).any(-1), -np.inf, xp.log(sizes).sum(-1))[()]

    def lower(self, emit: Any, factors: Any) -> Any:
        return emit.traced(logarithm_of, factors)


class LuDeterminant(MatrixOperation):
    """The determinant of factored matrices, by logarithms: it overflows where NumPy's does."""

    def type_rule(self, factors: ArrayType, pivots: ArrayType) -> ArrayType:
        return LU_SIGN.type_rule(factors, pivots)

    def numpy(self, xp: Any, factors: Any, pivots: Any) -> Any:
        return LU_SIGN.numpy(xp, factors, pivots) * xp.exp(LU_LOGARITHM.numpy(xp, factors))

    def lower(self, emit: Any, factors: Any, pivots: Any) -> Any:
        return emit.traced(determinant_of, factors, pivots)


def sign_of(factors: Any, pivots: Any) -> Any:
    """What `LuSign` computes, of operations that fuse."""
    numbers, one = diagonal(factors), factors.dtype.type(1)
    stays = equal(pivots, iota(shape_of(pivots), ndim_of(pivots) - 1, PIVOT))
    signs = sign(numbers) if is_complex(factors.dtype) else select(less(numbers, 0), -one, one)
    signed = reduce_prod(multiply(select(stays, one, -one), signs), -1)
    return select(reduce_or(equal(numbers, 0), -1), factors.dtype.type(0), signed)


def logarithm_of(factors: Any) -> Any:
    """What `LuLogarithm` computes, of operations that fuse."""
    sizes = absolute(diagonal(factors))
    is_zero = equal(sizes, 0)
    logarithms = log(select(is_zero, sizes.dtype.type(1), sizes))
    total = reduce_sum(logarithms, -1)
    return select(reduce_or(is_zero, -1), sizes.dtype.type(-np.inf), total)


def determinant_of(factors: Any, pivots: Any) -> Any:
    """What `LuDeterminant` computes, of operations that fuse."""
    return multiply(sign_of(factors, pivots), exp(logarithm_of(factors)))


LU_FACTOR, LU_SOLVE, FACTORED_SOLVE = LuFactor(), LuSolve(), FactoredSolve()
LU, LU_PERMUTATION = Lu(), LuPermutation()
LU_SIGN, LU_LOGARITHM, LU_DETERMINANT = LuSign(), LuLogarithm(), LuDeterminant()


def factors_known(known: Any, a: Any) -> tuple[Any, Any] | None:
    """For a `simplify` rule: the factors of an operand and the exchanges of its rows; None if it is empty."""
    if 0 in a.type.shape:
        return None
    return known.results(LU_FACTOR, a)
