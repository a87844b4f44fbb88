"""Derivatives at kinks and singular points: the table of conventions, eager, compiled, batched and forward."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import funcgrad as fg
from funcgrad.ops.arithmetic import add, multiply
from funcgrad.ops.compare import greater
from funcgrad.ops.complex import angle, conjugate, imag, real
from funcgrad.ops.exponential import (
    exp,
    expm1,
    log1p,
    log_sigmoid,
    logaddexp,
    logaddexp2,
    sigmoid,
    softplus,
)
from funcgrad.ops.extrema import clip, fmax, fmin, heaviside, maximum, minimum, relu
from funcgrad.ops.floats import absolute, copysign, frexp, sign
from funcgrad.ops.hyperbolic import arccosh, arcsinh
from funcgrad.ops.power import cbrt, float_power, power, reciprocal, rsqrt, sqrt, square
from funcgrad.ops.rounding import (
    ceil,
    divmod,
    floor,
    floor_divide,
    fmod,
    modf,
    remainder,
    rint,
    trunc,
)
from funcgrad.ops.select import select
from funcgrad.ops.sinc import sinc
from funcgrad.ops.special import entr, erf, log_ndtr, logit, ndtr, xlog1py, xlogy
from funcgrad.ops.trigonometry import arccos, arcsin, arctan, arctan2, hypot
from funcgrad.transforms.forward import jvp
from funcgrad.transforms.grad import grad
from funcgrad.transforms.jacobian import hessian
from funcgrad.transforms.jit import jit
from funcgrad.transforms.vmap import vmap

INF, NAN, PI = math.inf, math.nan, math.pi

# Each corner compiles its own function through the same lambda of this file.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")


def name(value: Any) -> str | None:
    return value if isinstance(value, str) else getattr(value, "__name__", None)


# (case of RELIABILITY.md, function, arguments, gradient with respect to each argument)
CORNERS: list[tuple[str, Callable, tuple, tuple]] = [
    ("R02", absolute, (0.0,), (0.0,)),
    ("R02", absolute, (-0.0,), (0.0,)),
    ("R03", sqrt, (0.0,), (INF,)),
    ("R03", cbrt, (0.0,), (INF,)),
    ("R04", relu, (0.0,), (0.0,)),
    ("R04", relu, (1e-45,), (1.0,)),
    ("R04", lambda x: maximum(x, 0.0), (0.0,), (0.5,)),
    ("R05", maximum, (1.0, 1.0), (0.5, 0.5)),
    ("R05", minimum, (1.0, 1.0), (0.5, 0.5)),
    ("R05", fmax, (1.0, 1.0), (0.5, 0.5)),
    ("R05", fmax, (1.0, NAN), (1.0, 0.0)),
    ("R05", fmin, (NAN, 1.0), (0.0, 1.0)),
    ("R05", fmin, (1.0, 1.0), (0.5, 0.5)),
    ("R06", lambda x: clip(x, 0.0, 1.0), (0.0,), (1.0,)),
    ("R06", lambda x: clip(x, 0.0, 1.0), (1.0,), (1.0,)),
    ("R06", lambda x: clip(x, 0.0, 1.0), (-1.0,), (0.0,)),
    ("R06", lambda x: clip(x, 0.0, 1.0), (2.0,), (0.0,)),
    ("R06", lambda x: clip(x, 0.0), (0.0,), (1.0,)),
    ("R06", lambda x: clip(x, 0.0), (-1.0,), (0.0,)),
    ("R06", lambda x: clip(x, max=1.0), (1.0,), (1.0,)),
    ("R06", clip, (0.5, 1.0, 0.0), (0.0, 0.0, 1.0)),
    ("R06", clip, (2.0, 0.0, 1.0), (0.0, 0.0, 1.0)),
    ("R06", clip, (-2.0, 0.0, 1.0), (0.0, 1.0, 0.0)),
    ("R07", lambda x: select(greater(x, 0.0), sqrt(x), 0.0), (0.0,), (0.0,)),
    ("R09", lambda x: power(x, 0), (0.0,), (0.0,)),
    ("R09", lambda x: power(x, 0.0), (0.0,), (0.0,)),
    ("R09", lambda x: power(x, 1.0), (0.0,), (1.0,)),
    ("R09", lambda x: power(x, 2), (0.0,), (0.0,)),
    ("R09", lambda x: power(x, 2.0), (0.0,), (0.0,)),
    ("R09", lambda x: power(x, 0.5), (0.0,), (INF,)),
    ("R09", power, (0.0, 2.0), (0.0, 0.0)),
    ("R09", power, (0.0, 0.0), (0.0, 0.0)),
    ("R09", power, (0.0, 1.0), (1.0, 0.0)),
    ("R09", power, (-2.0, 3.0), (12.0, NAN)),
    ("R09", power, (2.0, 0.0), (0.0, math.log(2.0))),
    ("R09", lambda y: power(2.0, y), (3.0,), (8.0 * math.log(2.0),)),
    ("R09", float_power, (0.0, 2.0), (0.0, 0.0)),
    ("R10", arctan2, (0.0, 0.0), (0.0, 0.0)),
    ("R10", arctan2, (0.0, -1.0), (-1.0, 0.0)),
    ("R10", arctan2, (1e200, 1e200), (5e-201, -5e-201)),
    ("R10", hypot, (0.0, 0.0), (0.0, 0.0)),
    ("R10", hypot, (1e200, 0.0), (1.0, 0.0)),
    ("R11", sinc, (0.0,), (0.0,)),
    ("R11", xlogy, (0.0, 0.0), (-INF, 0.0)),
    ("R11", xlogy, (0.0, 2.0), (math.log(2.0), 0.0)),
    ("R11", xlog1py, (0.0, -1.0), (-INF, 0.0)),
    ("R11", entr, (0.0,), (INF,)),
    ("R11", entr, (-1.0,), (0.0,)),
    ("R11", log1p, (0.0,), (1.0,)),
    ("R11", expm1, (0.0,), (1.0,)),
    ("R15", logaddexp, (INF, INF), (0.5, 0.5)),
    ("R15", logaddexp, (-INF, -INF), (0.5, 0.5)),
    ("R15", logaddexp, (INF, 1.0), (1.0, 0.0)),
    ("R15", logaddexp, (-INF, 1.0), (0.0, 1.0)),
    ("R15", logaddexp, (2.0, 2.0), (0.5, 0.5)),
    ("R15", logaddexp2, (INF, INF), (0.5, 0.5)),
    ("R17", log_sigmoid, (0.0,), (0.5,)),
    ("R17", log_sigmoid, (1000.0,), (0.0,)),
    ("R17", log_sigmoid, (-1000.0,), (1.0,)),
    ("R17", sigmoid, (1000.0,), (0.0,)),
    ("R17", sigmoid, (-1000.0,), (0.0,)),
    ("R17", softplus, (1000.0,), (1.0,)),
    ("R17", softplus, (-1000.0,), (0.0,)),
    ("R17", softplus, (0.0,), (0.5,)),
    ("R38", remainder, (5.0, 3.0), (1.0, -1.0)),
    ("R38", remainder, (-5.0, 3.0), (1.0, 2.0)),
    ("R38", fmod, (-5.0, 3.0), (1.0, 1.0)),
    ("R38", lambda x: modf(x)[0], (2.0,), (1.0,)),
    ("R38", floor, (2.0,), (0.0,)),
    ("R38", ceil, (2.0,), (0.0,)),
    ("R38", trunc, (2.5,), (0.0,)),
    ("R38", rint, (2.5,), (0.0,)),
    ("R38", sign, (0.0,), (0.0,)),
    ("R38", floor_divide, (5.0, 3.0), (0.0, 0.0)),
    ("R38", heaviside, (0.0, 0.5), (0.0, 1.0)),
    ("R38", copysign, (2.0, -0.0), (-1.0, 0.0)),
    ("R38", lambda x: frexp(x)[0], (12.0,), (1 / 16,)),
    ("smooth", arcsin, (1.0,), (INF,)),
    ("smooth", arccos, (1.0,), (-INF,)),
    ("smooth", arccosh, (1.0,), (INF,)),
    ("smooth", arctan, (1e200,), (0.0,)),
    ("smooth", arcsinh, (1e200,), (1e-200,)),
    ("smooth", erf, (1e200,), (0.0,)),
    ("smooth", ndtr, (-1e200,), (0.0,)),
    ("smooth", log_ndtr, (-1e8,), (1e8,)),
    ("smooth", log_ndtr, (1e8,), (0.0,)),
    ("smooth", logit, (0.0,), (INF,)),
    ("smooth", rsqrt, (4.0,), (-1 / 16,)),
    ("smooth", reciprocal, (1e-200,), (-INF,)),
]


@pytest.mark.parametrize(("case", "fun", "args", "expected"), CORNERS, ids=name)
def test_first_derivative(case, fun, args, expected):
    args = tuple(map(np.float64, args))
    every = tuple(range(len(args)))
    check = lambda found: np.testing.assert_allclose(found, expected, rtol=1e-12)
    check(grad(fun, every)(*args))
    check(jit(grad(fun, every))(*args))
    batch = vmap(grad(fun, every))(*[np.stack([x, x]) for x in args])
    check([gradient[1] for gradient in batch])
    directions = [tuple(np.float64(1.0) if i == j else None for j in every) for i in every]
    check([jvp(fun, args, direction)[1] for direction in directions])


@pytest.mark.parametrize(("case", "fun", "args", "expected"), CORNERS, ids=name)
def test_gradient_has_the_dtype_of_its_argument(case, fun, args, expected):
    # 1e200 is beyond float32: it becomes infinite there.
    with np.errstate(all="ignore"):
        args = tuple(map(np.float32, args))
        gradients = grad(fun, tuple(range(len(args))))(*args)
    assert [gradient.dtype for gradient in gradients] == [np.float32] * len(args)


# (case, function of one number, argument, second derivative)
SECOND = [
    ("R03", lambda x: multiply(sqrt(x), x), 4.0, 3 / 8),
    ("R09", lambda x: power(x, 1.0), 0.0, 0.0),
    ("R09", lambda x: power(x, 2), 0.0, 2.0),
    ("R09", lambda x: power(x, 2.0), 0.0, 2.0),
    ("R09", lambda x: power(x, np.float64(2.0)), 0.0, 2.0),
    ("R09", lambda x: power(x, np.float64(1.0)), 0.0, 0.0),
    ("R09", lambda x: power(x, 3), 0.0, 0.0),
    ("R09", lambda y: power(0.0, y), 2.0, 0.0),
    ("R09", square, 0.0, 2.0),
    ("R11", sinc, 0.0, -PI * PI / 3),
    ("R11", sinc, 1e-9, -PI * PI / 3),
    ("R15", lambda x: logaddexp(x, 1.0), 1.0, 0.25),
    ("R15", lambda x: logaddexp(x, INF), INF, 0.0),
    ("R17", log_sigmoid, 0.0, -0.25),
    ("R17", softplus, 1000.0, 0.0),
    ("R17", sigmoid, 0.0, 0.0),
    ("R02", absolute, 0.0, 0.0),
    ("smooth", log_ndtr, 40.0, 0.0),
    ("smooth", log_ndtr, 0.0, -2 / PI),
    ("smooth", arctan, 1e200, 0.0),
    ("smooth", erf, 0.0, 0.0),
]


@pytest.mark.parametrize(("case", "fun", "x", "expected"), SECOND, ids=name)
def test_second_derivative(case, fun, x, expected):
    x = np.float64(x)
    for second in (grad(grad(fun)), hessian(fun), jit(grad(grad(fun)))):
        np.testing.assert_allclose(second(x), expected, rtol=1e-9, atol=1e-12)
    twice = jvp(lambda x: jvp(fun, (x,), (np.float64(1.0),))[1], (x,), (np.float64(1.0),))[1]
    np.testing.assert_allclose(twice, expected, rtol=1e-9, atol=1e-12)


def test_higher_derivatives_at_zero():
    third = grad(grad(grad(lambda x: power(x, 2.0))))
    assert third(0.0) == 0.0
    fourth = grad(grad(grad(grad(sinc))))
    np.testing.assert_allclose(fourth(0.0), PI**4 / 5, rtol=1e-12)


def test_mixed_derivative_of_power():
    mixed = grad(lambda x, y: grad(power)(x, y), 1)
    np.testing.assert_allclose(mixed(2.0, 0.0), 0.5)


def test_sqrt_of_a_square_at_zero_is_nan():
    """R03: infinity times zero, as IEEE says; `grad` does not warn about it."""
    assert np.isnan(grad(lambda x: sqrt(power(x, 2)))(0.0))


# --- complex numbers ---

COMPLEX = [
    ("R02", absolute, 0j, 0j),
    ("R40", lambda z: real(multiply(z, conjugate(z))), 1 + 2j, 2 - 4j),
    ("R40", lambda z: square(absolute(z)), 1 + 2j, 2 - 4j),
    ("R41", real, 1 + 2j, 1),
    ("R41", imag, 1 + 2j, -1j),
    ("R41", angle, 1 + 1j, -0.5 - 0.5j),
    ("R41", lambda z: real(sign(z)), 1 + 1j, (1 + 1j) / (2 * math.sqrt(2))),
]


@pytest.mark.parametrize(("case", "fun", "z", "expected"), COMPLEX, ids=name)
def test_gradient_of_complex_argument(case, fun, z, expected):
    z = np.complex128(z)
    for found in (grad(fun)(z), jit(grad(fun))(z), vmap(grad(fun))(np.stack([z, z]))[0]):
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    narrow = grad(fun)(z.astype(np.complex64))
    assert narrow.dtype == np.complex64


def test_real_input_through_complex_code():
    """R43: the gradient is real, and no part is dropped with a warning."""
    fun = lambda x: absolute(add(exp(multiply(1j, x)), x))
    for transformed in (grad(fun), jit(grad(fun))):
        slope = transformed(np.float64(1.0))
        assert slope.dtype == np.float64
        step = 1e-6
        difference = (fun(np.float64(1 + step)) - fun(np.float64(1 - step))) / (2 * step)
        np.testing.assert_allclose(slope, difference, rtol=1e-8)


# --- values and NumPy's warnings ---

VALUES = [
    (log1p, (1e-20,), 1e-20),
    (sigmoid, (-740.0,), math.exp(-740.0)),
    (log_sigmoid, (-1000.0,), -1000.0),
    (softplus, (1000.0,), 1000.0),
    (xlogy, (0.0, 0.0), 0.0),
    (logaddexp, (-INF, -INF), -INF),
    (clip, (0.5, 1.0, 0.0), 0.0),
    (clip, (INF, 0.0), INF),
    (relu, (NAN,), NAN),
    (lambda x: modf(x)[0], (-INF,), -0.0),
    (lambda x, y: divmod(x, y)[0], (-5.0, 3.0), -2.0),
    (entr, (-1.0,), -INF),
]


@pytest.mark.parametrize(("fun", "args", "expected"), VALUES, ids=name)
def test_value(fun, args, expected):
    for out in (fun(*args), jit(fun)(*map(np.float64, args))):
        np.testing.assert_allclose(out, expected, rtol=1e-15)
        assert np.signbit(out) == np.signbit(expected)


@pytest.mark.parametrize("fun", [floor_divide, remainder, fmod])
@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint32])
def test_integer_division_by_zero_warns_as_numpy_does(fun, dtype):
    """R38: the value is 0, eager and compiled."""
    one, zero = np.array([1], dtype), np.array([0], dtype)
    for call in (fun, jit(fun)):
        with pytest.warns(RuntimeWarning, match="divide by zero"):
            assert call(one, zero) == 0


def test_smallest_integer_divided_by_minus_one():
    """R38: overflow, with NumPy's warning and value."""
    least, minus = np.array([-128], np.int8), np.array([-1], np.int8)
    for call in (floor_divide, jit(floor_divide)):
        with pytest.warns(RuntimeWarning, match="overflow"):
            assert call(least, minus) == -128


def test_integer_overflow_and_rounding_follow_numpy():
    """R38."""
    assert add(np.array([127], np.int8), np.int8(1)) == -128
    np.testing.assert_array_equal(rint(np.array([0.5, 1.5, 2.5])), [0.0, 2.0, 2.0])
    with pytest.raises(ValueError, match="negative integer powers"):
        power(np.array([2]), -1)
    assert float_power(np.array([2]), -1) == 0.5


@pytest.mark.parametrize("exponent", [2, 2.0, 3.0, 0.5])
def test_powers_of_bfloat16_have_numpys_dtype(exponent):
    x = np.array([1.0, 4.0], ml_dtypes.bfloat16)
    expected = x**exponent
    for transformed in (fg.jit, fg.vmap, lambda f: lambda x: fg.vjp(f, x)[0]):
        found = transformed(lambda x: x**exponent)(x)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16, np.float32])
def test_sign_of_negative_zero_is_zero_in_all_dtypes(dtype):
    x = np.array([-0.0, np.nan, -2.0], dtype)
    for out in (sign(x), fg.jit(sign)(x)):
        assert out.dtype == dtype and not np.signbit(out[0])
        np.testing.assert_array_equal(np.asarray(out, np.float32), [0.0, np.nan, -1.0])
