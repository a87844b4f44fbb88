"""The C text of elementwise kernels, read as expressions."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import erf

from funcgrad.test_util import check_grads
from funcgrad.transforms.jit import jit
from funcgrad.transforms.kernel_expressions import expression_of

X, Y = np.array([0.5, 1.5, 2.0]), np.array([1.5, 0.7, -1.0])


def param(name, dtype=None, raw=False):
    return SimpleNamespace(name=name, dtype=dtype, ctype="T", raw=raw)


def kernel(operation, inputs="xy", outputs="z", preamble=""):
    return SimpleNamespace(
        in_params=[param(name) for name in inputs],
        out_params=[param(name) for name in outputs],
        operation=operation,
        preamble=preamble,
    )


# Each row compiles its own function through the same lines.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

UNDERSTOOD = {
    "z = x * y + 1": X * Y + 1,
    "z = x - y - 2.5f": X - Y - 2.5,
    "z = x / (1 + fabs(y))": X / (1 + abs(Y)),
    "z = -x * -(y + 1e-3)": X * (Y + 1e-3),
    "z = pow(x, 2.0f) - sqrtf(x)": X**2 - np.sqrt(X),
    "T t = expf(-x); z = t > 0.5f ? t : y": np.where(np.exp(-X) > 0.5, np.exp(-X), Y),
    "z = max(x, y); z *= 2; z -= x": 2 * np.maximum(X, Y) - X,
    "const double a = (T)(x); z = T(y) + a": X + Y,
    "z = x < y && !(y > 1) || x == 2 ? 1 : 0": np.array([0.0, 0.0, 1.0]),
    "z = x > 0 ? y > 0 ? x : y : 3": np.where(Y > 0, X, Y),
    "z = __expf(x) + atan2(y, x)": np.exp(X) + np.arctan2(Y, X),
    "z = rsqrt(x) * erf(y) + log1p(x)": erf(Y) / np.sqrt(X) + np.log1p(X),
}


@pytest.mark.parametrize("operation", UNDERSTOOD)
def test_values(operation):
    compute = expression_of(kernel(operation))
    found = [compute(X, Y), jit(compute)(X, Y)]
    for out in found:
        assert out.dtype == np.float64
        np.testing.assert_allclose(out, UNDERSTOOD[operation], rtol=1e-5)


@pytest.mark.parametrize("operation", list(UNDERSTOOD)[:6])
def test_derivatives(operation):
    check_grads(expression_of(kernel(operation)), (X, Y), order=1)


def test_several_results():
    first, second = expression_of(kernel("z = x + y; w = z * x", outputs="zw"))(X, Y)
    np.testing.assert_array_equal(first, X + Y)
    np.testing.assert_array_equal(second, (X + Y) * X)


@pytest.mark.parametrize(
    "given",
    [
        kernel("for (int i = 0; i < 3; i++) z += x"),
        kernel("if (x > 0) { z = x; }"),
        kernel("z = mine(x)"),
        kernel("z = x[i]"),
        kernel("z = x * ; "),
        kernel("z = (x"),
        kernel("x + y"),
        kernel("w = x"),
        kernel("z = x # y"),
        kernel("z = mine(x)", preamble="__device__ float mine(float x) { return x; }"),
        SimpleNamespace(
            in_params=[param("x", raw=True)],
            out_params=[param("z")],
            operation="z = x",
            preamble="",
        ),
    ],
)
def test_what_is_not_understood(given):
    assert expression_of(given) is None
