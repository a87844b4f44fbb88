"""Functions where their value is a number of few bits: compiled code gives that very number, in all floating dtypes."""

import functools
import math

import ml_dtypes
import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
import funcgrad.scipy.special as special
from funcgrad import nn

INF = np.inf
POWERS = [-14, -7, -3, -1, 0, 1, 2, 3, 5, 8, 11, 15]
HALVES = [-8, -2, -1, 0, 1, 3, 7]
CUBES = [-5, -3, -2, -1, 0, 1, 2, 3, 4, 5]
DTYPES = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]

# Arguments and values; all of them exist in bfloat16 unless the row is of wider numbers.
UNARY = {
    "exp": (fnp.exp, {0.0: 1, -INF: 0, INF: INF}),
    "exp2": (fnp.exp2, {n: 2.0**n for n in POWERS} | {-INF: 0}),
    "expm1": (fnp.expm1, {-INF: -1, INF: INF}),
    "log": (fnp.log, {1: 0, 0: -INF, INF: INF}),
    "log2": (fnp.log2, {2.0**n: n for n in POWERS}),
    "log10": (fnp.log10, {1: 0, 10: 1, 100: 2}),
    "log1p": (fnp.log1p, {-1: -INF, INF: INF}),
    "sqrt": (fnp.sqrt, {n * n: n for n in range(16)} | {4.0**n: 2.0**n for n in HALVES}),
    "rsqrt": (lambda x: 1 / fnp.sqrt(x), {4.0**n: 2.0**-n for n in HALVES} | {INF: 0}),
    "cbrt": (fnp.cbrt, {n**3: n for n in CUBES}),
    "square": (fnp.square, {n: n * n for n in range(16)}),
    "sin": (fnp.sin, {math.pi / 2: 1, -math.pi / 2: -1, 5 * math.pi / 2: 1}),
    "cos": (fnp.cos, {0.0: 1, 1e-9: 1, -1e-9: 1, math.pi: -1, 2 * math.pi: 1}),
    "sinc": (fnp.sinc, {0.0: 1}),
    "cosh": (fnp.cosh, {0.0: 1, 1e-9: 1, INF: INF, -INF: INF}),
    "tanh": (fnp.tanh, {INF: 1, -INF: -1, 40: 1, -40: -1}),
    "arccos": (fnp.arccos, {1: 0}),
    "arccosh": (fnp.arccosh, {1: 0, INF: INF}),
    "arctanh": (fnp.arctanh, {1: INF, -1: -INF}),
    "sigmoid": (nn.sigmoid, {0.0: 0.5, INF: 1, -INF: 0, 60: 1}),
    "softplus": (nn.softplus, {-INF: 0, INF: INF, 100: 100}),
    "silu": (nn.silu, {0.0: 0, 100: 100}),
    "gelu": (nn.gelu, {0.0: 0, 100: 100}),
    "erf": (special.erf, {INF: 1, -INF: -1, 10: 1, -10: -1}),
    "erfc": (special.erfc, {0.0: 1, INF: 0, -INF: 2, -10: 2}),
    "erfinv": (special.erfinv, {1: INF, -1: -INF}),
    "gammaln": (special.gammaln, {1: 0, 2: 0, INF: INF}),
    "entr": (special.entr, {0.0: 0}),
}
# They pass through zero, whose sign they keep.
ODD = {
    **{name: getattr(fnp, name) for name in ("sin", "tan", "sinh", "tanh", "expm1", "log1p")},
    **{name: getattr(fnp, name) for name in ("arcsin", "arctan", "arcsinh", "arctanh", "cbrt")},
    **{name: getattr(special, name) for name in ("erf", "erfinv")},
    "sqrt": fnp.sqrt,
}
BINARY = {
    "power": (
        fnp.power,
        [(2, n, 2.0**n) for n in POWERS]
        + [(n, 2, n * n) for n in (-15, -3, 0, 1, 7, 15)]
        + [(n, 3, n**3) for n in CUBES]
        + [(x, 0, 1) for x in (0, 1, -2, 0.3, INF, -INF, np.nan)]
        + [(x, 1, x) for x in (0, 1, -2, 0.375, INF, -INF)]
        + [(1, y, 1) for y in (0, -5, 0.3, INF, -INF, np.nan)]
        + [(x, 0.5, math.sqrt(x)) for x in (0, 1, 4, 9, 225)],
    ),
    "hypot": (fnp.hypot, [(3, 4, 5), (-5, 12, 13), (0, -7, 7), (8, 15, 17), (INF, np.nan, INF)]),
    "arctan2": (fnp.arctan2, [(0, 1, 0), (-0.0, 1, -0.0), (0, INF, 0), (3, INF, 0)]),
    "logaddexp": (fnp.logaddexp, [(0, -INF, 0), (-INF, 2, 2), (INF, 1, INF), (-INF, -INF, -INF)]),
    "xlogy": (special.xlogy, [(0, 0, 0), (0, 5, 0), (3, 1, 0), (2, INF, INF)]),
}
# Rounding must not carry values over these bounds.
BOUNDED = {
    "sin": (fnp.sin, -1, 1),
    "cos": (fnp.cos, -1, 1),
    "tanh": (fnp.tanh, -1, 1),
    "erf": (special.erf, -1, 1),
    "erfc": (special.erfc, 0, 2),
    "sigmoid": (nn.sigmoid, 0, 1),
    "expm1": (fnp.expm1, -1, INF),
    "cosh": (fnp.cosh, 1, INF),
    "exp": (fnp.exp, 0, INF),
    "softplus": (nn.softplus, 0, INF),
}


def as_arrays(numbers, dtype):
    """The numbers, once as they are and once so many of them that there are whole vectors and a rest."""
    numbers = np.array(numbers, dtype)
    return [numbers, np.resize(numbers, 3 * 64 + 5)]


def assert_identical(result, expected):
    result, expected = result.astype(np.float64), expected.astype(np.float64)
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(np.signbit(result), np.signbit(expected))


# One compiled function for all dtypes, as users have it.
jit = functools.cache(fg.jit)


@pytest.fixture(autouse=True)
def quiet():
    with np.errstate(all="ignore"):
        yield


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", UNARY)
def test_one_operand(name, dtype):
    function, table = UNARY[name]
    for x, value in zip(
        as_arrays(list(table), dtype), as_arrays(list(table.values()), dtype), strict=True
    ):
        assert_identical(jit(function)(x), value)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ODD)
def test_signs_of_zeros(name, dtype):
    for x in as_arrays([0.0, -0.0], dtype):
        assert_identical(jit(ODD[name])(x), x)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", BINARY)
def test_two_operands(name, dtype):
    function, rows = BINARY[name]
    columns = [as_arrays(list(column), dtype) for column in zip(*rows, strict=True)]
    for x, y, value in zip(*columns, strict=True):
        assert_identical(jit(function)(x, y), value)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", BOUNDED)
def test_bounds(name, dtype):
    function, low, high = BOUNDED[name]
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.standard_normal(4000) * s for s in (1e-4, 1e-2, 1, 3, 30)])
    result = jit(function)(np.concatenate([x, np.arange(-500, 500) * math.pi / 2]).astype(dtype))
    assert result.min() >= low and result.max() <= high


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_of_one_element(dtype):
    x = np.array([[-3.5], [0.0], [100.0], [0.375]], dtype)
    assert_identical(jit(nn.softmax)(x), np.ones_like(x))
    assert_identical(jit(nn.log_softmax)(x), np.zeros_like(x))
    assert_identical(fg.jit(lambda x: special.logsumexp(x, axis=1))(x), x[:, 0])
