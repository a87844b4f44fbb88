"""R63, and the parts of R03, R07 and R46 about `debug_nans`: the error names operation, line and operands."""

from __future__ import annotations

import re

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.config import config

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*was compiled .* times"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]

ROADS = {
    "eager": lambda fun: fun,
    "jit": fg.jit,
    "vmap": lambda fun: lambda *xs: fg.vmap(fun)(*[np.stack([x, x]) for x in xs]),
    "jvp": lambda fun: lambda *xs: fg.jvp(fun, xs, (None,) * len(xs)),
    "jit(vmap)": lambda fun: lambda *xs: fg.jit(fg.vmap(fun))(*[np.stack([x, x]) for x in xs]),
    "scan": lambda fun: lambda x: fg.lax.scan(lambda c, _: (c, fun(x)), 0.0, length=2),
    "cond": lambda fun: lambda x: fg.jit(lambda x: fg.lax.cond(x[0] < 0, fun, fun, x))(x),
}


def logarithm(x):
    y = x + 1.0
    return np.sum(fnp.log(y))


@pytest.mark.parametrize("road", ROADS)
def test_R63_nan_in_forward_code(road):
    with fg.debug_nans(), pytest.raises(FloatingPointError) as caught:
        ROADS[road](logarithm)(np.array([-3.0, 0.0, 5.0]))
    message = str(caught.value)
    assert message.startswith("log made a NaN.")
    assert re.search(
        r"test_debug_nans\.py:\d+  in logarithm +return np\.sum\(fnp\.log\(y\)\)", message
    )
    assert re.search(r"operand 0: float64\[(2, )?3\] in \[-2\.0, 6\.0\]", message)
    assert "funcgrad.allow_nans()" in message
    assert message.endswith("See docs/errors.md#debug-nans")


def length(x):
    y = np.sum(x**2)
    return np.sqrt(y)


def square_root(x):
    return np.sum(np.sqrt(x**2))


DERIVATIVES = {
    "grad": fg.grad,
    "jit(grad)": lambda fun: fg.jit(fg.grad(fun)),
    "grad(jit)": lambda fun: fg.grad(fg.jit(fun)),
    "vjp": lambda fun: lambda x: fg.vjp(fun, x)[1](1.0),
    "vmap(grad)": lambda fun: lambda x: fg.vmap(fg.grad(fun))(x[None]),
    "jacfwd": fg.jacfwd,
    "linearize": lambda fun: lambda x: fg.linearize(fun, x)[1](np.ones(2)),
}


@pytest.mark.parametrize("name", DERIVATIVES)
def test_R03_and_R63_nan_in_the_derivative_only(name):
    slope = DERIVATIVES[name](square_root)
    with fg.debug_nans():
        assert fg.jit(square_root)(np.zeros(2)) == 0.0
        with pytest.raises(FloatingPointError) as caught:
            slope(np.zeros(2))
    message = str(caught.value)
    assert re.match(r"\w+ made a NaN in a derivative\.", message)
    assert "in square_root" in message and "np.sqrt(x**2)" in message
    assert "inf" in message


def masked(x):
    y = np.log(x)
    return np.where(x > 0, y, 0.0)


@pytest.mark.parametrize(
    "transform",
    [fg.grad, lambda f: fg.jit(fg.grad(f)), lambda f: fg.grad(fg.jit(f))],
    ids=["grad", "jit(grad)", "grad(jit)"],
)
def test_R07_debug_nans_names_both_lines_under_the_opt_out(transform):
    with fg.debug_nans():
        assert transform(masked)(0.0) == 0.0
        with config.override(nan_safe_where=False), pytest.raises(FloatingPointError) as caught:
            transform(masked)(0.0)
    message = str(caught.value)
    assert re.search(r"in masked +y = np\.log\(x\)", message)
    assert re.search(r"branch that was not taken at .* return np\.where\(x > 0, y, 0\.0\)", message)


def test_R63_allow_nans_is_a_scope():
    with fg.debug_nans():
        with fg.allow_nans():
            assert np.isnan(fg.jit(lambda x: np.log(x))(-1.0))
        with pytest.raises(FloatingPointError):
            fg.jit(lambda x: np.log(x))(-1.0)
    assert np.isnan(fg.jit(lambda x: np.log(x))(-1.0))


def test_R63_intended_nan_inside_a_function():
    def fun(x):
        with fg.allow_nans():
            y = fnp.log(-x)
        return fnp.where(fnp.isnan(y), 0.0, y)

    with fg.debug_nans():
        assert fun(np.float64(1.0)) == 0.0
        assert fg.grad(fun)(1.0) == 0.0


@pytest.mark.parametrize("wrap", [lambda f: f, fg.jit, fg.grad])
def test_R63_infinity_that_vanishes_later(wrap):
    fun = lambda x: fnp.exp(-fnp.divide(1.0, x))
    with np.errstate(all="ignore"):
        wrap(fun)(0.0)
        with fg.debug_infs(), pytest.raises(FloatingPointError, match="divide made an infinity"):
            wrap(fun)(0.0)


def test_R63_what_was_given_is_told_from_what_was_made():
    with fg.debug_nans(), pytest.raises(FloatingPointError, match="sin was given a NaN") as caught:
        fg.jit(np.sin)(np.array([1.0, np.nan, 2.0]))
    assert "in [1.0, 2.0], 1 NaN" in str(caught.value)


def test_R63_compiled_functions_are_fast_again_afterwards():
    fun = fg.jit(lambda x: np.log(x) * 2.0)
    assert np.isnan(fun(-1.0))
    with fg.debug_nans(), pytest.raises(FloatingPointError):
        fun(-1.0)
    assert np.isnan(fun(-1.0)) and fun(1.0) == 0.0


def test_R46_other_lanes_do_not_raise():
    fun = lambda x: fg.lax.cond(x > 0, np.log, lambda x: 0 * x, x)
    with fg.debug_nans():
        np.testing.assert_array_equal(fg.vmap(fun)(np.array([-1.0, 1.0])), [0.0, 0.0])
        np.testing.assert_array_equal(fg.vmap(fg.grad(fun))(np.array([-1.0, 2.0])), [0.0, 0.5])


def test_lines_of_derivatives_in_printed_programs():
    printed = str(fg.make_jaxpr(fg.grad(length))(np.ones(3)))
    lines = [line for line in printed.splitlines() if " = " in line]
    assert len(lines) > 4
    assert all("test_debug_nans.py" in line for line in lines)
    first = length.__code__.co_firstlineno
    numbers = {int(n) - first for n in re.findall(r"test_debug_nans\.py:(\d+)", printed)}
    assert {1, 2} <= numbers
