"""Python operators on traced values: NumPy's results, Python's weakness."""

import operator

import numpy as np
import pytest

from funcgrad.transforms.grad import grad
from funcgrad.transforms.jit import jit
from tests.numpy.modes import MODES

X = np.array([1.5, -2.0, 3.0])
N = np.array([5, -3, 2])
B = np.array([True, False, True])

pytestmark = pytest.mark.filterwarnings(
    "ignore::funcgrad.transforms.recompile.RecompilationWarning"
)

FLOAT_OPERATORS = {
    name: getattr(operator, name)
    for name in [
        "add",
        "sub",
        "mul",
        "truediv",
        "floordiv",
        "mod",
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
    ]
}
INTEGER_OPERATORS = {
    name: getattr(operator, name)
    for name in ["and_", "or_", "xor", "lshift", "rshift", "floordiv", "mod"]
}
OTHERS = [np.array([0.5, 2.0, -1.0]), 2.0, 3, np.float64(1.5), np.float32(2), [1.0, 2.0, 4.0]]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", FLOAT_OPERATORS)
def test_floats(name, mode):
    function = FLOAT_OPERATORS[name]
    for other in OTHERS:
        for call in (lambda x, y=other: function(x, y), lambda x, y=other: function(y, x)):
            out, wanted = MODES[mode](call, X), call(X)
            np.testing.assert_array_equal(out, wanted)
            assert out.dtype == wanted.dtype


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", INTEGER_OPERATORS)
def test_integers(name, mode):
    function = INTEGER_OPERATORS[name]
    for other in (np.array([1, 2, 3]), 2):
        out, wanted = MODES[mode](lambda n, y=other: function(n, y), N), function(N, other)
        np.testing.assert_array_equal(out, wanted)
        assert out.dtype == wanted.dtype


@pytest.mark.parametrize("mode", MODES)
def test_unary_and_power(mode):
    run = MODES[mode]
    for call in (
        operator.neg, operator.pos, operator.abs, lambda x: x**2, lambda x: x**-1.0, lambda x: 2.0**x,
        lambda x: round(x[0], 1), lambda x: divmod(x, 2.0)[0], lambda x: divmod(5.0, x)[1],
    ):  # fmt: skip
        np.testing.assert_allclose(run(call, X), call(X))
    for call in (operator.invert, lambda n: n**2, lambda n: ~(n > 1)):
        np.testing.assert_array_equal(run(call, N), call(N))
    for call in (operator.and_, operator.or_, operator.xor):
        np.testing.assert_array_equal(run(lambda b, f=call: f(b, B[::-1]), B), call(B, B[::-1]))


def test_positive_is_a_copy():
    def program(x):
        y = +x
        y[0] = 0.0
        return x + y

    np.testing.assert_array_equal(jit(program)(X), [1.5, -4.0, 6.0])


def weakness_of(expression, value):
    """Whether the result of an expression on a jit argument is weak, and its dtype."""
    found = []

    def program(x):
        out = expression(x)
        found.append((out.weak, out.dtype.name))
        return out

    jit(program)(value)
    return found[0]


def test_operators_on_python_numbers_stay_weak():
    for expression in (
        lambda x: x + 1.0, lambda x: 2.0 * x, lambda x: -x, lambda x: abs(x), lambda x: x * x,
        lambda x: x**2, lambda x: divmod(x, 2.0)[0], lambda x: +x,
    ):  # fmt: skip
        assert weakness_of(expression, 3.0) == (True, "float64")
    assert weakness_of(lambda x: x + 1, 3) == (True, "int64")
    assert weakness_of(lambda x: x / 2, 3) == (True, "float64")
    assert weakness_of(lambda x: x + 1.5, 3) == (True, "float64")


def test_functions_and_arrays_make_strong_values():
    for expression in (
        lambda x: np.add(x, 1.0), lambda x: np.sin(x), lambda x: x + np.float64(1.0), lambda x: np.sum(x),
    ):  # fmt: skip
        assert weakness_of(expression, 3.0) == (False, "float64")
    assert weakness_of(lambda x: x + np.float32(1.0), 3.0) == (False, "float32")
    assert weakness_of(lambda x: x > 1.0, 3.0) == (False, "bool")


@pytest.mark.parametrize("scale", [1.0, 2, 1e10])
def test_weak_argument_promotes_as_python_number(scale):
    for dtype in (np.float16, np.float32, np.int8):
        x = np.array([1, 2], dtype)
        with np.errstate(over="ignore"):
            wanted = x * (scale + 1)
            found = jit(lambda s, x=x: x * (s + 1))(scale)
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)


def test_numbers_are_not_changed_in_place():
    def program(x):
        y = x
        y += 1.0
        y *= 2.0
        return x * y

    assert jit(program)(3.0) == 24.0
    assert grad(program)(3.0) == 14.0
    assert grad(lambda x: program(x[1]))(np.array([1.0, 3.0]))[1] == 14.0


@pytest.mark.parametrize("mode", MODES)
def test_length_and_iteration(mode):
    matrix = np.arange(6.0).reshape(2, 3)

    def program(x):
        first, second = x
        total = first * len(x)
        for row, (a, b, c) in zip(x, x, strict=True):
            total = total + row * a + b - c
        return total + second

    np.testing.assert_allclose(MODES[mode](program, matrix), program(matrix))
    for attempt in (lambda x: len(x[0, 0]), lambda x: list(x[0, 0]), lambda x: x[0, 0][0]):
        with pytest.raises((TypeError, IndexError)):
            MODES[mode](attempt, matrix)
