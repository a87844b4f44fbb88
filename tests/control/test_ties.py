"""Tied arrays in loops and branches (R66): one array at two places stays one array, as in a Python loop."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax
from funcgrad.nn import Module

# Rows of a table compile the same lambda of this file again.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

W = np.array([1.0, 2.0])


def loss(p):
    return np.sum(2 * p["a"] + p["b"] ** 2)


def step(p):
    """A gradient step: the gradients of both places add up."""
    return fg.tree.map(lambda x, g: x - 0.1 * g, p, fg.grad(loss)(p))


LOOPS = {
    "scan": lambda p: lax.scan(lambda p, _: (step(p), loss(p)), p, None, length=2)[0],
    "fori": lambda p: lax.fori_loop(0, 2, lambda i, p: step(p), p),
    "fori, traced bound": lambda p: fg.jit(
        lambda n, p: lax.fori_loop(0, n, lambda i, p: step(p), p)
    )(2, p),
    "while": lambda p: lax.while_loop(
        lambda c: c["n"] < 2, lambda c: {"p": step(c["p"]), "n": c["n"] + 1}, {"p": p, "n": 0}
    )["p"],
    "cond": lambda p: lax.cond(True, lambda p: step(step(p)), lambda p: p, p),
    "switch": lambda p: lax.switch(1, [lambda p: p, step], lax.switch(0, [step, lambda p: p], p)),
    "checkpoint": lambda p: fg.checkpoint(lambda p: step(step(p)))(p),
    "jit": lambda p: fg.jit(step)(fg.jit(step)(p)),
}


@pytest.mark.parametrize("outer", [lambda f: f, fg.jit], ids=["eager", "jit"])
@pytest.mark.parametrize("name", LOOPS)
class TestTied:
    def test_like_a_python_loop(self, name, outer):
        w = W.copy()
        expected = step(step({"a": w, "b": w}))
        assert expected["a"] is expected["b"]
        found = outer(LOOPS[name])({"a": w, "b": w})
        assert found["a"] is found["b"]
        np.testing.assert_allclose(found["a"], expected["a"])

    def test_distinct_arrays_stay_distinct(self, name, outer):
        expected = step(step({"a": W, "b": W.copy()}))
        found = outer(LOOPS[name])({"a": W, "b": W.copy()})
        assert found["a"] is not found["b"]
        np.testing.assert_allclose(found["a"], expected["a"])
        np.testing.assert_allclose(found["b"], expected["b"])

    def test_derivative_through_the_loop(self, name, outer):
        w = W.copy()
        f = outer(lambda p: loss(LOOPS[name](p)))
        found = fg.grad(f)({"a": w, "b": w})
        assert found["a"] is found["b"]
        h = 1e-6
        for i, e in enumerate(np.eye(2)):
            high, low = ({"a": v, "b": v} for v in (w + h * e, w - h * e))
            np.testing.assert_allclose(found["a"][i], (f(high) - f(low)) / (2 * h), rtol=1e-6)


class TestOnlyAtTheStart:
    """The same array happens to start two parts of a carry that then differ."""

    def test_scan(self):
        z = np.zeros(2)
        a, b = lax.scan(lambda c, x: ((c[0] + x, c[1] - x), None), (z, z), W)[0]
        np.testing.assert_allclose(a, [3.0, 3.0])
        np.testing.assert_allclose(b, [-3.0, -3.0])

    def test_while_and_fori(self):
        z = np.ones(2)
        a, b = lax.fori_loop(0, 3, lambda i, c: (c[0] * 2, c[1] * 3), (z, z))
        np.testing.assert_allclose([a, b], [[8.0, 8.0], [27.0, 27.0]])
        a, b = lax.while_loop(lambda c: c[0][0] < 5, lambda c: (c[0] * 2, c[1] * 3), (z, z))
        np.testing.assert_allclose([a, b], [[8.0, 8.0], [27.0, 27.0]])

    def test_cond(self):
        z = np.ones(2)
        f = lambda p: lax.cond(p, lambda c: (c[0], c[1] * 2), lambda c: c, (z, z))
        np.testing.assert_allclose(f(True), [[1.0, 1.0], [2.0, 2.0]])
        np.testing.assert_allclose(f(False), [[1.0, 1.0], [1.0, 1.0]])

    def test_errors_still_name_the_path(self):
        z = np.zeros(2)
        with pytest.raises(TypeError, match=r"b goes in as float64\[2\].*float64\[1\]"):
            lax.scan(lambda c, x: ({"a": c["a"], "b": c["b"][:1]}, None), {"a": z, "b": z}, W)
        with pytest.raises(TypeError, match=r"pair \(carry, y\)"):
            lax.scan(lambda c, x: c, [z, z], W)


def test_shared_module_trains_in_a_scan():
    class Layer(Module):
        w: np.ndarray

    class Model(Module):
        encoder: Layer
        decoder: Layer

    layer = Layer(W.copy())
    model = Model(layer, layer)
    f = lambda m: np.sum(m.encoder.w * 3.0 + m.decoder.w**2)
    update = lambda m: fg.tree.map(lambda x, g: x - 0.1 * g, m, fg.grad(f)(m))
    expected = update(update(model))
    found = fg.jit(lambda m: lax.scan(lambda m, _: (update(m), f(m)), m, None, length=2))(model)[0]
    assert found.encoder is found.decoder
    np.testing.assert_allclose(found.encoder.w, expected.encoder.w)
