"""CuPy's own functions on traced values: those that ask the value, and the error of those that do not. Needs no GPU."""

import numpy as np
import pytest

import funcgrad as fg

cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
special = pytest.importorskip("cupyx.scipy.special")
# Each row compiles its own function through the same lambda of this file.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

X = np.array([[0.5, 1.5, 2.0], [3.0, 0.2, 0.7]])
SAME = {
    "sin": lambda xp, x: xp.sin(x),
    "add": lambda xp, x: xp.add(x, 2.0),
    "power": lambda xp, x: xp.power(x, 2),
    "maximum": lambda xp, x: xp.maximum(x, 1.0),
    "clip": lambda xp, x: xp.clip(x, 0.6, 1.0),
    "where": lambda xp, x: xp.where(x > 1.0, x, 0.0),
    "isnan": lambda xp, x: xp.isnan(x),
    "sum": lambda xp, x: xp.sum(x, axis=0),
    "prod": lambda xp, x: xp.prod(x),
    "mean": lambda xp, x: xp.mean(x, axis=1, keepdims=True),
    "std": lambda xp, x: xp.std(x),
    "var": lambda xp, x: xp.var(x, axis=0),
    "max": lambda xp, x: xp.max(x),
    "argmax": lambda xp, x: xp.argmax(x, axis=1),
    "argmin": lambda xp, x: xp.argmin(x),
    "reshape": lambda xp, x: xp.reshape(x, -1),
    "transpose": lambda xp, x: xp.transpose(x),
    "ravel": lambda xp, x: xp.ravel(x),
    "squeeze": lambda xp, x: xp.squeeze(x[None]),
    "swapaxes": lambda xp, x: xp.swapaxes(x, 0, 1),
    "take": lambda xp, x: xp.take(x, 1, axis=0),
    "repeat": lambda xp, x: xp.repeat(x, 2, axis=0),
    "flip": lambda xp, x: xp.flip(x, 0),
    "trace": lambda xp, x: xp.trace(x),
    "sort": lambda xp, x: xp.sort(x),
    "argsort": lambda xp, x: xp.argsort(x),
    "dot": lambda xp, x: xp.dot(x, x.T),
    "outer": lambda xp, x: xp.outer(x, x),
}
REFUSED = {
    "stack": lambda x: cupy.stack([x, x]),
    "cumsum": lambda x: cupy.cumsum(x),
    "nansum": lambda x: cupy.nansum(x),
    "expand_dims": lambda x: cupy.expand_dims(x, 0),
    "broadcast_to": lambda x: cupy.broadcast_to(x, (2, 2, 3)),
    "moveaxis": lambda x: cupy.moveaxis(x, 0, -1),
    "tensordot": lambda x: cupy.tensordot(x, x, axes=x.ndim),
    "inner": lambda x: cupy.inner(x, x),
    "median": lambda x: cupy.median(x),
    "zeros_like": lambda x: cupy.zeros_like(x),
    "diag": lambda x: cupy.diag(x),
    "array": lambda x: cupy.array(x),
}


@pytest.mark.parametrize("name", SAME)
@pytest.mark.parametrize("transform", [lambda f: f, fg.jit], ids=["vjp", "jit"])
def test_functions_that_ask_the_traced_value(name, transform):
    call = SAME[name]
    found = transform(lambda x: fg.vjp(lambda y: call(cupy, y), x)[0])(X)
    np.testing.assert_allclose(found, call(np, X), rtol=1e-12)


def test_their_derivatives():
    gradient = fg.grad(lambda x: cupy.sum(cupy.sin(x) * cupy.where(x > 1.0, x, 0.0)))(X)
    expected = np.where(X > 1.0, np.cos(X) * X + np.sin(X), 0.0)
    np.testing.assert_allclose(gradient, expected)


@pytest.mark.parametrize("name", ["erf", "gammaln", "expit", "i0"])
def test_special_functions(name):
    from scipy import special as scipy_special

    found = fg.jit(lambda x: getattr(special, name)(x))(X)
    np.testing.assert_allclose(found, getattr(scipy_special, name)(X), rtol=1e-12)


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("transform", [fg.jit, fg.vmap, lambda f: lambda x: fg.vjp(f, x)])
def test_functions_that_do_not_ask_are_named(name, transform):
    with pytest.raises(fg.TracerArrayConversionError) as caught:
        transform(lambda x: REFUSED[name](x))(X)
    text = str(caught.value)
    assert f"np.{name}(...)    # or funcgrad.numpy.{name}(...), instead of cupy.{name}(...)" in text
    assert "test_hooks.py:" in text


def test_matmul_is_explained():
    with pytest.raises(
        fg.TracerArrayConversionError, match="CuPy needs the memory of arrays"
    ) as caught:
        fg.jit(lambda x: cupy.matmul(x, x))(X)
    assert "instead of cupy.function(x)" in str(caught.value) and "funcgrad.primitive(" in str(
        caught.value
    )


def test_get_is_explained():
    with pytest.raises(fg.TracerArrayConversionError, match="funcgrad.device_get"):
        fg.jit(lambda x: x.get())(X)


def test_elementwise_kernels_arrive():
    kernel = cupy.ElementwiseKernel("T x, T y", "T z", "z = x * y", "product")
    text = str(fg.make_jaxpr(lambda x: kernel(x, x))(X))
    assert "float64[2,3] = user_call" in text


def test_array_modules():
    assert cupy.get_array_module(X) is np
    found = fg.jit(lambda x: cupy.get_array_module(x).exp(x))(X)
    np.testing.assert_allclose(found, np.exp(X))
