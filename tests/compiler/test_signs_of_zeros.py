"""Which of 0 and -0 compiled extremes and clips take, where NumPy's answer is the same for every length.

NumPy's loops of float16 take the first of two equal elements, those of float32 and bfloat16 the second; the one of
float64 takes the first or the second as it gets along with vectors. A reduction of a row takes one that depends
on its length.
"""

import ml_dtypes
import numpy as np
import pytest

import funcgrad as fg
from funcgrad.ops.extrema import relu
from tests.compiler.programs import bits

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*was compiled .* times"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]

ZEROS = np.array([0.0, -0.0, 0.0, -0.0] * 10)
OTHERS = np.array([0.0, 0.0, -0.0, -0.0] * 10)


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32])
@pytest.mark.parametrize("function", [np.maximum, np.minimum, np.fmax, np.fmin])
def test_extremes(function, dtype, native):
    for count in (1, 3, 16, 17, 40):
        x, y = (values[:count].astype(dtype) for values in (ZEROS, OTHERS))
        with fg.config.override(native=native):
            found = fg.jit(lambda x, y: function(x, y))(x, y)
            outer = fg.jit(lambda x, y: function.outer(x, y))(x, y)
        assert bits(found) == bits(function(x, y))
        assert bits(outer) == bits(function.outer(x, y))


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
@pytest.mark.parametrize("bounds", [(0, 1), (-0.0, 1.5), (-1, 0), (-2.0, -0.0)])
def test_clip_between_numbers_keeps_zeros(bounds, dtype, native):
    """NumPy's float16 does so between arrays too, other floats take the bound."""
    x = ZEROS.astype(dtype)
    with fg.config.override(native=native):
        found = fg.jit(lambda x: np.clip(x, *bounds))(x)
    np.testing.assert_array_equal(np.signbit(found), np.signbit(np.clip(x, *bounds)))
    np.testing.assert_array_equal(np.signbit(found), np.signbit(x))


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_clip_between_arrays(dtype):
    x, low = ZEROS.astype(dtype), OTHERS.astype(dtype)
    for high in (low, np.ones_like(low)):
        found = fg.jit(lambda x, low, high: np.clip(x, low, high))(x, low, high)
        assert bits(found) == bits(np.clip(x, low, high))


def test_relu_is_the_larger_of_an_element_and_zero():
    for dtype in (np.float16, np.float32):
        x = ZEROS.astype(dtype)
        assert bits(fg.jit(relu)(x)) == bits(np.maximum(x, 0))


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (1j, 2 + 1j), (-np.inf, 0.5), (np.nan, 1.0)])
def test_clip_of_complex_numbers_and_without_bounds(bounds):
    x = np.array([-1.0, -0.5, 0.25, 0.75, 2.0, np.nan])
    x = x + 1j if any(isinstance(bound, complex) for bound in bounds) else x
    np.testing.assert_array_equal(fg.jit(lambda x: np.clip(x, *bounds))(x), np.clip(x, *bounds))
