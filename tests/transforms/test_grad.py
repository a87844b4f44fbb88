"""`grad` and `value_and_grad`: arguments, structure and dtypes of results, and errors."""

import inspect
import weakref
from typing import NamedTuple

import ml_dtypes
import numpy as np
import pytest

import funcgrad as fg


class Params(NamedTuple):
    w: object
    b: object


def weighted(x, y):
    return np.sum(x**2 * y)


X, Y = np.array([1.0, 2.0]), np.array([3.0, 5.0])


class TestArgnums:
    def test_int_gives_the_bare_gradient(self):
        found = fg.grad(weighted)(X, Y)
        assert isinstance(found, np.ndarray)
        np.testing.assert_allclose(found, [6.0, 20.0])
        np.testing.assert_allclose(fg.grad(weighted, 1)(X, Y), [1.0, 4.0])

    @pytest.mark.parametrize("argnums", [(0,), [0]])
    def test_sequence_of_one_gives_a_tuple_of_one(self, argnums):
        found = fg.grad(weighted, argnums=argnums)(X, Y)
        assert isinstance(found, tuple) and len(found) == 1
        np.testing.assert_allclose(found[0], [6.0, 20.0])

    def test_order_of_argnums_is_order_of_gradients(self):
        dy, dx = fg.grad(weighted, (1, 0))(X, Y)
        np.testing.assert_allclose(dx, [6.0, 20.0])
        np.testing.assert_allclose(dy, [1.0, 4.0])

    def test_negative(self):
        np.testing.assert_allclose(fg.grad(weighted, -1)(X, Y), [1.0, 4.0])

    def test_empty_tuple(self):
        assert fg.grad(weighted, ())(X, Y) == ()

    @pytest.mark.parametrize("argnums", [2, (0, 2), -3])
    def test_position_that_does_not_exist(self, argnums):
        with pytest.raises(ValueError, match=r"argnums=.*called with 2"):
            fg.grad(weighted, argnums)(X, Y)

    def test_argument_given_by_name_counts_as_absent(self):
        with pytest.raises(ValueError, match="Pass the differentiated arguments by position"):
            fg.grad(weighted)(x=X, y=Y)

    def test_the_same_array_twice_is_two_arguments(self):
        dx, dy = fg.grad(weighted, (0, 1))(X, X)
        np.testing.assert_allclose(dx, 2 * X * X)
        np.testing.assert_allclose(dy, X**2)


class TestCall:
    def test_keywords_and_defaults_are_passed_on(self):
        def f(x, *rest, scale=1.0, **named):
            return np.sum(x) * scale + sum(rest) + sum(named.values())

        assert fg.grad(f)(3.0, 1.0, scale=4.0, other=2.0) == 4.0
        assert fg.grad(f)(3.0) == 1.0

    def test_name_doc_and_signature_survive(self):
        def loss(x, *, scale=1.0):
            """The loss."""
            return x * scale

        for transform in (fg.grad, fg.value_and_grad):
            wrapped = transform(loss)
            assert wrapped.__name__.endswith("loss")
            assert wrapped.__doc__ == "The loss."
            assert inspect.signature(wrapped) == inspect.signature(loss)

    def test_function_that_raises_leaves_no_trace_behind(self):
        def f(x):
            raise RuntimeError("mine")

        for _ in range(2):
            with pytest.raises(RuntimeError, match="mine"):
                fg.grad(f)(1.0)
        assert fg.grad(np.sin)(0.0) == 1.0

    @pytest.mark.parametrize("transform", [fg.grad, fg.value_and_grad])
    def test_not_a_function(self, transform):
        with pytest.raises(TypeError, match=r"expected a function, got float.*\(fun\)\(x\)"):
            transform(np.sin(1.0).item())

    def test_callable_object_and_bound_method(self):
        class Cube:
            power = 3

            def __call__(self, x):
                return x**self.power

            def method(self, x):
                return x**self.power

        assert fg.grad(Cube())(2.0) == 12.0
        assert fg.grad(Cube().method)(2.0) == 12.0

    def test_numpy_ufunc_is_a_function(self):
        np.testing.assert_allclose(fg.grad(np.sin)(0.5), np.cos(0.5))


class TestAux:
    def test_return_structures(self):
        def f(x):
            y = x**2
            return np.sum(y), {"y": y, "note": "kept", "none": None}

        gradient, aux = fg.grad(f, has_aux=True)(X)
        np.testing.assert_allclose(gradient, 2 * X)
        assert type(aux["y"]) is np.ndarray and aux["note"] == "kept" and aux["none"] is None
        np.testing.assert_allclose(aux["y"], X**2)
        (value, aux), gradient = fg.value_and_grad(f, has_aux=True)(X)
        assert value == 5.0
        np.testing.assert_allclose(aux["y"], X**2)
        np.testing.assert_allclose(gradient, 2 * X)

    def test_aux_does_not_change_the_gradient(self):
        assert fg.grad(lambda x: (x**2, 100.0 * x), has_aux=True)(3.0)[0] == 6.0

    @pytest.mark.parametrize("result", [1.0, (1.0,), [1.0, 2.0]])
    def test_not_a_pair(self, result):
        with pytest.raises(TypeError, match=r"has_aux=True needs .*\(output, aux\)"):
            fg.grad(lambda x: result, has_aux=True)(1.0)

    def test_aux_of_an_inner_gradient_reaches_the_outer_one(self):
        def outer(x):
            _, aux = fg.grad(lambda y: (y**2, x * y), has_aux=True)(x)
            return aux

        assert fg.grad(outer)(3.0) == 6.0  # aux = x * x


class TestTrees:
    def test_gradient_has_the_structure_of_the_argument(self):
        params = {"b": (X, [Y, None]), "a": Params(np.float32(2.0), ())}

        def f(p):
            return np.sum(p["b"][0] * p["b"][1][0]) * p["a"].w

        found = fg.grad(f)(params)
        assert fg.tree.structure(found) == fg.tree.structure(params)
        assert isinstance(found["a"], Params) and found["a"].b == ()
        np.testing.assert_allclose(found["b"][0], 2.0 * Y)
        np.testing.assert_allclose(found["b"][1][0], 2.0 * X)
        assert found["a"].w == 13.0 and found["a"].w.dtype == np.float32

    def test_none_argument(self):
        assert fg.grad(lambda p: 1.0)(None) is None

    def test_leaf_that_is_no_array_is_static_and_its_gradient_none(self):
        params = {"act": np.tanh, "name": "layer", "w": X}
        found = fg.grad(lambda p: np.sum(p["act"](p["w"])) + len(p["name"]))(params)
        assert found["act"] is None and found["name"] is None
        np.testing.assert_allclose(found["w"], 1 - np.tanh(X) ** 2)

    def test_unused_leaves_have_zero_gradient(self):
        found = fg.grad(lambda p: p["a"] ** 2)({"a": 3.0, "b": np.ones((2, 0, 3), np.float32)})
        assert found["a"] == 6.0
        assert found["b"].shape == (2, 0, 3) and found["b"].dtype == np.float32

    def test_gradient_of_a_constant_function_is_zero(self):
        found = fg.grad(lambda x: 3.0)(X)
        np.testing.assert_array_equal(found, [0.0, 0.0])


@pytest.mark.parametrize(
    "outer",
    [
        lambda f: f,
        fg.jit,
        lambda f: lambda p: fg.vmap(f, in_axes=None, axis_size=1, out_axes=None)(p),
    ],
    ids=["eager", "jit", "vmap"],
)
class TestTies:
    """R66: one array at two places of an argument is one leaf; its gradients add up, everywhere."""

    def test_gradient_is_the_sum_and_stays_tied(self, outer):
        w = X.copy()
        found = outer(fg.grad(lambda p: np.sum(2 * p["a"] + 3 * p["b"])))({"a": w, "b": w})
        assert found["a"] is found["b"]
        np.testing.assert_allclose(found["a"], [5.0, 5.0])

    def test_equal_arrays_are_not_tied(self, outer):
        found = outer(fg.grad(lambda p: np.sum(2 * p["a"] + 3 * p["b"])))({"a": X, "b": X.copy()})
        np.testing.assert_allclose(found["a"], [2.0, 2.0])
        np.testing.assert_allclose(found["b"], [3.0, 3.0])

    def test_gradient_step_keeps_the_tie(self, outer):
        w = X.copy()

        def step(p):
            gradient = fg.grad(lambda p: np.sum(p["a"] * p["b"]))(p)
            return fg.tree.map(lambda x, g: x - 0.5 * g, p, gradient)

        found = outer(step)({"a": w, "b": w})
        assert found["a"] is found["b"]
        np.testing.assert_allclose(found["a"], [0.0, 0.0])


class TestDtypes:
    """R35: the gradient has the dtype of its argument."""

    @pytest.mark.parametrize(
        "dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64, np.longdouble]
    )
    def test_float(self, dtype):
        x = np.ones(3, dtype)
        value, found = fg.value_and_grad(lambda x: np.sum(x * np.arange(3.0)))(x)
        assert found.dtype == x.dtype
        np.testing.assert_array_equal(found.astype(float), [0.0, 1.0, 2.0])
        assert value.dtype == np.result_type(x.dtype, np.float64)

    def test_mixed_tree(self):
        params = {"h": np.float16(1), "f": np.ones(2, np.float32), "d": np.float64(2)}
        found = fg.grad(lambda p: np.sum(p["h"] * p["f"] * p["d"]))(params)
        assert {k: v.dtype.name for k, v in found.items()} == {
            "h": "float16",
            "f": "float32",
            "d": "float64",
        }

    def test_python_float_gives_a_float64_scalar(self):
        found = fg.grad(lambda x: x**2)(3.0)
        assert isinstance(found, np.floating) and found.dtype == np.float64 and found.shape == ()

    def test_zero_dimensional_array(self):
        found = fg.grad(lambda x: x**2)(np.array(3.0, np.float32))
        assert found.shape == () and found.dtype == np.float32 and found == 6.0

    def test_cotangents_meet_in_the_wider_type(self):
        # Each use gives 1 + 2**-11 in float64, which float16 cannot hold; their sum can be.
        step = 1 + 2.0**-11
        found = fg.grad(lambda x: x.astype(np.float64) * step + x.astype(np.float64) * step)
        assert found(np.float16(1)) == np.float16(2 * step)

    def test_big_endian_argument(self):
        x = np.array([1.0, 2.0], ">f8")
        np.testing.assert_array_equal(fg.grad(lambda x: np.sum(x**2))(x), [2.0, 4.0])


class TestIntegers:
    """R33."""

    @pytest.mark.parametrize(
        ("value", "name"),
        [(3, "int64"), (True, "bool"), (np.arange(3), "int64"), (np.uint8(3), "uint8")],
    )
    def test_refused_with_dtype_and_cure(self, value, name):
        with pytest.raises(TypeError, match=rf"{name}.*allow_int=True") as error:
            fg.grad(lambda x: np.sum(x * 1.0))(value)
        assert "3.0 or x.astype(float)" in str(error.value)

    def test_message_names_argument_and_path(self):
        def loss(params, data):
            return np.sum(params["layer"][1] * 1.0)

        with pytest.raises(TypeError, match=r"'params' of loss at layer\.1"):
            fg.grad(loss)({"layer": [X, np.arange(2)]}, X)

    def test_allow_int_gives_none(self):
        found = fg.grad(lambda p: np.sum(p["w"] * p["n"]), allow_int=True)(
            {"w": X, "n": np.array([2, 3])}
        )
        np.testing.assert_allclose(found["w"], [2.0, 3.0])
        assert found["n"] is None
        assert fg.grad(lambda n: n * 2.0, allow_int=True)(3) is None

    def test_integers_elsewhere_are_fine(self):
        assert fg.grad(lambda x, n: x * n)(2.0, 3) == 3.0


class TestResult:
    """R34."""

    def test_array(self):
        message = r"Gradient only defined for scalar-output functions. Output had shape: \(2,\)."
        with pytest.raises(TypeError, match=message) as error:
            fg.grad(lambda x: x)(X)
        assert "jacobian" in str(error.value)

    @pytest.mark.parametrize("result", [lambda x: x > 0, lambda x: 3, lambda x: np.sum(x) > 1])
    def test_integer_and_bool(self, result):
        with pytest.raises(TypeError, match="has no derivative"):
            fg.grad(result)(1.0)

    @pytest.mark.parametrize(
        ("result", "named"), [(None, "NoneType"), ((1.0, 2.0), "tuple"), ("loss", "str")]
    )
    def test_no_number(self, result, named):
        with pytest.raises(TypeError, match=rf"returned {named}.*has_aux=True"):
            fg.grad(lambda x: result)(1.0)

    def test_complex(self):
        with pytest.raises(TypeError, match="holomorphic=True"):
            fg.grad(lambda x: x * 1j)(1.0)

    def test_length_one_array_is_no_scalar(self):
        with pytest.raises(TypeError, match=r"shape: \(1,\)"):
            fg.grad(lambda x: x)(np.ones(1))

    def test_value_is_a_number_of_its_own(self):
        value, _ = fg.value_and_grad(lambda x: x)(3.0)
        assert isinstance(value, np.floating) and value == 3.0


class TestComplex:
    def test_squared_magnitude(self):
        """R40."""
        assert fg.grad(lambda z: (z * np.conj(z)).real)(1 + 2j) == 2 - 4j

    def test_parts(self):
        """R41."""
        assert fg.grad(np.real)(1 + 2j) == 1
        assert fg.grad(np.imag)(1 + 2j) == -1j
        np.testing.assert_allclose(fg.grad(np.angle)(1 + 1j), -0.5 - 0.5j)

    def test_holomorphic(self):
        """R42."""
        assert fg.grad(lambda z: z**2, holomorphic=True)(1 + 2j) == 2 + 4j
        with pytest.raises(TypeError, match=r"holomorphic=True.*real number such as"):
            fg.grad(lambda z: z**2)(1 + 2j)
        with pytest.raises(TypeError, match="needs complex arguments"):
            fg.grad(lambda z: z**2, holomorphic=True)(1.0)
        with pytest.raises(TypeError, match="needs a complex result"):
            fg.grad(np.abs, holomorphic=True)(1 + 2j)

    def test_real_argument_through_complex_code(self):
        """R43."""

        def f(x):
            return np.abs(np.exp(1j * x) + x)

        found = fg.grad(f)(1.0)
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, (f(1 + 1e-6) - f(1 - 1e-6)) / 2e-6, rtol=1e-6)

        def g(x):
            z = x + 0j
            z /= 1 + 1j
            return np.sum(np.abs(np.fft.fft(z)) ** 2)

        found = fg.grad(g)(X)
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, 2 * X)

    def test_complex_leaf_dtype(self):
        found = fg.grad(lambda z: np.sum(np.abs(z) ** 2))(np.array([1 + 2j], np.complex64))
        assert found.dtype == np.complex64


class TestPythonControlFlow:
    """R52: outside jit and vmap a differentiated value is concrete."""

    def test_if_and_while(self):
        def f(x):
            while x < 10.0:
                x = x * 2
            return x if x > 12 else -x

        assert fg.grad(f)(1.0) == 16.0
        assert fg.grad(f)(1.4) == -8.0

    def test_for_over_the_elements(self):
        assert fg.grad(lambda xs: sum(x * i for i, x in enumerate(xs)))(X).tolist() == [0.0, 1.0]

    def test_float_would_drop_the_derivative(self):
        with pytest.raises(fg.ConcretizationTypeError, match="float"):
            fg.grad(lambda x: float(x) ** 2)(1.0)

    def test_formatted_output_works(self):
        seen = []
        fg.grad(lambda x: (seen.append(f"{x:.1f}"), x)[1])(2.0)
        assert seen == ["2.0"]


class TestNesting:
    """R50, R53."""

    def test_perturbations_are_not_confused(self):
        assert fg.grad(lambda x: x * fg.grad(lambda y: x + y)(1.0))(2.0) == 1.0
        assert fg.grad(lambda x: fg.grad(lambda y: x * y**2)(x))(3.0) == 12.0

    def test_third_derivative(self):
        def f(x):
            return np.sin(x) * np.exp(x)

        x = 0.7
        expected = 2 * np.exp(x) * (np.cos(x) - np.sin(x))
        np.testing.assert_allclose(fg.grad(fg.grad(fg.grad(f)))(x), expected)

    def test_closure_over_an_outer_value(self):
        def outer(w):
            inner = fg.grad(lambda x: np.sum(w * x**2))(X)
            return np.sum(inner * inner)

        np.testing.assert_allclose(fg.grad(outer)(Y), 8 * Y * X**2)


class TestMemory:
    def test_the_value_is_never_the_argument_itself(self):
        x = np.array(2.0)
        value, _ = fg.value_and_grad(lambda x: x)(x)
        assert value == 2.0 and not np.shares_memory(value, x)

    def test_sums_do_not_keep_their_operands(self):
        def f(x):
            y = np.concatenate([x, x])
            held = weakref.ref(y.concrete())  # type: ignore[attr-defined]
            y = y + 1.0
            assert held() is None
            return np.sum(y * y)

        np.testing.assert_array_equal(fg.grad(f)(X), 4 * (X + 1.0))
