"""Loops and branches inside each other, inside transformations, and transformations inside them."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax
from funcgrad.test_util import check_grads

# Rows of a table compile the same lambda of this file again.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

X = np.array([0.5, 1.0, 1.5])


def while_in_scan(x):
    def body(c, y):
        c = lax.while_loop(lambda d: np.sum(d) < 3.3, lambda d: d * 1.7, c)
        return np.sin(c) + y, np.sum(c)

    return lax.scan(body, x, x)


def scan_in_while(x):
    step = lambda c: lax.scan(lambda d, y: (d * np.cos(y) + 0.3, None), c, x)[0]
    return lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, step(c[1])), (0, x))[1]


def while_in_scan_in_cond(x):
    return lax.cond(np.sum(x) > 0.0, while_in_scan, lambda x: (x, x), x)


def cond_in_scan_in_while(x):
    def inner(c, y):
        return lax.cond(y > 0.9, lambda c: np.tanh(c) * y, lambda c: c + y, c), None

    step = lambda c: (c[0] + 1, lax.scan(inner, c[1], x)[0])
    return lax.while_loop(lambda c: c[0] < 2, step, (0, x))[1]


def while_in_while(x):
    def body(c):
        n, y = c
        return n + 1, lax.while_loop(lambda d: d[0] < n, lambda d: (d[0] + 1, d[1] * x), (0, y))[1]

    return lax.while_loop(lambda c: c[0] < 4, body, (0, np.ones(3)))[1]


def switch_of_loops(x):
    branches = [
        lambda x: lax.fori_loop(0, 2, lambda i, c: c * x, x),
        lambda x: lax.scan(lambda c, y: (c + y * x, None), x, x)[0],
        lambda x: lax.while_loop(lambda c: np.sum(c) < 20.0, lambda c: c * 2.0, x),
    ]
    return [lax.switch(i, branches, x * (i + 1.0)) for i in range(3)]


def transformations_inside(x):
    def body(c, y):
        slope = fg.grad(lambda z: np.sum(np.sin(z) * y))(c)
        curved = fg.vmap(lambda z: z**2 * y)(c)
        moved = fg.jvp(np.tanh, (c,), (curved,))[1]
        return fg.jit(lambda a, b: a + 0.1 * b)(slope, moved), np.sum(curved)

    return lax.scan(body, x, x)


def checkpointed(x):
    body = fg.checkpoint(lambda c, y: (np.sin(c * y), fg.checkpoint(np.exp)(c)))
    return lax.scan(body, x, x)


def two_levels_of_closure(x):
    w = np.sum(x)

    def outer(c, y):
        u = w * y
        inner = lambda d, z: (d * u + w * z, None)
        return lax.scan(inner, c, x)[0] * 0.1, u * c

    return lax.scan(outer, x[0], x)


FUNCTIONS = {
    f.__name__: f
    for f in (
        while_in_scan, scan_in_while, while_in_scan_in_cond, cond_in_scan_in_while, while_in_while,
        switch_of_loops, transformations_inside, checkpointed, two_levels_of_closure,
    )
}  # fmt: skip


def total(f):
    return lambda x: sum(np.sum(np.sin(y)) for y in fg.tree.leaves(f(x)))


@pytest.mark.parametrize("name", FUNCTIONS)
class TestEverywhere:
    def test_derivatives_to_second_order(self, name):
        check_grads(total(FUNCTIONS[name]), (X,), order=2)

    def test_third_order(self, name):
        f = lambda t: total(FUNCTIONS[name])(X * t)
        reverse, forward = f, f
        for _ in range(3):
            reverse = fg.grad(reverse)
            forward = (lambda g: lambda t: fg.jvp(g, (t,), (1.0,))[1])(forward)
        np.testing.assert_allclose(reverse(1.01), forward(1.01), rtol=1e-8, atol=1e-8)

    def test_compiled(self, name):
        f = total(FUNCTIONS[name])
        np.testing.assert_allclose(fg.jit(f)(X), f(X))
        np.testing.assert_allclose(fg.jit(fg.grad(f))(X), fg.grad(f)(X))
        np.testing.assert_allclose(fg.grad(fg.jit(f))(X), fg.grad(f)(X))

    def test_per_example(self, name):
        """The examples take other branches and other numbers of iterations."""
        xs = np.stack([X, X * 0.3, X * 2.0])
        f = total(FUNCTIONS[name])
        expected = np.stack([f(x) for x in xs])
        np.testing.assert_allclose(fg.vmap(f)(xs), expected)
        np.testing.assert_allclose(fg.jit(fg.vmap(f))(xs), expected)
        expected = np.stack([fg.grad(f)(x) for x in xs])
        np.testing.assert_allclose(fg.vmap(fg.grad(f))(xs), expected)
        np.testing.assert_allclose(fg.jit(fg.vmap(fg.grad(f)))(xs), expected)
        through = fg.grad(lambda xs: np.sum(fg.vmap(f)(xs)))(xs)
        np.testing.assert_allclose(through, expected)

    def test_hessian_per_example(self, name):
        xs = np.stack([X, X * 0.3])
        f = total(FUNCTIONS[name])
        expected = np.stack([fg.hessian(f)(x) for x in xs])
        np.testing.assert_allclose(fg.vmap(fg.hessian(f))(xs), expected, rtol=1e-7, atol=1e-9)


class TestClosures:
    """Derivatives by values that a body closes over, at every level of tracing."""

    LOOPS = {
        "scan": lambda w: lax.scan(lambda c, x: (c * w + x, None), 1.0, X)[0],
        "while": lambda w: lax.while_loop(
            lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] * w + 1.0), (0, 1.0)
        )[1],
        "cond": lambda w: lax.cond(True, lambda: w**3, lambda: w),
        "map": lambda w: np.sum(lax.map(lambda x: x * w**2, X)),
        "fori": lambda w: lax.fori_loop(0, 3, lambda i, c: c * w, 1.0),
    }  # fmt: skip

    @pytest.mark.parametrize("name", LOOPS)
    def test_grad_of_grad(self, name):
        f = self.LOOPS[name]
        check_grads(f, (1.3,), order=3)
        np.testing.assert_allclose(fg.jit(fg.grad(fg.grad(f)))(1.3), fg.hessian(f)(1.3))

    @pytest.mark.parametrize("name", LOOPS)
    def test_no_perturbation_confusion(self, name):
        """The loop closes over the outer variable, inside a derivative by an inner one."""
        f = self.LOOPS[name]
        found = fg.grad(lambda x: fg.grad(lambda y: f(x) * y)(1.0))(1.3)
        np.testing.assert_allclose(found, fg.grad(f)(1.3))

    @pytest.mark.parametrize("name", LOOPS)
    def test_batched_value(self, name):
        f = self.LOOPS[name]
        ws = np.array([0.5, 1.0, 2.0])
        np.testing.assert_allclose(fg.vmap(f)(ws), [f(w) for w in ws])
        np.testing.assert_allclose(fg.vmap(fg.grad(f))(ws), [fg.grad(f)(w) for w in ws])

    def test_value_of_the_body_must_not_leave_it(self):
        kept = []
        lax.scan(lambda c, x: (kept.append(x), (c, None))[1], 0.0, X)
        with pytest.raises(fg.UnexpectedTracerError):
            np.sin(kept[0])


def test_loop_of_a_training_step():
    """Gradient descent inside a compiled scan."""
    a, b = np.array([[2.0, 0.3], [0.3, 1.0]]), np.array([1.0, -1.0])
    loss = lambda x: 0.5 * x @ a @ x - b @ x

    @fg.jit
    def solve(start, rate):
        step = lambda x, _: (x - rate * fg.grad(loss)(x), loss(x))
        return lax.scan(step, start, None, length=200)

    x, losses = solve(np.zeros(2), 0.3)
    np.testing.assert_allclose(x, np.linalg.solve(a, b), rtol=1e-6)
    assert losses[0] > losses[10] > losses[-1] - 1e-12
    by_rate = fg.grad(lambda rate: loss(solve(np.zeros(2), rate)[0]))(0.01)
    step = 1e-6
    high, low = (loss(solve(np.zeros(2), 0.01 + s)[0]) for s in (step, -step))
    np.testing.assert_allclose(by_rate, (high - low) / (2 * step), rtol=1e-5)
