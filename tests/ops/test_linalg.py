"""`numpy.linalg` on traced values: NumPy's results, derivatives at singular points, and errors."""

import ml_dtypes
import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.ops import norms
from tests.ops.derivatives import check_derivatives

pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

RNG = np.random.default_rng(0)
SQUARE = RNG.normal(size=(3, 3))
STACK = RNG.normal(size=(2, 4, 3))
COMPLEX = SQUARE + 1j * RNG.normal(size=(3, 3))
POSITIVE = SQUARE @ SQUARE.T + np.eye(3)
VECTOR = RNG.normal(size=3)
TALL = STACK[0]
VECTOR_ORDERS = (None, 0, 1, 2, 3, -1, -2, 0.5, np.inf, -np.inf)
MATRIX_ORDERS = (None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)

CALLS = [
    ("cholesky", (POSITIVE,), {}),
    ("cholesky", (POSITIVE,), {"upper": True}),
    ("qr", (STACK,), {}),
    ("qr", (STACK,), {"mode": "complete"}),
    ("qr", (STACK,), {"mode": "r"}),
    ("svd", (STACK,), {}),
    ("svd", (STACK,), {"full_matrices": False}),
    ("svd", (STACK,), {"compute_uv": False}),
    ("svdvals", (STACK,), {}),
    ("eigh", (POSITIVE,), {}),
    ("eigvalsh", (POSITIVE,), {}),
    ("eigvalsh", (SQUARE,), {"UPLO": "L"}),
    ("eigvalsh", (COMPLEX,), {"UPLO": "U"}),
    ("eig", (COMPLEX,), {}),
    ("eigvals", (COMPLEX,), {}),
    ("solve", (SQUARE, VECTOR), {}),
    ("solve", (SQUARE, TALL[:3]), {}),
    ("solve", (np.stack([SQUARE, POSITIVE]), VECTOR), {}),
    ("solve", (np.stack([SQUARE, POSITIVE]), TALL[:3]), {}),
    ("inv", (COMPLEX,), {}),
    ("pinv", (STACK,), {}),
    ("pinv", (STACK,), {"rcond": [0.1, 0.2]}),
    ("pinv", (STACK,), {"rtol": None}),
    ("lstsq", (TALL, np.arange(4.0)), {}),
    ("lstsq", (TALL, RNG.normal(size=(4, 2))), {}),
    ("lstsq", (TALL.T, VECTOR), {}),
    ("tensorsolve", (RNG.normal(size=(2, 3, 6)), RNG.normal(size=(2, 3))), {}),
    ("tensorsolve", (RNG.normal(size=(2, 6, 3)), RNG.normal(size=(2, 3))), {"axes": (1,)}),
    ("tensorinv", (RNG.normal(size=(2, 3, 6)),), {}),
    ("det", (np.arange(9).reshape(3, 3) % 4,), {}),
    ("slogdet", (COMPLEX,), {}),
    *(("norm", (VECTOR,), {"ord": order}) for order in VECTOR_ORDERS),
    *(("norm", (TALL,), {"ord": order}) for order in MATRIX_ORDERS),
    *(("norm", (STACK,), {"ord": o, "axis": (2, 0), "keepdims": True}) for o in MATRIX_ORDERS),
    ("norm", (STACK,), {}),
    ("norm", (COMPLEX,), {"axis": 1}),
    ("norm", (np.arange(3),), {}),
    ("norm", (np.float32([3, 4]),), {}),
    ("vector_norm", (STACK,), {"axis": (0, 2)}),
    ("vector_norm", (STACK,), {"ord": 1, "keepdims": True}),
    ("matrix_norm", (STACK,), {"ord": 2, "keepdims": True}),
    ("matrix_rank", (np.ones((2, 3, 3)),), {}),
    ("matrix_rank", (VECTOR,), {}),
    ("matrix_rank", (STACK,), {"tol": 1.0}),
    ("matrix_rank", (STACK,), {"rtol": 0.5}),
    *(("cond", (SQUARE,), {"p": order}) for order in MATRIX_ORDERS),
    ("matrix_power", (SQUARE, 5), {}),
    ("matrix_power", (SQUARE, -2), {}),
    ("matrix_power", (STACK[:, :3], 0), {}),
    ("multi_dot", ([VECTOR, SQUARE, POSITIVE, TALL.T],), {}),
    ("multi_dot", ([SQUARE, POSITIVE],), {}),
    ("matmul", (SQUARE, STACK[:, :3]), {}),
    ("tensordot", (STACK, STACK), {"axes": ([0, 1], [0, 1])}),
    ("vecdot", (STACK, VECTOR), {}),
    ("outer", (VECTOR, VECTOR), {}),
    ("cross", (STACK, VECTOR), {}),
    ("trace", (STACK,), {"offset": 1}),
    ("diagonal", (STACK,), {}),
    ("matrix_transpose", (STACK,), {}),
]


def parts(value):
    return list(value) if isinstance(value, tuple) else [value]


@pytest.mark.parametrize(("name", "args", "options"), CALLS, ids=lambda value: str(value)[:20])
def test_jit_gives_the_result_of_numpy(name, args, options):
    function = getattr(np.linalg, name)
    static = [x for x in args if isinstance(x, int)]
    arrays = [x for x in args if not isinstance(x, int)]
    expected = function(*args, **options)
    found = fg.jit(lambda *xs: function(*xs, *static, **options))(*arrays)
    assert type(found) is type(expected) or not isinstance(expected, tuple)
    for out, want, same in zip(
        parts(found),
        parts(expected),
        parts(getattr(fnp.linalg, name)(*args, **options)),
        strict=True,
    ):
        assert np.shape(out) == np.shape(want)
        assert np.asarray(out).dtype == np.asarray(want).dtype
        np.testing.assert_allclose(out, want, rtol=1e-6, atol=1e-9)
        np.testing.assert_array_equal(same, want)


def test_namespace_is_complete():
    public = set(np.linalg.__all__)
    assert public <= set(dir(fnp.linalg))


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (lambda a: np.linalg.norm(a, ord="nuc"), (TALL,)),
        (lambda a: np.linalg.norm(a, ord=2), (TALL,)),
        (lambda a: np.linalg.norm(a, ord=1), (TALL,)),
        (lambda a: np.linalg.norm(a, ord=-np.inf), (TALL,)),
        (lambda a: np.linalg.norm(a, axis=0, ord=3), (TALL,)),
        (lambda a: np.linalg.norm(a, axis=1), (COMPLEX,)),
        (lambda a: np.linalg.norm(a, ord=-2, axis=0), (TALL,)),
        (np.linalg.cond, (SQUARE,)),
        (lambda a, b: np.linalg.lstsq(a, b)[0], (TALL, np.arange(4.0))),
        (lambda a, b: np.linalg.lstsq(a, b)[1], (TALL, np.arange(4.0))),
        (lambda a, b: np.linalg.lstsq(a, b)[0], (TALL.T, VECTOR)),
        (lambda a: np.linalg.matrix_power(a, -3), (SQUARE,)),
        (lambda a: np.linalg.multi_dot([a, a.T, a]), (TALL,)),
        (np.linalg.tensorsolve, (RNG.normal(size=(2, 3, 6)), RNG.normal(size=(2, 3)))),
        (np.linalg.tensorinv, (RNG.normal(size=(2, 3, 6)),)),
        (lambda a: np.linalg.eigvalsh(a, UPLO="U"), (SQUARE,)),
        (lambda a: np.linalg.eigvalsh(a, UPLO="L"), (COMPLEX,)),
    ],
)
def test_derivatives_of_composed_functions(function, args):
    check_derivatives(function, *args, order=2)


# --- norms at zero: R01 ---


@pytest.mark.parametrize("order", [None, 1, 2, 3, np.inf, -np.inf])
def test_gradient_of_a_norm_at_zero_is_zero(order):
    gradient = fg.grad(lambda x: np.linalg.norm(x, order))(np.zeros(3))
    np.testing.assert_array_equal(gradient, np.zeros(3))


@pytest.mark.parametrize("order", MATRIX_ORDERS)
def test_gradient_of_a_matrix_norm_at_zero_is_zero(order):
    gradient = fg.grad(lambda x: np.linalg.norm(x, order))(np.zeros((2, 3)))
    np.testing.assert_array_equal(gradient, np.zeros((2, 3)))


def test_norms_at_zero_inside_other_functions():
    np.testing.assert_array_equal(
        fg.grad(lambda x: np.linalg.norm(x) ** 2)(np.zeros(3)), np.zeros(3)
    )
    assert fg.grad(lambda a: np.linalg.norm(a * np.zeros(3)))(2.0) == 0
    rows = np.array([[0.0, 0.0], [3.0, 4.0]])
    gradient = fg.grad(lambda x: np.linalg.norm(x, axis=1).sum())(rows)
    np.testing.assert_allclose(gradient, [[0, 0], [0.6, 0.8]])
    assert np.isnan(fg.hessian(np.linalg.norm)(np.zeros(2))).all()


# --- repeated eigenvalues and singular values: R78 ---

ROTATION = np.linalg.qr(RNG.normal(size=(4, 4)))[0]
OTHER = np.linalg.qr(RNG.normal(size=(4, 4)))[0]
REPEATED = ROTATION @ np.diag([1.0, 1.0, 2.0, 3.0]) @ ROTATION.T
WEIGHTS = RNG.normal(size=(4, 4))
SYMMETRIC = WEIGHTS + WEIGHTS.T


def test_sums_of_repeated_eigenvalues():
    for function in (lambda a: np.linalg.eigh(a)[0].sum(), lambda a: np.linalg.eigvalsh(a).sum()):
        np.testing.assert_allclose(fg.grad(function)(np.eye(3)), np.eye(3))
        np.testing.assert_allclose(fg.jvp(function, (np.eye(2),), (np.ones((2, 2)),))[1], 2.0)
    cubes = fg.grad(lambda a: (np.linalg.eigvalsh(a) ** 3).sum())(REPEATED)
    np.testing.assert_allclose(cubes, 3 * REPEATED @ REPEATED, rtol=1e-12)


@pytest.mark.parametrize(
    "matrix", [np.diag([1.0, 1, 2, 3]), ROTATION @ np.diag([1.0, 1, 2, 3]) @ OTHER]
)
def test_norm_of_what_svd_puts_together_again(matrix):
    def norm(a):
        u, s, vh = np.linalg.svd(a)
        return np.linalg.norm((u * s) @ vh)

    expected = matrix / np.linalg.norm(matrix)
    np.testing.assert_allclose(fg.grad(norm)(matrix), expected, atol=1e-14)


def test_sum_of_repeated_singular_values():
    matrix = ROTATION @ OTHER
    gradient = fg.grad(lambda a: np.linalg.svd(a)[1].sum())(matrix)
    np.testing.assert_allclose(gradient, matrix, atol=1e-14)


def test_projector_on_the_space_of_a_repeated_eigenvalue():
    def overlap(a, eigh=np.linalg.eigh):
        vectors = eigh(a)[1][:, :2]
        return (vectors @ vectors.T * WEIGHTS).sum()

    step = 1e-5 * SYMMETRIC
    difference = (overlap(REPEATED + step) - overlap(REPEATED - step)) / 2e-5
    np.testing.assert_allclose(
        (fg.grad(overlap)(REPEATED) * SYMMETRIC).sum(), difference, rtol=1e-6
    )


def test_vector_beside_a_repeated_eigenvalue():
    largest = lambda a: (
        (np.linalg.eigh(a)[1][:, 3] ** 2 * VECTOR[0]).sum() + np.linalg.eigh(a)[1][0, 3]
    )
    step = 1e-5 * SYMMETRIC
    difference = (largest(REPEATED + step) - largest(REPEATED - step)) / 2e-5
    np.testing.assert_allclose(
        (fg.grad(largest)(REPEATED) * SYMMETRIC).sum(), difference, rtol=1e-5
    )
    tangent = fg.jvp(largest, (REPEATED,), (SYMMETRIC,))[1]
    np.testing.assert_allclose(tangent, difference, rtol=1e-5)


def test_undefined_derivatives_are_nan_not_wrong():
    single = lambda a: np.linalg.eigh(a)[1][0, 1] ** 2
    assert np.isnan(fg.jvp(single, (np.eye(2),), (np.ones((2, 2)),))[1])
    mixed = lambda a: np.linalg.eigh(a)[1] @ np.arange(2.0)
    assert np.isnan(fg.jacrev(mixed)(np.eye(2))).any()

    def rebuilt(a):
        w, v = np.linalg.eigh(a)
        return ((v * w) @ v.T).sum()

    assert np.isnan(fg.grad(rebuilt)(np.eye(2))).any()


# --- singular matrices: R79 ---


def test_gradient_of_a_singular_determinant_is_the_adjugate():
    singular = np.array([[1.0, 2.0], [2.0, 4.0]])
    gradient = fg.grad(np.linalg.det)(singular)
    np.testing.assert_allclose(gradient, [[4, -2], [-2, 1]], atol=1e-14)
    np.testing.assert_array_equal(fg.grad(np.linalg.det)(np.zeros((2, 2))), np.zeros((2, 2)))
    hessian = fg.hessian(np.linalg.det)(singular)
    expected = np.zeros((2, 2, 2, 2))
    expected[0, 0, 1, 1] = expected[1, 1, 0, 0] = 1
    expected[0, 1, 1, 0] = expected[1, 0, 0, 1] = -1
    np.testing.assert_allclose(hessian, expected, atol=1e-14)


def test_slogdet_of_zeros():
    sign, logarithm = fg.jit(np.linalg.slogdet)(np.zeros((2, 2)))
    assert sign == 0 and logarithm == -np.inf
    with pytest.raises(np.linalg.LinAlgError):
        fg.grad(lambda a: np.linalg.slogdet(a)[1])(np.zeros((2, 2)))


@pytest.mark.parametrize("function", [np.linalg.inv, lambda a: np.linalg.solve(a, np.ones(2))])
def test_singular_systems_raise(function):
    singular = np.array([[1.0, 2.0], [2.0, 4.0]])
    with pytest.raises(np.linalg.LinAlgError):
        fg.grad(lambda a: function(a).sum())(singular)
    with pytest.raises(np.linalg.LinAlgError):
        fg.jit(function)(singular)


def test_cholesky_of_an_indefinite_matrix():
    with pytest.raises(np.linalg.LinAlgError, match="not positive definite.*1e-6"):
        fg.grad(lambda a: np.linalg.cholesky(a).sum())(-np.eye(2))


# --- conventions ---


@pytest.mark.parametrize("upper", [False, True])
def test_gradient_of_a_symmetric_function_is_symmetric(upper):
    logdet = lambda a: 2 * np.log(np.diagonal(np.linalg.cholesky(a, upper=upper))).sum()
    np.testing.assert_allclose(fg.grad(logdet)(POSITIVE), np.linalg.inv(POSITIVE))


def test_a_named_triangle_is_all_that_is_read():
    for triangle, keep in (("L", np.tril), ("U", np.triu)):
        gradient = fg.grad(lambda a: (np.linalg.eigvalsh(a, UPLO=triangle) ** 2).sum())(SQUARE)
        whole = keep(SQUARE) + keep(SQUARE).T - np.diag(np.diag(SQUARE))
        np.testing.assert_allclose(gradient, keep(4 * whole) - np.diag(2 * np.diag(SQUARE)))


def test_integers_become_float64_and_half_precision_is_refused():
    assert fg.jit(np.linalg.inv)(np.diag([1, 2])).dtype == np.float64
    with pytest.raises(TypeError, match="float16 is unsupported.*astype"):
        fg.jit(np.linalg.inv)(np.eye(2, dtype=np.float16))


def test_eigenvalues_of_traced_matrices_are_complex():
    values = fg.jit(np.linalg.eigvals)(np.diag(np.float32([1, 2])))
    assert values.dtype == np.complex64
    np.testing.assert_array_equal(values, [1, 2])


def test_rank_deficient_least_squares():
    matrix = np.outer(np.arange(1.0, 5.0), np.ones(2))
    x, residuals, rank, _ = fg.value_and_grad(
        lambda a: (np.linalg.lstsq(a, np.ones(4))[0].sum(), np.linalg.lstsq(a, np.ones(4))),
        has_aux=True,
    )(matrix)[0][1]
    expected = np.linalg.lstsq(matrix, np.ones(4))
    np.testing.assert_allclose(x, expected[0])
    assert residuals.shape == (0,) and rank == 1


def test_vmap_of_a_solve_shares_the_matrix():
    right = RNG.normal(size=(5, 3))
    program = fg.make_jaxpr(fg.vmap(lambda b: np.linalg.solve(SQUARE, b)))(right)
    assert str(program).count("solve") == 1
    found = fg.vmap(lambda b: np.linalg.solve(SQUARE, b))(right)
    np.testing.assert_allclose(found, np.linalg.solve(SQUARE, right.T).T)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda a: np.linalg.inv(a[:2]), np.linalg.LinAlgError, r"\[inv\].*square.*pinv"),
        (lambda a: np.linalg.det(a[0]), np.linalg.LinAlgError, r"\[det\].*matrix.*\(3,\)"),
        (lambda a: np.linalg.solve(a, a[:2]), ValueError, r"\[solve\].*\(3, 3\).*\(2, 3\).*rows"),
        (lambda a: np.linalg.qr(a, "raw"), ValueError, r"\[qr\] mode='raw'.*'reduced'"),
        (lambda a: np.linalg.eigh(a, UPLO="X"), ValueError, r"\[eigh\] UPLO='X'.*'L'"),
        (lambda a: np.linalg.norm(a, "inf"), ValueError, r"\[norm\].*'inf'.*'fro'"),
        (lambda a: np.linalg.norm(a[0], "fro"), ValueError, r"\[norm\].*'fro'.*matrices"),
        (lambda a: np.linalg.norm(a[None], 2), ValueError, r"\[norm\] Improper.*vector_norm"),
        (lambda a: np.linalg.outer(a, a), ValueError, r"\[outer\].*vectors.*np.outer"),
        (lambda a: np.linalg.cross(a[:, :2], a), ValueError, r"\[cross\].*three"),
        (lambda a: np.linalg.multi_dot([a]), ValueError, r"\[multi_dot\].*two"),
        (lambda a: np.linalg.lstsq(a, a[:2]), np.linalg.LinAlgError, r"\[lstsq\].*\(m, n\)"),
    ],
)
def test_errors_name_the_function_the_shapes_and_the_cure(call, error, message):
    with pytest.raises(error, match=message):
        fg.jit(call)(SQUARE)


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16, np.float32])
@pytest.mark.parametrize("order", [2, 3.0])
def test_roots_of_norms_keep_the_dtype(dtype, order):
    x = np.array([0.0, 1.0, 2.5], dtype)
    for operation in (norms.NORM_ROOT, norms.NORM_ROOT_SLOPE):
        assert operation(x, order=order).dtype == dtype
        assert fg.jit(lambda x, run=operation: run(x, order=order))(x).dtype == dtype
