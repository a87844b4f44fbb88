"""Properties of the elementwise family: NumPy's dtypes, broadcasting and values, and quiet derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays, mutually_broadcastable_shapes

from funcgrad.ir.builder import trace_flat
from funcgrad.ir.tracer import type_of
from funcgrad.ops import (
    arithmetic,
    bessel,
    compare,
    complex,
    exponential,
    extrema,
    floats,
    gamma,
    hyperbolic,
    integer,
    power,
    rounding,
    sinc,
    special,
    trigonometry,
)
from funcgrad.ops.public import FUNCTION_OF_UFUNC
from funcgrad.transforms.forward import jvp
from funcgrad.transforms.grad import vjp
from funcgrad.transforms.jit import jit
from tests.ops.case import EVERY

# Hypothesis and the loops below compile many functions through the same lambda of this file.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

MODULES = (
    arithmetic,
    bessel,
    gamma,
    special,
    compare,
    complex,
    exponential,
    extrema,
    floats,
    hyperbolic,
    integer,
    power,
    rounding,
    sinc,
    trigonometry,
)
UFUNCS: dict[str, Callable] = {
    name: function
    for module in MODULES
    for name, function in vars(module).items()
    if callable(function) and isinstance(getattr(np, name, None), np.ufunc)
}
UNARY = {name: f for name, f in UFUNCS.items() if getattr(np, name).nin == 1}
BINARY = {name: f for name, f in UFUNCS.items() if getattr(np, name).nin == 2}
SCALARS = [True, 1, 1.5, 1 + 1j]
OPERANDS = [*[np.ones(2, dtype) for dtype in EVERY], *SCALARS, np.float64(1), np.float32(1)]


def outcome(function: Callable, *args: Any) -> Any:
    """The types of the results, or TypeError where the function refuses these dtypes."""
    try:
        with np.errstate(all="ignore"):
            out = function(*args)
    except TypeError:
        return TypeError
    return [type_of(value) for value in (out if isinstance(out, tuple) else (out,))]


def traced_outcome(function: Callable, *args: Any) -> Any:
    """The same under a recording trace: Python scalars come in weak."""

    def flat(*xs: Any) -> list[Any]:
        out = function(*xs)
        return list(out) if isinstance(out, tuple) else [out]

    try:
        program, _ = trace_flat(flat, [type_of(x) for x in args])
    except TypeError:
        return TypeError
    return program.output_types


@pytest.mark.parametrize("name", UNARY)
def test_dtype_of_one_operand_is_that_of_numpy(name):
    for x in OPERANDS:
        expected = outcome(getattr(np, name), x)
        assert outcome(UNARY[name], x) == expected, type_of(x)
        assert traced_outcome(UNARY[name], x) == expected, type_of(x)


@pytest.mark.parametrize("name", BINARY)
def test_dtype_of_two_operands_is_that_of_numpy(name):
    for x in OPERANDS:
        for y in OPERANDS:
            expected = outcome(getattr(np, name), x, y)
            assert outcome(BINARY[name], x, y) == expected, (type_of(x), type_of(y))
            assert traced_outcome(BINARY[name], x, y) == expected, (type_of(x), type_of(y))


@pytest.mark.parametrize("name", FUNCTION_OF_UFUNC)
def test_scipy_ufuncs_are_known_by_name(name):
    """The key names a ufunc of SciPy, whose dtypes the function has."""
    ufunc = getattr(scipy.special, name.removeprefix("scipy.special:"))
    assert isinstance(ufunc, np.ufunc) and name.endswith(ufunc.__name__)
    for dtype in ("float32", "float64", "int64"):
        args = [np.ones(2, dtype)] * ufunc.nin
        assert outcome(FUNCTION_OF_UFUNC[name], *args) == outcome(ufunc, *args)
        assert traced_outcome(FUNCTION_OF_UFUNC[name], *args) == outcome(ufunc, *args)


# --- values and broadcasting ---

FLOATS = ("float32", "float64")


def numbers(dtype: str) -> st.SearchStrategy:
    width = np.dtype(dtype).itemsize * 8
    return st.floats(width=width, allow_nan=True, allow_infinity=True, allow_subnormal=True)


@st.composite
def operands(draw: Any, count: int, elements: Any = None) -> list[np.ndarray]:
    """Arrays of one floating dtype whose shapes broadcast."""
    dtype = draw(st.sampled_from(FLOATS))
    shapes = draw(mutually_broadcastable_shapes(num_shapes=count, max_dims=3, max_side=3))
    elements = numbers(dtype) if elements is None else elements
    return [draw(arrays(dtype, shape, elements=elements)) for shape in shapes.input_shapes]


def assert_equal_values(found: Any, expected: Any) -> None:
    found, expected = (x if isinstance(x, tuple) else (x,) for x in (found, expected))
    for out, want in zip(found, expected, strict=True):
        assert type_of(out) == type_of(want)
        np.testing.assert_array_equal(out, want)


def assert_close_values(found: Any, expected: Any) -> None:
    """Equal but for 2 ulp: compiled code has functions of its own, and so has NumPy."""
    found, expected = (x if isinstance(x, tuple) else (x,) for x in (found, expected))
    for out, want in zip(found, expected, strict=True):
        assert type_of(out) == type_of(want)
        dtype = type_of(want).dtype
        rounding = 4 * np.finfo(dtype).eps if dtype.kind in "fc" else 0
        np.testing.assert_allclose(out, want, rtol=rounding, atol=0)


FLOATING = {
    name: f for name, f in BINARY.items() if outcome(getattr(np, name), 1.5, 1.5) is not TypeError
}
FLOATING_UNARY = {
    name: f for name, f in UNARY.items() if outcome(getattr(np, name), 1.5) is not TypeError
}


@given(st.data())
def test_unary_functions_are_those_of_numpy(data):
    name = data.draw(st.sampled_from(sorted(FLOATING_UNARY)))
    (x,) = data.draw(operands(1))
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(x)
        assert_equal_values(FLOATING_UNARY[name](x), expected)
        assert_close_values(jit(lambda x: FLOATING_UNARY[name](x))(x), expected)


@given(st.data())
def test_binary_functions_are_those_of_numpy(data):
    name = data.draw(st.sampled_from(sorted(FLOATING)))
    x, y = data.draw(operands(2))
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(x, y)
        assert_equal_values(FLOATING[name](x, y), expected)
        assert_close_values(jit(lambda x, y: FLOATING[name](x, y))(x, y), expected)


@given(operands(3, st.floats(-2, 2, width=32)))
def test_cotangents_have_the_shapes_of_their_arguments(args):
    """R23: what broadcasting stretched is summed, for size 0 and 0-d too."""
    fun = lambda x, y, z: arithmetic.add(arithmetic.multiply(x, y), extrema.clip(z, -1.0, 1.0))
    out, pull = vjp(fun, *args)
    cotangent = np.ones_like(out)
    pulled = pull(cotangent)
    assert [np.shape(ct) for ct in pulled] == [x.shape for x in args]
    assert [ct.dtype for ct in pulled] == [x.dtype for x in args]
    tangents = [np.ones_like(x) for x in args]
    _, moved = jvp(fun, tuple(args), tuple(tangents))
    assert np.shape(moved) == np.shape(out)
    total = sum(np.sum(ct, dtype=np.float64) for ct in pulled)
    np.testing.assert_allclose(total, np.sum(moved, dtype=np.float64), rtol=1e-4, atol=1e-4)


SMOOTH = sorted(set(FLOATING_UNARY) - {"frexp", "modf"})


@given(st.sampled_from(SMOOTH), st.floats(allow_nan=False))
def test_derivative_is_as_quiet_as_the_function(name, x):
    """A derivative may be infinite, but only the function itself makes NumPy warn."""
    x = np.float64(x)
    function = UNARY[name]
    try:
        with np.errstate(divide="raise", over="raise", invalid="raise"):
            function(x)
    except FloatingPointError:
        return
    with np.errstate(divide="raise", over="raise", invalid="raise"):
        jvp(function, (x,), (np.float64(1.0),))
