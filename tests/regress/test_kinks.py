"""R01-R12: derivatives at kinks and singular points."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import scipy.special

import funcgrad as fg
from funcgrad.config import config
from funcgrad.ops.extrema import relu
from tests.regress.everywhere import check_gradient, check_gradients, check_value, gradients

pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

INF, NAN, PI = math.inf, math.nan, math.pi


@pytest.mark.parametrize("order", [None, 1, 2, 3, INF, -INF])
def test_R01_norm_at_zero(order):
    check_gradient(lambda x: np.linalg.norm(x, ord=order), np.zeros(3), np.zeros(3))


def test_R01_norm_along_an_axis():
    x = np.array([[3.0, 4.0], [0.0, 0.0]])
    check_gradient(lambda x: np.sum(np.linalg.norm(x, axis=1)), x, [[0.6, 0.8], [0.0, 0.0]])


def test_R01_square_of_the_norm_and_scaled_zero():
    check_gradient(lambda x: np.linalg.norm(x) ** 2, np.zeros(3), np.zeros(3))
    x = np.zeros(3)
    check_gradient(lambda a: np.linalg.norm(a * x), 2.0, 0.0)


def test_R01_matrix_norm_at_zero():
    check_gradient(lambda x: np.linalg.norm(x), np.zeros((2, 2)), np.zeros((2, 2)))


@pytest.mark.parametrize("x", [0.0, -0.0, 0j])
def test_R02_abs_at_zero(x):
    check_gradient(abs, x, 0.0)
    check_gradient(lambda x: np.sum(np.abs(x)), np.array([x, x]), [0.0, 0.0])


def test_R03_sqrt_at_zero():
    check_gradient(np.sqrt, 0.0, INF)
    check_gradient(lambda x: np.sqrt(x**2), 0.0, NAN)


def relu6(x):
    return np.where(x > 6, 6.0, relu(x))


def test_R04_relu_family_at_the_corner():
    for x, slope in zip([-1.0, 0.0, 3.0, 6.0, 7.0], [0.0, 0.0, 1.0, 1.0, 0.0], strict=True):
        check_gradient(relu6, x, slope)
    check_gradient(lambda x: np.maximum(x, 0.0), 0.0, 0.5)


def test_R04_denormals_are_not_flushed():
    check_gradient(relu, 1e-45, 1.0)
    check_gradient(relu, np.float32(1e-45), 1.0)


def test_R05_ties_share_the_gradient():
    x = np.array([1.0, 3.0, 3.0, 2.0])
    check_gradient(np.max, x, [0.0, 0.5, 0.5, 0.0])
    check_gradient(np.min, -x, [0.0, 0.5, 0.5, 0.0])
    check_gradients(np.maximum, 1.0, 1.0, expected=(0.5, 0.5))
    check_gradients(np.minimum, 1.0, 1.0, expected=(0.5, 0.5))
    grid = np.array([[1.0, 1.0], [2.0, 3.0]])
    check_gradient(lambda x: np.sum(np.max(x, axis=1)), grid, [[0.5, 0.5], [0.0, 1.0]])


def test_R05_scatter_max_of_equal_updates():
    def highest(updates):
        zeros = np.zeros(1, like=updates)
        return np.sum(zeros.at[[0, 0]].max(updates))

    check_gradient(highest, np.array([5.0, 5.0]), [0.5, 0.5])


def test_R05_running_extrema_share_evenly():
    x = np.array([1.0, 3.0, 3.0, 2.0])
    check_gradient(lambda x: np.sum(fg.lax.cummax(x)), x, [1.0, 2.0, 1.0, 0.0])
    check_gradient(lambda x: np.sum(np.maximum.accumulate(x)), x, [1.0, 2.0, 1.0, 0.0])
    check_gradient(lambda x: np.sum(fg.lax.cummin(-x)), x, [-1.0, -2.0, -1.0, 0.0])
    backward = lambda x: np.sum(fg.lax.cummax(x, reverse=True))
    check_gradient(backward, x, [0.0, 1.0, 2.0, 1.0])
    total = lambda x: np.nansum(fg.lax.cummax(x))
    check_gradient(total, np.array([1.0, NAN, 3.0]), [1.0, 0.0, 0.0])


def test_R06_clip_at_its_bounds():
    clip = lambda x: np.clip(x, 0.0, 1.0)
    for x, slope in zip([-1.0, 0.0, 0.5, 1.0, 2.0], [0.0, 1.0, 1.0, 1.0, 0.0], strict=True):
        check_gradient(clip, x, slope)


def test_R06_clip_with_min_above_max():
    check_value(lambda x: np.clip(x, 1.0, 0.0), 0.5, expected=0.0)
    check_gradient(lambda x: np.clip(x, 1.0, 0.0), 0.5, 0.0)


def masked_log(x):
    return np.where(x > 0, np.log(x), 0.0)


@pytest.mark.filterwarnings("ignore:divide by zero")
def test_R07_where_with_a_nan_branch():
    check_gradient(masked_log, 0.0, 0.0)
    check_gradient(lambda x: np.sum(masked_log(x)), np.array([0.0, 2.0]), [0.0, 0.5])


@pytest.mark.filterwarnings("ignore:divide by zero")
def test_R07_where_with_a_nan_branch_opted_out():
    with config.override(nan_safe_where=False):
        for road, (gradient,) in gradients(masked_log, 0.0):
            assert np.isnan(gradient) or "forward" in road, road
    check_gradient(masked_log, 0.0, 0.0)


@pytest.mark.filterwarnings("ignore:divide by zero")
def test_R07_deeper_expressions_in_the_branch_not_taken():
    deep = lambda x: np.where(x > 0, np.exp(1.0 / x) * np.sqrt(x), x * 3.0)
    check_gradient(deep, -0.0, 3.0)


@pytest.mark.filterwarnings("error")
def test_R07_cond_computes_only_what_is_taken():
    choose = lambda x: fg.lax.cond(x > 0, np.log, lambda x: 0.0 * x, x)
    for slope in (fg.grad(choose), fg.jit(fg.grad(choose)), fg.jacfwd(choose)):
        assert float(slope(0.0)) == 0.0
        assert float(slope(2.0)) == 0.5


@pytest.mark.parametrize("nan_safe", [True, False])
def test_R08_double_where(nan_safe):
    double = lambda x: np.where(x > 0, np.log(np.where(x > 0, x, 1.0)), 0.0)
    with config.override(nan_safe_where=nan_safe):
        check_gradient(double, 0.0, 0.0)
        check_gradient(double, 2.0, 0.5)


@pytest.mark.parametrize("exponent", [0, 0.0, 2, 2.0])
def test_R09_power_at_zero(exponent):
    check_gradient(lambda x: x**exponent, 0.0, 0.0)


def test_R09_power_of_zero_by_its_exponent():
    check_gradient(lambda y: np.power(0.0, y), 2.0, 0.0)
    check_gradient(lambda y: np.power(0.0, y), 0.0, 0.0)
    check_gradients(np.power, -2.0, 3.0, expected=(12.0, NAN))


@pytest.mark.parametrize(
    ("fun", "expected"),
    [
        (lambda x: x**1.0, 0.0),
        (lambda x: x**2, 2.0),
        (lambda x: x**2.0, 2.0),
        (lambda x: x**3, 0.0),
    ],
)
def test_R09_second_derivatives_of_powers(fun, expected):
    check_gradient(fg.grad(fun), 0.0, expected)
    assert float(fg.hessian(fun)(0.0)) == expected
    assert float(fg.jacrev(fg.jacfwd(fun))(0.0)) == expected


def test_R09_third_derivative_of_a_square():
    check_gradient(fg.grad(fg.grad(lambda x: x**2.0)), 0.0, 0.0)


def test_R10_angle_and_length_at_the_origin():
    check_gradients(np.arctan2, 0.0, 0.0, expected=(0.0, 0.0))
    check_gradients(np.hypot, 0.0, 0.0, expected=(0.0, 0.0))


def test_R11_sinc_at_zero():
    check_gradient(np.sinc, 0.0, 0.0)
    check_gradient(fg.grad(np.sinc), 0.0, -PI * PI / 3)


def test_R11_xlogy_and_entropy_at_zero():
    check_value(scipy.special.xlogy, 0.0, 0.0, expected=0.0)
    check_gradients(scipy.special.xlogy, 0.0, 0.0, expected=(-INF, 0.0))
    check_gradient(scipy.special.entr, 0.0, INF)


def test_R11_small_arguments():
    check_value(np.log1p, 1e-20, expected=1e-20)
    check_value(np.expm1, 1e-20, expected=1e-20)
    check_gradient(np.log1p, 1e-20, 1.0)
    check_gradient(np.expm1, 1e-20, 1.0)


def test_R12_spread_of_a_constant():
    check_gradient(np.std, np.ones(3), np.zeros(3))
    check_gradient(np.var, np.ones(3), np.zeros(3))


def test_R12_variance_of_one_value():
    sample = lambda x: np.var(x, ddof=1)
    for fun in (sample, fg.jit(sample)):
        with pytest.warns(RuntimeWarning):
            assert np.isnan(fun(np.array([2.0])))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for road, (gradient,) in gradients(sample, np.array([2.0])):
            assert np.isnan(gradient).all(), road
