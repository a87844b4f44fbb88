"""`while_loop`: forward and reverse without a bound on the trip count, and per example."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax
from funcgrad.test_util import check_grads

# Rows of a table compile the same lambda of this file again.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

X = np.array([0.5, 1.0, 2.0])
eager_and_jit = pytest.mark.parametrize("wrap", [lambda f: f, fg.jit], ids=["eager", "jit"])


@eager_and_jit
class TestValues:
    def test_doubling(self, wrap):
        f = wrap(lambda x: lax.while_loop(lambda c: c < 10.0, lambda c: c * 2.0, x))
        assert [f(1.0), f(3.0), f(11.0)] == [16.0, 12.0, 11.0]

    def test_trees(self, wrap):
        def body(c):
            return {"n": c["n"] + 1, "x": (c["x"][0] * c["n"], None)}

        f = wrap(lambda x: lax.while_loop(lambda c: c["n"] < 5, body, {"n": 1, "x": (x, None)}))
        found = f(X)
        assert found["n"] == 5 and found["x"][1] is None
        np.testing.assert_allclose(found["x"][0], 24 * X)

    def test_closures_in_condition_and_body(self, wrap):
        f = wrap(lambda limit, w: lax.while_loop(lambda c: np.sum(c) < limit, lambda c: c * w, X))
        np.testing.assert_allclose(f(100.0, 3.0), 27 * X * (1 if 27 * 3.5 >= 100 else 3))

    def test_body_that_never_runs(self, wrap):
        f = wrap(lambda x: lax.while_loop(lambda c: c[0] < 0.0, lambda c: c / 0.0, x))
        np.testing.assert_array_equal(f(X), X)

    def test_dtypes_are_kept(self, wrap):
        f = wrap(lambda n: lax.while_loop(lambda c: c > 1, lambda c: c // 2, n))
        assert f(np.int16(100)) == 1 and f(np.int16(100)).dtype == np.int16

    def test_collatz(self, wrap):
        def steps(n):
            advance = lambda n: lax.cond(n % 2 == 0, lambda n: n // 2, lambda n: 3 * n + 1, n)
            return lax.while_loop(lambda c: c[0] != 1, lambda c: (advance(c[0]), c[1] + 1), (n, 0))[
                1
            ]

        assert [wrap(steps)(n) for n in (1, 6, 27)] == [0, 8, 111]


class TestErrors:
    @pytest.mark.parametrize(
        ("condition", "pattern"),
        [
            (lambda c: c, r"cond_fun must return one bool scalar, but returned float64\[3\]"),
            (lambda c: c > 0, r"bool\[3\].*np.any"),
            (lambda c: (c[0] > 0, c[1] > 0), "returned 2 arrays"),
            (lambda c: None, "returned 0 arrays"),
            (lambda c: 1, "returned weak int64"),
        ],
    )
    def test_condition(self, condition, pattern):
        with pytest.raises(TypeError, match=pattern):
            lax.while_loop(condition, lambda c: c, X)

    @pytest.mark.parametrize(
        ("init", "body", "pattern"),
        [
            (X, lambda c: c[:2], r"\[while_loop\] the carry must keep its type.*\[3\].*\[2\]"),
            ({"a": X}, lambda c: {"b": c["a"]}, r"(?s)\[while_loop\].*same tree structure"),
            (np.int64(1), lambda c: c * 0.5, r"int64\[\].*float64\[\]"),
        ],
    )
    def test_carry(self, init, body, pattern):
        with pytest.raises(TypeError, match=pattern):
            lax.while_loop(lambda c: False, body, init)

    def test_python_number_is_promoted(self):
        assert lax.while_loop(lambda c: c < 3, lambda c: c + np.float32(1), 0).dtype == np.float32


ROTATION = np.array([[0.9, -0.3], [0.3, 0.9]])
FUNCTIONS = {
    "power": lambda x: lax.while_loop(lambda c: np.sum(c) < 20.0, lambda c: c * 1.5, x),
    "nonlinear": lambda x: lax.while_loop(
        lambda c: c[0] < 5, lambda c: (c[0] + 1, np.sin(c[1]) + x), (0, x)
    )[1],
    "depends on the argument": lambda x: lax.while_loop(
        lambda c: c[1] < 10.0, lambda c: (c[0] * x[2], c[1] + np.sum(x)), (x, 0.0)
    ),
    "matrix": lambda x: lax.while_loop(
        lambda c: c[0] < 4, lambda c: (c[0] + 1, np.tanh(ROTATION @ c[1]) * x[0]), (0, x[:2])
    )[1],
    "newton": lambda x: lax.while_loop(
        lambda c: np.max(np.abs(c * c - x)) > 1e-12, lambda c: 0.5 * (c + x / c), x + 1.0
    ),
    "no iteration": lambda x: lax.while_loop(lambda c: c[0] < 0.0, lambda c: c * 2.0, x * x),
    "unused by the result": lambda x: lax.while_loop(
        lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1], c[2] * x[0]), (0, x, x)
    )[1],
    "swapped": lambda x: lax.while_loop(
        lambda c: c[0] < 3, lambda c: (c[0] + 1, c[2] * x, c[1]), (0, 1.0 * x, np.ones(3))
    )[1:],
    "in cond in while": lambda x: lax.while_loop(
        lambda c: c[0] < 4,
        lambda c: (c[0] + 1, lax.cond(c[0] % 2 == 0, np.sin, lambda y: y * x, c[1])),
        (0, x),
    )[1],
}  # fmt: skip


def total(f):
    return lambda x: sum(np.sum(np.sin(y)) for y in fg.tree.leaves(f(x)))


class TestReverse:
    """R45."""

    def test_gradient_value_and_jvp(self):
        f = lambda x: lax.while_loop(lambda c: c < 10.0, lambda c: c * 2.0, x)
        assert fg.grad(f)(1.0) == fg.jit(fg.grad(f))(1.0) == fg.grad(fg.jit(f))(1.0) == 16.0
        assert fg.jvp(f, (1.0,), (1.0,)) == (16.0, 16.0)
        assert [fg.grad(f)(x) for x in (1.0, 3.0, 20.0)] == [16.0, 4.0, 1.0]

    def test_number_of_iterations_differs_between_calls_of_one_compiled_function(self):
        g = fg.jit(fg.grad(lambda x: lax.while_loop(lambda c: c < 1e6, lambda c: c * x, 1.0)))
        for x in (2.0, 10.0, 1.5, 1e7):
            n = int(np.ceil(np.log(1e6) / np.log(x) - 1e-9))
            np.testing.assert_allclose(g(x), n * x ** (n - 1))
        assert g.trace_count() == 1

    def test_many_iterations(self):
        f = lambda x: lax.while_loop(
            lambda c: c[0] < 3000, lambda c: (c[0] + 1, c[1] * (1 + x / 3000)), (0, 1.0)
        )[1]
        np.testing.assert_allclose(fg.grad(f)(1.0), np.e, rtol=1e-3)

    @pytest.mark.parametrize("name", FUNCTIONS)
    def test_both_modes(self, name):
        check_grads(total(FUNCTIONS[name]), (X,), order=2)

    @pytest.mark.parametrize("name", FUNCTIONS)
    def test_third_order(self, name):
        f = lambda t: total(FUNCTIONS[name])(X * t)
        reverse, forward = f, f
        for _ in range(3):
            reverse = fg.grad(reverse)
            forward = (lambda g: lambda t: fg.jvp(g, (t,), (1.0,))[1])(forward)
        np.testing.assert_allclose(reverse(1.1), forward(1.1), rtol=1e-8, atol=1e-9)

    @pytest.mark.parametrize("name", FUNCTIONS)
    def test_jit(self, name):
        f = total(FUNCTIONS[name])
        np.testing.assert_allclose(fg.jit(f)(X), f(X))
        np.testing.assert_allclose(fg.jit(fg.grad(f))(X), fg.grad(f)(X))
        np.testing.assert_allclose(fg.grad(fg.jit(f))(X), fg.grad(f)(X))
        np.testing.assert_allclose(fg.jit(fg.hessian(f))(X), fg.hessian(f)(X))
        np.testing.assert_allclose(fg.grad(fg.checkpoint(f))(X), fg.grad(f)(X))

    def test_gradient_of_closed_over_values(self):
        def f(w, limit):
            return lax.while_loop(lambda c: c < limit, lambda c: c * w, 1.0)

        assert fg.grad(f)(3.0, 20.0) == 3 * 3.0**2
        assert fg.grad(f, 1)(3.0, 20.0) == 0.0
        assert fg.jit(fg.grad(f, (0, 1)))(3.0, 20.0) == (27.0, 0.0)

    def test_constants_of_the_loop_are_not_stacked(self):
        w = np.full((30, 30), 0.01)

        def f(x):
            step = lambda c: (c[0] + 1, np.exp(w) @ c[1])
            return np.sum(lax.while_loop(lambda c: c[0] < 5, step, (0, x))[1])

        _, push = fg.linearize(f, np.ones(30))
        loops = [e for e in push.program.equations if e.primitive.name == "scan"]
        for loop in loops:
            head = 1 + loop.params["num_consts"] + loop.params["num_carry"]
            assert [a.type.shape for a in loop.inputs[head:]] == []


class TestPerExample:
    XS = np.stack([X, X * 0.1, X * 30.0])

    @pytest.mark.parametrize("name", FUNCTIONS)
    @eager_and_jit
    def test_each_example_stops_by_itself(self, name, wrap):
        f = FUNCTIONS[name]
        found = wrap(fg.vmap(f))(self.XS)
        for index, out in enumerate(fg.tree.leaves(found)):
            expected = np.stack([fg.tree.leaves(f(x))[index] for x in self.XS])
            np.testing.assert_allclose(out, expected)

    @pytest.mark.parametrize("name", FUNCTIONS)
    def test_derivatives(self, name):
        f = total(FUNCTIONS[name])
        expected = np.stack([fg.grad(f)(x) for x in self.XS])
        np.testing.assert_allclose(fg.vmap(fg.grad(f))(self.XS), expected)
        np.testing.assert_allclose(fg.jit(fg.vmap(fg.grad(f)))(self.XS), expected)
        through = fg.grad(lambda xs: np.sum(fg.vmap(f)(xs)))(self.XS)
        np.testing.assert_allclose(through, expected)
        moved = fg.jvp(fg.vmap(f), (self.XS,), (np.ones_like(self.XS),))[1]
        np.testing.assert_allclose(moved, np.sum(expected, axis=1))

    @pytest.mark.parametrize("name", ["power", "nonlinear", "depends on the argument", "newton"])
    def test_second_derivatives(self, name):
        f = total(FUNCTIONS[name])
        expected = np.stack([fg.hessian(f)(x) for x in self.XS])
        np.testing.assert_allclose(fg.vmap(fg.hessian(f))(self.XS), expected, rtol=1e-6, atol=1e-9)
        both = fg.vmap(fg.jacrev(fg.grad(f)))(self.XS)
        np.testing.assert_allclose(both, expected, rtol=1e-6, atol=1e-9)

    def test_only_the_limit_differs(self):
        f = lambda n, x: lax.while_loop(
            lambda c: c[0] < n, lambda c: (c[0] + 1, c[1] * x), (0, 1.0)
        )[1]
        n = np.array([0, 1, 2, 5])
        np.testing.assert_allclose(fg.vmap(f, (0, None))(n, 3.0), 3.0**n)
        slopes = fg.vmap(fg.grad(f, 1), (0, None))(n, 3.0)
        np.testing.assert_allclose(slopes, [0.0, 1.0, 6.0, 5 * 81.0])
        total = fg.grad(lambda x: np.sum(fg.vmap(f, (0, None))(n, x)))(3.0)
        np.testing.assert_allclose(total, np.sum(slopes))

    def test_no_nan_from_an_example_that_is_done(self):
        """The body divides by what is zero once an example has finished."""

        def f(x):
            return lax.while_loop(
                lambda c: c[0] > 0.0, lambda c: (c[0] - 1.0, c[1] / c[0]), (x, 1.0)
            )[1]

        xs = np.array([1.0, 3.0, 0.0])
        with fg.debug_nans():
            np.testing.assert_allclose(fg.vmap(f)(xs), [1.0, 1 / 6, 1.0])
            fg.vmap(fg.grad(f))(xs)

    @pytest.mark.parametrize("count", [0, 1])
    def test_no_or_one_example(self, count):
        f = total(FUNCTIONS["power"])
        assert fg.vmap(f)(np.ones((count, 3))).shape == (count,)
        assert fg.vmap(fg.grad(f))(np.ones((count, 3))).shape == (count, 3)

    def test_nested_vmap(self):
        f = lambda x, n: lax.while_loop(
            lambda c: c[0] < n, lambda c: (c[0] + 1, c[1] * x), (0, 1.0)
        )[1]
        xs, ns = np.array([2.0, 3.0]), np.array([0, 2, 3])
        both = fg.vmap(fg.vmap(f, (None, 0)), (0, None))
        np.testing.assert_allclose(both(xs, ns), xs[:, None] ** ns)
        slope = fg.vmap(fg.vmap(fg.grad(f), (None, 0)), (0, None))
        expected = ns * xs[:, None] ** np.maximum(ns - 1, 0)
        np.testing.assert_allclose(slope(xs, ns), expected)


def test_eager_python_loop_agrees():
    def f(x):
        while x < 10.0:
            x = x * 2.0
        return x

    assert fg.grad(f)(1.0) == 16.0
