"""Compile time grows about as fast as programs do, and no program is too deep."""

import time

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax
from funcgrad.config import config

pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")


@pytest.fixture(autouse=True)
def without_cache():
    with config.override(cache=False, check_programs=False):
        yield


def chain(count):
    def f(x):
        for i in range(count):
            x = x * 1.0001 + 0.5 * (i % 3)
        return x

    return f


def products(count):
    def f(x, w):
        for _ in range(count):
            x = np.tanh(x @ w)
        return x

    return f


def nested(depth):
    f = lambda c: c * 0.5 + 1
    for _ in range(depth):
        f = lambda c, f=f: lax.fori_loop(0, 2, lambda i, c: f(c), c)
    return f


def seconds(f, *args):
    """CPU seconds of the first call."""
    jitted, start = fg.jit(f), time.process_time()
    jitted(*args)
    return time.process_time() - start


X, W = np.ones(5), np.eye(4) * 0.5


@pytest.mark.parametrize("make", [chain, products], ids=["chain", "products"])
def test_time_per_equation_stays(make):
    args = (X,) if make is chain else (np.ones((3, 4)), W)
    seconds(make(10), *args)
    small, large = seconds(make(100), *args), seconds(make(1000), *args)
    assert large < 30 * small + 1.0, (small, large)


@pytest.mark.slow
def test_ten_thousand_equations():
    seconds(chain(10), X)
    small, large = seconds(chain(500), X), seconds(chain(5000), X)
    assert large < 30 * small + 1.0, (small, large)


@pytest.mark.parametrize("shape", [(), (5,), (1003,)], ids=str)
def test_long_chains_are_right(shape):
    x = np.full(shape, 0.25)
    np.testing.assert_array_equal(fg.jit(chain(1000))(x), chain(1000)(x))


def test_deep_nesting():
    f = nested(8)
    expected = 0.25
    for _ in range(2**8):
        expected = expected * 0.5 + 1
    assert fg.jit(f)(0.25) == expected


def test_derivative_of_a_long_chain():
    gradient = fg.jit(fg.grad(lambda x: np.sum(chain(500)(x))))(X)
    np.testing.assert_allclose(gradient, 1.0001**500, rtol=1e-10)
