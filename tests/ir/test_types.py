"""Array types, and promotion by NumPy 2's rules for every pair of dtypes, traced and not."""

import itertools
import operator

import ml_dtypes
import numpy as np
import pytest

import funcgrad as fg
from funcgrad.ir.tracer import type_of
from funcgrad.ir.types import ArrayType, is_complex, is_inexact, kind, real_dtype, scalar_type

# Rows of a table compile the same lambda of this file again.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

DTYPES = [
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64", "complex64", "complex128",
]  # fmt: skip
SCALARS = [True, 2, 2.5, 1 + 2j]


class TestArrayType:
    def test_text(self):
        assert str(ArrayType((3, 4), np.float32)) == "float32[3,4]"
        assert str(ArrayType((), np.bool_)) == "bool[]"
        assert str(ArrayType((), np.float64, weak=True)) == "weak float64[]"
        assert str(ArrayType((None, 2), ml_dtypes.bfloat16)) == "bfloat16[?,2]"

    def test_equality_and_hash(self):
        a, b = ArrayType((2,), "f4"), ArrayType([2], np.float32)
        assert a == b and hash(a) == hash(b)
        assert a != ArrayType((2,), "f8") and a != ArrayType((3,), "f4") and a != "float32[2]"
        assert ArrayType((), "f8") != ArrayType((), "f8", weak=True)

    def test_parts(self):
        t = ArrayType((2, 0, 3), "c16")
        assert (t.ndim, t.size) == (3, 0)
        assert t.update(dtype="f4") == ArrayType((2, 0, 3), "f4")
        assert t.update(shape=(1,)) == ArrayType((1,), "c16")
        weak = ArrayType((), "i8", weak=True)
        assert weak.strong() == ArrayType((), "i8") and not weak.update().weak

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (True, "bool[]"),
            (2, "weak int64[]"),
            (2.0, "weak float64[]"),
            (2j, "weak complex128[]"),
            (np.float32(1), "float32[]"),
            (np.ones((2, 3), ">f4"), "float32[2,3]"),
        ],
    )
    def test_type_of(self, value, text):
        assert str(type_of(value)) == text
        if type(value) in (bool, int, float, complex):
            assert scalar_type(value) == type_of(value)

    def test_kinds(self):
        expected = dict(zip(DTYPES, "b" + "i" * 4 + "u" * 4 + "f" * 3 + "c" * 2, strict=True))
        assert {name: kind(np.dtype(name)) for name in DTYPES} == expected
        for name in ("bfloat16", "float8_e4m3fn"):
            assert kind(np.dtype(getattr(ml_dtypes, name))) == "f"
        assert is_inexact(np.dtype("f2")) and not is_inexact(np.dtype("i8"))
        assert is_complex(np.dtype("c8")) and real_dtype(np.dtype("c8")) == np.float32

    @pytest.mark.parametrize("dtype", ["U3", "O", "M8[s]", "V4"])
    def test_dtypes_that_cannot_be_computed_with(self, dtype):
        with pytest.raises(TypeError, match="numeric and bool arrays, but got dtype"):
            kind(np.dtype(dtype))


def outcome(f, *args):
    """The dtype of the result, or the class of the error."""
    try:
        with np.errstate(all="ignore"):
            out = f(*args)
    except (TypeError, ValueError, OverflowError) as error:
        return type(error)
    return np.asarray(out).dtype


OPERATIONS = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "floor_divide": operator.floordiv,
    "less": operator.lt,
    "equal": operator.eq,
    "power": np.power,
    "bitwise_and": operator.and_,
    "left_shift": operator.lshift,
    "maximum": np.maximum,
    "arctan2": np.arctan2,
    "where": lambda x, y: np.where(True, x, y),
    "concatenate": lambda x, y: np.concatenate([np.atleast_1d(x), np.atleast_1d(y)]),
    "matmul": lambda x, y: np.atleast_1d(x) @ np.atleast_1d(y),
}


@pytest.mark.parametrize("name", OPERATIONS)
class TestPromotion:
    def test_every_pair_of_dtypes(self, name):
        f = OPERATIONS[name]
        for first, second in itertools.product(DTYPES, repeat=2):
            x, y = np.ones(2, first), np.ones(2, second)
            expected = outcome(f, x, y)
            assert outcome(fg.jit(f), x, y) == expected, (first, second)
            batched = outcome(fg.vmap(f), np.ones((3, 2), first), np.ones((3, 2), second))
            assert batched == expected, (first, second)

    def test_zero_dimensional_arrays_are_as_strong_as_others(self, name):
        f = OPERATIONS[name]
        for first, second in itertools.product(DTYPES[::3], DTYPES[1::3]):
            x, y = np.ones(2, first), np.ones((), second)
            assert outcome(fg.jit(f), x, y) == outcome(f, x, y), (first, second)
            assert outcome(fg.jit(f), x, y[()]) == outcome(f, x, y[()]), (first, second)

    def test_python_scalars_are_weak(self, name):
        f = OPERATIONS[name]
        for first, scalar in itertools.product(DTYPES, SCALARS):
            x = np.ones(2, first)
            for function, args in ((f, (x, scalar)), (lambda s, x: f(s, x), (scalar, x))):
                expected = outcome(function, *args)
                assert outcome(fg.jit(function), *args) == expected, (first, scalar)
                constant = outcome(fg.jit(lambda x: f(x, scalar)), x)
                assert constant == outcome(f, x, scalar), (first, scalar)


@pytest.mark.parametrize("scalar", SCALARS + [-1, 0.0, 300, 1e300])
def test_two_python_scalars(scalar):
    """Arithmetic of numbers alone is that of Python, in NumPy's dtypes."""
    for other in SCALARS[1:]:
        for f in (operator.add, operator.mul, operator.truediv):
            expected = np.asarray(f(scalar, other))
            found = fg.jit(f)(scalar, other)
            assert found.dtype == expected.dtype
            np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize(("scalar", "dtype"), [(300, "uint8"), (-1, "uint16"), (2**40, "int32")])
def test_integer_that_does_not_fit(scalar, dtype):
    x = np.ones(2, dtype)
    for f in (lambda x: x + scalar, fg.jit(lambda x: x + scalar), fg.vmap(lambda x: x + scalar)):
        with pytest.raises(OverflowError):
            f(x)


def test_bfloat16():
    x = np.ones(3, ml_dtypes.bfloat16)
    for f in (lambda x: x + x, lambda x: x * 2.0, lambda x: np.sin(x), lambda x: np.sum(x)):
        assert fg.jit(f)(x).dtype == np.asarray(f(x)).dtype
    assert fg.grad(lambda x: np.sum(x * x))(x).dtype == ml_dtypes.bfloat16
