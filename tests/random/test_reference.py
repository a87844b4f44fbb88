"""Distributions against recorded numbers of JAX, and their derivatives against SciPy."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

import funcgrad as fg
from funcgrad import random
from funcgrad.ops.incomplete import log_gamma_slope

SPEC = importlib.util.spec_from_file_location("draws", Path(__file__).with_name("draws.py"))
draws = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(draws)
REFERENCE = np.load(Path(__file__).with_name("reference.npz"))


@pytest.mark.parametrize("name", draws.DRAWS)
def test_numbers_of_jax(name):
    found, expected = draws.DRAWS[name](random), REFERENCE[name]
    expected = abs(expected) if name.startswith("ball") else expected
    assert found.shape == expected.shape and found.dtype == expected.dtype
    limit = 2e-5 if found.dtype == np.float32 else 1e-11
    np.testing.assert_allclose(found, expected, rtol=limit, atol=limit)


@pytest.mark.parametrize("a", [0.03, 0.5, 1.0, 4.0, 30.0, 300.0])
def test_slope_of_gamma_numbers(a):
    """At a fixed place of the distribution: against central differences of SciPy's quantiles."""
    places = np.array([0.01, 0.3, 0.5, 0.8, 0.99])
    step = 1e-5 * a
    above, below = (scipy.stats.gamma.ppf(places, a + sign * step) for sign in (1, -1))
    x = scipy.stats.gamma.ppf(places, a)
    usable = below > 1e-250
    expected = ((above - below) / (2 * step) / x)[usable]
    found = log_gamma_slope(np.full(5, a), np.log(x))[usable]
    np.testing.assert_allclose(found, expected, rtol=2e-5)


def test_gradients_of_means():
    """E[x] = a for gamma, a / (a + b) for beta: the mean of the gradients is the gradient of the mean."""
    key = random.key(3)
    a = np.full(4000, 2.5)
    slopes = fg.jit(fg.grad(lambda a: np.sum(random.gamma(key, a, dtype=np.float64))))(a)
    assert slopes.mean() == pytest.approx(1.0, abs=0.05)
    slopes = fg.jit(fg.grad(lambda a: np.sum(random.beta(key, a, 2.0, dtype=np.float64))))(a)
    assert slopes.mean() == pytest.approx(2.0 / 4.5**2, rel=0.1)


def test_jit_and_vmap_draw_the_same():
    keys, a = random.split(random.key(0), 3), np.array([0.3, 2.0, 9.0])
    one = lambda key, a: random.gamma(key, a, dtype=np.float64)
    expected = [one(key, x) for key, x in zip(keys, a, strict=True)]
    np.testing.assert_allclose(fg.vmap(one)(keys, a), expected, rtol=1e-12)
    np.testing.assert_allclose(fg.jit(fg.vmap(one))(keys, a), expected, rtol=1e-12)


@pytest.mark.parametrize(("n", "p"), [(10, 0.3), (50, 0.9), (1000, 0.5)])
def test_binomial(n, p):
    x = random.binomial(random.key(5), n, p, (3000,), np.float64)
    assert x.mean() == pytest.approx(n * p, abs=5 * np.sqrt(n * p * (1 - p) / 3000))
    assert x.var() == pytest.approx(n * p * (1 - p), rel=0.15)
    assert x.min() >= 0 and x.max() <= n and (x == np.floor(x)).all()


def test_binomial_at_the_edges():
    assert random.binomial(0, 7, np.array([0.0, 1.0])).tolist() == [0, 7]


def test_multinomial():
    counts = random.multinomial(0, 100, np.array([0.5, 0.3, 0.2, 0.0]), shape=(50, 4))
    assert (counts.sum(-1) == 100).all() and not counts[:, 3].any()
    np.testing.assert_allclose(counts.mean(0), [50, 30, 20, 0], atol=4)


def test_orthogonal():
    q = random.orthogonal(0, 3, (2,), np.float64, m=5)
    np.testing.assert_allclose(
        q @ np.swapaxes(q, -1, -2), np.broadcast_to(np.eye(3), (2, 3, 3)), atol=1e-12
    )


@pytest.mark.parametrize("method", ["cholesky", "eigh", "svd"])
def test_covariance(method):
    cov = np.array([[2.0, 0.5], [0.5, 1.0]])
    x = random.multivariate_normal(1, np.ones(2), cov, (20000,), np.float64, method)
    np.testing.assert_allclose(np.cov(x.T), cov, atol=0.06)


def test_bad_parameters():
    with pytest.raises(ValueError, match="axis of categories"):
        random.dirichlet(0, 1.0)
    with pytest.raises(ValueError, match="must be one of"):
        random.multivariate_normal(0, np.zeros(2), np.eye(2), method="lu")
    with pytest.raises(ValueError, match="needs covariances"):
        random.multivariate_normal(0, np.zeros(2), np.eye(3))
