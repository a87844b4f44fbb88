"""Layers of your own: with parameters, without, with settings, with state.

PyTorch: nn.Module with nn.Parameter and register_buffer. Here fields that hold arrays are parameters, all other
fields are settings, and nn.field(buffer=True) marks state that no gradient is taken of.
"""

import numpy as np

import funcgrad as fg
from funcgrad import nn, random


class CenteredLayer(nn.Module):
    """Subtracts the mean: no parameters."""

    def __call__(self, x):
        return x - x.mean(axis=-1, keepdims=True)


class ScaledLinear(nn.Module):
    """A linear layer with a learned scale. `negate` is a setting."""

    weight: np.ndarray
    scale: np.ndarray
    negate: bool = False

    def __init__(self, inputs, outputs, negate=False, *, key):
        self.weight = random.normal(key, (outputs, inputs)) / np.float32(np.sqrt(inputs))
        self.scale = np.ones(outputs, np.float32)
        self.negate = negate

    def __call__(self, x):
        y = self.scale * (x @ self.weight.T)
        return -y if self.negate else y


class RunningMean(nn.Module):
    """Subtracts a mean over everything seen in training so far."""

    mean: np.ndarray = nn.field(buffer=True)
    count: np.ndarray = nn.field(buffer=True)

    def __init__(self, size):
        self.mean, self.count = np.zeros(size, np.float32), np.zeros((), np.float32)

    def __call__(self, x):
        if nn.is_training():
            count = self.count + np.float32(1)
            nn.record_state(
                self, count=count, mean=self.mean + (x.mean(axis=0) - self.mean) / count
            )
        return x - self.mean


def main():
    model = nn.Sequential(
        [RunningMean(4), ScaledLinear(4, 3, negate=True, key=random.key(0)), CenteredLayer()]
    )
    x = random.normal(random.key(1), (10, 4)) + np.float32(5)
    print("parameters:", [path for path, _ in nn.named_parameters(model)])

    @fg.jit
    def forward(model, x):
        return model.apply(x, train=True)

    for _ in range(3):
        y, model = forward(model, x)
    print("mean of the data as the layer knows it:", model.layers[0].mean)
    np.testing.assert_allclose(model.layers[0].mean, x.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(y.mean(axis=-1), np.zeros(10), atol=1e-5)


if __name__ == "__main__":
    main()
