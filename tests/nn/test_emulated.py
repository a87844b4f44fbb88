"""Layers that read and write by indices, compiled for CuPy arrays, on the emulator: values and gradients."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import nn, tree
from tests.gpu.emulator.available import require_emulator

require_emulator()

from tests.gpu.emulator.device import emulated  # noqa: E402 - needs the emulator
from tests.gpu.emulator.memory import host, put  # noqa: E402 - needs the emulator

# The same lines are compiled for many cases.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled:UserWarning")

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(2, 3, 6, 4)).astype(np.float32)
WORDS, STARTS = RNG.integers(0, 7, 9), np.array([0, 2, 2, 5])


def unpooled(model, x):
    pool, back = model
    return back(*pool(x))


CASES = {
    "max pool": (nn.MaxPool2d(3, 2, 1, return_indices=True), (IMAGES,), None),
    "adaptive": (nn.AdaptiveMaxPool2d((4, 3), return_indices=True), (IMAGES,), None),
    "unpool": ((nn.MaxPool2d(2, 2, return_indices=True), nn.MaxUnpool2d(2)), (IMAGES,), unpooled),
    "padding": (nn.Embedding(7, 3, padding_idx=2, key=0), (WORDS,), None),
    "bag of rows": (nn.EmbeddingBag(7, 3, key=0), (WORDS.reshape(3, 3),), None),
    **{
        f"bag {mode}": (
            nn.EmbeddingBag(7, 3, mode=mode, padding_idx=1, key=0),
            (WORDS, STARTS),
            None,
        )
        for mode in ("sum", "mean", "max")
    },
    "lora": (
        nn.LoRAAttention(nn.MultiheadAttention(2, 4, key=0), 2, key=1),
        (IMAGES[:, 0],) * 3,
        None,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_compiled(name):
    model, args, call = CASES[name]

    def run(model, *args):
        out = call(model, *args) if call else model(*args)
        first = tree.leaves(out)[0]
        return (first * first).sum(), out

    def both(model, *args):
        floats = tuple(i for i, x in enumerate((model, *args)) if i == 0 or x.dtype.kind == "f")
        return fg.value_and_grad(run, floats, has_aux=True)(model, *args)

    expected = tree.leaves(both(model, *args))
    with emulated():
        there = tree.map(lambda x: put(x) if isinstance(x, np.ndarray) else x, (model, *args))
        found = [host(x) for x in tree.leaves(fg.jit(both)(*there))]
    for ours, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-4, atol=1e-5)
