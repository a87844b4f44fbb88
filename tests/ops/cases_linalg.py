"""Rows of linear algebra. Vectors with a free phase or rotation are tested through what does not see it."""

from __future__ import annotations

import numpy as np
import scipy.linalg

from funcgrad.ops import determinant, eigen, factorizations, lu, norms, solve, spectral, triangular
from funcgrad.ops.arithmetic import add, multiply, subtract
from funcgrad.ops.matrices import (
    adjoint,
    chain,
    column_vector,
    columns,
    identity,
    strictly_lower,
    swap,
)
from funcgrad.ops.products import matmul
from tests.ops.case import REAL, Builder, Case, fixed, uniform

LAPACK = ("float32", "float64", "complex64", "complex128")
REAL_LAPACK = ("float32", "float64")
ANALYTIC = ("float64", "complex128")
SQUARE = (3, 3)


def near_identity(shape: tuple[int, ...], spread: float = 0.4) -> Builder:
    """Well-conditioned matrices, with the identity in their upper left corner."""
    noise = uniform(-spread, spread, shape)
    return lambda rng, dtype: noise(rng, dtype) + 2 * np.eye(*shape[-2:], dtype=dtype)


def positive_definite(n: int) -> Builder:
    """Hermitian matrices with well separated positive eigenvalues."""

    def build(rng: np.random.Generator, dtype: np.dtype) -> np.ndarray:
        basis, _ = np.linalg.qr(uniform(-1, 1, (n, n))(rng, dtype))
        values = np.arange(1, n + 1).astype(dtype)
        return (basis * values) @ basis.conj().T

    return build


def power_sum_root(s: np.ndarray, order: float) -> np.ndarray:
    return (s.astype(np.float64) ** (1 / order)).astype(s.dtype)


def slope_of_root(s: np.ndarray, order: float) -> np.ndarray:
    return (s.astype(np.float64) ** (1 / order - 1) / order).astype(s.dtype)


def with_values(m: int, n: int) -> Builder:
    """Matrices with well separated singular values, and eigenvalues where they are square."""

    def build(rng: np.random.Generator, dtype: np.dtype) -> np.ndarray:
        scale = np.arange(1, min(m, n) + 1)
        left, right = uniform(-0.3, 0.3, (m, m))(rng, dtype), uniform(-0.3, 0.3, (n, n))(rng, dtype)
        diagonal = np.zeros((m, n), dtype)
        np.fill_diagonal(diagonal, scale)
        return (np.eye(m, dtype=dtype) + left) @ diagonal @ (np.eye(n, dtype=dtype) + right)

    return build


def projectors(vectors):
    """One matrix per column, blind to the column's phase."""
    return multiply(column_vector(vectors), adjoint(vectors))


def eigh_parts(a):
    w, v = spectral.EIGH(a)
    return [w, projectors(v)]


def svd_parts(a, full_matrices):
    u, s, vh = spectral.SVD(a, full_matrices=full_matrices)
    k = s.shape[-1]
    basis, rest = columns(u, 0, k), columns(u, k, u.shape[-1])
    thin = chain(basis, multiply(column_vector(s), adjoint(columns(adjoint(vh), 0, k))))
    return [
        s,
        projectors(basis),
        projectors(columns(adjoint(vh), 0, k)),
        chain(rest, adjoint(rest)),
        thin,
    ]


def qr_parts(a, full_matrices):
    q, r = factorizations.QR(a, full_matrices=full_matrices)
    k = min(a.shape[-2:])
    rest = columns(q, k, q.shape[-1])
    return [columns(q, 0, k), r, chain(rest, adjoint(rest))]


def lower_solve(a, b):
    return triangular.triangular_solve(a, b, left_side=True, lower=True)


def upper_solve(a, b):
    return triangular.triangular_solve(a, b, left_side=True)


def many_near_identity(rng, dtype):
    return np.stack([near_identity(SQUARE)(rng, dtype) for _ in range(5)])


def right_solve(a, b):
    return triangular.triangular_solve(
        a, b, transpose_a=True, conjugate_a=True, unit_diagonal=True, lower=True
    )


def right_reference(a, b):
    unit = np.tril(a, -1) + np.eye(len(a), dtype=a.dtype)
    return np.linalg.solve(unit.conj(), b.T).T


def factored_solve(a, b, transposed):
    return lu.FACTORED_SOLVE(a, *lu.LU_FACTOR(a), b, transposed=transposed)


def lu_solve(a, b, transposed):
    return lu.LU_SOLVE(*lu.LU_FACTOR(a), b, transposed=transposed)


def solve_reference(a, b, transposed):
    return np.linalg.solve(np.swapaxes(a, -1, -2) if transposed else a, b)


def lu_product(a):
    """The rows of the matrix in the order of its factors."""
    factors, _ = lu.LU_FACTOR(a)
    lower = add(strictly_lower(swap(factors)), identity(a.shape[-1], a.dtype))
    upper = subtract(swap(factors), strictly_lower(swap(factors)))
    return matmul(lower, upper)


def rows_in_order(a):
    order, _, _ = scipy.linalg.lu(a, p_indices=True)
    return a[np.argsort(order)]


VALUES = fixed(np.array([0.5, 1.0, 2.5]))
COMMON = {"dtypes": LAPACK, "smooth": ANALYTIC, "tolerance": 64.0}

CASES = [
    Case(
        "cholesky",
        factorizations.cholesky,
        (positive_definite(3),),
        reference=np.linalg.cholesky,
        **COMMON,
    ),
    *(
        Case(
            "qr",
            qr_parts,
            (with_values(*shape),),
            params={"full_matrices": full},
            label=f"{label}{shape}",
            **COMMON,
        )
        for shape in ((3, 3), (4, 2), (2, 4))
        for full, label in ((False, "reduced"), (True, "complete"))
    ),
    Case("eigh", eigh_parts, (positive_definite(3),), **COMMON),
    Case(
        "eigvalsh",
        spectral.EIGVALSH,
        (positive_definite(3),),
        reference=np.linalg.eigvalsh,
        **COMMON,
    ),
    *(
        Case(
            "svd",
            svd_parts,
            (with_values(*shape),),
            params={"full_matrices": full},
            label=f"{label}{shape}",
            **COMMON,
        )
        for shape in ((3, 3), (4, 2), (2, 4))
        for full, label in ((False, "thin"), (True, "full"))
    ),
    Case(
        "svdvals",
        spectral.SVDVALS,
        (with_values(4, 3),),
        reference=lambda a: np.linalg.svd(a, compute_uv=False),
        **COMMON,
    ),
    *(
        Case(
            "pair_quotient",
            spectral.PAIR_QUOTIENT,
            (uniform(-1, 1, SQUARE), VALUES),
            params={"sign": sign, "separately": False},
            label="hermitian" if sign > 0 else "anti-hermitian",
            dtypes=REAL_LAPACK,
        )
        for sign in (1, -1)
    ),
    Case(
        "spectral_change",
        spectral.SPECTRAL_CHANGE,
        (uniform(-1, 1, SQUARE), VALUES),
        dtypes=REAL_LAPACK,
    ),
    Case(
        "quotient",
        spectral.QUOTIENT.apply,
        (uniform(1, 2), uniform(1, 2, (3,))),
        reference=np.true_divide,
        dtypes=LAPACK,
        smooth=ANALYTIC,
        elementwise=False,
    ),
    Case("eig", eigen.eig, (with_values(3, 3),), **COMMON),
    Case("eigvals", eigen.eigvals, (with_values(3, 3),), **COMMON),
    Case(
        "solve",
        solve.solve,
        (near_identity(SQUARE), uniform(-1, 1, (3, 2))),
        reference=np.linalg.solve,
        **COMMON,
    ),
    Case(
        "triangular_solve",
        lower_solve,
        (near_identity(SQUARE), uniform(-1, 1, (3, 2))),
        reference=lambda a, b: scipy.linalg.solve_triangular(a, b, lower=True),
        **COMMON,
    ),
    Case(
        "triangular_solve",
        right_solve,
        (near_identity(SQUARE), uniform(-1, 1, (2, 3))),
        label="right",
        reference=right_reference,
        **COMMON,
    ),
    *(
        Case(
            "triangular_solve",
            lower_solve if lower else upper_solve,
            (many_near_identity, uniform(-1, 1, (5, 3, 2))),
            label=f"many, {'lower' if lower else 'upper'}",
            reference=lambda a, b, keep=keep: np.linalg.solve(keep(a), b),
            **COMMON,
        )
        for lower, keep in ((True, np.tril), (False, np.triu))
    ),
    Case("inv", solve.inv, (near_identity(SQUARE),), reference=np.linalg.inv, **COMMON),
    Case(
        "pinv",
        solve.PINV,
        (with_values(4, 3), fixed(np.array(1e-5))),
        reference=np.linalg.pinv,
        argnums=(0,),
        **COMMON,
    ),
    Case("det", determinant.det, (near_identity(SQUARE),), reference=np.linalg.det, **COMMON),
    Case(
        "det",
        determinant.det,
        (fixed(np.array([[1.0, 2, 3], [2, 4, 6], [1, 1, 2]])),),
        label="singular",
        **COMMON,
    ),
    Case(
        "lu_factor",
        lu_product,
        (uniform(-1, 1, SQUARE),),
        reference=rows_in_order,
        argnums=(),
        dtypes=LAPACK,
        tolerance=64.0,
    ),
    Case(
        "lu",
        lambda a: lu.LU(a)[0],
        (near_identity(SQUARE),),
        reference=lambda a: scipy.linalg.lu_factor(a)[0],
        **COMMON,
    ),
    Case(
        "lu_permutation",
        lu.LU_PERMUTATION,
        (lambda rng, _: np.array([[2, 1, 2], [0, 2, 2]], np.int32),),
        reference=lambda pivots: np.array([[2, 1, 0], [0, 2, 1]], np.int32),
        argnums=(),
        dtypes=("int32",),
    ),
    *(
        Case(
            primitive,
            function,
            (build, uniform(-1, 1, shape)),
            params={"transposed": transposed},
            label=f"{'transposed ' * transposed}{label}",
            reference=solve_reference,
            argnums=argnums,
            **COMMON,
        )
        for primitive, function, argnums in (
            ("factored_solve", factored_solve, None),
            ("lu_solve", lu_solve, ()),
        )
        for build, shape, label in (
            (near_identity(SQUARE), (3, 2), "one"),
            (many_near_identity, (5, 3, 2), "many"),
        )
        for transposed in (False, True)
    ),
    Case(
        "factored_slogdet",
        lambda a: determinant.FACTORED_SLOGDET(a, *lu.LU_FACTOR(a)),
        (near_identity(SQUARE),),
        reference=np.linalg.slogdet,
        **COMMON,
    ),
    Case(
        "lu_sign",
        lambda a: lu.LU_SIGN(*lu.LU_FACTOR(a)),
        (uniform(-1, 1, SQUARE),),
        reference=lambda a: np.linalg.slogdet(a)[0],
        argnums=(),
        **COMMON,
    ),
    Case(
        "lu_logarithm",
        lambda a: lu.LU_LOGARITHM(lu.LU_FACTOR(a)[0]),
        (near_identity(SQUARE),),
        reference=lambda a: np.linalg.slogdet(a)[1],
        argnums=(),
        **COMMON,
    ),
    Case(
        "lu_determinant",
        lambda a: lu.LU_DETERMINANT(*lu.LU_FACTOR(a)),
        (near_identity(SQUARE),),
        reference=np.linalg.det,
        argnums=(),
        **COMMON,
    ),
    *(
        Case("adjugate", determinant.ADJUGATE, (near_identity((n, n)),), label=f"{n}", **COMMON)
        for n in (1, 2, 3, 4)
    ),
    Case(
        "slogdet",
        determinant.slogdet,
        (near_identity(SQUARE),),
        reference=np.linalg.slogdet,
        **COMMON,
    ),
    *(
        Case(
            primitive,
            function,
            (uniform(0.5, 2),),
            params={"order": order},
            label=f"{order}",
            reference=reference,
            dtypes=REAL,
            elementwise=True,
        )
        for primitive, function, reference in (
            ("norm_root", norms.NORM_ROOT, power_sum_root),
            ("norm_root_slope", norms.NORM_ROOT_SLOPE, slope_of_root),
        )
        for order in (2, 3.0)
    ),
]
