"""`make_jaxpr`, `eval_shape` and `closure_convert`."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.ir.printer import program_text

X = np.array([1.0, 2.0, 3.0])


def lines(program):
    return program_text(program, source=False).splitlines()


class TestMakeJaxpr:
    def test_names_types_and_order(self):
        program = fg.make_jaxpr(lambda x, n: (np.sin(x) * 2.0, n + 1))(X, np.int32(3))
        assert lines(program) == [
            "lambda(a:float64[3], b:int32[]) {",
            "  c:float64[3] = sin a",
            "  d:float64[3] = multiply c 2.0",
            "  e:int32[] = add b 1",
            "  return d, e",
            "}",
        ]

    def test_every_equation_shows_the_users_line(self):
        def f(x):
            y = np.sin(x)
            return y * y

        printed = str(fg.make_jaxpr(f)(X)).splitlines()
        first = f.__code__.co_firstlineno
        assert printed[1].endswith(f"# test_staging.py:{first + 1}")
        assert printed[2].endswith(f"# test_staging.py:{first + 2}")

    def test_captured_arrays_are_the_first_inputs(self):
        w = np.ones((2, 3))
        program = fg.make_jaxpr(lambda x: w @ x)(X)
        assert [str(t) for t in program.input_types] == ["float64[2,3]", "float64[3]"]

    def test_python_scalars_are_weak(self):
        assert lines(fg.make_jaxpr(lambda x: x + 1)(2.0))[0] == "lambda(a:weak float64[]) {"

    def test_trees_shapes_and_keywords(self):
        like = fg.ShapeDtypeStruct((2,), np.float32)
        program = fg.make_jaxpr(lambda p, *, y: p["a"] + y)({"a": like, "tag": "t"}, y=like)
        assert [str(t) for t in program.input_types] == ["float32[2]"] * 2

    def test_static_arguments(self):
        program = fg.make_jaxpr(lambda n, x: x**n, static_argnums=0)(3, X)
        assert len(program.inputs) == 1

    def test_return_shape(self):
        program, shapes = fg.make_jaxpr(lambda x: {"y": x > 0}, return_shape=True)(X)
        assert shapes == {"y": fg.ShapeDtypeStruct((3,), np.bool_)}
        assert len(program.outputs) == 1

    def test_of_transformed_functions(self):
        loss = lambda w: np.sum(np.tanh(w) ** 2)
        for f in (
            fg.grad(loss),
            fg.jit(loss),
            fg.vmap(np.sin),
            fg.hessian(loss),
            fg.checkpoint(loss),
        ):
            assert "tanh" in str(fg.make_jaxpr(f)(X)) or "sin" in str(fg.make_jaxpr(f)(X))

    def test_inner_programs_are_printed(self):
        f = lambda x: fg.lax.scan(lambda c, y: (c + y, c), 0.0, x)
        printed = str(fg.make_jaxpr(f)(X))
        assert "body = " in printed and "scan" in printed

    def test_not_a_function(self):
        with pytest.raises(TypeError, match="make_jaxpr.*expected a function"):
            fg.make_jaxpr(3)


class TestEvalShape:
    def test_nothing_is_computed(self):
        huge = fg.ShapeDtypeStruct((10**6, 10**6), np.float32)
        found = fg.eval_shape(lambda x: {"y": x @ x.T, "s": np.sum(x, axis=0)}, huge)
        assert found["y"].shape == (10**6, 10**6) and found["s"].dtype == np.float32

    def test_arguments_of_any_kind(self):
        found = fg.eval_shape(lambda x, n, *, y: (x + y, n, "text", None), X, 3, y=np.float32(1))
        assert found == (
            fg.ShapeDtypeStruct((3,), np.float64),
            fg.ShapeDtypeStruct((), np.int64),
            "text",
            None,
        )

    def test_errors_are_those_of_the_function(self):
        with pytest.raises(ValueError, match="shapes"):
            fg.eval_shape(lambda x, y: x + y, X, np.ones(4))

    def test_gradient(self):
        like = fg.ShapeDtypeStruct((5,), np.float32)
        assert fg.eval_shape(fg.grad(lambda x: np.sum(x**2)), like) == like

    def test_struct(self):
        like = fg.ShapeDtypeStruct((2, 3), "f4")
        assert (like.shape, like.dtype, like.ndim, like.size) == ((2, 3), np.float32, 2, 6)
        assert like == fg.ShapeDtypeStruct([2, 3], np.float32) and hash(like) == hash(
            fg.ShapeDtypeStruct((2, 3), np.float32)
        )
        assert like != fg.ShapeDtypeStruct((3, 2), np.float32)


class TestClosureConvert:
    def test_arrays_and_traced_values(self):
        def outer(w):
            converted, captured = fg.closure_convert(lambda x: w * x + X, 1.0)
            assert [np.shape(x) for x in captured] == [(), (3,)]
            return np.sum(converted(2.0, *captured))

        assert outer(np.array(3.0)) == 24.0
        assert fg.grad(outer)(3.0) == 6.0
        assert fg.jit(fg.grad(outer))(3.0) == 6.0

    def test_nothing_captured(self):
        converted, captured = fg.closure_convert(lambda x: {"y": x * 2}, 1.0)
        assert captured == [] and converted(4.0) == {"y": 8.0}

    def test_same_array_twice(self):
        converted, captured = fg.closure_convert(lambda p: p["a"] + p["b"], {"a": X, "b": X + 1})
        np.testing.assert_allclose(converted({"a": X, "b": X}, *captured), 2 * X)

    def test_in_a_custom_rule(self):
        """What it is for: a function argument that closes over differentiated values."""

        @lambda f: fg.custom_vjp(f, nondiff_argnums=(0,))
        def apply(f, x, *captured):
            return f(x, *captured)

        def backward(f, res, ct):
            _, pull = fg.vjp(f, *res)
            return pull(ct)

        apply.defvjp(lambda f, x, *captured: (f(x, *captured), (x, *captured)), backward)

        def outer(w):
            converted, captured = fg.closure_convert(lambda x: np.sin(w * x), 1.0)
            return apply(converted, 2.0, *captured)

        np.testing.assert_allclose(fg.grad(outer)(0.3), 2 * np.cos(0.6))
