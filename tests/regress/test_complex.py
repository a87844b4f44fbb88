"""R40-R43: the convention for complex gradients, and real numbers that pass through complex code."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

import funcgrad as fg
from tests.regress.everywhere import check_gradient

pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")


def test_R40_gradient_convention():
    check_gradient(lambda z: (z * np.conj(z)).real, 1 + 2j, 2 - 4j)
    check_gradient(lambda z: np.abs(z) ** 2, 1 + 2j, 2 - 4j)
    z = np.array([1 + 2j, 3j])
    check_gradient(lambda z: np.sum(np.abs(z) ** 2), z, 2 * np.conj(z))


def test_R41_real_imag_and_angle():
    check_gradient(lambda z: z.real, 1 + 2j, 1.0)
    check_gradient(lambda z: z.imag, 1 + 2j, -1j)
    check_gradient(np.angle, 1 + 1j, -0.5 - 0.5j)


def test_R42_holomorphic_functions():
    square = lambda z: z**2
    for slope in (fg.grad(square, holomorphic=True), fg.jit(fg.grad(square, holomorphic=True))):
        assert slope(1 + 2j) == 2 + 4j
    with pytest.raises(TypeError) as caught:
        fg.grad(square)(1 + 2j)
    assert "holomorphic=True" in str(caught.value) and "z.real" in str(caught.value)
    with pytest.raises(TypeError, match="holomorphic=True needs complex arguments"):
        fg.grad(square, holomorphic=True)(1.0)


def test_R43_real_input_through_complex_code():
    with warnings.catch_warnings():
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        x = 1.0
        inner = np.exp(1j * x) + x
        slope = (np.conj(inner) * (1j * np.exp(1j * x) + 1)).real / abs(inner)
        check_gradient(lambda x: abs(np.exp(1j * x) + x), x, slope)


def test_R43_fourier_transform_inside():
    x = np.array([1.0, 2.0, 4.0])
    check_gradient(lambda x: np.sum(np.abs(np.fft.fft(x)) ** 2), x, 2 * 3 * x)


def test_R43_complex_factor_in_place():
    def fun(x):
        z = x + 0j
        z /= 1 + 1j
        return np.sum(np.abs(z) ** 2)

    check_gradient(fun, np.array([1.0, 2.0]), [1.0, 2.0])


def test_R43_dividing_a_real_array_in_place_by_a_complex_is_refused_as_in_numpy():
    def fun(x):
        y = x * 1.0
        y /= 1 + 1j
        return np.sum(y)

    for transform in (fg.grad, fg.jit):
        with pytest.raises(TypeError, match="Cannot cast ufunc"):
            transform(fun)(np.ones(2))


def test_R43_gradient_of_a_phase():
    check_gradient(lambda t: np.exp(1j * t).imag, 0.3, math.cos(0.3))
