"""`check_grads` and `ravel_pytree`."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.flatten_util import ravel_pytree
from funcgrad.test_util import check_grads

X = np.array([0.5, 1.0, 2.0])


class TestCheckGrads:
    @pytest.mark.parametrize("order", [1, 2, 3])
    def test_right_derivatives_pass(self, order):
        check_grads(lambda p, y: {"a": np.sin(p["x"]) * y}, ({"x": X}, 2.0), order)

    def test_float32_and_complex(self):
        check_grads(np.tanh, (X.astype(np.float32),), 2)
        check_grads(lambda z: z**3, (X + 1j,), 2)

    @pytest.mark.parametrize("mode", ["fwd", "rev"])
    @pytest.mark.parametrize("error", [1.5, 1.001])
    def test_wrong_derivative_is_found(self, mode, error):
        f = fg.custom_jvp(np.sin)
        f.defjvp(lambda p, t: (f(*p), t[0] * np.cos(p[0]) * error))
        with pytest.raises(AssertionError, match="jvp order 1|vjp order 1"):
            check_grads(f, (X,), 1, modes=(mode,))

    def test_wrong_second_derivative_is_found(self):
        slope = fg.custom_jvp(np.cos)
        slope.defjvp(lambda p, t: (slope(*p), t[0] * np.sin(p[0])))  # the sign is wrong
        f = fg.custom_jvp(np.sin)
        f.defjvp(lambda p, t: (f(*p), t[0] * slope(p[0])))
        check_grads(f, (X,), 1)
        with pytest.raises(AssertionError):
            check_grads(f, (X,), 2)

    def test_message_names_the_leaf(self):
        f = fg.custom_jvp(lambda p: {"good": np.sin(p), "bad": np.sin(p)})
        f.defjvp(lambda p, t: (f(*p), {"good": np.cos(p[0]) * t[0], "bad": t[0]}))
        with pytest.raises(AssertionError, match="at bad differs"):
            check_grads(f, (X,), 1, modes=("fwd",))

    def test_one_mode_is_enough_for_custom_vjp(self):
        f = fg.custom_vjp(np.sin)
        f.defvjp(lambda x: (np.sin(x), x), lambda x, ct: (ct * np.cos(x),))
        check_grads(f, (X,), 2, modes=("rev",))

    def test_integer_arguments_are_left_alone(self):
        check_grads(lambda x, n: x * n, (X, 3), 2)

    @pytest.mark.parametrize(("order", "modes"), [(0, ("fwd",)), (1, ("forward",))])
    def test_bad_options(self, order, modes):
        with pytest.raises(ValueError, match="modes must be 'fwd' or 'rev' and order at least 1"):
            check_grads(np.sin, (X,), order, modes)


class TestRavel:
    def test_round_trip(self):
        tree = {
            "w": np.arange(6.0).reshape(2, 3),
            "b": (np.float64(7), None),
            "e": np.zeros((0, 2)),
        }
        flat, unravel = ravel_pytree(tree)
        assert sorted(flat) == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 7.0]
        back = unravel(flat)
        assert fg.tree.structure(back) == fg.tree.structure(tree)
        np.testing.assert_array_equal(back["w"], tree["w"])
        assert back["b"] == (7.0, None) and back["e"].shape == (0, 2)

    def test_mixed_dtypes_come_back(self):
        tree = {"a": np.ones(2, np.float32), "b": np.arange(2), "c": np.array([True])}
        flat, unravel = ravel_pytree(tree)
        assert flat.dtype == np.float64
        assert [x.dtype.name for x in fg.tree.leaves(unravel(flat))] == ["float32", "int64", "bool"]

    def test_static_leaves_and_empty(self):
        flat, unravel = ravel_pytree({"act": np.tanh, "x": X})
        assert unravel(flat)["act"] is np.tanh
        flat, unravel = ravel_pytree({})
        assert flat.shape == (0,) and unravel(flat) == {}

    def test_wrong_length(self):
        _, unravel = ravel_pytree(X)
        with pytest.raises(ValueError, match=r"length 3, but got shape \(4,\)"):
            unravel(np.ones(4))

    def test_derivatives_and_compilation(self):
        tree = {"a": X, "b": 2.0}
        flat, unravel = ravel_pytree(tree)
        loss = lambda v: np.sum(unravel(v)["a"] ** 2) * unravel(v)["b"]
        np.testing.assert_allclose(fg.grad(loss)(flat), [*(4 * X), np.sum(X**2)])
        np.testing.assert_allclose(fg.jit(fg.grad(loss))(flat), fg.grad(loss)(flat))
        back = fg.grad(lambda t: np.sum(ravel_pytree(t)[0] ** 2))(tree)
        np.testing.assert_allclose(back["a"], 2 * X)
        assert fg.vmap(lambda x: ravel_pytree({"a": x, "b": x[:1]})[0])(np.ones((2, 3))).shape == (
            2,
            4,
        )

    def test_results_are_fresh(self):
        flat, unravel = ravel_pytree(X)
        assert not np.shares_memory(flat, X) and not np.shares_memory(unravel(flat), flat)
