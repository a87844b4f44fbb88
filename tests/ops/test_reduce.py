"""Reductions: values, empty axes, ties, zeros, half precision, infinities."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from funcgrad.ops.extremal_reduce import argmax, argmin, reduce_max, reduce_min
from funcgrad.ops.index import getitem
from funcgrad.ops.logsumexp import logsumexp
from funcgrad.ops.product import reduce_prod
from funcgrad.ops.reduce import reduce_and, reduce_or, reduce_sum
from funcgrad.transforms.grad import grad, vjp
from funcgrad.transforms.jit import jit
from funcgrad.transforms.vmap import vmap
from tests.ops.derivatives import check_derivatives

pytestmark = pytest.mark.filterwarnings(
    "ignore::funcgrad.transforms.recompile.RecompilationWarning"
)

assert_same = np.testing.assert_array_equal
PAIRS = {
    reduce_sum: np.sum,
    reduce_prod: np.prod,
    reduce_max: np.max,
    reduce_min: np.min,
    reduce_and: np.all,
    reduce_or: np.any,
}


@st.composite
def arrays_and_axes(draw):
    shape = draw(st.lists(st.integers(0, 4), max_size=4).map(tuple))
    values = st.integers(-3, 3).map(float)
    x = draw(hnp.arrays(np.float64, shape, elements=values))
    axes = draw(st.none() | st.sets(st.integers(0, max(len(shape) - 1, 0)), max_size=len(shape)))
    if axes is None or not shape:
        return x, None
    return x, tuple(axis - len(shape) * draw(st.booleans()) for axis in axes)


@given(arrays_and_axes())
def test_reductions_are_numpys(drawn):
    x, axes = drawn
    for function, reference in PAIRS.items():
        run = lambda x: function(x, axes)
        try:
            expected = reference(x, axis=axes)
        except ValueError:
            with pytest.raises(ValueError, match="zero-size array"):
                run(x)
            continue
        for found in (run(x), jit(run)(x), vmap(run)(x[None])[0]):
            assert np.shape(found) == np.shape(expected)
            assert found.dtype == expected.dtype
            np.testing.assert_allclose(found, expected)


@given(arrays_and_axes())
def test_derivatives_of_products_and_extrema(drawn):
    x, axes = drawn
    small = np.clip(x, -1, 1)
    check_derivatives(lambda x: reduce_prod(x, axes), small, order=1, step=1e-4, tolerance=1e-3)
    if x.size:
        for function in (reduce_max, reduce_min):
            spread = x + 0.01 * np.random.default_rng(0).permutation(x.size).reshape(x.shape)
            check_derivatives(lambda x: function(x, axes), spread, order=1)


@given(
    hnp.arrays(np.float64, (2, 3), elements=st.sampled_from([1.0, 2.0, np.nan, np.inf, -np.inf]))
)
def test_positions_are_numpys(x):
    for function, reference in ((argmax, np.argmax), (argmin, np.argmin)):
        for axis in (None, 0, 1, -1):
            expected = reference(x, axis=axis)
            run = lambda x: function(x, axis)
            for found in (run(x), jit(run)(x), vmap(run)(x[None])[0]):
                assert_same(found, expected)
                assert found.dtype == np.int64


def test_ties_share_evenly():  # R05
    assert_same(grad(reduce_max)(np.array([1.0, 3, 3, 2])), [0, 0.5, 0.5, 0])
    assert_same(grad(reduce_min)(np.array([[1.0, 1], [1, 2]])), [[1 / 3, 1 / 3], [1 / 3, 0]])
    assert_same(jit(grad(reduce_max))(np.array([1.0, 3, 3, 2])), [0, 0.5, 0.5, 0])


@pytest.mark.parametrize(
    ("x", "expected"),
    [([2.0, 0, 3], [0, 6, 0]), ([2.0, 0, 0, 3], [0, 0, 0, 0]), ([0.0], [1]), ([], [])],
)
def test_product_with_zeros(x, expected):  # R13
    assert_same(grad(reduce_prod)(np.array(x)), expected)
    assert_same(jit(grad(reduce_prod))(np.array(x)), expected)


def test_third_derivative_of_a_product_at_zero():
    third = grad(lambda x: getitem(grad(lambda x: getitem(grad(reduce_prod)(x), 0))(x), 1))
    assert_same(third(np.array([0.0, 0.0, 0.0, 7.0])), [0, 0, 7, 0])


def test_position_of_the_maximum_selects_its_derivative():  # R19
    assert_same(argmax([1.0, np.nan, 3.0]), 1)
    assert_same(argmax([1.0, 3.0, 3.0]), 1)
    assert_same(grad(lambda x: getitem(x, argmax(x)))(np.array([1.0, 3.0, 3.0])), [0, 1, 0])


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_half_precision_sums_in_float32(dtype):  # R20
    x = np.ones((10000, 3), dtype)
    exact = np.asarray(10000, dtype)
    assert_same(reduce_sum(x, 0), np.full(3, exact))
    assert_same(reduce_sum(x[:, 0]), exact)
    assert reduce_sum(x, 0).dtype == dtype
    assert_same(jit(lambda x: reduce_sum(x, 0))(x), np.full(3, exact))


def test_extrema_of_small_floats_with_nan():
    x = np.array([1, np.nan, 3], ml_dtypes.bfloat16)
    assert np.isnan(reduce_max(x)) and np.isnan(reduce_min(x))
    assert argmax(x) == argmin(x) == 1


def test_empty_extremum_names_the_axis():  # R22
    with pytest.raises(ValueError, match=r"reduce_max\] zero-size .* axis 1 of shape \(2, 0\)"):
        reduce_max(np.zeros((2, 0)), 1)
    with pytest.raises(ValueError, match="arg_max"):
        argmax(np.zeros((2, 0)), 1)
    assert_same(reduce_max(np.zeros((2, 0)), 0), np.zeros(0))
    assert_same(grad(lambda x: reduce_sum(reduce_prod(x, 1)))(np.zeros((2, 0))), np.zeros((2, 0)))


@pytest.mark.parametrize(
    ("function", "axis"), [(reduce_sum, 2), (reduce_prod, (0, 3)), (argmax, -3), (logsumexp, 5)]
)
def test_axis_out_of_bounds(function, axis):
    with pytest.raises(np.exceptions.AxisError, match="out of bounds for an array with 2 axes"):
        function(np.ones((2, 2)), axis)


def test_the_same_axis_twice():
    with pytest.raises(ValueError, match="same axis twice"):
        reduce_sum(np.ones((2, 2)), (1, -1))


# --- logsumexp ---


@pytest.mark.parametrize(
    ("x", "value", "gradient"),
    [
        ([-np.inf, -np.inf], -np.inf, [0, 0]),
        ([np.inf, 1.0], np.inf, [1, 0]),
        ([-np.inf, 1.0], 1.0, [0, 1]),
        ([np.inf, np.inf], np.inf, [0.5, 0.5]),
        ([np.inf, -np.inf], np.inf, [1, 0]),
        ([1e4, 0.0], 1e4, [1, 0]),
        ([-1e4, -1e4], -1e4 + np.log(2), [0.5, 0.5]),
        ([], -np.inf, []),
    ],
)
def test_logsumexp_of_infinities(x, value, gradient):  # R15
    x = np.array(x)
    for run in (logsumexp, jit(logsumexp)):
        np.testing.assert_allclose(run(x), value)
    for run in (grad(logsumexp), jit(grad(logsumexp))):
        np.testing.assert_allclose(run(x), gradient)
    assert (
        np.all(np.isfinite(grad(lambda x: reduce_max(grad(logsumexp)(x)))(x))) if x.size else True
    )


def test_logsumexp_of_rows():
    x = np.array([[-np.inf, -np.inf], [0.0, 0.0], [np.inf, 3.0]])
    np.testing.assert_allclose(logsumexp(x, 1), [-np.inf, np.log(2), np.inf])
    (weights,) = vjp(lambda x: logsumexp(x, 1), x)[1](np.ones(3))
    np.testing.assert_allclose(weights, [[0, 0], [0.5, 0.5], [1, 0]])
    assert logsumexp(np.array([1, 2])).dtype == np.float64
    assert logsumexp(np.ones(2, np.float16)).dtype == np.float16
