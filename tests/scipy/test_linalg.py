"""scipy.linalg: SciPy's values, derivatives, batches, and errors."""

import numpy as np
import pytest
import scipy.linalg

import funcgrad as fg
from funcgrad.scipy import linalg
from funcgrad.test_util import check_grads

pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

RNG = np.random.default_rng(0)
A = RNG.normal(size=(4, 4)) + 3 * np.eye(4)
COMPLEX = A + 1j * RNG.normal(size=(4, 4))
POSITIVE = A @ A.T
HERMITIAN = COMPLEX @ COMPLEX.conj().T
VECTOR, COLUMNS = RNG.normal(size=4), RNG.normal(size=(4, 2))
TALL = RNG.normal(size=(4, 3))
STACK = RNG.normal(size=(3, 4, 4)) + 3 * np.eye(4)

# Name, arrays, options, and what is compared where factors are only defined up to signs.
CALLS = [
    *(
        ("solve_triangular", (a, b), {"trans": trans, "lower": lower, "unit_diagonal": unit})
        for a, b in ((A, VECTOR), (COMPLEX, COLUMNS))
        for trans in (0, "T", "C")
        for lower in (False, True)
        for unit in (False, True)
    ),
    *(
        ("solve", (a, b), {"assume_a": known, "transposed": transposed})
        for a, b, known in (
            (A, VECTOR, "gen"),
            (A, COLUMNS, None),
            (A, VECTOR, "upper triangular"),
            (A, COLUMNS, "lower triangular"),
            (POSITIVE, VECTOR, "pos"),
            (POSITIVE, COLUMNS, "her"),
            (np.diag(VECTOR), COLUMNS, "diagonal"),
        )
        for transposed in (False, True)
    ),
    ("solve", (COMPLEX, COLUMNS), {}),
    ("solve", (HERMITIAN, VECTOR), {"assume_a": "pos", "lower": True}),
    ("inv", (COMPLEX,), {}),
    ("det", (COMPLEX,), {}),
    ("cholesky", (POSITIVE,), {}),
    ("cholesky", (HERMITIAN,), {"lower": True}),
    ("lu", (A,), {}),
    ("lu", (COMPLEX,), {"permute_l": True}),
    ("lu", (A,), {"p_indices": True}),
    ("lu_factor", (COMPLEX,), {}),
    ("svdvals", (TALL,), {}),
    ("svd", (TALL,), {"compute_uv": False}),
    ("eigh", (HERMITIAN,), {"eigvals_only": True}),
    ("eigh", (A,), {"eigvals_only": True, "lower": False, "subset_by_index": (1, 2)}),
    ("eigh", (A, POSITIVE), {"eigvals_only": True}),
    ("eigvalsh", (A,), {}),
    ("expm", (A,), {}),
    ("expm", (COMPLEX * 10,), {}),
    ("expm", (STACK * 1e-3,), {}),
    ("block_diag", (A, VECTOR, np.float64(2)), {}),
    ("toeplitz", (VECTOR,), {}),
    ("toeplitz", (COMPLEX[0], TALL[:, 0]), {}),
    ("hankel", (VECTOR,), {}),
    ("hankel", (VECTOR, TALL[:, 0]), {}),
    ("circulant", (VECTOR,), {}),
]


def parts(value):
    return list(value) if isinstance(value, tuple) else [value]


def identify(value):
    return str(value).replace("\n", "")[:24] if not isinstance(value, tuple) else "arrays"


@pytest.mark.parametrize(("name", "arrays", "options"), CALLS, ids=identify)
def test_values_are_those_of_scipy(name, arrays, options):
    function = getattr(linalg, name)
    expected = parts(getattr(scipy.linalg, name)(*arrays, **options))
    for run in (function, fg.jit(lambda *xs, **_: function(*xs, **options))):
        found = parts(run(*arrays, **options))
        for out, want in zip(found, expected, strict=True):
            assert out.shape == want.shape and out.dtype.kind == want.dtype.kind
            np.testing.assert_allclose(out, want, rtol=1e-9, atol=1e-9 * abs(want).max())


@pytest.mark.parametrize(("name", "arrays", "options"), CALLS, ids=identify)
def test_derivatives(name, arrays, options):
    def function(*xs):
        outs = parts(getattr(linalg, name)(*xs, **options))
        return [out for out in outs if out.dtype.kind in "fc"]

    check_grads(function, tuple(x / 4 if name == "expm" else x for x in arrays), order=1)


def test_factors_solve_systems():
    for a, b in ((A, VECTOR), (COMPLEX, COLUMNS)):
        for trans, system in ((0, a), (1, a.T), (2, a.conj().T)):
            solver = lambda a, b, trans=trans: linalg.lu_solve(linalg.lu_factor(a), b, trans)
            for run in (solver, fg.jit(solver)):
                np.testing.assert_allclose(run(a, b), np.linalg.solve(system, b))
            check_grads(solver, (a, b), order=2)
        expected = scipy.linalg.lu_solve(scipy.linalg.lu_factor(a), b)
        np.testing.assert_allclose(linalg.lu_solve(scipy.linalg.lu_factor(a), b), expected)
    for a, b in ((POSITIVE, VECTOR), (HERMITIAN, COLUMNS)):
        for lower in (False, True):
            solver = lambda a, b, lower=lower: linalg.cho_solve(linalg.cho_factor(a, lower), b)
            for run in (solver, fg.jit(solver)):
                np.testing.assert_allclose(run(a, b), np.linalg.solve(a, b))
    check_grads(lambda b: linalg.cho_solve((A, True), b), (VECTOR,), order=1)


def test_stacks_and_batches():
    right = RNG.normal(size=(3, 4, 2))
    each = lambda function: np.stack([function(a, b) for a, b in zip(STACK, right, strict=True)])
    for function in (
        linalg.solve,
        lambda a, b: linalg.solve_triangular(a, b, lower=True),
        lambda a, b: linalg.lu_solve(linalg.lu_factor(a), b, "T"),
        lambda a, b: linalg.solve(a @ np.swapaxes(a, -1, -2), b, assume_a="pos"),
    ):
        np.testing.assert_allclose(function(STACK, right), each(function))
        np.testing.assert_allclose(fg.jit(function)(STACK, right), each(function))
        np.testing.assert_allclose(fg.vmap(function)(STACK, right), each(function))


def test_factors_that_are_not_unique():
    for run in (lambda f, *xs: f(*xs), lambda f, *xs: fg.jit(f)(*xs)):
        q, r = run(lambda a: linalg.qr(a, mode="economic"), TALL)
        np.testing.assert_allclose(q @ r, TALL)
        (alone,) = run(lambda a: linalg.qr(a, mode="r"), TALL)
        np.testing.assert_allclose(alone, scipy.linalg.qr(TALL, mode="r")[0][:3])
        u, s, vh = run(linalg.svd, TALL)
        np.testing.assert_allclose((u[:, :3] * s) @ vh, TALL)
        w, v = run(linalg.eigh, A, POSITIVE)
        whole = np.tril(A) + np.tril(A, -1).T
        np.testing.assert_allclose(whole @ v, POSITIVE @ v * w)
        w, v = run(linalg.eig, A)
        np.testing.assert_allclose(A @ v, v * w)
        np.testing.assert_allclose(run(linalg.eigvals, A), w)


def test_exponential_of_what_is_not_finite():
    assert np.isnan(fg.jit(linalg.expm)(np.full((2, 2), np.nan))).all()
    assert linalg.expm(np.zeros((0, 0))).shape == (0, 0)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: linalg.solve(A, VECTOR, assume_a="odd"), ValueError, r"\[solve\].*'odd'.*'pos'"),
        (
            lambda: linalg.solve_triangular(A, VECTOR, 3),
            ValueError,
            r"\[solve_triangular\].*3.*'T'",
        ),
        (lambda: linalg.solve(A, COLUMNS[:3]), ValueError, r"\[solve\].*rows"),
        (lambda: linalg.solve(TALL, VECTOR), np.linalg.LinAlgError, r"\[solve\].*square"),
        (lambda: linalg.qr(A, pivoting=True), NotImplementedError, r"\[qr\] pivoting"),
        (lambda: linalg.qr(A, mode="raw"), ValueError, r"\[qr\].*'economic'"),
        (lambda: linalg.eigh(A, type=2), NotImplementedError, r"\[eigh\] type=2"),
        (lambda: linalg.eig(A, left=True), NotImplementedError, r"\[eig\].*left"),
        (lambda: linalg.toeplitz(A), ValueError, r"\[toeplitz\].*\(4, 4\).*ravel"),
        (lambda: linalg.block_diag(STACK), ValueError, r"\[block_diag\].*\(3, 4, 4\)"),
        (lambda: linalg.cholesky(-POSITIVE), np.linalg.LinAlgError, r"not positive definite"),
    ],
)
def test_errors_say_what_to_write_instead(call, error, message):
    with pytest.raises(error, match=message):
        call()
