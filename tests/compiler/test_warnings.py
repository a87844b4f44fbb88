"""NumPy's warnings from compiled code: the same as without `jit`, with whole vectors and without."""

import functools
import warnings

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import funcgrad as fg  # noqa: E402
import funcgrad.scipy.special as special  # noqa: E402

INF = np.inf
CASES = {
    "log": [-1.0, 0.0, -0.0, -INF, 1.0, INF],
    "log2": [-1.0, 0.0, 4.0],
    "log10": [-1.0, 0.0, 100.0],
    "log1p": [-2.0, -1.0, 0.0, INF],
    "sqrt": [-1.0, 0.0, -0.0],
    "exp": [1000.0, -1000.0, -INF, 1.0],
    "exp2": [2000.0, 1.0],
    "expm1": [1000.0, -INF],
    "arcsin": [2.0, 1.0],
    "arccos": [-2.0, 1.0],
    "arccosh": [0.5, 0.0, -INF, 1.0],
    "arctanh": [2.0, 1.0, -1.0, 0.0],
    "sin": [INF, 1e30],
    "cos": [INF, 1e30],
    "tan": [INF, 1.0],
    "sinh": [1000.0, 1.0],
    "cosh": [1000.0, 1.0],
    "tanh": [1000.0, INF],
    "reciprocal": [0.0, 2.0],
}
POWERS = [
    (-2.0, 0.5),
    (-2.0, 3.0),
    (0.0, -1.5),
    (0.0, 2.5),
    (1e30, 30.5),
    (1e-30, 30.5),
    (-INF, 0.5),
]
jit = functools.cache(fg.jit)


def messages(function, *arguments):
    """The kinds of warnings of a call: "divide by zero", "overflow", "invalid value"."""
    with warnings.catch_warnings(record=True) as found, np.errstate(all="warn", under="ignore"):
        warnings.simplefilter("always")
        function(*arguments)
    return {str(entry.message).split(" encountered")[0] for entry in found}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 5, 16, 37])
@pytest.mark.parametrize("name", CASES)
def test_functions(name, size, dtype):
    function = getattr(np, name)
    for value in CASES[name]:
        x = np.ones(size, dtype)
        x[-1] = value
        compiled = jit(functools.partial(function))  # which has not looked in vain yet
        assert messages(compiled, x) == messages(function, x), value


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 37])
def test_powers(size, dtype):
    for base, exponent in POWERS:
        x, y = (np.full(size, value, dtype) for value in (base, exponent))
        compiled = fg.jit(functools.partial(np.power))
        assert messages(compiled, x, y) == messages(np.power, x, y), (base, exponent)


@pytest.mark.parametrize("size", [1, 3, 5, 17])
def test_nothing_is_warned_of_before_there_is_something(size):
    """Calls that are fine do not use up the looks, although some lanes of their vectors hold nothing."""
    compiled = jit(lambda x: np.log(x) / x)
    x = np.ones((7, size), np.float32)
    for _ in range(5):
        assert messages(compiled, x) == set()
    x[3, -1] = 0
    assert "divide by zero" in messages(compiled, x)


def test_functions_of_no_value_elsewhere_are_silent():
    zeros = np.zeros(9)
    assert messages(fg.jit(special.xlogy), zeros, zeros) == set()
    assert messages(fg.jit(special.xlog1py), zeros, zeros - 1) == set()
    assert messages(fg.jit(lambda x: np.logaddexp(x, -np.inf)), zeros) == set()
