"""The two-layer network as a subclass, trained by plain gradient descent with momentum.

PyTorch: nn.Module, MSELoss(reduction="sum"), optim.SGD. The loss here is written out; losses of funcgrad give one
value for each example, and the caller adds them up or takes the mean.
"""

import numpy as np

import funcgrad as fg
from funcgrad import nn, optim, random


class TwoLayerNet(nn.Module):
    """1000 inputs, 100 hidden units, 10 outputs."""

    linear1: nn.Linear
    linear2: nn.Linear

    def __init__(self, inputs=1000, hidden=100, outputs=10, *, key):
        first, second = random.split(key)
        self.linear1 = nn.Linear(inputs, hidden, key=first)
        self.linear2 = nn.Linear(hidden, outputs, key=second)

    def __call__(self, x):
        return self.linear2(np.maximum(self.linear1(x), 0))


def main():
    model_key, x_key, y_key = random.split(random.key(0), 3)
    model, optimizer = TwoLayerNet(key=model_key), optim.sgd(1e-4, momentum=0.9)
    x, y = random.normal(x_key, (64, 1000)), random.normal(y_key, (64, 10))

    @fg.jit
    def step(model, state):
        def loss(model):
            return np.sum(nn.losses.squared_error(model(x), y))

        value, gradient = fg.value_and_grad(loss)(model)
        updates, state = optimizer.update(gradient, state, model)
        return optim.apply_updates(model, updates), state, value

    state, values = optimizer.init(model), []
    for number in range(500):
        model, state, value = step(model, state)
        values.append(value)
        if number % 100 == 99:
            print(f"step {number + 1:4}   loss {value:.6g}")
    assert values[-1] < 1e-3 * values[0]


if __name__ == "__main__":
    main()
