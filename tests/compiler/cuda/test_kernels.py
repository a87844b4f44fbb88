"""Kernels of all kinds and layouts on the emulator, in several orders of threads, against plain evaluation."""

import functools

import ml_dtypes
import numpy as np
import pytest

import funcgrad as fg
from funcgrad import nn
from tests.gpu.emulator.available import require_emulator

require_emulator()

from tests.compiler.cuda.emulated import check, compile_all, prepared  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
ORDERS = (0, 1, 5)  # of threads: forward, backward, shuffled


def normal(*shape, dtype=np.float32):
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


def labels(count, *shape):
    return np.random.default_rng(1).integers(0, count, shape)


def normalized(x, scale, shift, axis=-1):
    centred = x - x.mean(axis, keepdims=True)
    variance = (centred * centred).mean(axis, keepdims=True)
    return centred / np.sqrt(variance + 1e-5) * scale + shift


def gradients(f):
    """All first derivatives of the sum of a function's result, weighted so that no element is like another."""

    def run(*args):
        def total(*args):
            out = f(*args)
            weights = np.cos(fg.numpy.arange(out.size)).reshape(out.shape)
            return (out * weights.astype(out.dtype)).sum()

        return fg.value_and_grad(total, argnums=tuple(range(len(args))))(*args)

    return run


def losses(x, y):
    return fg.value_and_grad(lambda x: nn.softmax_cross_entropy_with_integer_labels(x, y).mean())(x)


ROWS = {
    "softmax": nn.softmax,
    "softmax of columns": functools.partial(nn.softmax, axis=0),
    "softmax gradient": gradients(nn.softmax),
    "log softmax gradient": gradients(nn.log_softmax),
    "logsumexp": lambda x: (nn.logsumexp(x, axis=0), nn.logsumexp(x, axis=1), nn.logsumexp(x)),
    "all ways": lambda x: (x.sum(0), x.sum(1), x.sum(), x * 2),
    "extrema": lambda x: (x.max(0), x.min(1), np.argmax(x, 0), np.argmin(x, 1), np.argmax(x)),
    "tests": lambda x: ((x > 0).all(0), (x > 3).any(1), (x > 3).any()),
}
SHAPES = [(5, 7), (130, 64), (1, 5000), (2000, 3), (40, 257)]
CASES = {
    **{(name, shape): (f, normal(*shape)) for name, f in ROWS.items() for shape in SHAPES},
    **{
        ("layer norm gradient", shape, str(dtype)): (
            gradients(normalized),
            normal(*shape, dtype=dtype),
            *[normal(shape[-1], dtype=dtype) for _ in range(2)],
        )
        for shape in [(1, 3), (33, 7), (5, 100), (9, 768), (3, 4096)]
        for dtype in (np.float32, ml_dtypes.bfloat16)[: 1 + (shape[0] == 9)]
    },
    "batch norm gradient": (
        gradients(lambda x, s, b: normalized(x, s[:, None, None], b[:, None, None], (0, 2, 3))),
        *[normal(8, 5, 6, 7), normal(5), normal(5)],
    ),
    "bias gradient": (gradients(lambda x, b: nn.gelu(x + b)), normal(200, 300), normal(300)),
    "large columns": (lambda x: x.sum(0), normal(1100, 1024)),
    "large columns of halves": (lambda x: (x * x).sum(0), normal(1100, 1024, dtype=ml_dtypes.bfloat16)),
    "rows in shared memory": (gradients(nn.softmax), normal(3, 30_000)),
    "a long row": (lambda x: (x.sum(), np.argmax(x)), normal(70_001)),
    "a long row with its sum": (lambda x: x / x.sum(), normal(4001)),
    "halves": (lambda x: (x.mean(), (x * x + x).sum(1)), normal(30, 100, dtype=np.float16)),
    "middle axes": (lambda x: (x.sum((0, 2)), x.max(1), nn.softmax(x, axis=1)), normal(6, 10, 30)),
    "integers": (lambda x: (x.sum(0), x.prod(1), x.max()), labels(100, 7, 9).astype(np.int8)),
    "complex": (lambda x: ((x + 1j * x).sum(0), np.abs(1j * x)), normal(9, 33)),
    "labels": (losses, normal(64, 1000), labels(1000, 64)),
    "few labels": (losses, normal(300, 7), labels(7, 300).astype(np.int32)),
    "one-hot": (lambda y: nn.one_hot(y, 17), labels(17, 40)),
    "transposes": (lambda x: (x.T * 2, x.T @ x, x.transpose(1, 0) + x.T), normal(70, 50)),
    "axes": (lambda x: x.transpose(2, 0, 1) * 2, normal(6, 50, 40)),
    "padding": (lambda x: np.pad(x, ((1, 2), (3, 0))) * 2, normal(20, 70)),
    "parts": (lambda x: np.concatenate([x, x * 2, x[:, ::-3]], 1)[:, 5:] + 1, normal(20, 70)),
    "rows chosen": (lambda x, i: x[i] * 2, normal(50, 64), labels(50, 20) - 25),
    "elements chosen": (
        lambda x, i: np.take_along_axis(np.exp(x), i[:, None], 1), normal(50, 64), labels(64, 50)
    ),
    "windows": (lambda x, i: fg.lax.dynamic_slice_in_dim(x, i, 7, 1) * 2, normal(5, 30), np.int32(20)),
    "random numbers": (
        lambda k: (fg.random.normal(k, (33, 5)), fg.random.bits(k, (7,)), fg.random.bernoulli(k, 0.3, (64,))),
        fg.random.key(3),
    ),
    "dropout": (
        lambda k, x: np.where(fg.random.bernoulli(k, 0.9, x.shape), x / 0.9, 0), fg.random.key(1), normal(64, 65)
    ),
    "small": (lambda x: (x @ x, x.sum(), x.T.reshape(4)[:3], np.exp(x[0])), normal(2, 2)),
    "nothing": (lambda x: (x * 2, x.sum(0), x.sum(1)), normal(0, 5)),
}  # fmt: skip


NAMED = [name for name in CASES if isinstance(name, str)]


@functools.cache
def programs():
    """All kernels, compiled together; those with a name also for memory that is not aligned."""
    found = {name: prepared(f, *args) for name, (f, *args) in CASES.items()}
    for name in NAMED:
        f, *args = CASES[name]
        found[name, "unaligned"] = prepared(f, *args, aligned=False)
    compile_all(found.values())
    return found


@pytest.mark.parametrize("name", CASES, ids=str)
def test_values(name):
    for order in ORDERS:
        check(programs()[name], CASES[name][1:], order)


@pytest.mark.parametrize("name", NAMED)
def test_memory_that_is_not_aligned(name):
    check(programs()[name, "unaligned"], CASES[name][1:])
