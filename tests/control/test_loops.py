"""`fori_loop`, `map` and `associative_scan`."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax
from funcgrad.test_util import check_grads

# Rows of a table compile the same lambda of this file again.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

X = np.array([0.5, 1.0, 2.0])
eager_and_jit = pytest.mark.parametrize("wrap", [lambda f: f, fg.jit], ids=["eager", "jit"])


class TestForiLoop:
    @eager_and_jit
    def test_values(self, wrap):
        assert wrap(lambda c: lax.fori_loop(1, 5, lambda i, c: c * i, c))(1.0) == 24.0
        assert wrap(lambda c: lax.fori_loop(np.int32(-2), 3, lambda i, c: c + i, c))(0) == 0
        assert wrap(lambda c: lax.fori_loop(5, 2, lambda i, c: c * 0, c))(7.0) == 7.0

    @eager_and_jit
    def test_trees_and_closures(self, wrap):
        f = lambda w: lax.fori_loop(
            0,
            3,
            lambda i, t: {"a": t["a"] * w + fg.numpy.asarray(X)[i], "n": i},
            {"a": 0.0, "n": 0},
        )
        found = wrap(f)(2.0)
        assert found["n"] == 2 and found["a"] == (0.5 * 2 + 1) * 2 + 2

    @pytest.mark.parametrize("bounds", [(0, 2), (np.int32(1), np.int64(3)), (np.uint8(0), 2)])
    def test_static_and_traced_bounds_have_equal_derivatives(self, bounds):
        """R45."""
        f = lambda x, a, b: lax.fori_loop(a, b, lambda i, c: c * x, x)
        lower, upper = bounds
        static = lambda x: lax.fori_loop(int(lower), int(upper), lambda i, c: c * x, x)
        assert fg.grad(static)(2.0) == 12.0
        assert fg.grad(f)(2.0, *bounds) == 12.0
        assert fg.jit(fg.grad(f))(2.0, *bounds) == 12.0
        assert fg.grad(fg.jit(f))(2.0, *bounds) == 12.0
        assert fg.jvp(fg.jit(f), (2.0, *bounds), (1.0, None, None)) == (8.0, 12.0)

    def test_traced_bounds_are_not_traced_again(self):
        f = fg.jit(lambda n: lax.fori_loop(0, n, lambda i, c: c + i, 0))
        assert [f(n) for n in (0, 1, 5, 100)] == [0, 0, 10, 4950]
        assert f.trace_count() == 1

    def test_bounds_per_example(self):
        f = lambda n, x: lax.fori_loop(0, n, lambda i, c: c * x, 1.0)
        n = np.array([0, 3, 1])
        np.testing.assert_allclose(fg.vmap(f, (0, None))(n, 2.0), 2.0**n)
        np.testing.assert_allclose(fg.vmap(fg.grad(f, 1), (0, None))(n, 2.0), [0.0, 12.0, 1.0])

    def test_higher_order(self):
        f = lambda x: lax.fori_loop(0, 3, lambda i, c: np.sin(c) * x, x)
        check_grads(f, (0.7,), order=3)
        traced = fg.jit(lambda x, n: lax.fori_loop(0, n, lambda i, c: np.sin(c) * x, x))
        check_grads(lambda x: traced(x, 3), (0.7,), order=3)

    def test_index_may_select(self):
        f = lambda w: lax.fori_loop(0, 3, lambda i, c: c + w[i] ** 2, 0.0)
        np.testing.assert_allclose(fg.grad(f)(X), 2 * X)
        np.testing.assert_allclose(fg.jit(fg.grad(f))(X), 2 * X)

    @pytest.mark.parametrize("bounds", [(0, 2.0), (0.0, 2), (0, np.array([2])), (0, True)])
    def test_bad_bounds(self, bounds):
        with pytest.raises(TypeError, match="must be an integer scalar"):
            lax.fori_loop(*bounds, lambda i, c: c, 0.0)

    def test_carry_that_changes(self):
        with pytest.raises(TypeError, match="carry must keep its type"):
            lax.fori_loop(0, 2, lambda i, c: c[:1], X)


class TestMap:
    @eager_and_jit
    @pytest.mark.parametrize("batch_size", [None, 1, 2, 3, 10])
    def test_values_and_trees(self, wrap, batch_size):
        f = lambda t: {"y": t["a"] * t["b"], "n": t["a"].shape[0]}
        xs = {"a": np.arange(10.0).reshape(5, 2), "b": np.arange(5.0)}
        found = wrap(lambda xs: lax.map(f, xs, batch_size=batch_size))(xs)
        np.testing.assert_allclose(found["y"], xs["a"] * xs["b"][:, None])
        np.testing.assert_array_equal(found["n"], [2] * 5)

    @pytest.mark.parametrize("batch_size", [None, 2])
    def test_derivatives_and_vmap(self, batch_size):
        f = lambda x: lax.map(lambda y: np.sin(y) * x[0], x, batch_size=batch_size)
        check_grads(f, (X,), order=2)
        xs = np.stack([X, 2 * X])
        np.testing.assert_allclose(fg.vmap(f)(xs), np.stack([f(x) for x in xs]))

    @pytest.mark.parametrize("batch_size", [None, 2])
    def test_nothing(self, batch_size):
        found = lax.map(
            lambda x: (x * 2, x > 0), np.zeros((0, 3), np.float32), batch_size=batch_size
        )
        assert found[0].shape == (0, 3) and found[0].dtype == np.float32 and found[1].dtype == bool

    def test_not_batched_one_after_the_other(self):
        seen = []
        lax.map(lambda x: fg.debug.callback(seen.append, x), X)
        assert seen == X.tolist()

    @pytest.mark.parametrize("batch_size", [0, -1, 1.5])
    def test_bad_batch_size(self, batch_size):
        with pytest.raises(ValueError, match="batch_size must be a positive int"):
            lax.map(np.sin, X, batch_size=batch_size)


def affine(first, second):
    """Composition of x -> a x + b."""
    return {"a": first["a"] * second["a"], "b": second["a"] * first["b"] + second["b"]}


class TestAssociativeScan:
    @eager_and_jit
    @pytest.mark.parametrize("length", [*range(10), 33])
    @pytest.mark.parametrize("reverse", [False, True])
    def test_sums_of_every_length(self, wrap, length, reverse):
        x = np.arange(1.0, length + 1)
        found = wrap(lambda x: lax.associative_scan(np.add, x, reverse=reverse))(x)
        expected = np.cumsum(x[::-1])[::-1] if reverse else np.cumsum(x)
        np.testing.assert_allclose(found, expected)

    def test_order_matters(self):
        """Matrix products: associative, not commutative."""
        rng = np.random.default_rng(0)
        m = rng.normal(size=(7, 2, 2))
        found = lax.associative_scan(np.matmul, m)
        expected = [m[0]]
        for one in m[1:]:
            expected.append(expected[-1] @ one)
        np.testing.assert_allclose(found, expected)

    def test_trees_and_the_linear_recurrence(self):
        a, b = np.array([0.5, 2.0, -1.0, 3.0, 1.0]), np.arange(5.0)
        found = lax.associative_scan(affine, {"a": a, "b": b})["b"]
        state, expected = 0.0, []
        for u, v in zip(a, b, strict=True):
            state = u * state + v
            expected.append(state)
        np.testing.assert_allclose(found, expected)

    @pytest.mark.parametrize("axis", [0, 1, -1, -2])
    def test_axes(self, axis):
        x = np.arange(12.0).reshape(3, 4)
        np.testing.assert_allclose(lax.associative_scan(np.add, x, axis=axis), np.cumsum(x, axis))
        np.testing.assert_allclose(
            lax.associative_scan(np.maximum, x, reverse=True, axis=axis),
            np.flip(np.maximum.accumulate(np.flip(x, axis), axis), axis),
        )

    def test_derivatives_and_vmap(self):
        f = lambda a, b: lax.associative_scan(affine, {"a": a, "b": b})["b"]
        check_grads(f, (X, X + 1), order=2)
        xs = np.stack([X, 2 * X])
        expected = np.stack([f(x, x) for x in xs])
        np.testing.assert_allclose(fg.vmap(f)(xs, xs), expected)
        np.testing.assert_allclose(fg.jit(fg.vmap(f))(xs, xs), expected)

    @pytest.mark.parametrize(
        ("elems", "axis", "pattern"),
        [
            (1.0, 0, r"axis 0, but elems has shape \(\)"),
            ({"a": np.ones(2), "b": np.ones(3)}, 0, "lengths along axis 0 differ"),
            ({"a": np.ones(2)}, 1, r"axis 1, but a has shape \(2,\)"),
        ],
    )
    def test_errors(self, elems, axis, pattern):
        with pytest.raises(ValueError, match=pattern):
            lax.associative_scan(np.add, elems, axis=axis)
