"""Linear algebra in native code: every size and layout, failures in NumPy's words, and factors that are shared."""

import threading

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.compiler.llvm.runtime import lapack
from funcgrad.compiler.lowering.graph import Step
from funcgrad.lax import scan
from funcgrad.ops.triangular import triangular_solve

pytest.importorskip("llvmlite")
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

RNG = np.random.default_rng(0)
DTYPES = ("float32", "float64", "complex64", "complex128")
# Around the sizes from which on LAPACK computes, in stacks and alone, with one right-hand side and several.
SIZES = [
    ((), 1, 1),
    ((), 2, 1),
    ((5,), 3, 2),
    ((2, 2), 8, 1),
    ((), 8, 17),
    ((2,), 9, 1),
    ((), 20, 3),
    ((), 65, 5),
]


def random(dtype, *shape):
    values = RNG.normal(size=shape)
    if np.dtype(dtype).kind == "c":
        values = values + 1j * RNG.normal(size=shape)
    return values.astype(dtype)


def matrices(dtype, lead, n):
    return random(dtype, *lead, n, n) + n * np.eye(n, dtype=dtype)


def turned(x):
    return np.swapaxes(x, -1, -2)


def assert_near(found, expected):
    assert found.dtype == expected.dtype and found.shape == expected.shape
    error = 1e3 * np.finfo(expected.dtype).eps
    np.testing.assert_allclose(found, expected, rtol=error, atol=error * abs(expected).max())


def steps(function, *args):
    """The kinds of steps that a function is compiled to."""
    return [
        node.how for node in fg.debug.inspect(function, *args).graph.nodes if isinstance(node, Step)
    ]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("lead", "n", "k"), SIZES)
def test_systems(dtype, lead, n, k):
    a, b = matrices(dtype, lead, n), random(dtype, *lead, n, k)
    assert_near(fg.jit(np.linalg.solve)(a, b), np.linalg.solve(a, b))
    assert_near(fg.jit(np.linalg.inv)(a), np.linalg.inv(a))
    assert_near(fg.jit(np.linalg.det)(a / n), np.linalg.det(a / n))
    for found, expected in zip(fg.jit(np.linalg.slogdet)(a), np.linalg.slogdet(a), strict=True):
        assert_near(found, expected)
    positive = a @ turned(a).conj()
    assert_near(fg.jit(np.linalg.cholesky)(positive), np.linalg.cholesky(positive))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("lead", "n", "k"), SIZES)
def test_decompositions(dtype, lead, n, k):
    a = matrices(dtype, lead, n) + np.diag(np.arange(n)).astype(dtype)
    hermitian = a + turned(a).conj()
    w, v = fg.jit(np.linalg.eigh)(hermitian)
    assert_near(w, np.linalg.eigvalsh(hermitian))
    assert_near(fg.jit(np.linalg.eigvalsh)(hermitian), w)
    assert_near((v * w[..., None, :]) @ turned(v).conj(), hermitian)
    tall = random(dtype, *lead, n + k, n)
    for x in (a, tall, turned(tall).copy()):
        s = fg.jit(np.linalg.svdvals)(x)
        assert_near(s, np.linalg.svd(x, compute_uv=False))
        for full in (False, True):
            for run in (lambda f, x: fg.jit(f)(x), lambda f, x: f(x)):
                u, s, vh = run(lambda x, full=full: np.linalg.svd(x, full_matrices=full), x)
                rank = s.shape[-1]
                assert_near((u[..., :rank] * s[..., None, :]) @ vh[..., :rank, :], x)
                assert_near(
                    turned(u).conj() @ u,
                    np.broadcast_to(np.eye(u.shape[-1], dtype=dtype), (*lead, *[u.shape[-1]] * 2)),
                )
        for mode in ("reduced", "complete", "r"):
            function = lambda x, mode=mode: (
                tuple(np.linalg.qr(x, mode)) if mode != "r" else (np.linalg.qr(x, mode),)
            )
            for found, expected in zip(fg.jit(function)(x), function(x), strict=True):
                assert_near(found, expected)


def test_only_what_is_read_is_computed():
    a = random("float64", 20, 5)
    values = lambda a: np.linalg.svd(a, full_matrices=False)[1]
    assert_near(fg.jit(values)(a), np.linalg.svd(a, compute_uv=False))
    left = lambda a: abs(np.linalg.svd(a, full_matrices=False)[0])
    assert_near(fg.jit(left)(a), left(a))
    vectors = lambda a: abs(np.linalg.eigh(a @ a.T)[1][:, -1])
    assert_near(fg.jit(vectors)(a), vectors(a))
    triangle = lambda a: np.linalg.qr(a)[1]
    assert_near(fg.jit(triangle)(a), triangle(a))


@pytest.mark.parametrize("dtype", ["float64", "complex64"])
@pytest.mark.parametrize(("lead", "n", "k"), SIZES)
def test_triangles(dtype, lead, n, k):
    a = matrices(dtype, lead, n) / n
    right = random(dtype, *lead, n, k)
    identity = np.eye(n, dtype=dtype)
    for case in np.ndindex(2, 2, 2, 2):
        left_side, lower, transpose_a, unit = map(bool, case)
        system = np.tril(a) if lower else np.triu(a)
        system = system * (1 - identity) + identity if unit else system
        system = turned(system) if transpose_a else system
        b = right if left_side else turned(right).copy()
        found = fg.jit(
            lambda a, b: triangular_solve(
                a, b, left_side=left_side, lower=lower, transpose_a=transpose_a, unit_diagonal=unit
            )
        )(a, b)
        if left_side:
            expected = np.linalg.solve(system, b)
        else:
            expected = turned(np.linalg.solve(turned(system), turned(b)))
        assert_near(found, expected)


@pytest.mark.parametrize("dtype", ["float64", "complex64"])
@pytest.mark.parametrize("n", [256, 300])
def test_large_matrices_have_the_same_bits_for_any_number_of_threads(dtype, n):
    a, b = matrices(dtype, (), n), random(dtype, n, 130)
    a = a[RNG.permutation(n)]
    functions = {
        np.linalg.solve: (a, b),
        np.linalg.cholesky: (a @ turned(a).conj() / n,),
        np.linalg.slogdet: (a,),
        (lambda a, b: np.linalg.solve(a.T, b)): (a, b),
    }
    for function, args in functions.items():
        compiled, expected = fg.jit(function), function(*args)
        found = []
        for threads in (1, 2, 3):
            with fg.threads(threads):
                found.append(compiled(*args))
        for x in found:
            np.testing.assert_array_equal(x, found[0])
        error = 1e4 * np.finfo(dtype).eps
        np.testing.assert_allclose(found[0], expected, rtol=error, atol=error)
    with pytest.raises(np.linalg.LinAlgError, match="not positive definite"):
        fg.jit(np.linalg.cholesky)(np.diag(np.arange(n, 0, -1.0) - 5))


def test_empty_matrices():
    assert fg.jit(np.linalg.solve)(np.ones((0, 0)), np.ones((0, 2))).shape == (0, 2)
    assert fg.jit(np.linalg.solve)(np.eye(3), np.ones((3, 0))).shape == (3, 0)
    assert fg.jit(np.linalg.det)(np.ones((0, 0))) == 1
    assert fg.jit(np.linalg.cholesky)(np.ones((2, 0, 0))).shape == (2, 0, 0)


@pytest.mark.parametrize("n", [3, 30])
def test_rows_change_places(n):
    a = np.eye(n)[::-1].copy()
    b = random("float64", n, 2)
    np.testing.assert_array_equal(fg.jit(np.linalg.solve)(a, b), b[::-1])
    assert fg.jit(np.linalg.det)(a) == np.linalg.det(a)


# --- failures and special values ---


@pytest.mark.parametrize("n", [2, 30])
@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda a: np.linalg.solve(a, np.ones(len(a))), "Singular matrix"),
        (np.linalg.inv, "Singular matrix"),
        (lambda a: np.linalg.cholesky(a - np.eye(len(a))), "Matrix is not positive definite"),
        (lambda a: np.linalg.svd(a * np.nan)[1], "SVD did not converge"),
        (lambda a: np.linalg.svdvals(a * np.nan), "SVD did not converge"),
    ],
)
def test_failures_are_those_of_numpy(n, function, message):
    singular = np.zeros((n, n))
    with pytest.raises(np.linalg.LinAlgError) as expected:
        function(singular)
    with pytest.raises(np.linalg.LinAlgError) as found:
        fg.jit(function)(singular)
    assert str(found.value) == str(expected.value) == message
    assert any("test_native_linalg.py" in note for note in found.value.__notes__)
    # One in a stack, and one iteration of a loop.
    stack = np.stack([np.eye(n) * 2, singular])
    with pytest.raises(np.linalg.LinAlgError, match=message):
        fg.jit(fg.vmap(function))(stack)
    with pytest.raises(np.linalg.LinAlgError, match=message):
        fg.jit(lambda xs: scan(lambda c, a: (c + function(a).sum(), None), 0.0, xs))(stack)


@pytest.mark.parametrize("n", [2, 30])
def test_what_is_not_finite(n):
    a, b = matrices("float64", (), n), np.ones(n)
    a[0, 1] = np.nan
    assert np.isnan(fg.jit(np.linalg.solve)(a, b)).any()
    with np.errstate(invalid="ignore"):
        assert np.isnan(fg.jit(np.linalg.det)(a))
        for found, expected in zip(fg.jit(np.linalg.slogdet)(a), np.linalg.slogdet(a), strict=True):
            np.testing.assert_array_equal(found, expected)
    last = np.eye(n)
    last[-1, -1] = np.nan
    for positive in (last, np.full((n, n), np.nan)):
        np.testing.assert_array_equal(
            fg.jit(np.linalg.cholesky)(positive), np.linalg.cholesky(positive)
        )
    zeros = np.zeros((n, n))
    assert fg.jit(np.linalg.det)(zeros) == 0
    assert tuple(fg.jit(np.linalg.slogdet)(zeros)) == (0, -np.inf)


@pytest.mark.parametrize("n", [2, 30])
@pytest.mark.parametrize("name", ["eigh", "eigvalsh", "qr"])
def test_decompositions_of_what_is_not_finite(name, n):
    def outcome(function):
        try:
            found = function(np.full((n, n), np.nan))
        except np.linalg.LinAlgError as error:
            return str(error)
        return [np.isnan(x).sum() for x in (found if isinstance(found, tuple) else (found,))]

    function = getattr(np.linalg, name)
    assert outcome(fg.jit(function)) == outcome(function)


def test_without_lapack(monkeypatch):
    monkeypatch.setattr(lapack, "is_known", lambda: False)
    a, b = matrices("float64", (), 3), np.ones((3, 2))
    function = lambda a, b: np.linalg.solve(a, b) + np.linalg.cholesky(a @ a.T)[:, :2]
    assert set(steps(function, a, b)) == {"library", "dot"}
    assert_near(fg.jit(function)(a, b), function(a, b))


# --- what is shared ---


def test_one_factorization_for_all_that_is_computed_from_a_matrix():
    a, b = matrices("float64", (), 4), np.ones(4)

    def several(a, b):
        return np.linalg.solve(a, b).sum() + np.linalg.slogdet(a)[1] + np.linalg.inv(a).sum()

    assert steps(several, a, b).count("lu_factor") == 1
    gradient = lambda a, b: fg.grad(several, (0, 1))(a, b)
    assert steps(gradient, a, b).count("lu_factor") == 1
    for found, expected in zip(fg.jit(gradient)(a, b), gradient(a, b), strict=True):
        assert_near(found, expected)


def test_a_system_with_a_cholesky_factor_is_triangular():
    a, b = matrices("complex128", (), 4), random("complex128", 4, 2)
    a = a @ turned(a).conj()

    def whitened(a, b):
        lower = np.linalg.cholesky(a)
        half = np.linalg.solve(lower, b)
        return np.linalg.solve(lower.conj().T, half) + np.linalg.solve(lower.T, b)

    assert steps(whitened, a, b) == ["cholesky", *["triangular_solve"] * 3]
    assert_near(fg.jit(whitened)(a, b), whitened(a, b))
    gradient = lambda a, b: fg.grad(lambda a, b: abs(whitened(a, b)).sum(), (0, 1))(a, b)
    assert not {"lu_factor", "lu_solve"} & {*steps(gradient, a, b)}
    for found, expected in zip(fg.jit(gradient)(a, b), gradient(a, b), strict=True):
        assert_near(found, expected)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_gradients_of_small_determinants_need_no_singular_values(n):
    gradient = fg.grad(np.linalg.det)
    stack = np.stack([matrices("float64", (), n), np.ones((n, n)), np.full((n, n), np.nan)])
    assert "library" not in steps(gradient, stack[0])
    with np.errstate(invalid="ignore"):
        for a in stack:
            np.testing.assert_allclose(fg.jit(gradient)(a), gradient(a), rtol=1e-12, atol=1e-12)


def test_the_factorization_of_a_fixed_matrix_leaves_the_loop():
    a, xs = matrices("float64", (), 4), random("float64", 6, 4)

    def march(a, xs):
        return scan(lambda x, step: (np.linalg.solve(a, x + step), x), np.zeros(4), xs)[0]

    assert steps(march, a, xs).count("lu_factor") == 1
    x = np.zeros(4)
    for step in xs:
        x = np.linalg.solve(a, x + step)
    assert_near(fg.jit(march)(a, xs), x)


def test_many_python_threads_at_once():
    a, b = matrices("float64", (), 260), random("float64", 260, 3)
    function, expected = fg.jit(np.linalg.solve), np.linalg.solve(a, b)
    found = []

    def work():
        found.extend(function(a, b) for _ in range(20))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 80
    for x in found:
        assert_near(x, expected)
