"""Dtypes of all pairs of operands are NumPy's, eager and traced (R36, R38, R21, R20)."""

import ml_dtypes
import numpy as np
import pytest

import funcgrad.numpy as fnp
from funcgrad.transforms.jit import jit
from funcgrad.transforms.staging import eval_shape

DTYPES = (
    "bool int8 int16 int32 int64 uint8 uint32 uint64 float16 float32 float64 complex64 complex128"
)
NUMBERS = [True, 3, 2.5, 1j]
BINARY = "add subtract multiply divide power maximum floor_divide remainder arctan2 bitwise_and less equal"
UNARY = "negative absolute exp sqrt square sign floor rint conjugate invert logical_not isnan real"
REDUCTIONS = "sum prod mean max any cumsum var median argmax ptp"

pytestmark = [
    pytest.mark.filterwarnings("ignore::funcgrad.transforms.recompile.RecompilationWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]


def sample(dtype):
    return np.array([1, 1], dtype)


def outcome(function, *args):
    """The dtype of a result, or TypeError."""
    try:
        return np.dtype(function(*args).dtype)
    except TypeError:
        return TypeError


@pytest.mark.parametrize("name", BINARY.split())
def test_pairs_of_arrays(name):
    ufunc = getattr(np, name)
    for first in DTYPES.split():
        for second in DTYPES.split():
            args = sample(first), sample(second)
            wanted = outcome(ufunc, *args)
            assert outcome(eval_shape, ufunc, *args) == wanted, (first, second)
            mixed = outcome(eval_shape, lambda x, y=args[1]: ufunc(x, y), args[0])
            assert mixed == wanted, (first, second)


@pytest.mark.parametrize("name", BINARY.split())
def test_arrays_and_python_numbers(name):
    ufunc = getattr(np, name)
    for dtype in DTYPES.split():
        for number in NUMBERS:
            x = sample(dtype)
            assert outcome(eval_shape, lambda x, n=number: ufunc(x, n), x) == outcome(
                ufunc, x, number
            )
            assert outcome(eval_shape, lambda x, n=number: ufunc(n, x), x) == outcome(
                ufunc, number, x
            )


@pytest.mark.parametrize("name", UNARY.split() + REDUCTIONS.split())
def test_one_array(name):
    function = getattr(np, name)
    for dtype in DTYPES.split():
        x = sample(dtype)
        assert outcome(eval_shape, function, x) == outcome(function, x), dtype


def run(function, *args):
    return [function(*args), jit(function)(*args), jit(lambda: function(*args))()]


def test_overflow_and_division():
    for found in run(lambda x: x * np.int8(2), np.array([100], np.int8)):
        assert found.dtype == np.int8 and found[0] == -56
    for found in run(lambda x: np.sum(x), np.array([100, 100], np.int8)):
        assert found == 200
    for found in run(lambda x: np.cumsum(x), np.array([100, 100], np.int8)):
        np.testing.assert_array_equal(found, [100, 200])
    for function in (np.floor_divide, np.remainder):
        for found in run(lambda x, f=function: f(x, 0), np.array([1, -3])):
            np.testing.assert_array_equal(found, [0, 0])
    for found in run(lambda x: np.round(x), np.array([0.5, 1.5, 2.5])):
        np.testing.assert_array_equal(found, [0.0, 2.0, 2.0])
    for found in run(lambda x: x + x, np.array([True, False])):
        assert found.dtype == bool
    for attempt in (lambda x: x - x, lambda x: -x):
        with pytest.raises(TypeError):
            jit(attempt)(np.array([True, False]))


def test_python_integers_out_of_range():
    for call in (lambda x: x + 300, lambda x: np.add(x, -1), lambda x: fnp.maximum(x, 1000)):
        with pytest.raises(OverflowError):
            call(np.array([1], np.uint8))
        with pytest.raises(OverflowError):
            jit(call)(np.array([1], np.uint8))


def test_half_precision_accumulates_in_single():
    for found in run(lambda x: np.mean(x), np.full(10000, 60000, np.float16)):
        assert found.dtype == np.float16 and found == 60000
    for found in run(lambda x: np.sum(x), np.ones(10000, np.float16)):
        assert found == 10000
    assert np.isfinite(jit(np.var)(np.linspace(0, 300, 1000).astype(np.float16)))


def test_bfloat16():
    x = np.array([1.0, 2.5, 3.0], ml_dtypes.bfloat16)
    calls = [lambda x: np.add(x, x), lambda x: x * 2, np.exp, np.sum, np.mean, np.max, fnp.sort]
    for call in calls:
        for found in run(call, x):
            assert found.dtype == ml_dtypes.bfloat16
    assert jit(np.sum)(np.ones(1000, ml_dtypes.bfloat16)) == 1000
    assert fnp.finfo(fnp.bfloat16).bits == 16
    assert fnp.issubdtype(fnp.bfloat16, np.floating)
    assert fnp.isdtype(fnp.bfloat16, "real floating") and not fnp.isdtype(fnp.bfloat16, "integral")


def test_questions_about_dtypes():
    found = []

    def program(x, weak):
        found.extend([
            np.result_type(x, 1.0), np.result_type(x, np.float64), fnp.result_type(weak, x),
            np.can_cast(x, np.float64), np.iscomplexobj(x), np.isrealobj(x), np.common_type(x),
            fnp.finfo(x).dtype, fnp.promote_types(np.int8, np.uint8),
        ])  # fmt: skip
        return x

    jit(program)(np.ones(2, np.float32), 2.0)
    assert found == [
        np.float32, np.float64, np.float32, True, False, True, np.float32, np.float32, np.int16,
    ]  # fmt: skip
