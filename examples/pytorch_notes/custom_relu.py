"""An activation with its own forward and backward function, used in a two-layer network.

`custom_vjp` replaces the derivative of a function: `forward` returns the value and what the backward
pass needs, `backward` turns the gradient of the output into the gradients of the arguments.
"""

import argparse

import numpy as np

import funcgrad as fg


@fg.custom_vjp
def my_relu(x):
    return np.maximum(x, 0.0)


def forward(x):
    return my_relu(x), x > 0


def backward(is_positive, gradient):
    return (gradient * is_positive,)


my_relu.defvjp(forward, backward)


def loss(weights, x, y):
    first, second = weights
    return np.sum((my_relu(x @ first) @ second - y) ** 2)


@fg.jit
def step(weights, x, y, learning_rate):
    """One step of gradient descent; returns the new weights and the old loss."""
    value, gradients = fg.value_and_grad(loss)(weights, x, y)
    return [w - learning_rate * g for w, g in zip(weights, gradients, strict=True)], value


def train(steps=500, learning_rate=1e-6, seed=0, report=print):
    """Train and return the loss before each step."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(64, 1000)), rng.normal(size=(64, 10))
    weights = [rng.normal(size=(1000, 100)), rng.normal(size=(100, 10))]
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
