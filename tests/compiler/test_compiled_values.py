"""Elementwise machine code has NumPy's bits: specials, denormals, roundings one by one, wrapping, conversions."""

import operator

import ml_dtypes
import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax
from funcgrad.compiler.pipeline import simplified
from funcgrad.compiler.stages import fuse, lower
from tests.compiler.programs import bits, recorded

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*was compiled .* times"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]

FLOATS = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]
INTEGERS = [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64]


def specials(dtype):
    """Zeros, ones, infinities, NaN, denormals, extremes, and numbers in between; 37 of them."""
    limits = ml_dtypes.finfo(dtype)
    tiny, least = float(limits.tiny), float(limits.smallest_subnormal)
    edges = [
        0.0,
        1.0,
        np.inf,
        tiny,
        least,
        3 * least,
        tiny - least,
        float(limits.max),
        1.0 + float(limits.eps),
    ]
    usual = [0.1, 0.5, 1.5, 2.5, 3.7, 100.3, 12345.6, 1.7e-5, 7.0]
    positive = np.array(edges + usual)
    return np.concatenate([positive, -positive, [np.nan]]).astype(dtype)


def pairs(x):
    """All pairs of elements, as two arrays of odd length."""
    return np.repeat(x, len(x)), np.tile(x, len(x))


def extremes(dtype):
    limits = np.iinfo(dtype)
    near = [
        limits.min,
        limits.min + 1,
        limits.max,
        limits.max - 1,
        limits.max // 2,
        0,
        1,
        2,
        3,
        7,
        31,
        64,
        100,
    ]
    found = near + ([-1, -2, -5, -64] if limits.min < 0 else [])
    return np.array(found, dtype)


def assert_bits(functions, *args):
    """Compiled code and NumPy agree in every bit, for arrays and for single numbers.

    `functions` is one function, or a dict of functions to be compiled together.
    """
    named = functions if isinstance(functions, dict) else {"function": functions}
    jitted = fg.jit(lambda *args: tuple(f(*args) for f in named.values()))
    for name, f, found in zip(named, named.values(), jitted(*args), strict=True):
        expected = np.asarray(f(*args))
        assert found.dtype == expected.dtype, name
        wrong = [
            i
            for i, pair in enumerate(zip(found, expected, strict=True))
            if bits(pair[0]) != bits(pair[1])
        ]
        shown = [(*[x[i] for x in args], found[i], expected[i]) for i in wrong[:3]]
        assert not wrong, f"{name}: {shown} and {len(wrong)} in all"
    last = [x[-1] for x in args]
    for name, f, found in zip(named, named.values(), jitted(*last), strict=True):
        assert bits(found) == bits(f(*last)), name


UNARY = {
    "negative": np.negative, "abs": np.abs, "sqrt": np.sqrt, "square": np.square, "floor": np.floor, "ceil": np.ceil,
    "trunc": np.trunc, "rint": np.rint, "isnan": np.isnan, "isinf": np.isinf, "isfinite": np.isfinite,
    "signbit": np.signbit, "reciprocal": np.reciprocal, "not": np.logical_not, "double": lambda x: x + x,
    "minus zero": lambda x: x - 0.0, "plus zero": lambda x: x + 0.0, "times one": lambda x: x * 1.0,
    "times zero": lambda x: x * 0.0, "over three": lambda x: x / 3.0, "zero minus": lambda x: 0.0 - x,
    "half": lambda x: x * 0.5, "cancelled": lambda x: (x + 1.0) - 1.0, "same": lambda x: x == x,
    "chosen": lambda x: np.where(x < 0, -x, x * 2), "over itself": lambda x: x / x, "rounded": np.round,
}  # fmt: skip
BINARY = {
    "add": np.add, "subtract": np.subtract, "multiply": np.multiply, "divide": np.divide, "less": np.less,
    "less_equal": np.less_equal, "equal": np.equal, "not_equal": np.not_equal, "greater": np.greater,
    "copysign": np.copysign, "nextafter": np.nextafter, "fmod": np.fmod, "remainder": np.remainder,
    "floor_divide": np.floor_divide, "heaviside": np.heaviside,
}  # fmt: skip


@pytest.mark.parametrize("dtype", FLOATS)
def test_unary(dtype):
    assert_bits(UNARY, specials(dtype))


@pytest.mark.parametrize("dtype", FLOATS)
def test_binary(dtype):
    assert_bits(BINARY, *pairs(specials(dtype)))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("function", [np.maximum, np.minimum, np.fmax, np.fmin])
def test_extrema(function, dtype):
    """NumPy leaves open which zero is the larger one."""
    x, y = pairs(specials(dtype))
    found, expected = fg.jit(lambda x, y: function(x, y))(x, y), function(x, y)
    assert bits(found + found.dtype.type(0)) == bits(expected + expected.dtype.type(0))


@pytest.mark.parametrize("dtype", FLOATS)
def test_reductions_with_specials(dtype):
    x = specials(dtype).astype(np.float32 if dtype is ml_dtypes.bfloat16 else dtype)
    rows = np.stack([np.roll(x, i) for i in range(len(x))])[:, :17]
    functions = (np.max, np.min, np.argmax, np.argmin, np.any, np.all)
    for axis in (0, 1, None):
        for function in functions:
            assert_zero_free(lambda x: function(x, axis=axis), rows)
    for function in (np.argmax, np.argmin, np.max, np.min):
        for row in rows:
            assert_zero_free(function, row)


def assert_zero_free(f, x):
    """Equal but for the signs of zeros."""
    found, expected = np.asarray(fg.jit(lambda x: f(x))(x)), np.asarray(f(x))
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_denormals_are_kept(dtype):
    """In and out, in vectors and alone, in products with matrices and in sums."""
    least = np.finfo(dtype).smallest_subnormal
    tiny = np.finfo(dtype).tiny
    for n in (1, 3, 100):
        x = np.full(n, tiny, dtype)
        assert bits(fg.jit(lambda x: x * dtype(0.5))(x)) == bits(x * dtype(0.5))
        assert bits(fg.jit(lambda x: x / dtype(2) ** 20)(x)) == bits(x / dtype(2) ** 20)
        y = np.full(n, least, dtype)
        assert bits(fg.jit(lambda y: y * dtype(2))(y)) == bits(y * dtype(2))
        assert fg.jit(np.sum)(y) == n * float(least)
        assert fg.jit(np.max)(-y) == -least
        assert fg.jit(lambda x, y: x @ y)(np.ones((n, n), dtype), y)[0] == n * float(least)
    assert fg.jit(lambda c: lax.fori_loop(0, 10, lambda i, c: c / 2, c))(tiny) == tiny / 1024


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_and_sums_are_not_contracted(dtype):
    """`x * y + z` with one rounding would give the rounding error of the product."""
    eps = np.finfo(dtype).eps
    for n in (1, 5, 64):
        x = np.full(n, 1 + eps, dtype)
        for f in (
            lambda x, z: x * x + z,
            lambda x, z: z - x * x,
            lambda x, z: x * x - (-z),
            lambda x, z: np.stack([x, z])[0] * x + z,
            lambda x, z: lax.fori_loop(0, 1, lambda i, c: x * x + c, z),
        ):
            z = -(x * x)
            assert bits(fg.jit(lambda x, z: f(x, z))(x, z)) == bits(f(x, z))
            assert not np.any(np.abs(fg.jit(lambda x, z: f(x, z))(x, z)) == eps * eps)
    rng = np.random.default_rng(0)
    x, y, z = rng.standard_normal((3, 1001)).astype(dtype)
    assert_bits(lambda x, y, z: (x * y + z) * (y - x * z) + x / y, x, y, z)


def test_values_are_not_changed_by_algebra():
    assert fg.jit(lambda x: np.log(np.exp(x)))(1000.0) == np.inf
    assert fg.jit(lambda x: np.log(np.exp(x)))(np.full(33, 1000.0))[-1] == np.inf
    assert fg.jit(lambda x: (x + 1e16) - 1e16)(1.0) == 0.0
    assert fg.jit(lambda x: x * 0.0)(np.full(9, -np.inf)).tolist() != [0.0] * 9
    assert np.isnan(fg.jit(lambda x: x - x)(np.inf))
    assert np.signbit(fg.jit(lambda x: x + -0.0)(-0.0))
    assert not np.signbit(fg.jit(lambda x: x + 0.0)(-0.0))
    assert fg.jit(lambda x: np.sqrt(x * x))(1e-200) == 0.0


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_half_precision_is_rounded_after_each_operation(dtype):
    rng = np.random.default_rng(0)
    x, y, z = (rng.standard_normal((3, 1001)) * 3).astype(dtype)
    assert_bits(lambda x, y, z: ((x * y + z) * x - y / (z * z + dtype(1))) + x, x, y, z)
    assert_bits(lambda x: np.sqrt(np.abs(x)) * x - x * dtype(0.3), x)
    assert_bits(lambda x: (x + dtype(1000)) - dtype(1000), x)


# --- integers ---

INTEGER = {
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul, "and": operator.and_, "or": operator.or_,
    "xor": operator.xor, "left": np.left_shift, "right": np.right_shift, "floor_divide": np.floor_divide,
    "remainder": np.remainder, "fmod": np.fmod, "maximum": np.maximum, "minimum": np.minimum, "less": np.less,
    "equal": np.equal, "greater_equal": np.greater_equal, "gcd": np.gcd, "divide": np.divide,
}  # fmt: skip


UNARY_INTEGER = {
    "negative": np.negative, "abs": np.abs, "invert": np.invert, "square": np.square, "sign": np.sign,
    "bitwise_count": np.bitwise_count, "cube": lambda x: x**3,
}  # fmt: skip


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers(dtype):
    """Overflow wraps, division by zero gives zero, the least number over -1 itself, long shifts nothing."""
    x = extremes(dtype)
    assert_bits(INTEGER, *pairs(x))
    assert_bits(UNARY_INTEGER, x)
    numbers = [1, 2, 3, 7, 16, 127, *([-1, -3] if np.dtype(dtype).kind == "i" else [])]
    by_number = {}
    for n in numbers:
        by_number |= {
            f"// {n}": lambda x, n=n: x // n,
            f"% {n}": lambda x, n=n: x % n,
            f"* {n} - {n}": lambda x, n=n: x * n - n,
            f"/ {n}": lambda x, n=n: x / n,
        }
    assert_bits(by_number, x)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_sums_and_products_of_integers_wrap(dtype):
    x = np.tile(extremes(dtype), 7)
    for function in (np.sum, np.prod, np.cumsum, np.max, np.argmin):
        found, expected = fg.jit(lambda x: function(x))(x), function(x)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


# --- conversions ---

EVERY = [np.bool_, *INTEGERS, *FLOATS, np.complex64, np.complex128]


@pytest.mark.parametrize("source", EVERY)
def test_conversions(source):
    """Also out of range, but for uint32, where NumPy's own loops differ."""
    if np.dtype(source).kind in "iu":
        x = extremes(source)
    elif source is np.bool_:
        x = np.array([True, False, True])
    elif np.dtype(source).kind == "c":
        x = (specials(np.float32) + 1j).astype(source)
    else:
        x = specials(source)
    targets = EVERY
    if np.dtype(source).kind == "c":
        targets = [np.complex64, np.complex128]
    elif source in FLOATS:
        targets = [target for target in EVERY if target is not np.uint32]
        fits = x[(x > -1) & (x.astype(np.float64) < 2.0**32)]
        assert_bits(lambda x: x.astype(np.uint32), fits)
    assert_bits({np.dtype(t).name: lambda x, t=t: x.astype(t) for t in targets}, x)


def test_threefry_bits_are_the_same_inside_and_outside_of_kernels():
    key = fg.random.key(3)
    draw = lambda key: fg.random.bits(key, (1003,))
    np.testing.assert_array_equal(fg.jit(draw)(key), draw(key))
    inside = fg.jit(lambda key: fg.random.bits(key, (1003,)) ^ np.uint32(5))(key)
    np.testing.assert_array_equal(inside, draw(key) ^ np.uint32(5))


def test_fast_math_contracts_and_is_asked_for():
    x, y = np.float64(1 + 2.0**-30), np.ones(64) * (1 - 2.0**-30)
    exact, fast = fg.jit(lambda x, y: x * y - 1), fg.jit(lambda x, y: x * y - 1, fast_math=True)
    np.testing.assert_array_equal(exact(x, y), x * y - 1)
    assert np.isin(
        fast(x, y), [-(2.0**-60), 0.0]
    ).all()  # one rounding, or two without hardware for it
    assert "contract" in str(fg.debug.inspect(fast, x, y).llvm)
    assert "contract" not in str(fg.debug.inspect(exact, x, y).llvm)


def test_fast_math_keeps_infinities_and_nan():
    x = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 1e308, 5e-324])
    f = lambda x: (x * 2 + 1, x / 7, x - x, 1 / x)
    with np.errstate(all="ignore"):
        for got, want in zip(fg.jit(f, fast_math=True)(x), f(x), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-15, atol=1e-323)


@pytest.mark.parametrize(
    "f, count",
    [
        (lambda x: (x + 1, x * 2, np.tanh(x)), 1),
        (lambda x: (x.max(1), x.argmax(1), np.any(x > 0, 1), x.sum(1)), 1),
        (lambda x: (x.sum(0), x.sum(1)), 1),
        (lambda x: (x + 1, x.T * 2), 2),
        (lambda x: (x[1:] + 1, x[:-1] * 2), 2),
    ],
)
def test_a_large_input_is_read_once_where_all_take_it_in_order(f, count):
    x = np.random.default_rng(0).standard_normal((600, 700)).astype(np.float32)
    units = fuse(lower(simplified(recorded(f, x)))).units
    assert len(units) == count
    for found, expected in zip(fg.jit(f)(x), f(x), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-3)
    small = x[:20, :30].copy()
    assert len(fuse(lower(simplified(recorded(f, small)))).units) >= count


@pytest.mark.parametrize("dtype", [np.bool_, *INTEGERS, *FLOATS])
def test_spacing_is_that_of_numpy(dtype):
    kind = np.dtype(dtype).kind
    x = specials(dtype) if dtype in FLOATS else np.array([0, 1]).astype(dtype)
    x = extremes(dtype) if kind in "iu" else x
    for native in (True, False):
        with fg.config.override(native=native):
            found = fg.jit(np.spacing)(x)
        wanted = np.spacing(x)
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(bits(found), bits(wanted))
