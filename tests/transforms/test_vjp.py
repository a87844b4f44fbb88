"""`vjp`: structure of pullbacks and cotangents, and arrays that change between forward and backward."""

import gc

import numpy as np
import pytest

import funcgrad as fg

X = np.array([1.0, 2.0, 3.0])


class TestStructure:
    def test_pullback_returns_a_tuple(self):
        out, pull = fg.vjp(np.sin, X)
        np.testing.assert_allclose(out, np.sin(X))
        found = pull(np.ones(3))
        assert isinstance(found, tuple) and len(found) == 1
        np.testing.assert_allclose(found[0], np.cos(X))

    def test_several_arguments_and_trees(self):
        def f(p, y):
            return {"a": p["w"] * y, "b": (np.sum(y), None)}

        out, pull = fg.vjp(f, {"w": X, "name": "layer"}, 2.0 * X)
        assert set(out) == {"a", "b"} and out["b"][1] is None
        dp, dy = pull({"a": np.ones(3), "b": (np.float64(10.0), None)})
        assert dp["name"] is None
        np.testing.assert_allclose(dp["w"], 2 * X)
        np.testing.assert_allclose(dy, X + 10)

    def test_aux(self):
        out, pull, aux = fg.vjp(lambda x: (x**2, {"x": x + 1}), X, has_aux=True)
        np.testing.assert_allclose(aux["x"], X + 1)
        assert type(aux["x"]) is np.ndarray
        np.testing.assert_allclose(pull(np.ones(3))[0], 2 * X)
        np.testing.assert_allclose(out, X**2)

    def test_no_arguments(self):
        out, pull = fg.vjp(lambda: 3.0)
        assert out == 3.0 and pull(1.0) == ()

    def test_none_is_a_zero_cotangent(self):
        _, pull = fg.vjp(lambda x: (x, 2 * x), X)
        np.testing.assert_allclose(pull((None, np.ones(3)))[0], [2.0, 2.0, 2.0])
        np.testing.assert_allclose(pull((None, None))[0], np.zeros(3))

    def test_integer_argument_and_output_have_no_cotangent(self):
        out, pull = fg.vjp(lambda x, n: (x * n, n + 1), X, 2)
        dx, dn = pull((np.ones(3), None))
        assert dn is None and out[1] == 3
        np.testing.assert_allclose(dx, [2.0, 2.0, 2.0])

    def test_pullback_can_be_called_often(self):
        _, pull = fg.vjp(lambda x: x**3, X)
        for scale in (1.0, 2.0, 1.0):
            np.testing.assert_allclose(pull(np.full(3, scale))[0], scale * 3 * X**2)

    def test_pullback_under_vmap_gives_the_jacobian(self):
        _, pull = fg.vjp(np.cumsum, X)
        (rows,) = fg.vmap(pull)(np.eye(3))
        np.testing.assert_allclose(rows, np.tril(np.ones((3, 3))))

    def test_pullback_can_be_differentiated(self):
        _, pull = fg.vjp(lambda x: x**2, X)
        found = fg.grad(lambda ct: np.sum(pull(ct)[0] ** 2))(np.ones(3))
        np.testing.assert_allclose(found, 2 * (2 * X) ** 2)

    def test_dtype_of_cotangents(self):
        _, pull = fg.vjp(lambda x: x.astype(np.float64), X.astype(np.float32))
        assert pull(np.ones(3))[0].dtype == np.float32


class TestErrors:
    def test_shape(self):
        _, pull = fg.vjp(lambda x: {"y": x}, X)
        with pytest.raises(ValueError, match=r"cotangent y has shape \(2,\).*shape \(3,\)"):
            pull({"y": np.ones(2)})

    def test_structure(self):
        _, pull = fg.vjp(lambda x: {"y": x}, X)
        with pytest.raises(ValueError, match="structure of the function's output.*y"):
            pull({"z": np.ones(3)})

    def test_complex_cotangent_of_a_real_output(self):
        _, pull = fg.vjp(np.sin, X)
        with pytest.raises(TypeError, match="complex cotangent.*real"):
            pull(np.ones(3) * 1j)


class TestMutation:
    """R57, R58: no write of the user between forward and backward changes a derivative."""

    def test_argument_written_after_the_forward_pass(self):
        x = X.copy()
        _, pull = fg.vjp(lambda x: np.sum(x**2), x)
        x[:] = 100.0
        np.testing.assert_allclose(pull(1.0)[0], 2 * X)

    @staticmethod
    def reuse_buffer(x):
        buffer, total = np.zeros(3), 0.0
        for i in range(3):
            buffer[:] = i
            total = total + np.sum(x * buffer)
        return total

    def test_small_buffer_written_in_a_loop(self):
        np.testing.assert_allclose(fg.grad(self.reuse_buffer)(X), [3.0, 3.0, 3.0])

    @pytest.mark.parametrize("outer", [lambda f: f, fg.grad, fg.vmap], ids=["", "grad", "vmap"])
    def test_under_jit_the_write_is_refused_at_its_line(self, outer):
        fun = outer(fg.jit(self.reuse_buffer))
        with pytest.raises(fg.MutatedResidualError, match=r"multiply at test_vjp.py"):
            fun(np.ones(3) if outer is not fg.vmap else np.ones((2, 3)))

    def test_large_buffer_is_protected_and_released(self):
        count = 200_000  # 1.6 MB
        buffer = np.zeros(count)

        def f(x):
            total = 0.0
            for i in range(3):
                buffer[:] = i
                total = total + np.sum(x * buffer)
            return total

        with pytest.raises(fg.MutatedResidualError, match=r"multiply at test_vjp.py"):
            fg.grad(f)(np.ones(count))
        buffer[:] = 1.0  # writeable again

    def test_large_buffer_stays_frozen_while_a_pullback_lives(self):
        buffer = np.ones(200_000)
        _, pull = fg.vjp(lambda x: np.sum(x * buffer), np.ones(200_000))
        with pytest.raises(ValueError, match="read-only"):
            buffer[:] = 2.0
        np.testing.assert_array_equal(pull(1.0)[0], buffer)
        del pull
        gc.collect()
        buffer[:] = 2.0

    def test_array_frozen_by_the_user_is_not_copied_or_thawed(self):
        buffer = np.ones(200_000)
        buffer.flags.writeable = False
        fg.grad(lambda x: np.sum(x * buffer))(np.ones(200_000))
        assert not buffer.flags.writeable

    def test_output_and_cotangent_are_not_shared(self):
        """R59: the vjp of the identity returns a fresh array."""
        out, pull = fg.vjp(lambda x: x, X)
        ct = np.ones(3)
        (found,) = pull(ct)
        assert not np.shares_memory(found, ct) and not np.shares_memory(out, X)
