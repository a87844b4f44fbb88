"""What only a real GPU shows: kernels of the user, memory, streams, several devices."""

import gc
import threading

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp

pytestmark = pytest.mark.gpu
X = np.linspace(0.1, 2.0, 1000).astype(np.float32)


@pytest.fixture
def cupy():
    return pytest.importorskip("cupy")


def test_the_gpu_is_found(cupy):
    assert fg.cuda_is_available() and fg.try_gpu() == fg.devices()[0] == fg.Device("cuda", 0)
    assert isinstance(fnp.zeros(3, device="cuda"), cupy.ndarray)


def test_trees_move_there_and_back(cupy):
    model = fg.nn.MLP(4, 2, 8, 1, key=fg.random.key(0))
    back = fg.device_get(fg.device_put(model, "cuda"))
    assert fg.tree_equal(model, back, typematch=True)


def test_mixtures_are_refused(cupy):
    for call in (fnp.add, fg.jit(fnp.add)):
        with pytest.raises(TypeError, match="got arrays on different devices"):
            call(cupy.asarray(X), X)


def test_numpy_functions_on_traced_gpu_arrays(cupy):
    loss = lambda x: np.sum(np.sin(x) ** 2)
    for function in (fg.grad(loss), fg.jit(fg.grad(loss))):
        np.testing.assert_allclose(function(cupy.asarray(X)).get(), np.sin(2 * X), rtol=1e-4)


def test_cupy_functions_on_traced_gpu_arrays(cupy):
    loss = lambda x: cupy.sum(cupy.sin(x) * x + cupy.where(x > 1, x, 0))
    expected = np.cos(X) * X + np.sin(X) + (X > 1)
    for function in (fg.grad(loss), fg.jit(fg.grad(loss))):
        np.testing.assert_allclose(function(cupy.asarray(X)).get(), expected, rtol=1e-4)


def test_elementwise_kernels(cupy):
    kernel = cupy.ElementwiseKernel("T x, T y", "T z", "z = x * y + x", "product_and_sum")
    product = fg.primitive(kernel, vjp=lambda ct, out, x, y: (ct * (y + 1), ct * x))
    x, y = cupy.asarray(X), cupy.asarray(X[::-1].copy())
    gradient = fg.grad(lambda x, y: fnp.sum(fnp.sin(product(x, y))), argnums=(0, 1))
    expected = np.cos(X * X[::-1] + X)
    for function in (gradient, fg.jit(gradient)):
        dx, dy = function(x, y)
        np.testing.assert_allclose(dx.get(), expected * (X[::-1] + 1), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(dy.get(), expected * X, rtol=1e-4, atol=1e-5)
    rows = fg.vmap(kernel, in_axes=(0, None))(cupy.stack([x, y]), x)
    np.testing.assert_allclose(rows.get(), np.stack([X, X[::-1]]) * (X + 1), rtol=1e-4, atol=1e-2)


def test_elementwise_kernels_without_a_rule(cupy):
    operation = "T t = exp(-x); z = x > 1 ? t * x : tanh(x)"
    kernel = cupy.ElementwiseKernel("T x", "T z", operation, "two_branches")
    gradient = fg.grad(lambda x: fnp.sum(kernel(x)))
    expected = np.where(X > 1, np.exp(-X) * (1 - X), 1 - np.tanh(X) ** 2)
    for function in (gradient, fg.jit(gradient)):
        np.testing.assert_allclose(function(cupy.asarray(X)).get(), expected, rtol=1e-4, atol=1e-6)


def test_reduction_kernels(cupy):
    kernel = cupy.ReductionKernel("T x", "T y", "x * x", "a + b", "y = a", "0", "sum_of_squares")
    squares = fg.primitive(
        kernel, vjp=lambda ct, out, x, axis=None: 2 * x * fnp.expand_dims(ct, axis)
    )
    matrix = cupy.asarray(X.reshape(10, 100))
    rows = fg.jit(lambda x: squares(x, axis=1))(matrix)
    np.testing.assert_allclose(rows.get(), (X.reshape(10, 100) ** 2).sum(1), rtol=1e-5)
    gradient = fg.jit(fg.grad(lambda x: fnp.sum(squares(x, axis=1))))(matrix)
    np.testing.assert_allclose(gradient.get(), 2 * X.reshape(10, 100), rtol=1e-6)


SCALE = """
extern "C" __global__ void scale(const float* x, float* y, int n, float factor) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = factor * x[i];
}
"""


def test_raw_kernels(cupy):
    scale = fg.primitive(
        cupy.RawKernel(SCALE, "scale"),
        out_shape=lambda x: x,
        vjp=lambda ct, out, x: 3.0 * ct,
        scalars=lambda x: (np.int32(x.size), np.float32(3.0)),
    )
    for function in (scale, fg.jit(scale)):
        np.testing.assert_allclose(function(cupy.asarray(X)).get(), 3 * X, rtol=1e-6)
    gradient = fg.jit(fg.grad(lambda x: fnp.sum(scale(x) * x)))(cupy.asarray(X))
    np.testing.assert_allclose(gradient.get(), 6 * X, rtol=1e-5)


def test_kernels_that_do_not_ask_traced_values(cupy):
    raw = cupy.RawKernel(SCALE, "scale")
    squares = cupy.ReductionKernel("T x", "T y", "x * x", "a + b", "y = a", "0", "squares")
    calls = (
        lambda x: raw((1,), (32,), (x, x, np.int32(3), np.float32(1.0))),
        lambda x: squares(x),
        lambda x: cupy.concatenate([x, x]),
        lambda x: cupy.einsum("i,i", x, x),
        lambda x: cupy.linalg.norm(cupy.linalg.inv(x[:4].reshape(2, 2))),
        lambda x: cupy.fft.fft(x),
    )
    for call in calls:
        with pytest.raises(TypeError, match="traced|Tracer") as caught:
            fg.jit(call)(cupy.asarray(X))
        assert "Write instead:" in str(caught.value)


def test_results_are_never_overwritten(cupy):
    step = fg.jit(lambda x: fnp.sin(x) + fnp.sum(x))
    x = cupy.asarray(X)
    kept = [step(x + i) for i in range(12)]
    expected = [np.sin(X + i) + (X + i).sum() for i in range(12)]
    for found, want in zip(kept, expected, strict=True):
        np.testing.assert_allclose(found.get(), want, rtol=1e-4)


def test_the_current_stream_is_respected(cupy):
    step = fg.jit(lambda x: fnp.cumsum(fnp.sin(x)) @ fnp.ones((1000, 10), np.float32))
    x = cupy.asarray(X)
    expected = step(x).get()
    stream = cupy.cuda.Stream(non_blocking=True)
    for _ in range(5):
        with stream:
            found = step(x * 1.0)
        stream.synchronize()
        np.testing.assert_allclose(found.get(), expected, rtol=1e-4)


def test_numbers_that_change_are_not_frozen(cupy):
    step = fg.jit(lambda x, rate: x - rate * fnp.sin(x))
    x = cupy.asarray(X)
    for i in range(6):
        found = step(x, np.float32(0.1 * i)).get()
        np.testing.assert_allclose(found, X - np.float32(0.1 * i) * np.sin(X), rtol=1e-5, atol=1e-6)


def test_every_thread_can_launch(cupy):
    step, x, found = fg.jit(lambda x: fnp.sin(x) + 1), cupy.asarray(X), []

    def work():
        for _ in range(4):
            with cupy.cuda.Stream(non_blocking=True) as stream:
                found.append(step(x).get())
                stream.synchronize()

    threads = [threading.Thread(target=work) for _ in range(3)]
    cupy.cuda.Device().synchronize()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 12
    for out in found:
        np.testing.assert_allclose(out, np.sin(X) + 1, rtol=1e-5)


def test_whole_training_steps_are_replayed(cupy):
    """Products, side by side, donated parameters, a rate that changes."""
    rng = np.random.default_rng(0)
    shapes = {"w": (300, 200), "b": (200,), "v": (200, 30)}
    params = {name: 0.1 * rng.normal(size=s).astype(np.float32) for name, s in shapes.items()}
    x, y = (rng.normal(size=(70, n)).astype(np.float32) for n in (300, 30))

    def loss(params, x, y):
        return fnp.mean((fnp.tanh(x @ params["w"] + params["b"]) @ params["v"] - y) ** 2)

    def step(params, x, y, rate):
        value, slopes = fg.value_and_grad(loss)(params, x, y)
        return fg.tree.map(lambda p, g: p - rate * g, params, slopes), value

    compiled, there = fg.jit(step, donate_argnums=0), fg.device_put(params, "cuda")
    x_there, y_there = cupy.asarray(x), cupy.asarray(y)
    for i in range(8):
        there, found = compiled(there, x_there, y_there, 0.1 * i)
        params, expected = step(params, x, y, np.float32(0.1 * i))
        np.testing.assert_allclose(found.get(), expected, rtol=1e-4)
    for name, want in params.items():
        np.testing.assert_allclose(there[name].get(), want, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("columns", [1000, 5000, 32000, 60000])
def test_wide_rows(cupy, columns):
    """In registers, in shared memory, and in both."""
    x = np.random.default_rng(0).normal(size=(64, columns)).astype(np.float32)
    for _ in range(2):
        found = fg.jit(fg.nn.softmax)(cupy.asarray(x))
        np.testing.assert_allclose(found.get(), fg.nn.softmax(x), rtol=1e-4, atol=1e-7)


def test_nan_passes_a_relu_beside_a_product(cupy):
    rng = np.random.default_rng(0)
    x, w, b = (rng.normal(size=s).astype(np.float32) for s in ((256, 512), (512, 256), 256))
    x[3, 5] = np.nan
    for relu in (fg.nn.relu, lambda y: fnp.where(y > 0, y, 0)):
        layer = lambda x, w, b, relu=relu: relu(x @ w + b)
        found = fg.jit(layer)(*map(cupy.asarray, (x, w, b)))
        np.testing.assert_allclose(found.get(), layer(x, w, b), rtol=1e-3, atol=1e-3)


def test_random_bits_are_those_of_the_cpu(cupy):
    draw = lambda key, x: fg.random.bits(key, (1001,)) + x
    x = cupy.zeros(1001, np.uint32)
    for number in range(4):
        key = fg.random.key(number)
        found = fg.jit(draw)(key, x).get()
        np.testing.assert_array_equal(found, fg.random.bits(key, (1001,)))


def test_donated_memory_is_used_again(cupy):
    step = fg.jit(lambda x, y: (x + y, fnp.sum(y)), donate_argnums=0)
    x, y = cupy.asarray(X), cupy.asarray(X)
    pointers = set()
    for _ in range(6):
        x, _ = step(x, y)
        pointers.add(x.data.ptr)
    np.testing.assert_allclose(x.get(), 7 * X, rtol=1e-5)
    assert len(pointers) <= 2


def test_repeated_runs_give_equal_bits(cupy):
    x = cupy.asarray(np.random.default_rng(0).normal(size=(300, 700)).astype(np.float32))
    index = cupy.asarray(np.random.default_rng(1).integers(0, 50, 300))
    work = fg.jit(
        lambda x: (fnp.zeros((50, 700), x.dtype).at[index].add(x), fnp.sum(x, 0), x @ x.T)
    )
    first = [out.get() for out in work(x)]
    for _ in range(5):
        for out, want in zip(work(x), first, strict=True):
            np.testing.assert_array_equal(out.get(), want)


def test_out_of_memory_leaves_the_library_usable(cupy):
    pool = cupy.get_default_memory_pool()
    step = fg.jit(lambda x: fnp.sum(fnp.sin(x @ x.T) @ x))
    small, large = (cupy.ones((n, 64), np.float32) for n in (64, 60_000))
    expected = float(step(small))
    pool.set_limit(size=pool.used_bytes() + (64 << 20))
    try:
        with pytest.raises(MemoryError) as caught:
            step(large)
        del caught
    finally:
        pool.set_limit(size=0)
    gc.collect()
    assert float(step(small)) == expected


def test_several_devices(cupy):
    if len(fg.devices("cuda")) < 2:
        pytest.skip("needs two GPUs")
    x = fg.device_put(X, "cuda:1")
    assert fg.device_of(x) == fg.Device("cuda", 1)
    for function in (fnp.sin, fg.jit(fnp.sin), fg.grad(lambda x: fnp.sum(fnp.sin(x)))):
        assert fg.device_of(function(x)) == fg.Device("cuda", 1)
    with pytest.raises(TypeError, match="different devices"):
        fnp.add(x, fg.device_put(X, "cuda:0"))
