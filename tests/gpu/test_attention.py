"""Attention as jitted functions on a GPU: by cuDNN where that is installed, and by products and softmax."""

import importlib
import importlib.util

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import nn
from funcgrad.compiler.cuda.steps.attention_plan import AttentionPlan

pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")
BFLOAT16 = np.dtype(importlib.import_module("ml_dtypes").bfloat16)
RNG = np.random.default_rng(0)
Q = RNG.normal(size=(2, 24, 4, 16))
K, V = RNG.normal(size=(2, 2, 32, 2, 16))
OPTIONS = {
    "plain": {},
    "causal": {"is_causal": True},
    "window": {"local_window_size": (6, 3)},
    "causal window": {"is_causal": True, "local_window_size": 7},
    "bias": {"bias": RNG.normal(size=(1, 4, 24, 32))},
    "mask": {"mask": RNG.random((2, 1, 24, 32)) < 0.7, "is_causal": True},
    "lengths": {
        "query_seq_lengths": np.array([24, 13]),
        "key_value_seq_lengths": np.array([0, 20]),
    },
}
TOLERANCES = {"float16": 1e-2, "bfloat16": 6e-2, "float32": 1e-4, "float64": 1e-10}


def both(options, names):
    """Attention, and its gradients for itself as the cotangent."""

    def run(q, k, v, *arrays):
        given = {**options, **dict(zip(names, arrays, strict=True))}
        out, pull = fg.vjp(lambda *xs: nn.dot_product_attention(*xs, **given), q, k, v)
        return (out, *pull(out))

    return run


@pytest.mark.parametrize(
    "dtype", [np.float16, BFLOAT16, np.float32, np.float64], ids=lambda d: np.dtype(d).name
)
@pytest.mark.parametrize("name", OPTIONS)
def test_results_and_gradients(name, dtype, compiled):
    options = OPTIONS[name]
    names = [key for key, x in options.items() if isinstance(x, np.ndarray)]
    arrays = [Q, K, V, *[options[key] for key in names]]
    arrays = [x.astype(dtype) if x.dtype == np.float64 else x for x in arrays]
    wide = [x.astype(np.float64) if x.dtype == dtype else x for x in arrays]
    f = both(options, names)
    wanted, jitted = f(*wide), fg.jit(f)
    for _ in range(3):
        found = jitted(*map(compiled.put, arrays))
    for got, want in zip(found, wanted, strict=True):
        assert got.dtype == dtype
        error = abs(compiled.host(got).astype(np.float64) - want).max()
        assert error <= TOLERANCES[np.dtype(dtype).name] * abs(want).max()


@pytest.mark.gpu
@pytest.mark.skipif(importlib.util.find_spec("cudnn") is None, reason="cuDNN is not installed")
@pytest.mark.parametrize("dtype", [np.float16, BFLOAT16], ids=lambda d: np.dtype(d).name)
@pytest.mark.parametrize("name", OPTIONS)
def test_cudnn_takes_it(name, dtype):
    """What the tests above compute in half precision is an operation of cuDNN, forward and backward."""
    device = importlib.import_module("funcgrad.compiler.cuda.runtime.device").device_of(0)
    options = {
        key: np.asarray(x).astype(dtype) if key == "bias" else x for key, x in OPTIONS[name].items()
    }
    names = [key for key, x in options.items() if isinstance(x, np.ndarray)]
    put = importlib.import_module("cupy").asarray
    arrays = [*[x.astype(dtype) for x in (Q, K, V)], *[options[key] for key in names]]
    fg.jit(both(options, names))(*map(put, arrays))
    known = device.products.known.items()
    kinds = {plan.kind for plan, ready in known if isinstance(plan, AttentionPlan) and ready}
    assert kinds == {"attention", "attention_gradient"}
