"""Tied layers: one layer used in two places is one layer, also after an update and in a file.

PyTorch: decoder.weight = encoder.weight. Here: the same layer or array object in two places of a model.
"""

import tempfile
from pathlib import Path

import numpy as np

import funcgrad as fg
from funcgrad import io, nn, optim, random


class TiedAutoencoder(nn.Module):
    """The decoder is the transposed encoder."""

    encoder: nn.Linear
    stages: tuple

    def __init__(self, size, width, *, key):
        first, second = random.split(key)
        self.encoder = nn.Linear(size, width, key=first)
        shared = nn.Linear(width, width, key=second)
        self.stages = (shared, shared)

    def __call__(self, x):
        h = np.tanh(self.encoder(x))
        for stage in self.stages:
            h = h + np.tanh(stage(h))
        return h @ self.encoder.weight


def main():
    model_key, x_key = random.split(random.key(0))
    model = TiedAutoencoder(6, 4, key=model_key)
    x = random.normal(x_key, (128, 6))
    print("parameters:", [path for path, _ in nn.named_parameters(model)])

    optimizer = optim.adam(1e-2)
    state = optimizer.init(model)

    @fg.jit
    def step(model, state):
        value, gradient = fg.value_and_grad(lambda m: np.mean((m(x) - x) ** 2))(model)
        updates, state = optimizer.update(gradient, state, model)
        return optim.apply_updates(model, updates), state, value

    for _ in range(200):
        model, state, value = step(model, state)
    print(f"loss {value:.4f}, still tied: {model.stages[0] is model.stages[1]}")
    assert model.stages[0] is model.stages[1] and value < 0.5

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "model.safetensors"
        io.save(path, model)
        loaded = io.load(path, like=TiedAutoencoder(6, 4, key=random.key(1)))
    assert loaded.stages[0] is loaded.stages[1]
    np.testing.assert_array_equal(loaded(x), model(x))


if __name__ == "__main__":
    main()
