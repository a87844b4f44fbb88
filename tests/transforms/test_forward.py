"""Forward mode: `jvp`, `linearize` and `linear_transpose`."""

import numpy as np
import pytest

import funcgrad as fg

X = np.array([1.0, 2.0, 3.0])
DX = np.array([1.0, 0.0, -1.0])


class TestJvp:
    def test_value_and_tangent(self):
        y, dy = fg.jvp(np.sin, (X,), (DX,))
        np.testing.assert_allclose(y, np.sin(X))
        np.testing.assert_allclose(dy, np.cos(X) * DX)

    def test_trees(self):
        def f(p, n):
            return {"y": p["w"] * n, "kind": p["kind"], "count": n}

        primals = ({"w": X, "kind": "layer"}, 3)
        y, dy = fg.jvp(f, primals, ({"w": DX, "kind": None}, None))
        np.testing.assert_allclose(y["y"], 3 * X)
        np.testing.assert_allclose(dy["y"], 3 * DX)
        assert y["kind"] == "layer" and dy["kind"] is None
        assert y["count"] == 3 and dy["count"] is None

    def test_none_is_zero_for_a_whole_tree_or_a_leaf(self):
        f = lambda p, x: p["a"] * p["b"] * x
        primals = ({"a": 2.0, "b": 3.0}, 5.0)
        assert fg.jvp(f, primals, (None, 1.0))[1] == 6.0
        assert fg.jvp(f, primals, ({"a": 1.0, "b": None}, None))[1] == 15.0

    def test_constant_output_has_zero_tangent(self):
        y, dy = fg.jvp(lambda x: np.ones(2, np.float32), (1.0,), (1.0,))
        np.testing.assert_array_equal(dy, [0.0, 0.0])
        assert dy.dtype == np.float32

    def test_aux(self):
        y, dy, aux = fg.jvp(lambda x: (x**2, {"x": x}), (3.0,), (1.0,), has_aux=True)
        assert (y, dy) == (9.0, 6.0)
        assert aux["x"] == 3.0 and isinstance(aux["x"], float | np.floating)

    def test_tangent_takes_the_dtype_of_the_primal(self):
        _, dy = fg.jvp(np.sin, (X.astype(np.float32),), (DX,))
        assert dy.dtype == np.float32

    def test_complex(self):
        y, dy = fg.jvp(lambda z: z**2, (1 + 2j,), (1j,))
        assert (y, dy) == (-3 + 4j, 2 * (1 + 2j) * 1j)

    def test_python_if(self):
        assert fg.jvp(lambda x: x**2 if x > 0 else -x, (3.0,), (1.0,))[1] == 6.0

    def test_nested_gives_higher_order(self):
        first = lambda x: fg.jvp(np.sin, (x,), (1.0,))[1]
        second = lambda x: fg.jvp(first, (x,), (1.0,))[1]
        third = lambda x: fg.jvp(second, (x,), (1.0,))[1]
        np.testing.assert_allclose(third(0.3), -np.cos(0.3))

    def test_no_perturbation_confusion(self):
        found = fg.jvp(lambda x: x * fg.jvp(lambda y: x + y, (1.0,), (1.0,))[1], (2.0,), (1.0,))
        assert found == (2.0, 1.0)

    def test_outputs_are_fresh(self):
        y, dy = fg.jvp(lambda x: x, (X,), (DX,))
        assert not np.shares_memory(y, X) and not np.shares_memory(dy, DX)

    @pytest.mark.parametrize(
        ("primals", "tangents", "error", "message"),
        [
            (X, DX, TypeError, r"primals must be a tuple.*fun, \(x,\), \(dx,\)"),
            ((X,), (DX, DX), TypeError, "one tangent per argument"),
            ((X,), DX, TypeError, "one tangent per argument"),
            ((X,), (np.ones(2),), ValueError, r"'x' has shape \(2,\).*shape \(3,\)"),
            ((X,), (DX * 1j,), TypeError, "is complex, but its primal"),
        ],
    )
    def test_errors(self, primals, tangents, error, message):
        def f(x):
            return x

        with pytest.raises(error, match=message):
            fg.jvp(f, primals, tangents)

    def test_tree_mismatch_names_the_path(self):
        with pytest.raises(ValueError, match="(?s)argument 'p'.*structure.*b"):
            fg.jvp(lambda p: p["a"], ({"a": X, "b": X},), ({"a": DX},))


class TestLinearize:
    def test_push_is_the_jvp(self):
        f = lambda x, y: np.tanh(x) * y
        out, push = fg.linearize(f, X, 2.0)
        np.testing.assert_allclose(out, np.tanh(X) * 2)
        np.testing.assert_allclose(push(DX, 1.0), fg.jvp(f, (X, 2.0), (DX, 1.0))[1])

    def test_function_runs_once(self):
        calls = []

        def f(x):
            calls.append(1)
            return x**2

        _, push = fg.linearize(f, 3.0)
        assert [push(1.0), push(2.0)] == [6.0, 12.0]
        assert len(calls) == 1

    def test_python_control_flow_follows_the_point(self):
        f = lambda x: x**2 if x > 0 else 5.0 * x
        assert fg.linearize(f, 3.0)[1](1.0) == 6.0
        assert fg.linearize(f, -3.0)[1](1.0) == 5.0

    def test_trees_none_and_integers(self):
        out, push = fg.linearize(lambda p, n: {"y": p["w"] * n, "n": n}, {"w": X, "s": "a"}, 2)
        assert out["n"] == 2
        moved = push({"w": DX, "s": None}, None)
        np.testing.assert_allclose(moved["y"], 2 * DX)
        assert moved["n"] is None

    def test_aux(self):
        out, push, aux = fg.linearize(lambda x: (x**2, x + 1), 3.0, has_aux=True)
        assert (out, push(1.0), aux) == (9.0, 6.0, 4.0)

    def test_program_is_linear_only(self):
        _, push = fg.linearize(lambda x: np.sin(x) * np.exp(x), X)
        names = {equation.primitive.name for equation in push.program.equations}
        assert "sin" not in names and "exp" not in names and "cos" not in names

    def test_later_writes_do_not_change_the_derivative(self):
        x = X.copy()
        _, push = fg.linearize(lambda x: x**2, x)
        x[:] = 0.0
        np.testing.assert_allclose(push(DX), 2 * X * DX)

    def test_push_composes(self):
        _, push = fg.linearize(lambda x: x**2, X)
        np.testing.assert_allclose(fg.vmap(push)(np.eye(3)), np.diag(2 * X))
        np.testing.assert_allclose(fg.grad(lambda t: np.sum(push(t)))(DX), 2 * X)
        np.testing.assert_allclose(fg.jit(push)(DX), 2 * X * DX)

    def test_errors(self):
        _, push = fg.linearize(lambda x: x**2, X)
        with pytest.raises(ValueError, match=r"shape \(2,\)"):
            push(np.ones(2))
        with pytest.raises(TypeError, match="one tangent per argument"):
            push(DX, DX)


class TestLinearTranspose:
    def test_matrix(self):
        a = np.arange(6.0).reshape(2, 3)
        transposed = fg.linear_transpose(lambda x: a @ x, X)
        (found,) = transposed(np.array([1.0, -1.0]))
        np.testing.assert_allclose(found, a.T @ np.array([1.0, -1.0]))

    def test_shapes_are_enough(self):
        like = fg.ShapeDtypeStruct((3,), np.float32)
        (found,) = fg.linear_transpose(lambda x: np.cumsum(x) * np.float32(2), like)(
            np.ones(3, np.float32)
        )
        np.testing.assert_allclose(found, [6.0, 4.0, 2.0])
        assert found.dtype == np.float32

    def test_several_arguments_and_trees(self):
        transposed = fg.linear_transpose(lambda p, y: {"s": np.sum(p[0]) + y}, (X,), 0.0)
        (dp,), dy = transposed({"s": 2.0})
        np.testing.assert_allclose(dp, [2.0, 2.0, 2.0])
        assert dy == 2.0

    def test_transpose_of_the_transpose(self):
        a = np.arange(6.0).reshape(2, 3)
        once = lambda ct: fg.linear_transpose(lambda x: a @ x, X)(ct)[0]
        twice = fg.linear_transpose(once, np.zeros(2))
        np.testing.assert_allclose(twice(X)[0], a @ X)

    def test_not_linear(self):
        with pytest.raises(NotImplementedError, match="not linear"):
            fg.linear_transpose(np.sin, X)(X)

    def test_scan_is_transposed(self):
        def f(xs):
            return fg.lax.scan(lambda c, x: (2 * c + x, c), 0.0, xs)[0]

        np.testing.assert_allclose(fg.linear_transpose(f, X)(1.0)[0], [4.0, 2.0, 1.0])

    def test_wrong_cotangent(self):
        with pytest.raises(ValueError, match=r"shape \(2,\)"):
            fg.linear_transpose(lambda x: 2.0 * x, X)(np.ones(2))
