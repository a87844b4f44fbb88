"""CuPy's kernel objects inside transformed functions, on the strict stand-in for CuPy."""

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from tests.gpu import strict_cupy

pytest.importorskip("cupy", reason="CuPy is not installed")
kernels = pytest.importorskip("tests.gpu.strict_kernels")
pytestmark = pytest.mark.usefixtures("strict")


@pytest.fixture(autouse=True)
def generated_python():
    """Compiled functions run as generated Python: there is nothing here that CUDA code could run on."""
    with fg.config.override(native=False):
        yield


def gpu(values, dtype=np.float32):
    return strict_cupy.put(np.asarray(values, dtype))


def product_kernel():
    return kernels.ElementwiseKernel("T x, T y", "T z", "z = x * y", "product")


def with_rule(kernel):
    return fg.primitive(kernel, vjp=lambda ct, out, x, y: (ct * y, ct * x))


X, Y = np.array([1.0, 2.0, 3.0], np.float32), np.array([4.0, 5.0, 6.0], np.float32)


def test_a_kernel_object_is_called_in_compiled_code():
    kernel = product_kernel()
    out = fg.jit(lambda x, y: kernel(x, y) + 1.0)(gpu(X), gpu(Y))
    np.testing.assert_array_equal(out.get(), X * Y + 1)
    assert out.dtype == np.float32 and kernel.calls == 1


def test_a_kernel_without_a_rule_says_how_to_give_one():
    kernel = kernels.ElementwiseKernel("T x, T y", "T z", "z = x ** y", "product")
    with pytest.raises(
        TypeError, match=r"\[product\] has no derivative.*funcgrad.primitive\(product, vjp="
    ):
        fg.grad(lambda x: fnp.sum(kernel(x, x)))(gpu(X))


def test_the_rule_of_a_registered_kernel():
    kernel = product_kernel()
    product = with_rule(kernel)
    for call in (product, kernel):
        for transform in (lambda f: f, fg.jit):
            gradient = fg.grad(lambda x, y: fnp.sum(call(x, y) ** 2), argnums=(0, 1))
            dx, dy = transform(gradient)(gpu(X), gpu(Y))
            np.testing.assert_allclose(dx.get(), 2 * X * Y**2)
            np.testing.assert_allclose(dy.get(), 2 * X**2 * Y)


def test_kernels_of_plain_expressions_need_no_rule():
    kernel = kernels.ElementwiseKernel("T x, T y", "T z", "z = x * x / (1 + y)", "quotient")
    loss = lambda x, y: fnp.sum(kernel(x, y))
    for transform in (lambda f: f, fg.jit):
        dx, dy = transform(fg.grad(loss, argnums=(0, 1)))(gpu(X), gpu(Y))
        np.testing.assert_allclose(dx.get(), 2 * X / (1 + Y), rtol=1e-6)
        np.testing.assert_allclose(dy.get(), -(X**2) / (1 + Y) ** 2, rtol=1e-6)
    _, tangent = fg.jvp(kernel_call(kernel), (gpu(X), gpu(Y)), (gpu(X), gpu(0 * Y)))
    np.testing.assert_allclose(tangent.get(), 2 * X**2 / (1 + Y), rtol=1e-6)
    second = fg.vmap(fg.grad(fg.grad(lambda x: kernel(x, x))))(gpu(X))
    np.testing.assert_allclose(second.get(), 2 / (1 + X) ** 3, rtol=1e-5)


def test_batches_of_elementwise_kernels_are_one_call():
    kernel = product_kernel()
    out = fg.vmap(kernel, in_axes=(0, None))(gpu(np.ones((5, 2, 3))), gpu(X))
    assert out.shape == (5, 2, 3) and kernel.calls == 1


def test_derivatives_of_batches():
    product = with_rule(product_kernel())
    rows = np.stack([X, Y])
    gradients = fg.vmap(fg.grad(lambda x, y: fnp.sum(product(x, y))), in_axes=(0, None))(
        gpu(rows), gpu(Y)
    )
    np.testing.assert_array_equal(gradients.get(), np.stack([Y, Y]))


def test_dtypes_of_the_results():
    kernel = kernels.ElementwiseKernel("T x, int32 n", "T z, bool b", "z = x * n; b = x > n", "two")
    z, b = fg.eval_shape(kernel_call(kernel), gpu(X), gpu([2, 2, 2], np.int32))
    assert (z.dtype, b.dtype) == (np.float32, np.bool_)
    z, b = fg.jit(kernel_call(kernel))(gpu(X), gpu([2, 2, 2], np.int32))
    np.testing.assert_array_equal(b.get(), X > 2)


def kernel_call(kernel):
    return lambda *args: kernel(*args)


def test_one_letter_is_one_dtype():
    kernel = product_kernel()
    with pytest.raises(TypeError, match="T stands for float32 and for float64"):
        fg.jit(lambda x, y: kernel(x, y))(gpu(X), gpu(Y, np.float64))


def test_output_arrays_are_refused():
    kernel = product_kernel()
    with pytest.raises(TypeError, match="takes 2 input arrays, but got 3"):
        fg.jit(lambda x, y: kernel(x, y, y))(gpu(X), gpu(Y))


def test_raw_parameters_and_sizes():
    kernel = kernels.ElementwiseKernel("raw T x", "T z", "z = x[i] * x[i]", "squares")
    out = fg.jit(lambda x: kernel(x, size=2))(gpu(X))
    np.testing.assert_array_equal(out.get(), X[:2] ** 2)


def test_reduction_kernels():
    kernel = kernels.ReductionKernel("T x", "T y", "x * x", "sum_of_squares")
    squares = fg.primitive(
        kernel,
        vjp=lambda ct, out, x, axis=None: (
            2.0 * x * (ct if axis is None else fnp.expand_dims(ct, axis))
        ),
    )
    matrix = np.stack([X, Y])
    np.testing.assert_array_equal(fg.jit(squares)(gpu(matrix)).get(), (matrix**2).sum())
    rows = fg.jit(lambda x: squares(x, axis=1))(gpu(matrix))
    np.testing.assert_array_equal(rows.get(), (matrix**2).sum(1))
    gradient = fg.grad(lambda x: fnp.sum(squares(x, axis=1)))(gpu(matrix))
    np.testing.assert_array_equal(gradient.get(), 2 * matrix)
    np.testing.assert_array_equal(fg.vmap(squares)(gpu(matrix)).get(), (matrix**2).sum(1))


def scale_body(grid, block, x, out, n, factor):
    out[...] = x * factor
    assert n == x.size


def test_raw_kernels():
    kernel = kernels.RawKernel(scale_body, "scale")
    scale = fg.primitive(
        kernel,
        out_shape=lambda x: x,
        vjp=lambda ct, out, x: 3.0 * ct,
        scalars=lambda x: (np.int32(x.size), np.float32(3.0)),
        block=2,
    )
    np.testing.assert_array_equal(fg.jit(scale)(gpu(X)).get(), 3 * X)
    assert kernel.launches == [((2,), (2,), 0)]
    np.testing.assert_array_equal(
        fg.grad(lambda x: fnp.sum(scale(x)))(gpu(X)).get(), [3.0, 3.0, 3.0]
    )
    assert fg.vmap(scale)(gpu(np.ones((4, 3)))).shape == (4, 3)


def test_launch_numbers_by_functions():
    kernel = kernels.RawKernel(scale_body, "scale")
    scale = fg.primitive(
        kernel,
        out_shape=fg.ShapeDtypeStruct((3,), np.float32),
        scalars=(np.int32(3), np.float32(2.0)),
        grid=lambda x: (x.shape[0], 1),
        block=(32, 1, 1),
        shared_mem=64,
    )
    np.testing.assert_array_equal(scale(gpu(X)).get(), 2 * X)
    assert kernel.launches == [((3, 1), (32, 1, 1), 64)]


def test_kernels_want_gpu_arrays():
    scale = fg.primitive(kernels.RawKernel(scale_body, "scale"), out_shape=lambda x: x)
    with pytest.raises(TypeError, match=r"\[scale\] is a kernel of CuPy.*device_put"):
        scale(X)


def test_raw_kernels_need_an_out_shape():
    with pytest.raises(TypeError, match="cannot be found out. Give out_shape"):
        fg.primitive(kernels.RawKernel(scale_body, "scale"))(gpu(X))
