"""Complex numbers as machine code: against NumPy, against a higher precision, and at the edges of the plane."""

import mpmath
import numpy as np
import pytest

import funcgrad as fg
from tests.compiler.native import check

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*was compiled .* times"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]

DTYPES = ("complex64", "complex128")
RTOL = {"complex64": 1e-5, "complex128": 1e-13}
SHAPES = [(), (1,), (3,), (7,), (17,), (1003,), (7, 5), (64, 33)]
FUNCTIONS = {
    name: getattr(np, name)
    for name in (
        *("exp", "exp2", "expm1", "log", "log1p", "log2", "log10", "sqrt"),
        *("sin", "cos", "tan", "sinh", "cosh", "tanh"),
    )
}


# Of the others NumPy has simple formulas, with NaN where Annex G has limits.
ANNEX_G = sorted({*FUNCTIONS} - {"exp2", "expm1", "log1p"})


def numbers(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
class TestEveryShape:
    def test_arithmetic(self, shape, dtype):
        x, y = numbers(shape, dtype), numbers(shape, dtype, 1)
        real = x.real + 1

        def exact(x, y, real):
            return [x + y, x - y, -x, np.conj(x), np.real(x), np.imag(x), x + real, x * 2, x * 2j]

        def rounded(x, y):
            return [x * y, x / y, 2 - 1 / x, np.square(x), np.reciprocal(x), np.abs(x), np.sign(x)]

        check(exact, x, y, real)
        check(rounded, x, y, rtol=RTOL[dtype])
        check(lambda x: [x**1, x**2, x**3, x**7], x, rtol=RTOL[dtype] * 10)

    def test_comparisons_and_choices(self, shape, dtype):
        x, y = numbers(shape, dtype).round(), numbers(shape, dtype, 1).round()

        def compared(x, y):
            return [
                *[x == y, x != y, np.less(x, y), np.less_equal(x, y), np.greater(x, y)],
                *[np.maximum(x, y), np.minimum(x, y), np.fmax(x, y), np.where(x.real > 0, x, y)],
                *[np.isnan(x), np.isinf(x), np.isfinite(x), np.logical_not(x)],
            ]

        check(compared, x, y)

    def test_changes_of_dtype(self, shape, dtype):
        x, real = numbers(shape, dtype), numbers(shape, dtype).real
        other = DTYPES[dtype == "complex64"]

        def converted(x, real):
            return [x.astype(other), real.astype(dtype), x.astype(bool), x.real.astype(np.int32)]

        check(converted, x, real)
        check(lambda real: [real * 1j, (real > 0).astype(dtype)], real)
        for narrow in ("float16", "int8"):
            check(lambda real: real.astype(dtype) + 1j, (real * 3).astype(narrow))

    def test_functions(self, shape, dtype):
        x = numbers(shape, dtype)
        check(lambda x: [f(x) for f in FUNCTIONS.values()], x, rtol=RTOL[dtype])

    def test_reductions_and_moves(self, shape, dtype):
        x = numbers(shape, dtype)
        check(lambda x: [x.sum(), x.mean()], x, rtol=RTOL[dtype] * 10)
        check(lambda x: [x.max(), x.min()], x)
        unit = np.exp(1j * x.real).astype(dtype)
        check(lambda x: x.prod(), unit, rtol=RTOL[dtype] * 100)
        check(lambda x: [x.T * 2, x.reshape(-1) * 1j, np.stack([x, x * 2])], x)
        if len(shape) == 2:
            check(lambda x: [x[::-1, ::2] + 1, np.concatenate([x, -x], 1), np.roll(x, 3)], x)
            check(lambda x: [x.sum(0), x.sum(1), (x * x).sum(1)], x, rtol=RTOL[dtype] * 10)


@pytest.mark.parametrize("dtype", DTYPES)
def test_products_of_matrices_join_what_surrounds_them(dtype):
    a, b = numbers((33, 20), dtype), numbers((20, 17), dtype, 1)
    check(lambda a, b: np.abs(a @ b) * 2, a, b, rtol=RTOL[dtype] * 10)


def test_products_are_rounded_as_in_numpy():
    for dtype in DTYPES:
        x, y = numbers(4001, dtype), numbers(4001, dtype, 1)
        np.testing.assert_array_equal(fg.jit(np.multiply)(x, y), x * y)


def test_gathers_and_loops():
    x = numbers((9, 5), "complex128")
    check(lambda x, i: x[i] * 2, x, np.array([3, -1, 0]))
    check(lambda x, i, j: x[i, j] + 1, x, np.arange(9) % 9, np.arange(9) % 5)
    step = lambda z, c: (z * z * 0.1 + c, z)  # noqa: E731
    check(lambda x: fg.lax.scan(step, x[0], x), x, rtol=1e-13)
    check(lambda x: fg.lax.scan(step, x[0, 0], x[:, 1]), x, rtol=1e-13)


def test_derivatives():
    x = numbers(17, "complex128")
    check(fg.grad(lambda x: (np.abs(np.sin(x) * x) ** 2).sum()), x, rtol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["exp", "log", "sqrt", "sin", "cos", "tan", "sinh", "tanh"])
def test_functions_are_accurate_in_each_part(name, dtype):
    """Within 4 units in the last place of the part, also where the logarithm is close to 0."""
    rng = np.random.default_rng(1)
    size = 100
    wide = 10.0 ** rng.uniform(-10, 10, (2, size)) * rng.choice([-1, 1], (2, size))
    circle = np.exp(1j * rng.uniform(-3, 3, size)) * (1 + 10.0 ** rng.uniform(-8, -1, size))
    z = np.concatenate([numbers(size, dtype), numbers(size, dtype) * 8, circle])
    if name in ("log", "sqrt", "tanh"):
        z = np.concatenate([z, wide[0] + 1j * wide[1]])
    z = z.astype(dtype)
    real = np.finfo(dtype)
    with mpmath.workprec(150):
        exact = [mpmath.mpc(getattr(mpmath, name)(mpmath.mpc(complex(v)))) for v in z]
        for found, wanted in zip(map(complex, fg.jit(FUNCTIONS[name])(z)), exact, strict=True):
            for part, right in ((found.real, wanted.real), (found.imag, wanted.imag)):
                assert abs(part - right) <= 4 * real.eps * abs(right) + real.tiny


def kinds(x):
    """Zero, finite, infinite with its sign, NaN."""
    return np.where(np.isnan(x), 9, np.where(np.isinf(x), 8 * np.sign(x), np.where(x == 0, 0, 5)))


def same_kinds(found, wanted):
    for part in (np.real, np.imag):
        a, b = part(found).astype(np.float64), part(wanted).astype(np.float64)
        np.testing.assert_array_equal(kinds(a), kinds(b))
        regular = kinds(a) == 5
        rtol = 1e-4 if np.asarray(found).itemsize < 16 else 1e-10
        np.testing.assert_allclose(a[regular], b[regular], rtol=rtol)


def edges(dtype):
    real = np.finfo(dtype)
    values = [
        0.0,
        -0.0,
        1,
        -1,
        np.inf,
        -np.inf,
        np.nan,
        0.5,
        -2.5,
        30,
        1e3,
        -1e3,
        real.tiny,
        real.max,
    ]
    a, b = np.meshgrid(values, values)
    z = np.empty(a.size, dtype)
    z.real, z.imag = a.ravel(), b.ravel()
    return z


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [*ANNEX_G, "absolute", "square", "reciprocal", "sign", "rint"])
def test_functions_at_the_edges(name, dtype):
    z, function = edges(dtype), getattr(np, name)
    same_kinds(fg.jit(function)(z), function(z))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["add", "multiply", "divide", "maximum", "fmin", "less"])
def test_pairs_at_the_edges(name, dtype):
    z, function = edges(dtype), getattr(np, name)
    compiled = fg.jit(function)
    for shift in range(0, z.size, 7):
        other = np.roll(z, shift)
        found, wanted = compiled(z, other), function(z, other)
        if name == "less":
            np.testing.assert_array_equal(found, wanted)
        else:
            same_kinds(found, wanted)
