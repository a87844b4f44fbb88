"""The network of two_layer_numpy.py, built from layers and trained by Adam.

A model is a tree of arrays: it goes through `value_and_grad`, `jit` and the optimizer as it is.
"""

import argparse

import numpy as np

import funcgrad as fg
from funcgrad import nn, optim, random


def make_model(key, inputs=1000, hidden=100, outputs=10):
    first, second = random.split(key)
    return nn.Sequential(
        [nn.Linear(inputs, hidden, key=first), nn.relu, nn.Linear(hidden, outputs, key=second)]
    )


def loss(model, x, y):
    return np.sum(nn.squared_error(model(x), y))


def make_step(optimizer):
    """One training step of this optimizer, compiled as a whole."""

    @fg.jit
    def step(model, state, x, y):
        value, gradient = fg.value_and_grad(loss)(model, x, y)
        updates, state = optimizer.update(gradient, state, model)
        return optim.apply_updates(model, updates), state, value

    return step


def train(steps=500, learning_rate=1e-3, seed=0, report=print):
    """Train and return the loss before each step."""
    model_key, x_key, y_key = random.split(random.key(seed), 3)
    x, y = random.normal(x_key, (64, 1000)), random.normal(y_key, (64, 10))
    model, optimizer = make_model(model_key), optim.adam(learning_rate)
    state, step = optimizer.init(model), make_step(optimizer)
    losses = []
    for number in range(steps):
        model, state, value = step(model, state, x, y)
        losses.append(float(value))
        if number % 100 == 99:
            report(f"step {number + 1:4}   loss {value:.6g}")
    return losses


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=500)
    train(parser.parse_args().steps)
