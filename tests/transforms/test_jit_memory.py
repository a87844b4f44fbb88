"""Who owns which memory: results are fresh everywhere, and donated arguments are given up loudly."""

import itertools

import numpy as np
import pytest

import funcgrad as fg

X, Y = np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0])
W = np.arange(3.0)


def assert_fresh(outs, *others):
    """No result shares memory with another or with these arrays; all can be written to."""
    leaves = [leaf for leaf in fg.tree.leaves(outs) if isinstance(leaf, np.ndarray)]
    assert leaves
    for leaf in leaves:
        assert leaf.flags.writeable and leaf.flags.c_contiguous and leaf.flags.aligned
        assert not any(np.shares_memory(leaf, other) for other in others)
    for first, second in itertools.combinations(leaves, 2):
        assert not np.shares_memory(first, second)


FUNCTIONS = {
    "identity": lambda x, y: x,
    "same twice": lambda x, y: (x, x),
    "both": lambda x, y: {"x": x, "y": (y, x)},
    "view": lambda x, y: x[1:],
    "reversed": lambda x, y: x[::-1],
    "reshaped": lambda x, y: np.reshape(x, (3, 1)),
    "result and its view": lambda x, y: (lambda z: (z, z[:2], z.T))(x + y),
    "broadcast": lambda x, y: np.broadcast_to(x, (2, 3)),
    "transposed": lambda x, y: (x[:, None] * y).T,
    "captured": lambda x, y: W,
    "view of captured": lambda x, y: (W[1:], W.reshape(3, 1)),
    "constant": lambda x, y: np.ones(3),
    "select": lambda x, y: np.where(True, x, y),
    "stop gradient": lambda x, y: fg.stop_gradient(x),
    "real part": lambda x, y: np.real(x),
    "astype": lambda x, y: x.astype(np.float64),
    "ravel": lambda x, y: np.ravel(x),
    "cond": lambda x, y: fg.lax.cond(x[0] > 0, lambda x: x, lambda x: -x, x),
    "scan carry": lambda x, y: fg.lax.scan(lambda c, _: (c, c), x, None, length=2),
    "empty loop": lambda x, y: fg.lax.fori_loop(0, 0, lambda i, c: c * 2, x),
    "while": lambda x, y: fg.lax.while_loop(lambda c: c[0] < 0, lambda c: c * 2, x),
    "checkpoint": lambda x, y: fg.checkpoint(lambda x: x)(x),
}


@pytest.mark.parametrize("name", FUNCTIONS)
class TestFresh:
    """R59, A4."""

    pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

    def test_jit(self, name):
        x, y = X.copy(), Y.copy()
        f = fg.jit(FUNCTIONS[name])
        first = f(x, y)
        assert_fresh(first, x, y, W)
        second = f(x, y)
        assert_fresh((first, second), x, y, W)

    def test_vmap(self, name):
        x = np.stack([X, Y])
        f = lambda x, y: FUNCTIONS[name](x, y)
        if name == "broadcast":
            assert fg.vmap(f)(x, x).shape == (2, 2, 3)
        assert_fresh(fg.vmap(f)(x, x), x, W)

    def test_vjp_and_jvp(self, name):
        x, y = X.copy(), Y.copy()
        out, pull = fg.vjp(FUNCTIONS[name], x, y)
        ct = fg.tree.map(np.ones_like, out)
        cotangents = pull(ct)
        assert_fresh((out, cotangents), x, y, W, *fg.tree.leaves(ct))
        primal, tangent = fg.jvp(FUNCTIONS[name], (x, y), (X, Y))
        assert_fresh((primal, tangent), x, y, W, X, Y)

    def test_linearize(self, name):
        x, y = X.copy(), Y.copy()
        out, push = fg.linearize(FUNCTIONS[name], x, y)
        tangents = X.copy(), Y.copy()
        assert_fresh((out, push(*tangents), push(*tangents)), x, y, W, *tangents)

    def test_values(self, name):
        expected = FUNCTIONS[name](X, Y)
        for out in (fg.jit(FUNCTIONS[name])(X, Y), fg.vjp(FUNCTIONS[name], X, Y)[0]):
            found = fg.tree.flatten(out, tie=False)[0]
            for a, b in zip(found, fg.tree.flatten(expected, tie=False)[0], strict=True):
                np.testing.assert_array_equal(a, b)


def test_gradients_of_a_sum_are_two_arrays():
    x, y = X.copy(), Y.copy()
    assert_fresh(fg.grad(lambda x, y: np.sum(x + y), (0, 1))(x, y), x, y)


def test_gradient_of_sum_is_writeable_and_contiguous():
    x = np.asfortranarray(np.ones((2, 3)))
    assert_fresh(fg.grad(np.sum)(x), x)
    assert_fresh(fg.grad(lambda x: np.sum(x.T * np.ones((3, 2))))(x), x)


def test_aux_is_fresh():
    x = X.copy()
    _, aux = fg.grad(lambda x: (np.sum(x), {"x": x, "w": W}), has_aux=True)(x)
    assert_fresh(aux, x, W)


def test_editing_a_result_does_not_show_in_the_next_call():
    f = fg.jit(lambda x: (W, np.zeros(3), x))
    first = f(X)
    for leaf in first:
        leaf[:] = -1.0
    np.testing.assert_array_equal(f(X)[0], [0.0, 1.0, 2.0])
    np.testing.assert_array_equal(f(X)[1], np.zeros(3))
    np.testing.assert_array_equal(X, [1.0, 2.0, 3.0])


def test_results_of_one_tied_array_stay_tied():
    """The only exception to fresh results: the positions of one shared array hold one array."""
    w = X.copy()
    found = fg.jit(lambda p: fg.tree.map(lambda x: x * 2, p))({"a": w, "b": w})
    assert found["a"] is found["b"]
    np.testing.assert_allclose(found["a"], 2 * X)


class TestInPlace:
    """A6: in-place code works on traced values and never touches the caller's arrays."""

    @staticmethod
    def edit(x):
        x[0] = 10.0
        x += 1.0
        x[1:] *= 2.0
        return x

    @pytest.mark.parametrize("transform", [fg.jit, lambda f: fg.jit(fg.jit(f))])
    def test_jit(self, transform):
        x = X.copy()
        np.testing.assert_array_equal(transform(self.edit)(x), [11.0, 6.0, 8.0])
        np.testing.assert_array_equal(x, X)

    def test_derivatives_and_vmap(self):
        x = X.copy()
        np.testing.assert_array_equal(fg.grad(lambda x: np.sum(self.edit(x)))(x), [0.0, 2.0, 2.0])
        np.testing.assert_array_equal(fg.jvp(self.edit, (x,), (X,))[1], [0.0, 4.0, 6.0])
        batch = np.stack([X, Y])
        np.testing.assert_array_equal(fg.vmap(self.edit)(batch)[1], [11.0, 12.0, 14.0])
        np.testing.assert_array_equal(x, X)
        np.testing.assert_array_equal(batch, [X, Y])

    def test_accumulating_into_a_real_array_rebinds_the_name(self):
        def f(x):
            total = np.zeros(3)
            alias = total
            total += x
            return np.sum(total), alias

        gradient, alias = fg.grad(f, has_aux=True)(X)
        np.testing.assert_array_equal(gradient, np.ones(3))
        np.testing.assert_array_equal(alias, np.zeros(3))


class TestDonation:
    """R59b, A5."""

    def test_result_and_reuse(self):
        f = fg.jit(lambda x, y: x + y, donate_argnums=0)
        x, y = X.copy(), Y.copy()
        np.testing.assert_array_equal(f(x, y), X + Y)
        assert not x.flags.writeable and y.flags.writeable
        with pytest.raises(
            ValueError, match=r"float64\[3\]\) was donated to lambda, called at test_jit"
        ):
            f(x, y)
        with pytest.raises(ValueError, match="donated"):
            f(X.copy(), x)

    def test_training_loop(self):
        step = fg.jit(lambda p, g: fg.tree.map(lambda w, d: w - d, p, g), donate_argnames="p")
        p = {"w": X.copy()}
        for _ in range(3):
            p = step(p, {"w": np.ones(3)})
        np.testing.assert_array_equal(p["w"], X - 3)

    def test_same_array_twice(self):
        f = fg.jit(lambda x, y: x + y, donate_argnums=0)
        x = X.copy()
        with pytest.raises(ValueError, match="shares memory with another argument.*copy"):
            f(x, x)
        with pytest.raises(ValueError, match="shares memory"):
            f(x, x[1:])
        assert x.flags.writeable

    def test_view_of_a_donated_array(self):
        f = fg.jit(lambda x: x * 2, donate_argnums=0)
        x = X.copy()
        view = x[1:]
        f(x)
        with pytest.raises(ValueError, match="donated"):
            f(view)

    def test_donated_view_warns(self):
        f = fg.jit(lambda x: x * 2, donate_argnums=0)
        with pytest.warns(UserWarning, match="view of another array"):
            f(X.copy()[1:])

    def test_new_array_at_the_same_address_is_fine(self):
        f = fg.jit(lambda x: x * 2, donate_argnums=0)
        for _ in range(20):
            np.testing.assert_array_equal(f(X.copy()), 2 * X)

    def test_inside_another_trace_nothing_is_given_up(self):
        f = fg.jit(lambda x: np.sum(x * 2), donate_argnums=0)
        x = X.copy()
        np.testing.assert_array_equal(fg.grad(f)(x), [2.0, 2.0, 2.0])
        assert x.flags.writeable
