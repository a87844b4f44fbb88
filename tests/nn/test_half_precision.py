"""Layers in float16 and bfloat16: results, gradients and statistics stay in the dtype of the input."""

import ml_dtypes
import numpy as np
import pytest

import funcgrad as fg
from funcgrad import nn

# The same line is compiled for many layers.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled:UserWarning")

HALVES = [np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)]
IMAGES = np.random.default_rng(0).normal(size=(3, 4, 6, 8))
LAYERS = {
    "gelu": nn.GELU(),
    "gelu by tanh": nn.GELU("tanh"),
    "hardtanh": nn.Hardtanh(),
    "softplus": nn.Softplus(2.0),
    "adaptive max": nn.AdaptiveMaxPool2d(5),
    "adaptive mean": nn.AdaptiveAvgPool2d(5),
    "mean of padded windows": nn.AvgPool2d(3, 2, 1, count_include_pad=False),
    "norm of windows": nn.LPPool2d(2, 2),
    "local response": nn.LocalResponseNorm(3),
    "upsample": nn.Upsample(scale_factor=2, mode="bicubic"),
    "dropout": nn.Dropout(0.3),
    "alpha dropout": nn.AlphaDropout(0.3),
    "rotary": nn.RotaryPositionalEmbedding(8),
    "sinusoidal": nn.SinusoidalPositionalEncoding(8),
    "batch norm": nn.BatchNorm2d(4),
    "convolution": nn.Conv2d(4, 2, 3, key=0),
    "linear": nn.Linear(8, 3, key=0),
}


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_layers_keep_half_precision(name, dtype):
    layer = nn.cast(LAYERS[name], dtype)
    x = IMAGES.astype(dtype)
    for train in (False, True):
        y, changed = layer.apply(x, train=train, key=0)
        assert y.dtype == dtype
        wide, _ = LAYERS[name].apply(x.astype(np.float32), train=train, key=0)
        if "dropout" not in name:  # which draws other numbers in other dtypes
            assert np.abs(y.astype(np.float32) - wide).max() < 0.1
        assert [p.dtype for p in fg.tree.leaves(changed)] == [
            p.dtype for p in fg.tree.leaves(layer)
        ]
    slopes = fg.grad(lambda layer, x: np.sum(layer(x)), argnums=(0, 1))(layer, x)
    assert {p.dtype for p in fg.tree.leaves(slopes)} == {dtype}
    assert fg.jit(lambda layer, x: layer(x))(layer, x).dtype == dtype
