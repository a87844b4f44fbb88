"""Convolutions by cuDNN, on a stand-in for it: which ones it gets, and that layouts and windows are told right."""

import numpy as np
import pytest

from tests.gpu.emulator.available import require_emulator

require_emulator()

import funcgrad as fg  # noqa: E402
from funcgrad.compiler.cuda import stages  # noqa: E402
from funcgrad.compiler.cuda.launches import Product  # noqa: E402
from funcgrad.compiler.cuda.steps.convolution_plan import ConvolutionPlan  # noqa: E402
from funcgrad.compiler.cuda.steps.cublaslt import Library  # noqa: E402
from funcgrad.compiler.cuda.steps.cudnn import Graphs  # noqa: E402
from funcgrad.ir.builder import trace_flat  # noqa: E402
from funcgrad.ir.tracer import type_of  # noqa: E402
from funcgrad.ops.convolution import convolve  # noqa: E402
from funcgrad.ops.sliding import Sliding  # noqa: E402
from tests.compiler.cuda.step_rows import BFLOAT16, numbers  # noqa: E402
from tests.gpu.emulator import fake_cudnn, fake_lt  # noqa: E402
from tests.gpu.emulator.device import EmulatedDevice, emulated  # noqa: E402
from tests.gpu.emulator.memory import host, put  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")
NCHW, NHWC = ("nc01", "oc01", "no01"), ("n01c", "01co", "n01o")
WINDOWS = {
    "plain": (Sliding(3, 1, 1, 1), Sliding(3, 1, 1, 1)),
    "uneven": (Sliding(3, 2, 0, 1), Sliding(2, 1, 2, 0)),
    "dilated": (Sliding(3, 1, 2, 2, 1, 2), Sliding(2, 3, 0, 0, 1, 3)),
}


@pytest.fixture(autouse=True)
def with_cudnn(monkeypatch):
    library = Library(fake_lt, Graphs(fake_cudnn))
    monkeypatch.setattr(EmulatedDevice, "products", library)
    fake_cudnn.ran.clear()
    return library


def arrays(labels, window, dtype=np.float32):
    x, w = numbers((4, 9, 14, 13), dtype), numbers((16, 9, *[s.size for s in window]), dtype, 1)
    if labels == NHWC:
        return x.transpose(0, 2, 3, 1).copy(), w.transpose(2, 3, 1, 0).copy()
    return x, w


def both(x, w, labels, window, seed=None):
    """The convolution, and its gradients for a seed."""
    out, pull = fg.vjp(lambda x, w: convolve(x, w, labels, window), x, w)
    return [out, *pull(out if seed is None else seed)]


@pytest.mark.parametrize("labels", [NCHW, NHWC])
@pytest.mark.parametrize("name", WINDOWS)
def test_forward_and_weights(labels, name):
    x, w = arrays(labels, WINDOWS[name])
    f = lambda x, w: both(x, w, labels, WINDOWS[name])
    expected = f(x, w)
    with emulated():
        found = [host(out) for out in fg.jit(f)(put(x), put(w))]
    for got, want in zip(found, expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4 * abs(want).max())
    kinds = [kind for kind, _ in fake_cudnn.ran]
    assert {"fprop", "wgrad"} <= set(kinds)


def plans(f, *args):
    program, _ = trace_flat(lambda *xs: [f(*xs)], [type_of(x) for x in args], "f")
    library = Library(fake_lt, Graphs(fake_cudnn))
    items = stages.run_stages(program, stages.Context(products=library))["write"].items
    return [i.plan for i in items if isinstance(i, Product) and isinstance(i.plan, ConvolutionPlan)]


@pytest.mark.parametrize("dtype", [np.float16, BFLOAT16, np.float32])
def test_precision(dtype):
    x, w = arrays(NCHW, WINDOWS["plain"], dtype)
    f = fg.jit(lambda x, w: convolve(x, w, NCHW, WINDOWS["plain"]))
    with emulated():
        f(put(x), put(w))
        with fg.default_matmul_precision("tensorfloat32"):
            f(put(x), put(w))
    exact, fast = (left_out for _, left_out in fake_cudnn.ran)
    assert ("TENSOR_CORE" in exact) == (x.dtype == np.float32)
    assert "TENSOR_CORE" not in fast and "NONDETERMINISTIC" in fast


def test_what_is_left_to_kernels_and_products():
    """Groups, spaces between elements, other dtypes, what is small, what the library refuses."""
    window = WINDOWS["plain"]
    run = lambda labels, window: lambda x, w: convolve(x, w, labels, window)
    x, w = arrays(NCHW, window)
    assert len(plans(run(NCHW, window), x, w)) == 1
    assert not plans(run(NCHW, window), x.astype(np.float64), w.astype(np.float64))
    assert not plans(run(NCHW, window), x[:1, :, :3, :3], w[:2])
    assert not plans(run(("gn01", "go01", "gno01"), window), x, numbers((4, 5, 3, 3)))
    spaced = (Sliding(3, 1, 1, 1, 2), Sliding(3, 1, 1, 1))
    assert not plans(run(NCHW, spaced), x, w)
    cropped = (Sliding(3, 1, -1, 0), Sliding(3, 1, 1, 1))
    assert not plans(run(NCHW, cropped), x, w)
    refused = numbers((7, 7, 7, 7)), numbers((64, 7, 3, 3))
    assert not plans(run(NCHW, window), *refused)
