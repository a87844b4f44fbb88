"""The device class for real GPUs, run on the emulator: every call has the real signature and keeps CUDA's rules."""

import threading

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad import lax
from tests.gpu.emulator.available import require_emulator

require_emulator()

import cupy  # noqa: E402

from tests.gpu.emulator.fake_cuda import checked_cuda  # noqa: E402
from tests.gpu.emulator.memory import allocate, host, put  # noqa: E402

ORDERS = range(3)


def floats(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def loss(params, x, y):
    hidden = np.tanh(x @ params["w"] + params["b"])
    return np.mean((hidden @ params["v"] - y) ** 2)


def training_step(params, x, y, rate):
    value, slopes = fg.value_and_grad(loss)(params, x, y)
    return fg.tree.map(lambda p, g: p - rate * g, params, slopes), value


@pytest.mark.parametrize("order", ORDERS)
def test_training_is_recorded_and_replayed(order):
    """Side by side, with products, donated parameters and a rate that changes."""
    params = {"w": floats(300, 200), "b": floats(200), "v": floats(200, 30)}
    x, y = floats(70, 300), floats(70, 30)
    expected = fg.tree.map(np.copy, params)
    with checked_cuda(order) as cuda:
        step = fg.jit(training_step, donate_argnums=0)
        found = fg.tree.map(put, params)
        x_there, y_there = put(x), put(y)
        for i in range(5):
            found, value = step(found, x_there, y_there, 0.1 * i)
            expected, want = training_step(expected, x, y, np.float32(0.1 * i))
            np.testing.assert_allclose(host(value), want, rtol=1e-4)
        for got, want in zip(fg.tree.leaves(found), fg.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(host(got), want, rtol=1e-3, atol=1e-5)
    assert cuda.captures and cuda.replays >= 3


def test_control_flow_and_libraries():
    def work(x):
        total, sums = lax.scan(lambda c, row: (c + row, fnp.sum(c)), x[0] * 0, x)
        far = lax.while_loop(lambda c: fnp.sum(c) < 100, lambda c: c * 2 + fnp.sort(c), abs(total))
        return far, sums, lax.cond(sums[1] > 0, np.sin, np.cos, x)

    x = floats(5, 3000)
    want = work(x)
    with checked_cuda():
        call = fg.jit(work)
        for _ in range(4):
            for got, expected in zip(call(put(x)), want, strict=True):
                np.testing.assert_allclose(host(got), expected, rtol=1e-4, atol=1e-4)


def test_large_rows_have_much_shared_memory():
    x = floats(3, 32000)
    with checked_cuda():
        call = fg.jit(lambda x: fg.nn.softmax(x))
        for _ in range(3):
            np.testing.assert_allclose(host(call(put(x))), fg.nn.softmax(x), rtol=1e-4)


def test_every_thread_gets_a_context():
    with checked_cuda():
        call, x = fg.jit(lambda x: np.sin(x) + 1), put(floats(10))
        expected, found = host(call(x)), []

        def work():
            with cupy.cuda.using_allocator(allocate):  # CuPy's is that of one thread
                found.append(host(call(x)))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        np.testing.assert_array_equal(found[0], expected)


def test_results_on_another_stream():
    with checked_cuda() as cuda:
        call, x = fg.jit(lambda x: np.sin(x @ x.T) @ x), put(floats(200, 100))
        expected = host(call(x))
        for _ in range(6):
            cuda.now = cuda.new_stream(non_blocking=True)
            np.testing.assert_array_equal(host(call(x)), expected)


@pytest.mark.parametrize("shape", [(3,), (200, 30)])
def test_many_arrays_are_several_launches(shape):
    """The parameters of one kernel have 4096 bytes in older CUDA."""
    arrays = [floats(*shape, seed=i) for i in range(300)]

    def step(*arrays):
        return [x - 0.1 * np.sin(x) + i for i, x in enumerate(arrays)]

    with checked_cuda():
        found = fg.jit(step)(*map(put, arrays))
        for got, want in zip(found, step(*arrays), strict=True):
            np.testing.assert_allclose(host(got), want, rtol=1e-5)
