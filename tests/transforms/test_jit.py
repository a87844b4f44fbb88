"""`jit`: how functions are called, what may be an argument, methods, nesting, and results."""

import functools
import inspect
import pickle
from copy import deepcopy
from typing import NamedTuple

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.nn import Module

# Rows of a table compile the same lambda of this file again.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

X = np.array([1.0, 2.0, 3.0])


class Pair(NamedTuple):
    a: object
    b: object


@fg.jit
def module_level(x, scale=2.0):
    """Scaled sine."""
    return np.sin(x) * scale


class TestDecorator:
    def test_bare_and_with_options(self):
        @fg.jit
        def f(x):
            return x + 1

        @fg.jit(static_argnames="n")
        def g(x, n):
            return x * n

        @fg.jit(keep_unused=True, inline=True)
        def h(x):
            return x

        assert f(1.0) == 2.0 and g(2.0, n=3) == 6.0 and h(1.0) == 1.0

    def test_name_doc_signature_and_wrapped_function(self):
        assert module_level.__name__ == "module_level"
        assert module_level.__doc__ == "Scaled sine."
        assert list(inspect.signature(module_level).parameters) == ["x", "scale"]
        np.testing.assert_allclose(module_level.__wrapped__(X), 2 * np.sin(X))

    def test_not_a_function(self):
        with pytest.raises(TypeError, match=r"\[jit\] expected a function, got ndarray"):
            fg.jit(X)

    @pytest.mark.parametrize("option", ["device", "backend"])
    def test_other_devices_are_refused(self, option):
        with pytest.raises(ValueError, match=rf"{option}='tpu' is not available"):
            fg.jit(np.sin, **{option: "tpu"})


class TestArguments:
    def test_positional_keyword_default_and_rest(self):
        @fg.jit
        def f(x, y=10.0, *rest, z=100.0, **named):
            return x + y + sum(rest) + z + sum(named.values())

        assert f(1.0) == 111.0
        assert f(1.0, 2.0) == 103.0
        assert f(x=1.0, y=2.0) == 103.0
        assert f(1.0, 2.0, 3.0, 4.0) == 110.0
        assert f(1.0, z=0.0, w=5.0, v=6.0) == 22.0

    def test_wrong_call_is_python_error(self):
        with pytest.raises(TypeError, match="missing 1 required positional argument"):
            fg.jit(lambda x, y: x)(1.0)

    def test_positional_only_and_keyword_only(self):
        f = fg.jit(lambda x, /, *, y: x - y)
        assert f(3.0, y=1.0) == 2.0

    def test_trees(self):
        f = fg.jit(lambda p: {"s": p["w"] + p["b"][0], "p": Pair(p["b"][1], None)})
        found = f({"w": X, "b": [1.0, (2.0, 3.0)]})
        np.testing.assert_allclose(found["s"], X + 1)
        assert found["p"] == Pair((2.0, 3.0), None)

    def test_leaves_that_are_no_arrays_are_static(self):
        calls = []

        @fg.jit
        def f(p, x):
            calls.append(p["mode"])
            return p["act"](x) if p["mode"] == "on" else x

        np.testing.assert_allclose(f({"act": np.tanh, "mode": "on"}, X), np.tanh(X))
        np.testing.assert_allclose(f({"act": np.tanh, "mode": "off"}, X), X)
        np.testing.assert_allclose(f({"act": np.tanh, "mode": "on"}, 2 * X), np.tanh(2 * X))
        np.testing.assert_allclose(f({"act": np.sin, "mode": "on"}, X), np.sin(X))
        assert calls == ["on", "off", "on"]

    def test_no_arguments(self):
        found = fg.jit(lambda: np.ones(2) * 3.0)()
        np.testing.assert_array_equal(found, [3.0, 3.0])

    def test_none_and_empty_trees(self):
        assert fg.jit(lambda x, y: (x, y, {}))(None, ()) == (None, (), {})

    @pytest.mark.parametrize(
        "value",
        [True, 3, 2.5, 1j, np.float32(2), np.int8(3), np.bool_(True), np.array(4.0), np.arange(3)],
    )
    def test_every_kind_of_number(self, value):
        found = fg.jit(lambda x: x)(value)
        assert found.dtype == np.asarray(value).dtype
        np.testing.assert_array_equal(found, value)

    @pytest.mark.parametrize(
        "layout",
        [
            lambda x: np.asfortranarray(x),
            lambda x: x[::-1],
            lambda x: x[:, ::2],
            lambda x: x.astype(">f8"),
            lambda x: np.broadcast_to(x[:1], (4, 6)),
            lambda x: (
                np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(np.float64).reshape(4, 6)
            ),
        ],
        ids=["F", "negative", "strided", "big-endian", "broadcast", "unaligned"],
    )
    def test_memory_layouts(self, layout):
        """R26."""
        x = layout(np.arange(24.0).reshape(4, 6))
        f = lambda x: np.sum(x * 2.0, axis=0) + x[0]
        found = fg.jit(f)(x)
        np.testing.assert_array_equal(found, f(np.array(x, np.float64)))
        assert found.dtype == np.float64 and found.dtype.isnative

    def test_read_only_argument(self):
        x = X.copy()
        x.flags.writeable = False
        found = fg.jit(lambda x: x)(x)
        found[0] = 5.0
        assert x[0] == 1.0

    @pytest.mark.parametrize(
        "value",
        [
            np.array(["a"]),
            np.array([None, 1]),
            np.ma.masked_array([1.0], [True]),
            np.ones((1, 1)).view(np.matrix),
        ],
        ids=["str", "object", "masked", "matrix"],
    )
    @pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
    def test_arrays_that_cannot_be_computed_with(self, value):
        with pytest.raises(TypeError, match=r"(?s)(argument 'x' of f is|Pass np.asarray)"):

            def f(x):
                return x

            fg.jit(f)(value)


class TestMethods:
    def test_ordinary_class(self):
        class Scaler:
            def __init__(self, factor):
                self.factor = factor

            @fg.jit
            def scale(self, x):
                return x * self.factor

        two, three = Scaler(2.0), Scaler(3.0)
        assert two.scale(5.0) == 10.0
        assert three.scale(5.0) == 15.0
        assert two.scale(5.0) == 10.0

    def test_changed_attribute_is_seen(self):
        """R55: methods are traced again when self's static fields change."""

        class Scaler:
            factor = 2.0

            @fg.jit
            def scale(self, x):
                return x * self.factor

        scaler = Scaler()
        assert scaler.scale(5.0) == 10.0
        scaler.factor = 3.0
        assert scaler.scale(5.0) == 15.0

    def test_bound_method(self):
        class Scaler:
            def __init__(self, factor):
                self.factor = factor

            def scale(self, x):
                return x * self.factor

        assert fg.jit(Scaler(4.0).scale)(2.0) == 8.0

    def test_callable_object(self):
        class Cube:
            def __call__(self, x):
                return x**3

        assert fg.jit(Cube())(2.0) == 8.0

    def test_module(self):
        class Line(Module):
            w: np.ndarray
            b: float
            kind: str = "line"

            @fg.jit
            def __call__(self, x):
                return self.w * x + self.b

            @fg.jit
            def grown(self, factor):
                return Line(self.w * factor, self.b, self.kind)

        line = Line(np.array([1.0, 2.0]), 3.0)
        np.testing.assert_allclose(line(2.0), [5.0, 7.0])
        np.testing.assert_allclose(line.grown(10.0)(2.0), [23.0, 43.0])
        gradient = fg.grad(lambda m: np.sum(m(2.0)))(line)
        np.testing.assert_allclose(gradient.w, [2.0, 2.0])

    def test_static_and_class_methods(self):
        class Tools:
            base = 10.0

            @staticmethod
            @fg.jit
            def double(x):
                return 2 * x

            @classmethod
            def above(cls, x):
                return fg.jit(lambda x: x + cls.base)(x)

        assert Tools.double(2.0) == 4.0 and Tools().double(2.0) == 4.0
        assert Tools.above(1.0) == 11.0

    def test_changed_attributes_of_a_bound_method_and_of_a_callable_object(self):
        class Model:
            def __init__(self):
                self.layers = [{"w": np.ones(2)}, {"w": np.ones(2)}]

            def __call__(self, x):
                return sum(np.sum(layer["w"] * x) for layer in self.layers)

        model = Model()
        functions = [fg.jit(model), fg.jit(model.__call__)]
        assert [f(1.0) for f in functions] == [4.0, 4.0]
        model.layers[0]["w"] *= 2.0
        assert [f(1.0) for f in functions] == [6.0, 6.0]
        model.layers[1] = {"w": np.zeros(2)}
        assert [f(1.0) for f in functions] == [4.0, 4.0]

    def test_partial(self):
        f = fg.jit(functools.partial(lambda n, x, *, y: n * x + y, 2, y=1.0))
        assert f(3.0) == 7.0
        assert fg.jit(functools.partial(np.sum, axis=0))(np.ones((2, 3))).tolist() == [2.0] * 3

    def test_partial_of_a_jitted_function(self):
        assert functools.partial(module_level, scale=3.0)(0.0) == 0.0


class TestResults:
    def test_dtypes_are_those_of_the_plain_function(self):
        f = lambda x, n: (x * 2, n / 2, x > 1, n + 1, x.astype(np.float16), np.argmax(x))
        plain, compiled = (
            f(X.astype(np.float32), np.int32(3)),
            fg.jit(f)(X.astype(np.float32), np.int32(3)),
        )
        assert [np.asarray(y).dtype for y in plain] == [y.dtype for y in compiled]

    def test_python_result_becomes_a_numpy_scalar(self):
        found = fg.jit(lambda x: (2.0, 3, True))(X)
        assert [type(y) for y in found] == [np.float64, np.int64, np.bool_]

    def test_static_results_pass_through(self):
        f = fg.jit(lambda x: {"x": x, "note": "text", "fun": np.sin, "none": None})
        found = f(X)
        assert found["note"] == "text" and found["fun"] is np.sin and found["none"] is None

    def test_special_values_survive(self):
        """R39."""
        x = np.array([np.inf, -np.inf, np.nan, -0.0, 5e-324, 1000.0])
        with np.errstate(all="ignore"):
            for f in (lambda x: x - x, lambda x: x * 0.0, lambda x: x + 0.0, lambda x: -x,
                      lambda x: np.log(np.exp(x)), lambda x: x * 0.5, lambda x: x / x,
                      lambda x: 0.0 - x, lambda x: x * 1.0, lambda x: x**1):  # fmt: skip
                plain, compiled = f(x), fg.jit(f)(x)
                np.testing.assert_array_equal(compiled, plain)
                np.testing.assert_array_equal(np.signbit(compiled), np.signbit(plain))

    def test_warnings_and_errors_are_those_of_numpy(self):
        """R38: also at the second call, from the compiled function."""
        f = fg.jit(lambda x: 1 // x)
        assert f(np.array(1)) == 1
        for _ in range(2):
            with pytest.warns(RuntimeWarning, match="divide by zero"):
                assert f(np.array(0)) == 0

    def test_overflow_of_python_integer(self):
        """R36."""
        with pytest.raises(OverflowError):
            fg.jit(lambda x: x + 300)(np.uint8(1))


class TestWeakScalars:
    """R36: Python numbers adopt the dtype of the array they meet, as in NumPy."""

    CASES = [
        (np.float32(1), 1.0, np.float32),
        (np.float32(1), np.float64(1), np.float64),
        (np.float32(1), 1j, np.complex64),
        (np.int8(1), 1, np.int8),
        (np.int8(1), 1.5, np.float64),
        (np.float16(1), 2, np.float16),
        (np.uint8(1), True, np.uint8),
    ]

    @pytest.mark.parametrize(("x", "scalar", "dtype"), CASES)
    def test_as_constant_and_as_argument(self, x, scalar, dtype):
        assert fg.jit(lambda x: x + scalar)(x).dtype == dtype
        assert fg.jit(lambda x, s: x + s)(x, scalar).dtype == dtype
        if not isinstance(scalar, bool):  # a traced bool is NumPy's, so 2 * True is an int64
            plain = x + (scalar * 2 - scalar)
            assert fg.jit(lambda x, s: x + (s * 2 - s))(x, scalar).dtype == plain.dtype
        array = np.full(3, x)
        assert fg.jit(lambda x, s: s + x)(array, scalar).dtype == (array + scalar).dtype

    def test_overflow_to_infinity_warns(self):
        with pytest.warns(RuntimeWarning, match="overflow"):
            assert fg.jit(lambda x: x + 1e10)(np.float16(1)) == np.inf

    def test_scalar_arithmetic_stays_weak(self):
        f = fg.jit(lambda x, lr: x * (lr / 2 + 1) ** 2)
        assert f(X.astype(np.float32), 0.1).dtype == np.float32

    def test_function_of_a_scalar_is_strong(self):
        """np.sin(0.1) is a float64 that promotes, also when the number is an argument."""
        plain = X.astype(np.float32) * np.sin(0.1)
        assert fg.jit(lambda x, a: x * np.sin(a))(X.astype(np.float32), 0.1).dtype == plain.dtype


class TestNesting:
    def test_jit_in_jit(self):
        inner = fg.jit(lambda x: x * 2)
        outer = fg.jit(lambda x: inner(x) + inner(x + 1))
        assert outer(3.0) == 14.0

    def test_inner_function_is_traced_once(self):
        calls = []

        @fg.jit
        def inner(x):
            calls.append(1)
            return x * 2

        outer = fg.jit(lambda x: inner(inner(x)))
        assert outer(np.float64(1)) == 4.0 and len(calls) == 1

    def test_static_results_of_an_inner_function(self):
        inner = fg.jit(lambda x: (x * 2, "kind"))
        assert fg.jit(lambda x: inner(x)[1] == "kind" and inner(x)[0])(2.0) == 4.0

    def test_deep_mixture(self):
        """R53."""
        f = lambda x: np.sin(x) * np.exp(x)
        nested = fg.jit(fg.vmap(fg.jit(fg.grad(fg.jit(fg.grad(f))))))
        np.testing.assert_allclose(nested(X), 2 * np.exp(X) * np.cos(X))

    def test_inner_closure_over_outer_value(self):
        def outer(x):
            return fg.jit(lambda y: x * y)(x + 1)

        assert fg.jit(outer)(2.0) == 6.0
        assert fg.grad(outer)(2.0) == 5.0
        assert fg.grad(fg.jit(outer))(2.0) == 5.0
        np.testing.assert_allclose(fg.vmap(outer)(X), X * (X + 1))

    def test_closure_over_an_outer_value_is_not_remembered(self):
        """The inner function is one object: each outer call must see its own value."""
        holder = {}

        @fg.jit
        def inner(y):
            return holder["x"] * y

        def outer(x):
            holder["x"] = x
            return inner(1.0)

        assert fg.grad(outer)(2.0) == 1.0
        assert fg.grad(lambda x: outer(x) ** 2)(3.0) == 6.0

    def test_make_array_inside(self):
        f = fg.jit(lambda x: np.zeros(3) + np.arange(3) * x)
        np.testing.assert_allclose(f(2.0), [0.0, 2.0, 4.0])


class TestPickle:
    """R77."""

    def test_function_of_a_module(self):
        assert pickle.loads(pickle.dumps(module_level)) is module_level

    def test_options_are_kept(self):
        jitted = fg.jit(np.linalg.norm, static_argnames=("axis",))
        loaded = pickle.loads(pickle.dumps(jitted))
        np.testing.assert_allclose(loaded(np.ones((2, 3)), axis=1), np.sqrt([3.0, 3.0]))

    def test_deepcopy(self):
        copied = deepcopy(module_level)
        np.testing.assert_allclose(copied(X), module_level(X))


class TestDisableJit:
    def test_values_are_concrete(self):
        seen = []

        @fg.jit
        def f(x):
            seen.append(float(x))
            return x if x > 0 else -x

        with fg.disable_jit():
            assert f(-3.0) == 3.0
        assert seen == [-3.0]
        with pytest.raises(fg.ConcretizationTypeError):
            f(-3.0)

    def test_can_be_switched_back_inside(self):
        with fg.disable_jit(), fg.disable_jit(False), pytest.raises(fg.TracerBoolConversionError):
            fg.jit(lambda x: x if x > 0 else -x)(1.0)


class TestFailure:
    def test_error_in_the_function_is_raised_each_time_and_leaves_nothing(self):
        def f(x):
            raise KeyError("mine")

        g = fg.jit(f)
        for _ in range(2):
            with pytest.raises(KeyError, match="mine"):
                g(1.0)
        assert g.trace_count() == 0
        assert fg.jit(np.sin)(0.0) == 0.0

    def test_python_control_flow_names_line_and_cure(self):
        """R52."""

        def f(x):
            if x > 0:
                return x
            return -x

        with pytest.raises(fg.TracerBoolConversionError) as error:
            fg.jit(f)(1.0)
        text = str(error.value)
        assert "if x > 0:" in text and "test_jit.py" in text and "lax.cond" in text

    @pytest.mark.parametrize(
        ("use", "error", "cure"),
        [
            (lambda x: float(x), fg.ConcretizationTypeError, "stop_gradient"),
            (lambda x: int(x), fg.ConcretizationTypeError, "astype"),
            (lambda x: x.item(), fg.ConcretizationTypeError, "astype"),
            (lambda x: [1, 2][x.astype(int)], fg.TracerIntegerConversionError, "static_argnames"),
            (lambda x: list(range(x.astype(int))), fg.TracerIntegerConversionError, "fori_loop"),
            (lambda x: np.array([x, x]), fg.TracerArrayConversionError, "np.stack"),
            (lambda x: sorted([x, x + 1]), fg.TracerBoolConversionError, "np.where"),
            (lambda x: bool(x), fg.TracerBoolConversionError, "cond"),
            (lambda x: 1.0 in [x], fg.TracerBoolConversionError, "np.where"),
        ],
        ids=["float", "int", "item", "list index", "range", "np.array", "sorted", "bool", "in"],
    )
    def test_one_error_class_per_use(self, use, error, cure):
        with pytest.raises(error, match=r"test_jit\.py") as raised:
            fg.jit(use)(2.0)
        assert cure in str(raised.value)

    def test_write_into_a_real_array(self):
        def f(x):
            buffer = np.zeros(3)
            buffer[0] = x
            return buffer

        with pytest.raises(fg.ConcretizationTypeError, match=r"np\.zeros\(n, like=x\)") as raised:
            fg.jit(f)(2.0)
        assert isinstance(raised.value.__cause__, ValueError)  # NumPy's own error
