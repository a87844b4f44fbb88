"""Inlined math functions: accuracy, special values, numbers of lanes, and CPUs with fewer instructions."""

import ctypes
import itertools
import platform
import sys

import mpmath as mp
import numpy as np
import pytest

pytest.importorskip("llvmlite")

import funcgrad as fg  # noqa: E402
from funcgrad.compiler.llvm.builder import Module  # noqa: E402
from funcgrad.compiler.llvm.mathlib import MATH, number  # noqa: E402
from funcgrad.compiler.llvm.types import constant  # noqa: E402
from tools.math_accuracy import BINARY, UNARY, float64_error, reference  # noqa: E402
from tools.math_kernels import compile_module, elementwise, float_errors  # noqa: E402

STRIDE = 16411
SPECIAL = [0.0, 1.0, 0.5, 2.0, 3.0, 1e-40, 1e-310, 5e-324, 1e30, 1e300, 88.0, 700.0, 1.5, 2.5]
SPECIAL = np.array([np.inf, np.nan, *SPECIAL, *[-x for x in SPECIAL], -np.inf])

# These give NumPy's result bit for bit.
EXACT_UNARY = [
    *["floor", "ceil", "trunc", "rint", "absolute", "sign", "square", "reciprocal", "sqrt"],
    *["deg2rad", "rad2deg", "isnan", "isinf", "isfinite", "signbit"],
]
EXACT_BINARY = [
    *["fmod", "remainder", "floor_divide", "copysign", "nextafter", "heaviside"],
    *["maximum", "minimum", "fmax", "fmin"],
]
INEXACT_BINARY = ["power", "arctan2", "hypot", "logaddexp", "logaddexp2"]

DTYPES = [np.float32, np.float64]


@pytest.fixture(autouse=True)
def quiet():
    """Floats beyond float32 become infinite."""
    with np.errstate(all="ignore"):
        yield


@pytest.fixture(params=["native", "no AVX-512", "no fused multiply-add"])
def cpu(request, monkeypatch):
    """Code for the CPU of this machine and for lesser ones."""
    if request.param != "native":
        has_fma = request.param == "no AVX-512" and number.has_fma()
        monkeypatch.setattr(number, "features", lambda: (has_fma, False))
    return request.param


def random_floats(dtype, count, seed=0):
    """Random bits, and numbers of moderate size."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 256, count * np.dtype(dtype).itemsize, dtype=np.uint8).view(dtype)
    moderate = (rng.standard_normal(count) * np.exp(3 * rng.standard_normal(count))).astype(dtype)
    return np.where(rng.random(count) < 0.5, bits, moderate)


def assert_identical(result, expected):
    np.testing.assert_array_equal(np.isnan(result), np.isnan(expected))
    valid = ~np.isnan(expected)
    np.testing.assert_array_equal(result[valid], expected[valid])
    np.testing.assert_array_equal(np.signbit(result[valid]), np.signbit(expected[valid]))


def assert_close(result, expected, ulps):
    """Within some units of the last place; NaN, infinities and zeros with their signs must agree."""
    is_finite = np.isfinite(expected) & (expected != 0)
    assert_identical(result[~is_finite], expected[~is_finite])
    got, wanted = result[is_finite], expected[is_finite]
    np.testing.assert_array_equal(np.signbit(got), np.signbit(wanted))
    assert np.max(np.abs(got - wanted) / np.spacing(np.abs(wanted)), initial=0) <= ulps


# --- accuracy ---


@pytest.mark.parametrize("name", UNARY)
def test_floats_are_within_two_ulps(name):
    errors = np.empty(2**32 // STRIDE // 64 * 64, np.float32)
    float_errors(name, STRIDE)(0, errors)
    assert errors.max() <= 2


@pytest.mark.parametrize("name", [*UNARY, *BINARY])
def test_doubles_are_within_two_ulps(name):
    error, place = float64_error(name, 20 if name == "erfinv" else 150)
    assert error <= 2, place


def test_compiled_sigmoid_is_within_two_ulps():
    x = np.linspace(-20, 20, 2_000_001, dtype=np.float32)
    exact = 1 / (1 + np.exp(-x.astype(np.float64)))
    unit = np.spacing(exact.astype(np.float32)).astype(np.float64)
    assert np.max(np.abs(fg.jit(fg.nn.sigmoid)(x) - exact) / unit) <= 2


@pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="the number of a flag"
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_vanishes_is_not_computed(dtype):
    """Masked scores: a result below all normal numbers, which the CPU notes, would take it a hundred cycles."""
    underflow, library = 16, ctypes.CDLL(None)
    compiled = fg.jit(lambda x: (np.exp(x), np.exp2(2 * x), fg.nn.sigmoid(x)))
    smallest = np.log(np.finfo(dtype).smallest_normal)
    for value, is_noted in [(-1e9, False), (-np.inf, False), (smallest - 3, True)]:
        x = np.full(64, value, dtype)
        compiled(x)
        library.feclearexcept(underflow)
        compiled(x)
        assert bool(library.fetestexcept(underflow)) == is_noted


@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_huge_angles(name, dtype):
    exponents = np.arange(10, 127 if dtype == np.float32 else 1023, 3)
    x = np.ldexp(dtype(1.2345679), exponents).astype(dtype)
    with mp.workdps(400):
        exact = [float(getattr(mp, name)(mp.mpf(float(value)))) for value in x]
    assert_close(elementwise(name, dtype)(x), np.array(exact, dtype), 2)


@pytest.mark.parametrize("name", ["power", "arctan2", "hypot"])
def test_float_functions_of_two_operands(name):
    x, y = random_floats(np.float32, 20000, 1), random_floats(np.float32, 20000, 2)
    exact = reference(name)(x.astype(np.float64), y.astype(np.float64)).astype(np.float32)
    assert_close(elementwise(name, np.float32, 2)(x, y), exact, 2)


# --- agreement with NumPy ---


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", UNARY)
def test_special_values(name, dtype, cpu):
    x = SPECIAL.astype(dtype)
    if name == "erfinv":
        x = x[x != 0]  # SciPy's loses the sign of zero
    expected = np.asarray(reference(name)(x.astype(np.float64)), dtype)
    assert_close(elementwise(name, dtype)(x), expected, 8 if "multiply" in cpu else 3)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", INEXACT_BINARY)
def test_special_values_of_two_operands(name, dtype, cpu):
    x, y = np.array(list(itertools.product(SPECIAL, SPECIAL)), dtype).T.copy()
    expected = reference(name)(x.astype(np.float64), y.astype(np.float64)).astype(dtype)
    # Sums of logarithms near 0 cancel: they are exact relative to their terms, as NumPy's.
    ulps = 16 if name.startswith("log") else 8 if "multiply" in cpu else 3
    assert_close(elementwise(name, dtype, 2)(x, y), expected, ulps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", EXACT_UNARY)
def test_exact_functions(name, dtype):
    x = np.concatenate([SPECIAL.astype(dtype), random_floats(dtype, 2000)])
    expected = reference(name)(x).astype(dtype)
    assert_identical(elementwise(name, dtype)(x), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", EXACT_BINARY)
def test_exact_functions_of_two_operands(name, dtype, cpu):
    x, y = np.array(list(itertools.product(SPECIAL, SPECIAL)), dtype).T
    if name in ("maximum", "minimum", "fmax", "fmin"):  # either zero may win
        x, y = x[(x != 0) | (y != 0)], y[(x != 0) | (y != 0)]
    x = np.concatenate([x, random_floats(dtype, 5000, 1)])
    y = np.concatenate([y, random_floats(dtype, 5000, 2)])
    expected = reference(name)(x, y)
    assert_identical(elementwise(name, dtype, 2)(x, y), expected)


@pytest.mark.parametrize("integer", ["i32", "i64"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_ldexp(dtype, integer):
    def formula(function, x, y):
        return MATH["ldexp"](
            function, x, function.cast("fptosi", y, f"<{x.type[1:].split()[0]} x {integer}>")
        )

    x = np.tile(random_floats(dtype, 400), 12)
    y = np.repeat([-5000, -1070, -160, -127, -110, -24, 0, 1, 90, 300, 1500, 9000], 400)
    expected = np.ldexp(x, y)
    assert_identical(elementwise(formula, dtype, 2)(x, y.astype(dtype)), expected)


# --- shapes of code ---


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "name", ["exp", "log1p", "tanh", "logistic", "sin", "tan", "power", "fmod"]
)
def test_every_number_of_lanes_gives_the_same_bits(name, dtype):
    arity = 1 if name in UNARY else 2
    xs = [
        np.concatenate([SPECIAL.astype(dtype), random_floats(dtype, 333, i)]) for i in range(arity)
    ]
    expected = elementwise(name, dtype, arity)(*xs)
    for lanes in (0, 2, 3, 4, 8, 16, 32):
        result = elementwise(name, dtype, arity, lanes)(*xs)
        assert_identical(result, expected)


def test_rare_branches_share_one_helper_and_a_loop_body():
    module = Module()
    function = module.function("k", "void", ["ptr", "ptr", "i64"])
    out, source, n = function.arguments
    with function.loop(constant("i64", 0), n, 4) as loop:
        x = function.load("<4 x double>", function.gep(source, loop.index, "double"))
        waves = [MATH[name](function, x) for name in ("sin", "cos", "sin")]
        with function.at(loop.preheader):
            scale = MATH["tan"](function, constant("<4 x double>", 1e300))
        total = function.op("fadd", function.op("fadd", *waves[:2]), waves[2])
        function.store(function.op("fmul", total, scale), function.gep(out, loop.index, "double"))
    function.ret()
    assert module.text().count("define internal void @fg_sin_huge_double") == 1
    compile_module(module.text())
