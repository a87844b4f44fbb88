"""Python code inside traced functions: `pure_callback`, `debug.callback`, `debug.print`."""

import numpy as np
import pytest

import funcgrad as fg

X = np.array([1.0, 2.0, 3.0])
SCALAR = fg.ShapeDtypeStruct((), np.float64)


class TestPureCallback:
    def test_value_eager_and_compiled(self):
        f = lambda x: fg.pure_callback(lambda v: np.sort(v)[::-1], x, x)
        for g in (f, fg.jit(f)):
            np.testing.assert_array_equal(g(X), [3.0, 2.0, 1.0])

    def test_callback_sees_arrays(self):
        seen = []
        f = fg.jit(lambda x: fg.pure_callback(lambda v: (seen.append(v), v)[1], x, x))
        f(X)
        assert type(seen[0]) is np.ndarray and seen[0].dtype == np.float64

    def test_trees_and_keywords(self):
        def host(p, *, scale):
            return {"y": p["a"] * scale, "n": np.int32(len(p["a"]))}

        like = {"y": fg.ShapeDtypeStruct((3,), np.float64), "n": fg.ShapeDtypeStruct((), np.int32)}
        f = fg.jit(lambda p, s: fg.pure_callback(host, like, p, scale=s))
        found = f({"a": X}, 2.0)
        np.testing.assert_allclose(found["y"], 2 * X)
        assert found["n"] == 3 and found["n"].dtype == np.int32

    def test_result_is_brought_to_the_promised_dtype(self):
        like = fg.ShapeDtypeStruct((3,), np.float32)
        found = fg.jit(lambda x: fg.pure_callback(lambda v: v, like, x))(X)
        assert found.dtype == np.float32

    @pytest.mark.parametrize("wrap", [lambda f: f, fg.jit], ids=["eager", "jit"])
    def test_wrong_result(self, wrap):
        with pytest.raises(ValueError, match=r"returned shape \(2,\).*says \(3,\)"):
            wrap(lambda x: fg.pure_callback(lambda v: v[:2], x, x))(X)
        with pytest.raises(ValueError, match="(?s)expected|structure"):
            wrap(lambda x: fg.pure_callback(lambda v: (v, v), {"a": x}, x))(X)

    def test_error_in_the_callback(self):
        def host(v):
            raise ZeroDivisionError("mine")

        with pytest.raises(ZeroDivisionError, match="mine"):
            fg.jit(lambda x: fg.pure_callback(host, x, x))(X)

    def test_no_derivative_and_the_cure(self):
        f = lambda x: fg.pure_callback(np.sin, x, x)
        for transform in (fg.grad, fg.jacfwd, lambda f: fg.grad(fg.jit(f))):
            with pytest.raises(TypeError, match="no derivative.*custom_vjp"):
                transform(f)(1.0)
        found = fg.grad(lambda x: x * fg.pure_callback(np.sin, x, fg.stop_gradient(x)))(1.0)
        assert found == np.sin(1.0)

    def test_unused_result_is_not_computed(self):
        calls = []
        f = fg.jit(lambda x: (fg.pure_callback(lambda v: (calls.append(1), v)[1], x, x), x)[1])
        f(X)
        assert calls == []

    def test_inside_loops(self):
        f = lambda x: fg.lax.fori_loop(
            0, 3, lambda i, c: fg.pure_callback(lambda v: v * 2, c, c), x
        )
        assert f(1.0) == fg.jit(f)(1.0) == 8.0

    @pytest.mark.parametrize(
        ("method", "shapes"),
        [
            ("sequential", [((), (3,))] * 2),
            ("expand_dims", [((2,), (1, 3))]),
            ("broadcast_all", [((2,), (2, 3))]),
        ],
    )
    @pytest.mark.parametrize("wrap", [lambda f: f, fg.jit], ids=["eager", "jit"])
    def test_vmap_methods(self, method, shapes, wrap):
        seen = []

        def host(a, b):
            seen.append((np.shape(a), np.shape(b)))
            return np.asarray(a)[..., None] * b

        like = fg.ShapeDtypeStruct((3,), np.float64)
        f = lambda a: fg.pure_callback(host, like, a, X, vmap_method=method)
        found = wrap(fg.vmap(f))(np.array([1.0, 10.0]))
        np.testing.assert_allclose(found, [X, 10 * X])
        assert seen == shapes

    def test_vmap_along_another_axis_and_nested(self):
        f = lambda x: fg.pure_callback(np.cumsum, x, x, vmap_method="sequential")
        a = np.arange(12.0).reshape(2, 3, 2)
        found = fg.vmap(fg.vmap(f, in_axes=1, out_axes=1))(a)
        np.testing.assert_allclose(found, np.cumsum(a, axis=1))

    def test_vmap_without_method(self):
        with pytest.raises(NotImplementedError, match="vmap_method='sequential'"):
            fg.vmap(lambda x: fg.pure_callback(np.sin, x, x))(X)

    def test_unknown_method(self):
        with pytest.raises(ValueError, match="vmap_method='fast' must be None or one of"):
            fg.pure_callback(np.sin, X, X, vmap_method="fast")

    def test_vmap_over_no_examples(self):
        f = lambda x: fg.pure_callback(np.sin, x, x, vmap_method="sequential")
        assert fg.vmap(f)(np.zeros((0, 3))).shape == (0, 3)


class TestDebugPrint:
    def test_order_and_values(self, capsys):
        @fg.jit
        def f(x):
            fg.debug.print("first {x} {}", "text", x=x)
            y = x * 2
            fg.debug.print("second {}", y)
            return y

        f(1.0)
        f(2.0)
        assert capsys.readouterr().out.splitlines() == [
            "first 1.0 text",
            "second 2.0",
            "first 2.0 text",
            "second 4.0",
        ]

    def test_formats(self, capsys):
        fg.jit(lambda x: fg.debug.print("{x:.2f} {p[a]}", x=x, p={"a": x}))(1.25)
        assert capsys.readouterr().out == "1.25 1.25\n"

    def test_kept_although_nothing_uses_it(self, capsys):
        fg.jit(lambda x: fg.jit(lambda y: fg.debug.print("in {}", y))(x))(3.0)
        assert capsys.readouterr().out == "in 3.0\n"

    def test_equal_prints_are_not_merged(self, capsys):
        fg.jit(lambda x: (fg.debug.print("x {}", x), fg.debug.print("x {}", x))[0])(1.0)
        assert capsys.readouterr().out == "x 1.0\n" * 2

    def test_once_per_example_under_vmap(self, capsys):
        f = lambda x: fg.debug.print("x {}", x)
        fg.vmap(f, axis_size=3)(X)
        fg.jit(fg.vmap(f))(X)
        assert capsys.readouterr().out.splitlines() == ["x 1.0", "x 2.0", "x 3.0"] * 2

    @pytest.mark.parametrize(
        "transform",
        [
            fg.grad,
            lambda f: lambda x: fg.jvp(f, (x,), (1.0,)),
            lambda f: lambda x: fg.vjp(f, x)[1](1.0),
            lambda f: fg.jit(fg.grad(f)),
            lambda f: fg.grad(fg.jit(f)),
            lambda f: lambda x: fg.linearize(f, x)[1](1.0),
        ],
        ids=["grad", "jvp", "vjp", "jit grad", "grad jit", "linearize"],
    )
    def test_once_when_differentiated(self, transform, capsys):
        def f(x):
            y = x**2
            fg.debug.print("y {}", y)
            return y

        transform(f)(3.0)
        assert capsys.readouterr().out == "y 9.0\n"

    def test_again_in_a_checkpointed_backward_pass(self, capsys):
        def f(x):
            fg.debug.print("x {}", x)
            return np.sin(x) ** 2

        fg.grad(fg.checkpoint(f))(0.0)
        assert capsys.readouterr().out == "x 0.0\n" * 2

    def test_in_loops_and_branches(self, capsys):
        def body(c, x):
            fg.debug.print("{} {}", c, x)
            return c + x, None

        fg.lax.scan(body, 0.0, X)
        fg.jit(lambda: fg.lax.scan(body, 0.0, X))()
        fg.lax.cond(
            np.True_,
            lambda x: (fg.debug.print("true"), x)[1],
            lambda x: (fg.debug.print("false"), x)[1],
            1.0,
        )
        expected = ["0.0 1.0", "1.0 2.0", "3.0 3.0"]
        assert capsys.readouterr().out.splitlines() == [*expected, *expected, "true"]


class TestDebugCallback:
    def test_called_for_its_effect(self):
        seen = []
        f = fg.jit(lambda x: (fg.debug.callback(seen.append, x), x + 1)[1])
        assert f(1.0) == 2.0 and f(5.0) == 6.0
        assert seen == [1.0, 5.0]

    def test_trees_and_result_is_ignored(self):
        seen = []
        fg.jit(lambda p: fg.debug.callback(lambda p, k: seen.append((p, k)) or 7, p, k="tag"))(
            {"a": X}
        )
        assert seen[0][1] == "tag"
        np.testing.assert_array_equal(seen[0][0]["a"], X)

    def test_order_of_several(self):
        seen = []

        @fg.jit
        def f(x):
            for i in range(4):
                fg.debug.callback(lambda v, i=i: seen.append(i), x, ordered=True)
            return x

        f(1.0)
        assert seen == [0, 1, 2, 3]
