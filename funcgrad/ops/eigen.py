"""Eigenvalues and eigenvectors of general square matrices; always complex, whatever the values are."""

from __future__ import annotations

from typing import Any

from funcgrad.ir.types import ArrayType
from funcgrad.ops.arithmetic import add, multiply, subtract
from funcgrad.ops.cast import convert
from funcgrad.ops.compare import equal
from funcgrad.ops.complex import conjugate, imag, real
from funcgrad.ops.create import iota
from funcgrad.ops.extremal_reduce import argmax
from funcgrad.ops.floats import absolute
from funcgrad.ops.matrices import (
    INDEX,
    MatrixOperation,
    check_matrix,
    diagonal,
    identity,
    inexact,
    row_vector,
)
from funcgrad.ops.operands import shape_of
from funcgrad.ops.products import matmul
from funcgrad.ops.reduce import reduce_sum
from funcgrad.ops.rules import ratio
from funcgrad.ops.solve import SOLVE
from funcgrad.ops.spectral import QUOTIENT, differences


def complex_type(a: ArrayType, shape: tuple) -> ArrayType:
    return ArrayType(shape, "c8" if a.dtype.itemsize == 4 or a.dtype.char == "F" else "c16")


class Eig(MatrixOperation):
    """Eigenvalues and right eigenvectors, of length 1 and with a real largest component."""

    multiple = True

    def type_rule(self, a: ArrayType) -> list[ArrayType]:
        return [complex_type(a, a.shape[:-1]), complex_type(a, a.shape)]

    def numpy(self, xp: Any, a: Any) -> list[Any]:
        dtype = complex_type(a, ()).dtype
        return [out.astype(dtype) for out in xp.linalg.eig(a)]

    def jvp(self, primals: Any, tangents: Any) -> tuple[list[Any], list[Any]]:
        w, v = self(*primals)
        rotated = change_in_basis(v, tangents[0])
        own = identity(shape_of(w)[-1], rotated.dtype)
        mixed = multiply(rotated, subtract(1.0, own))
        dv = matmul(v, QUOTIENT.apply(mixed, add(differences(w), own)))
        return [w, v], [diagonal(rotated), keep_normalized(v, dv)]


class Eigvals(MatrixOperation):
    """Eigenvalues."""

    def type_rule(self, a: ArrayType) -> ArrayType:
        return complex_type(a, a.shape[:-1])

    def numpy(self, xp: Any, a: Any) -> Any:
        return xp.linalg.eigvals(a).astype(complex_type(a, ()).dtype)

    def jvp(self, primals: Any, tangents: Any) -> tuple[Any, Any]:
        w, v = EIG(*primals)
        return w, diagonal(change_in_basis(v, tangents[0]))


EIG, EIGVALS = Eig(), Eigvals()


def change_in_basis(v: Any, da: Any) -> Any:
    """`v^-1 @ da @ v`."""
    return SOLVE(v, matmul(convert(da, v.dtype), v))


def keep_normalized(v: Any, dv: Any) -> Any:
    """The part of `dv` that keeps each column's length, and its largest component real."""
    if not shape_of(v)[-1]:
        return dv
    stretch = real(reduce_sum(multiply(conjugate(v), dv), -2))
    size = absolute(v)
    first = row_vector(argmax(size, -2))
    largest = convert(equal(iota(shape_of(v), v.ndim - 2, INDEX), first), size.dtype)
    turn = reduce_sum(multiply(largest, imag(dv)), -2)
    length = reduce_sum(multiply(largest, real(v)), -2)
    drift = add(stretch, multiply(multiply(turn, ratio(1.0, length)), 1j))
    return subtract(dv, multiply(v, row_vector(drift)))


def eig(a: Any) -> list[Any]:
    """Eigenvalues and eigenvectors of square matrices."""
    check_matrix("eig", a, square=True)
    return EIG(*inexact("eig", a))


def eigvals(a: Any) -> Any:
    """Eigenvalues of square matrices."""
    check_matrix("eigvals", a, square=True)
    return EIGVALS(*inexact("eigvals", a))
