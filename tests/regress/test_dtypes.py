"""R33-R39: what may be differentiated, dtypes of gradients, weak scalars, NumPy's arithmetic in compiled code."""

from __future__ import annotations

import warnings

import ml_dtypes
import numpy as np
import pytest

import funcgrad as fg
from tests.regress.everywhere import check_gradients, gradients, values

pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

square = lambda x: np.sum(x * x)


@pytest.mark.parametrize("x", [3, np.arange(3), True, np.array([True])])
def test_R33_integers_have_no_gradient(x):
    with pytest.raises(TypeError) as caught:
        fg.grad(square)(x)
    message = str(caught.value)
    assert str(np.asarray(x).dtype) in message and "'x'" in message
    assert "3.0" in message and "x.astype(float)" in message and "allow_int=True" in message


def test_R33_allow_int_gives_none():
    gradient = fg.grad(lambda t: np.sum(t["w"] * t["n"]), allow_int=True)(
        {"w": np.ones(2), "n": np.arange(2)}
    )
    assert gradient["n"] is None
    np.testing.assert_array_equal(gradient["w"], [0.0, 1.0])


@pytest.mark.parametrize(
    ("fun", "hint"),
    [
        (lambda x: x * np.ones(3), "funcgrad.jacobian"),
        (lambda x: 3, "no derivative"),
        (lambda x: x * 1j, "holomorphic=True"),
        (lambda x: None, "return"),
        (lambda x: x > 0, "no derivative"),
        (lambda x: "loss", "scalar"),
        (lambda x: (x, x), "has_aux=True"),
    ],
)
@pytest.mark.parametrize("transform", [fg.grad, fg.value_and_grad])
def test_R34_outputs_without_a_gradient(fun, hint, transform):
    with pytest.raises(TypeError, match=hint):
        transform(fun)(1.0)
    with pytest.raises(TypeError, match=hint):
        fg.jit(transform(fun))(1.0)


def test_R34_a_constant_result_has_zero_gradient():
    np.testing.assert_array_equal(fg.grad(lambda x: 2.5)(np.ones(3)), np.zeros(3))
    np.testing.assert_array_equal(fg.jit(fg.grad(lambda x: 2.5))(np.ones(3)), np.zeros(3))


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16, np.complex64])
def test_R35_gradient_has_the_dtype_of_its_argument(dtype):
    constant = np.array([0.1, 0.2])
    fun = lambda x: np.sum(np.real(x * constant))
    for road, (gradient,) in gradients(fun, np.ones(2, dtype)):
        assert gradient.dtype == dtype or "forward" in road, road
        np.testing.assert_allclose(gradient.astype(np.complex128), constant, rtol=1e-2)


def test_R35_mixed_trees_keep_the_dtype_of_each_leaf():
    tree = {"a": np.ones(2, np.float32), "b": np.ones(2), "c": np.ones(2, np.float16)}
    fun = lambda t: np.sum(t["a"] * t["b"] * t["c"])
    for slope in (fg.grad(fun), fg.jit(fg.grad(fun)), fg.vmap(fg.grad(fun))):
        assert {k: v.dtype for k, v in slope(tree).items()} == {
            "a": np.float32,
            "b": np.float64,
            "c": np.float16,
        }


def test_R35_cotangents_of_several_uses_are_summed_in_the_wider_type():
    ones = np.ones(1)
    small = [2.0**-12] * 64  # each is lost when it is added to 1 in half precision
    many = lambda x: sum(np.sum(x * ones) * factor for factor in [*small, 1.0])
    for dtype in (np.float16, ml_dtypes.bfloat16):
        x = np.ones(1, dtype)
        for gradient in (
            fg.grad(many)(x),
            fg.jit(fg.grad(many))(x),
            fg.grad(fg.jit(many))(x),
            fg.linear_transpose(many, x)(1.0)[0],
        ):
            assert gradient.dtype == dtype and gradient == 1.0 + 2.0**-6


def roads(fun, x):
    """The result of `fun(x)` in the four settings of R36."""
    yield "eager", fun(x)
    yield "jit", fg.jit(fun)(x)
    yield "vmap", fg.vmap(fun)(np.stack([x, x]))[0]
    yield "scan", fg.lax.scan(lambda carry, _: (carry, fun(x)), 0.0, length=1)[1][0]
    yield "grad", fg.grad(lambda y: (np.real(y), fun(x)), has_aux=True)(1.0)[1]


@pytest.mark.parametrize(
    ("fun", "x", "dtype"),
    [
        (lambda x: x + 1.0, np.float32(2), np.float32),
        (lambda x: x + np.float64(1), np.float32(2), np.float64),
        (lambda x: x * 1.5, np.int8(2), np.float64),
        (lambda x: x + 1, np.uint8(2), np.uint8),
        (lambda x: x + 1j, np.float32(2), np.complex64),
        (lambda x: x**2, np.float16(2), np.float16),
        (lambda x: np.maximum(x, 0), np.float32(2), np.float32),
        (lambda x: np.where(x > 0, x, 0.0), np.float32(2), np.float32),
    ],
)
def test_R36_python_scalars_are_weak(fun, x, dtype):
    for array in (x, np.full(2, x)):
        for road, found in roads(fun, array):
            assert found.dtype == dtype, road
            np.testing.assert_array_equal(found, fun(array), err_msg=road)


def test_R36_overflow_of_python_scalars():
    half, byte = np.ones(2, np.float16), np.ones(2, np.uint8)
    for fun in (lambda x: x + 1e10, fg.jit(lambda x: x + 1e10)):
        with pytest.warns(RuntimeWarning, match="overflow"):
            assert np.isinf(fun(half)).all()
    add = lambda x: x + 300
    for fun in (add, fg.jit(add), fg.vmap(add), lambda x: fg.jvp(add, (x,), (None,))):
        with pytest.raises(OverflowError):
            fun(byte)


def test_R36_python_scalar_as_carry_is_promoted_once():
    body = lambda carry, x: (carry + x, carry)
    carry, ys = fg.lax.scan(body, 0, np.ones(3, np.float32))
    assert carry.dtype == np.float32 and ys.dtype == np.float32
    assert float(carry) == 3.0


def test_R36_python_scalar_argument_of_jit_is_weak():
    out = fg.jit(lambda x, s: x * s)(np.ones(2, np.float32), 2.0)
    assert out.dtype == np.float32


def test_R37_python_floats_do_not_retrace():
    traces = []

    @fg.jit
    def fun(x):
        traces.append(x)
        return x * 2.0

    fun(1.0), fun(2.0)
    assert len(traces) == 1
    fun(np.float64(3.0)), fun(np.ones(()))
    assert len(traces) == 2


def test_R37_python_learning_rate_does_not_retrace():
    traces = []

    @fg.jit
    def step(w, rate):
        traces.append(rate)
        return w - rate * fg.grad(square)(w)

    w = np.ones(3)
    for i in range(4):
        w = step(w, 0.1 / (i + 1))
    assert len(traces) == 1


INTEGERS = {
    "overflow": (lambda x, y: x + y, np.array([127], np.int8), np.array([1], np.int8)),
    "shift": (lambda x, y: x << y, np.array([1]), np.array([64])),
    "negative shift": (lambda x, y: x >> y, np.array([-8]), np.array([70])),
    "divide by zero": (lambda x, y: x // y, np.array([1, -1, 0]), np.array([0, 0, 0])),
    "remainder by zero": (lambda x, y: x % y, np.array([1, -1]), np.array([0, 0])),
    "least by minus one": (lambda x, y: x // y, np.array([-(2**63)]), np.array([-1])),
    "least modulo minus one": (lambda x, y: x % y, np.array([-(2**63)]), np.array([-1])),
    "mod": (np.mod, np.array([-5, 5]), np.array([3, -3])),
    "fmod": (np.fmod, np.array([-5, 5]), np.array([3, -3])),
}


@pytest.mark.parametrize("name", INTEGERS)
def test_R38_integer_arithmetic_is_numpys(name):
    fun, x, y = INTEGERS[name]
    with warnings.catch_warnings(record=True) as wanted:
        warnings.simplefilter("always")
        expected = fun(x, y)
    for road in (fg.jit(fun), lambda x, y: fg.jvp(fun, (x, y), (None, None))[0]):
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            np.testing.assert_array_equal(road(x, y), expected)
        assert [str(w.message) for w in found] == [str(w.message) for w in wanted]


def test_R38_rounding_is_to_even_and_negative_powers_of_integers_are_refused():
    for road, found in values(np.round, np.array([0.5, 1.5, 2.5])):
        np.testing.assert_array_equal(found, [0.0, 2.0, 2.0], err_msg=road)
    power = lambda x: x**-1
    for fun in (power, fg.jit(power), fg.vmap(power)):
        with pytest.raises(ValueError, match="negative integer power"):
            fun(np.array([2]))


def test_R38_gradients_of_remainder():
    check_gradients(np.mod, 5.0, 3.0, expected=(1.0, -1.0))
    check_gradients(np.fmod, -5.0, 3.0, expected=(1.0, 1.0))


def bits(x):
    return np.asarray(x).view(np.uint64).tolist()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("fun", "x"),
    [
        (lambda x: x - x, np.inf),
        (lambda x: x * 0.0, np.inf),
        (lambda x: x / x, 0.0),
        (lambda x: x + 0.0, -0.0),
        (lambda x: x * 1.0, -0.0),
        (lambda x: x - 0.0, -0.0),
        (lambda x: 0.0 - x, 0.0),
        (lambda x: np.log(np.exp(x)), 1000.0),
        (lambda x: np.sqrt(x) ** 2, 2.0),
        (lambda x: (x + 1e16) - 1e16, 1.0),
        (lambda x: x * 0.5, 2e-308),
        (lambda x: x * 3.0 + 1.0, 0.1),
        (lambda x: np.where(x == x, 1.0, 2.0), np.nan),
    ],
)
def test_R39_compiled_code_keeps_ieee_arithmetic(fun, x):
    array = np.array([x, x])
    expected = bits(fun(array))
    assert bits(fg.jit(fun)(array)) == expected
    assert bits(fg.jit(fg.vmap(fun))(array)) == expected


UNARY = "sin cos tan arcsin arctan sinh tanh arcsinh arctanh exp log1p expm1 sqrt cbrt floor ceil trunc rint"
UNARY += " negative absolute sign square conjugate positive"


@pytest.mark.parametrize("name", UNARY.split())
def test_R39_negative_zero_survives(name):
    ufunc = getattr(np, name)
    zero = np.array([-0.0])
    assert bits(fg.jit(ufunc)(zero)) == bits(ufunc(zero))
    assert bits(fg.jvp(ufunc, (zero,), (zero,))[0]) == bits(ufunc(zero))
