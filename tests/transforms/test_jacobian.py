"""`jacfwd`, `jacrev`, `hessian` and `hvp`: values, shapes and structures."""

import numpy as np
import pytest

import funcgrad as fg

X = np.array([1.0, 2.0, 3.0])
both_modes = pytest.mark.parametrize("jacobian", [fg.jacfwd, fg.jacrev])


@both_modes
class TestJacobian:
    def test_shape_is_output_then_input(self, jacobian):
        x = np.arange(6.0).reshape(2, 3)
        found = jacobian(lambda x: np.sum(x, axis=0)[:, None] * np.ones(4))(x)
        assert found.shape == (3, 4, 2, 3)
        expected = np.broadcast_to(np.eye(3)[:, None, None, :], (3, 4, 2, 3))
        np.testing.assert_allclose(found, expected)

    def test_scalars(self, jacobian):
        found = jacobian(np.sin)(0.3)
        assert found.shape == ()
        np.testing.assert_allclose(found, np.cos(0.3))
        assert jacobian(lambda x: x * X)(2.0).tolist() == X.tolist()

    def test_argnums(self, jacobian):
        f = lambda x, y: x * y
        assert isinstance(jacobian(f, (0,))(X, X), tuple)
        dx, dy = jacobian(f, (0, 1))(X, 2 * X)
        np.testing.assert_allclose(dx, np.diag(2 * X))
        np.testing.assert_allclose(dy, np.diag(X))
        np.testing.assert_allclose(jacobian(f, -1)(X, 2 * X), np.diag(X))

    def test_tree_of_outputs_holds_trees_of_inputs(self, jacobian):
        f = lambda p: {"y": p["a"] * p["b"], "z": (np.sum(p["a"]),)}
        found = jacobian(f)({"a": X, "b": 2.0, "tag": "t"})
        assert found["y"]["tag"] is None
        np.testing.assert_allclose(found["y"]["a"], 2 * np.eye(3))
        np.testing.assert_allclose(found["y"]["b"], X)
        np.testing.assert_allclose(found["z"][0]["a"], np.ones(3))
        np.testing.assert_allclose(found["z"][0]["b"], 0.0)

    def test_aux_and_keywords(self, jacobian):
        f = lambda x, *, scale: (scale * x, {"scale": scale, "x": x})
        found, aux = jacobian(f, has_aux=True)(X, scale=3.0)
        np.testing.assert_allclose(found, 3 * np.eye(3))
        assert aux["scale"] == 3.0
        np.testing.assert_array_equal(aux["x"], X)

    def test_dtype(self, jacobian):
        found = jacobian(lambda x: x**2)(X.astype(np.float32))
        assert found.dtype == np.float32

    def test_empty(self, jacobian):
        assert jacobian(lambda x: x[:0])(X).shape == (0, 3)
        assert jacobian(lambda x: x)(np.zeros(0)).shape == (0, 0)

    def test_holomorphic(self, jacobian):
        found = jacobian(lambda z: z**2, holomorphic=True)(X + 1j)
        np.testing.assert_allclose(found, np.diag(2 * (X + 1j)))
        with pytest.raises(TypeError, match="holomorphic=True"):
            jacobian(lambda z: z**2)(X + 1j)

    def test_integer_input(self, jacobian):
        with pytest.raises(TypeError, match="floating arguments.*int64"):
            jacobian(lambda x: x * 1.0)(np.arange(3))

    def test_integer_output(self, jacobian):
        with pytest.raises(TypeError, match="no derivative"):
            jacobian(lambda x: np.argmax(x))(X)

    def test_output_that_does_not_depend_on_the_argument(self, jacobian):
        np.testing.assert_array_equal(jacobian(lambda x: np.ones(2))(X), np.zeros((2, 3)))

    def test_result_is_writeable_and_fresh(self, jacobian):
        found = jacobian(lambda x: 2.0 * x)(X)
        found[:] = 0.0

    def test_under_jit_and_vmap(self, jacobian):
        f = lambda x: x[::-1] * x
        expected = np.stack([jacobian(f)(row) for row in (X, 2 * X)])
        np.testing.assert_allclose(fg.jit(jacobian(f))(X), expected[0])
        np.testing.assert_allclose(fg.vmap(jacobian(f))(np.stack([X, 2 * X])), expected)


def test_jacrev_with_integers_allowed():
    found = fg.jacrev(lambda p: p["x"] * p["n"], allow_int=True)({"x": X, "n": 2})
    assert found["n"] is None
    np.testing.assert_allclose(found["x"], 2 * np.eye(3))


def test_jacobian_is_jacrev():
    assert fg.jacobian is fg.jacrev


def test_jacfwd_of_jacrev_equals_jacrev_of_jacfwd():
    f = lambda x: np.sin(x[0]) * np.exp(x[1]) * x
    first = fg.jacfwd(fg.jacrev(f))(X)
    second = fg.jacrev(fg.jacfwd(f))(X)
    assert first.shape == (3, 3, 3)
    np.testing.assert_allclose(first, second)
    np.testing.assert_allclose(first, np.swapaxes(first, 1, 2))


class TestHessian:
    def test_quadratic(self):
        a = np.arange(9.0).reshape(3, 3)
        np.testing.assert_allclose(fg.hessian(lambda x: x @ a @ x)(X), a + a.T)

    def test_dict_of_dicts(self):
        found = fg.hessian(lambda p: np.sum(p["w"] ** 2) * p["b"])({"w": X, "b": 2.0})
        assert set(found) == {"w", "b"} and set(found["w"]) == {"w", "b"}
        np.testing.assert_allclose(found["w"]["w"], 4 * np.eye(3))
        np.testing.assert_allclose(found["w"]["b"], 2 * X)
        np.testing.assert_allclose(found["b"]["w"], 2 * X)
        np.testing.assert_allclose(found["b"]["b"], 0.0)

    def test_argnums_give_a_tuple_of_tuples(self):
        found = fg.hessian(lambda x, y: x**2 * y, (0, 1))(3.0, 5.0)
        assert found == ((10.0, 6.0), (6.0, 0.0))

    def test_aux(self):
        found, aux = fg.hessian(lambda x: (x**3, x), has_aux=True)(2.0)
        assert found == 12.0 and aux == 2.0

    def test_square_at_zero(self):
        """R09."""
        assert fg.hessian(lambda x: x**2)(0.0) == 2.0
        assert fg.grad(fg.hessian(lambda x: x**2))(0.0) == 0.0


class TestHvp:
    def test_equals_the_hessian_times_the_vector(self):
        f = lambda x: np.prod(x) * np.sum(np.sin(x))
        v = np.array([1.0, -1.0, 2.0])
        np.testing.assert_allclose(fg.hvp(f, (X,), (v,)), fg.hessian(f)(X) @ v)

    def test_several_arguments(self):
        dx, dy = fg.hvp(lambda x, y: x**2 * y, (3.0, 5.0), (1.0, 0.0))
        assert (dx, dy) == (10.0, 6.0)
