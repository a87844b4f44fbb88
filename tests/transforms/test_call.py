"""Transformed calls of jitted functions, and what runs them."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.transforms import call


@pytest.fixture
def ways(monkeypatch):
    """Which way each transformed Program went."""
    taken = []
    for name in ("compiled", "executable"):
        original = getattr(call, name)
        noted = lambda *given, name=name, original=original: taken.append(name) or original(*given)
        monkeypatch.setattr(call, name, noted)
    return taken


def test_gradients_of_jitted_functions_become_machine_code(ways):
    x = np.linspace(0.1, 2, 50_000)
    gradient = fg.grad(fg.jit(lambda x: np.sum(np.log(x) * x)))
    found = [gradient(x) for _ in range(2)]
    np.testing.assert_allclose(found[0], np.log(x) + 1, rtol=1e-12)
    np.testing.assert_array_equal(found[1], found[0])
    assert ways == ["executable"] * 4  # forward and backward


def test_little_work_does_not(ways):
    gradient = fg.grad(fg.jit(lambda x: np.sum(x**2)))
    for _ in range(3):
        np.testing.assert_array_equal(gradient(np.arange(3.0)), [0, 2, 4])
    assert set(ways) == {"compiled"}


def test_other_transformations_and_dtypes():
    x = np.random.default_rng(0).standard_normal((40, 5000)).astype(np.float32)
    f = lambda x: np.tanh(x) * np.exp(-x * x)
    jitted = fg.jit(f)
    for _ in range(3):
        np.testing.assert_allclose(fg.vmap(jitted)(x), f(x), rtol=1e-5, atol=1e-6)
        out, tangent = fg.jvp(jitted, (x,), (np.ones_like(x),))
        np.testing.assert_allclose(out, f(x), rtol=1e-5, atol=1e-6)
        expected = fg.jvp(f, (x,), (np.ones_like(x),))[1]
        np.testing.assert_allclose(tangent, expected, rtol=1e-4, atol=1e-5)
        assert tangent.dtype == np.float32 and out.flags.owndata
