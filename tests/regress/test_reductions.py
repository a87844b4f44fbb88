"""R13-R21: reductions, running operations, order statistics."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.special

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.ops.exponential import log_sigmoid, sigmoid, softplus
from funcgrad.ops.logsumexp import logsumexp
from tests.regress.everywhere import check_gradient, check_gradients, check_value, gradients, values

pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

INF, NAN = math.inf, math.nan


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        ([2.0, 0.0, 3.0], [0.0, 6.0, 0.0]),
        ([2.0, 0.0, 0.0, 3.0], [0.0, 0.0, 0.0, 0.0]),
        ([0.0], [1.0]),
        ([], []),
    ],
)
def test_R13_product_with_zeros(x, expected):
    check_gradient(np.prod, np.array(x), expected)


def test_R13_product_along_an_axis_with_zeros():
    x = np.array([[2.0, 0.0, 3.0], [1.0, 2.0, 3.0]])
    check_gradient(lambda x: np.sum(np.prod(x, axis=1)), x, [[0.0, 6.0, 0.0], [6.0, 3.0, 2.0]])


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        ([2.0, 0.0, 3.0, 0.0, 5.0], [1.0, 8.0, 0.0, 0.0, 0.0]),
        ([0.0, 2.0, 3.0], [9.0, 0.0, 0.0]),
        ([2.0, 3.0, 0.0], [4.0, 2.0, 6.0]),
        ([2.0, 0.0, 0.0, 3.0], [1.0, 2.0, 0.0, 0.0]),
    ],
)
def test_R14_running_product_with_zeros(x, expected):
    check_gradient(lambda x: np.sum(np.cumprod(x)), np.array(x), expected)


@pytest.mark.parametrize(
    ("x", "value", "expected"),
    [
        ([-INF, -INF], -INF, [0.0, 0.0]),
        ([INF, 1.0], INF, [1.0, 0.0]),
        ([-INF, 1.0], 1.0, [0.0, 1.0]),
    ],
)
def test_R15_logsumexp_with_infinities(x, value, expected):
    check_value(logsumexp, np.array(x), expected=value)
    check_gradient(logsumexp, np.array(x), expected)


@pytest.mark.parametrize("x", [INF, -INF])
def test_R15_logaddexp_of_equal_infinities(x):
    check_value(np.logaddexp, x, x, expected=x)
    check_gradients(np.logaddexp, x, x, expected=(0.5, 0.5))


def test_R15_running_logsumexp_has_no_nan():
    x = np.array([-INF, 0.0, 1.0])
    expected = [-INF, 0.0, np.logaddexp(0.0, 1.0)]
    check_value(fg.lax.cumlogsumexp, x, expected=expected)
    last = np.exp([-INF, 0.0, 1.0]) / (1.0 + math.e)
    check_gradient(lambda x: fg.lax.cumlogsumexp(x)[-1], x, last)


@pytest.mark.parametrize("x", [-1000.0, 0.0, 1000.0])
def test_R17_saturating_functions_are_finite(x):
    p = scipy.special.expit(x)
    check_value(sigmoid, x, expected=p)
    check_gradient(sigmoid, x, p * (1.0 - p))
    check_value(log_sigmoid, x, expected=min(x, 0.0) - math.log1p(math.exp(-abs(x))))
    check_gradient(log_sigmoid, x, 1.0 - p)
    check_value(softplus, x, expected=max(x, 0.0) + math.log1p(math.exp(-abs(x))))
    check_gradient(softplus, x, p)


def test_R18_sort_with_ties():
    weights = np.array([1.0, 10.0, 100.0])
    check_gradient(
        lambda x: np.sum(np.sort(x) * weights), np.array([2.0, 1.0, 1.0]), [100.0, 1.0, 10.0]
    )


def test_R18_argsort_is_stable():
    check_value(fnp.argsort, np.array([1.0, 1.0, 0.0, 1.0]), expected=[2, 0, 1, 3])


def test_R18_nan_sorts_last_and_the_gradient_follows():
    x = np.array([2.0, NAN, 1.0])
    check_value(np.sort, x, expected=[1.0, 2.0, NAN])
    weights = np.array([1.0, 10.0, 100.0])
    check_gradient(lambda x: np.sum(np.sort(x)[:2] * weights[:2]), x, [10.0, 0.0, 1.0])


def test_R19_median_with_ties():
    check_gradient(np.median, np.array([1.0, 2.0, 2.0, 3.0]), [0.0, 0.5, 0.5, 0.0])


def test_R19_argmax_with_ties_and_nan():
    check_value(np.argmax, np.array([1.0, NAN, 3.0]), expected=1)
    check_value(np.argmax, np.array([1.0, 3.0, 3.0]), expected=1)
    check_gradient(lambda x: x[np.argmax(x)], np.array([1.0, 3.0, 3.0]), [0.0, 1.0, 0.0])


def test_R19_percentile_between_elements():
    check_gradient(lambda x: np.percentile(x, 25.0), np.array([3.0, 1.0, 2.0]), [0.0, 0.5, 0.5])


def test_R20_half_precision_reductions_accumulate_in_float32():
    check_value(np.mean, np.full(10000, 60000, np.float16), expected=60000)
    check_value(np.sum, np.full(10000, 1, np.float16), expected=10000)
    constant = np.full(10000, 200, np.float16)
    for traced in (fg.jit(np.var), lambda x: fg.vmap(np.var)(x[None])[0]):
        assert traced(constant).dtype == np.float16 and traced(constant) == 0.0


def test_R20_gradient_of_a_half_precision_mean():
    x = np.full(4096, 1, np.float16)
    for road, (gradient,) in gradients(np.mean, x):
        assert gradient.dtype == np.float16, road
        np.testing.assert_array_equal(gradient, np.float16(1 / 4096), err_msg=road)


def test_R21_small_integer_sums_widen():
    x = np.array([100, 100], np.int8)
    for fun, expected in [(np.sum, 200), (np.cumsum, [100, 200])]:
        for road, found in values(fun, x):
            assert found.dtype == np.int64, road
            np.testing.assert_array_equal(found, expected, err_msg=road)


def test_R21_bool_arithmetic_is_numpys():
    one = np.array([True])
    for road, found in values(lambda x, y: x + y, one, one):
        assert found.dtype == np.bool_ and found[0], road
    for fun in (np.subtract, fg.jit(lambda x, y: x - y), fg.vmap(lambda x, y: x - y)):
        with pytest.raises(TypeError, match="boolean subtract"):
            fun(one, one)
