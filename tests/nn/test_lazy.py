"""Lazy layers: sizes from arrays, shapes and other layers; errors."""

from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import nn


class Net(nn.Module):
    conv: Any
    norm: Any
    head: Any

    def __init__(self):
        self.conv = nn.LazyConv2d(6, 3, key=0)
        self.norm = nn.LazyBatchNorm2d()
        self.head = nn.Sequential([nn.Flatten(), nn.LazyLinear(5, key=1), nn.relu])

    def __call__(self, x):
        return self.head(fg.jit(self.norm)(self.conv(x)))


@pytest.mark.parametrize("given", [(2, 3, 8, 8), np.zeros((2, 3, 8, 8), np.float32)])
def test_sizes_are_found(given):
    model = nn.materialize(Net(), given)
    assert model.conv.weight.shape == (6, 3, 3, 3) and model.norm.input_size == 6
    assert model.head[1].weight.shape == (5, 6 * 36)
    assert model(np.zeros((2, 3, 8, 8), np.float32)).shape == (2, 5)
    assert nn.tree_equal(model.conv, nn.Conv2d(3, 6, 3, key=0))
    other = nn.materialize(Net(), fg.ShapeDtypeStruct((2, 3, 8, 8), np.float32))
    assert nn.tree_equal(model, other)


@pytest.mark.parametrize(
    ("lazy", "cls", "shape", "size"),
    [
        (nn.LazyLinear(2, use_bias=False, key=0), nn.Linear, (7, 3), 3),
        (nn.LazyConv1d(2, 3, key=0), nn.Conv1d, (1, 4, 9), 4),
        (nn.LazyConv3d(2, 1, key=0), nn.Conv3d, (4, 5, 5, 5), 4),
        (nn.LazyConvTranspose1d(2, 3, key=0), nn.ConvTranspose1d, (1, 4, 9), 4),
        (nn.LazyConvTranspose2d(2, 3, key=0), nn.ConvTranspose2d, (1, 4, 9, 9), 4),
        (nn.LazyConvTranspose3d(2, 3, key=0), nn.ConvTranspose3d, (1, 4, 9, 9, 9), 4),
        (nn.LazyBatchNorm1d(eps=0.1), nn.BatchNorm1d, (3, 4), 4),
        (nn.LazyBatchNorm3d(), nn.BatchNorm3d, (3, 4, 2, 2, 2), 4),
        (nn.LazyInstanceNorm1d(affine=True), nn.InstanceNorm1d, (3, 4, 2), 4),
        (nn.LazyInstanceNorm2d(), nn.InstanceNorm2d, (3, 4, 2, 2), 4),
        (nn.LazyInstanceNorm3d(), nn.InstanceNorm3d, (3, 4, 2, 2, 2), 4),
    ],
)
def test_every_kind(lazy, cls, shape, size):
    layer = nn.materialize(lazy, shape)
    assert type(layer) is cls and nn.tree_equal(layer, lazy.made(size))


def test_shared_lazy_layers_stay_shared():
    shared = nn.LazyLinear(4, key=0)
    model = nn.materialize(nn.Sequential([shared, nn.relu, shared]), (1, 4))
    assert model[0] is model[2]
    with pytest.raises(ValueError, match=r"LazyLinear at layers.0\] is called with .* 3 and 4"):
        nn.materialize(nn.Sequential([shared, shared]), (1, 3))


def test_errors():
    with pytest.raises(
        RuntimeError, match=r"\[LazyConv2d at conv\] has no parameters.*materialize"
    ):
        Net()(np.zeros((2, 3, 8, 8)))
    with pytest.raises(ValueError, match=r"\[LazyConv2d at conv\] expected .* got float32\[2, 3\]"):
        nn.materialize(Net(), (2, 3))

    class Unused(nn.Module):
        first: Any
        second: Any

        def __call__(self, x):
            return self.first(x)

    with pytest.raises(ValueError, match="LazyLinear is not reached"):
        nn.materialize(Unused(nn.LazyLinear(1, key=0), nn.LazyLinear(2, key=0)), (1, 2))
