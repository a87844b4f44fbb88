"""`jit` on CuPy arrays: what goes in and comes out, errors, reports."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import debug
from tests.gpu.emulator.available import require_emulator

require_emulator()

import cupy  # noqa: E402

from tests.gpu.emulator.device import emulated  # noqa: E402
from tests.gpu.emulator.memory import host, host_view, put  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")
X = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.fixture
def device():
    with emulated() as device:
        yield device


def test_trees_of_cupy_arrays_come_back_as_such(device):
    f = fg.jit(lambda p, k: {"a": p["w"] * 2, "b": (p["b"].sum(), [k])})
    out = f({"w": put(X), "b": put(X[0])}, "name")
    assert type(out["a"]) is cupy.ndarray and type(out["b"][0]) is cupy.ndarray
    assert out["b"][0].shape == () and out["b"][1] == ["name"]
    np.testing.assert_array_equal(host(out["a"]), 2 * X)


def test_results_are_fresh(device):
    x = put(X)
    a, b, c = fg.jit(lambda x: (x, x, x.T))(x)
    places = [array.data.ptr for array in (x, a, b, c)]
    assert len(set(places)) == 4
    for found, expected in ((a, X), (b, X), (c, X.T)):
        np.testing.assert_array_equal(host(found), expected)
        assert found.flags.c_contiguous


@pytest.mark.parametrize(
    "x",
    [X.T, X[::2, 1:], X[::-1], np.broadcast_to(X[0], (3, 4))],
    ids=["T", "[::2]", "[::-1]", "broadcast"],
)
def test_arrays_with_any_strides(device, x):
    f = fg.jit(lambda x: np.tanh(x) + x)
    for _ in range(3):
        np.testing.assert_allclose(host(f(put(x))), np.tanh(x) + x, rtol=1e-6)


def test_arrays_that_are_not_aligned_to_16_bytes(device):
    f = fg.jit(lambda x: np.tanh(x) + x)
    whole = np.arange(1025, dtype=np.float32)
    shifted = put(whole)[1:]
    assert shifted.data.ptr % 16
    np.testing.assert_allclose(host(f(shifted)), np.tanh(whole[1:]) + whole[1:], rtol=1e-6)
    np.testing.assert_allclose(host(f(put(whole[1:]))), np.tanh(whole[1:]) + whole[1:], rtol=1e-6)


def test_numbers_and_random_keys_of_the_host_go_along(device):
    key = fg.random.key(3)
    f = fg.jit(lambda x, rate, step, key: x * rate + step + fg.random.normal(key, x.shape, x.dtype))
    expected = f(X, 0.5, 2, key)
    for rate in (0.5, np.float32(0.5), np.array(0.5, np.float32)):
        out = f(put(X), rate, 2, key)
        np.testing.assert_allclose(host(out).astype(np.float32), expected, rtol=1e-6)


def test_captured_arrays_are_read_anew(device):
    w = put(X)
    f = fg.jit(lambda x: x @ w.T)
    for k in range(4):
        host_view(w.data.ptr, X.shape, X.dtype)[...] = X + k
        np.testing.assert_allclose(host(f(put(X))), X @ (X + k).T)


def test_arguments_on_different_devices_are_named(device):
    f = fg.jit(lambda x, w: x @ w, static_argnums=())
    with pytest.raises(TypeError, match=r"argument 'x'[\s\S]*cupy[\s\S]*argument 'w'[\s\S]*numpy"):
        f(put(X), X.T)


def test_captured_numpy_arrays_are_named(device):
    w = np.ones((4, 2), np.float32)
    with pytest.raises(TypeError, match=r"numpy.ndarray float32\[4,2\] on cpu"):
        fg.jit(lambda x: fg.numpy.matmul(x, w))(put(X))


def test_numpy_and_cupy_calls_of_one_function(device):
    f = fg.jit(lambda x: np.sum(x * x, 1))
    for _ in range(3):
        assert type(f(X)) is np.ndarray
        np.testing.assert_allclose(host(f(put(X))), f(X))


def test_derivatives_batches_and_nesting(device):
    loss = lambda w, x: np.mean(np.tanh(x @ w) ** 2)
    step = fg.jit(lambda w, x: w - 0.1 * fg.grad(fg.jit(loss))(w, x))
    w = np.full((4, 2), 0.1, np.float32)
    np.testing.assert_allclose(host(step(put(w), put(X))), step(w, X), rtol=1e-5)
    batched = fg.jit(fg.vmap(fg.grad(loss), (None, 0)))
    expected = batched(w, X[:, None])
    np.testing.assert_allclose(
        host(batched(put(w), put(X[:, None]))), expected, rtol=1e-4, atol=1e-6
    )


def test_loops_and_branches(device):
    def f(x, n):
        x = fg.lax.while_loop(lambda c: c.sum() < 100, lambda c: c * 1.5 + 1, x)
        x = fg.lax.cond(n > 2, np.sin, np.cos, x)
        return fg.lax.scan(lambda c, _: (c * 0.5, c.sum()), x, length=5)

    jitted = fg.jit(f)
    for n in (1, 3, 1, 3):
        for out, expected in zip(jitted(put(X), n), jitted(X, n), strict=True):
            np.testing.assert_allclose(host(out), expected, rtol=1e-5)


def test_empty_arrays(device):
    f = fg.jit(lambda x: (x * 2, x.sum(0)))
    out, total = f(put(np.zeros((0, 3), np.float32)))
    assert out.shape == (0, 3)
    np.testing.assert_array_equal(host(total), np.zeros(3))


def test_indices_outside_read_nan_and_nothing_else(device):
    out = host(fg.jit(lambda x, i: x[i])(put(X), put(np.array([0, 7, -9, 2]))))
    assert np.isnan(out[1:3]).all()
    np.testing.assert_array_equal(out[[0, 3]], X[[0, 2]])


def test_errors_of_library_calls_name_the_line(device, monkeypatch):
    f = fg.jit(lambda x: np.sort(x) + 1)
    x = put(X)
    f(x)

    def fail(*args):
        raise ValueError("no sorting today")

    monkeypatch.setattr(device, "library", fail)
    with pytest.raises(ValueError, match="no sorting today") as info:
        f(x)
    assert "test_jit.py" in "".join(info.value.__notes__)


def test_the_report_says_what_was_launched(device):
    f = fg.jit(lambda x: np.sum(np.tanh(x), 1))
    f(put(X))
    (found,) = f.compile_report().compilations
    assert {"trace", "simplify", "lower", "fuse", "plan", "write"} <= set(found.stages)
    assert found.counts["launches"] == found.counts["kernels"] == 1


def test_inspection_shows_kernels(device):
    found = debug.inspect(lambda x: np.sum(np.tanh(x), 1), put(X))
    assert list(found.stages)[-2:] == ["launches", "cuda"]
    assert "<<<" in found.launches and "__global__" in found.cuda
    with pytest.raises(ValueError, match=r"on a GPU. .cuda and .launches show what runs"):
        found.text("llvm")


def test_inspection_without_a_gpu():
    found = debug.inspect(lambda x: np.sum(np.tanh(x), 1), X)
    assert "__global__" in found.cuda and "input 0" in found.launches
    assert "cuda" not in found.stages
