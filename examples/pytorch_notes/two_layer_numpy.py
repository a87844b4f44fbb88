"""A two-layer network in plain NumPy, trained by gradient descent written by hand.

The network, its loss and the update are ordinary NumPy code; funcgrad only takes the gradient.
"""

import argparse

import numpy as np

import funcgrad as fg


def make_data(rng, examples=64, inputs=1000, outputs=10):
    """Random inputs and random targets: what matters here is that the loss falls."""
    return rng.normal(size=(examples, inputs)), rng.normal(size=(examples, outputs))


def make_weights(rng, inputs=1000, hidden=100, outputs=10):
    return {
        "hidden": rng.normal(size=(inputs, hidden)),
        "output": rng.normal(size=(hidden, outputs)),
    }


def loss(weights, x, y):
    hidden = np.maximum(x @ weights["hidden"], 0.0)
    return np.sum((hidden @ weights["output"] - y) ** 2)


@fg.jit
def step(weights, x, y, learning_rate):
    """One step of gradient descent; returns the new weights and the old loss."""
    value, gradient = fg.value_and_grad(loss)(weights, x, y)
    new = {name: w - learning_rate * gradient[name] for name, w in weights.items()}
    return new, value


def train(steps=500, learning_rate=1e-6, seed=0, report=print):
    """Train and return the loss before each step."""
    rng = np.random.default_rng(seed)
    x, y = make_data(rng)
    weights = make_weights(rng)
    losses = []
    for number in range(steps):
        weights, value = step(weights, x, y, learning_rate)
        losses.append(float(value))
        if number % 100 == 99:
            report(f"step {number + 1:4}   loss {value:.6g}")
    return losses


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=500)
    train(parser.parse_args().steps)
