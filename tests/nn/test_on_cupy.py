"""Layers on CuPy arrays, eagerly, on a stand-in that is as strict as CuPy: nothing comes back to the host."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import nn, tree
from tests.gpu import strict_cupy
from tests.nn.layer_cases import CASES, inputs
from tests.nn.test_torch import COMPILED, made

# The same lines are compiled for many cases.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*was compiled:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*momentum=:UserWarning"),
]


def on_gpu(value):
    return tree.map(lambda x: strict_cupy.put(x) if isinstance(x, np.ndarray) else x, value)


def compare(found, expected):
    for a, b in zip(tree.leaves(found), tree.leaves(expected), strict=True):
        if hasattr(b, "dtype"):
            assert isinstance(a, strict_cupy.ndarray) or not b.ndim
            a = a.get() if isinstance(a, strict_cupy.ndarray) else a
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def runner(case):
    def run(model, xs):
        method = eval(f"lambda m, *xs: {case.call}", {"np": np})
        out, changed = model.apply(*xs, train=case.train, method=method)
        return sum((y * y).sum() for y in tree.leaves(out)), (out, changed)

    return run


# Calls with NumPy arrays of their own are refused beside arrays on a GPU.
ON_GPU = [name for name, case in CASES.items() if "np." not in case.call]


@pytest.mark.parametrize("name", ON_GPU)
def test_results(name, monkeypatch):
    model, xs = made(name, CASES[name], np.float32), inputs(name, CASES[name], np.float32)
    expected = runner(CASES[name])(model, xs)
    strict_cupy.install(monkeypatch)
    compare(runner(CASES[name])(on_gpu(model), on_gpu(xs)), expected)
    assert not strict_cupy.leaks


@pytest.mark.parametrize("name", COMPILED)
def test_gradients(name, monkeypatch):
    model, xs = made(name, CASES[name], np.float32), inputs(name, CASES[name], np.float32)
    function = fg.value_and_grad(runner(CASES[name]), (0, 1), has_aux=True)
    expected = function(model, xs)
    strict_cupy.install(monkeypatch)
    compare(function(on_gpu(model), on_gpu(xs)), expected)


def test_dropout_rotation_and_loading(monkeypatch):
    x = np.ones((4, 6, 8), np.float32)
    strict_cupy.install(monkeypatch)
    dropped, _ = nn.Dropout(0.5).apply(on_gpu(x), train=True, key=0)
    np.testing.assert_array_equal(dropped.get(), nn.Dropout(0.5).apply(x, train=True, key=0)[0])
    for layer in (nn.RotaryPositionalEmbedding(8), nn.SinusoidalPositionalEncoding(8)):
        np.testing.assert_allclose(layer(on_gpu(x)).get(), layer(x), rtol=1e-6)
    attended = nn.dot_product_attention(*[on_gpu(x)] * 3, is_causal=True, chunk_size=2)
    wanted = nn.dot_product_attention(x, x, x, is_causal=True)
    np.testing.assert_allclose(attended.get(), wanted, rtol=1e-5)
    linear = on_gpu(nn.Linear(8, 2, key=0))
    loaded = nn.load_state_dict(linear, nn.state_dict(nn.Linear(8, 2, key=1)))
    assert isinstance(loaded.weight, strict_cupy.ndarray)
