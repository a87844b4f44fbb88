"""A module of two Linear layers, and the gradient of each of its parameters.

PyTorch: subclass nn.Module, call loss.backward(), read p.grad of every parameter. Here a module is a tree of arrays:
`grad` returns a module of the same shape that holds the gradients.
"""

import numpy as np

import funcgrad as fg
from funcgrad import nn, random


class TwoLayers(nn.Module):
    """Linear, ReLU, Linear."""

    hidden: nn.Linear
    output: nn.Linear

    def __init__(self, inputs, width, outputs, *, key):
        first, second = random.split(key)
        self.hidden = nn.Linear(inputs, width, key=first)
        self.output = nn.Linear(width, outputs, key=second)

    def __call__(self, x):
        return self.output(nn.relu(self.hidden(x)))


def loss(model, x, y):
    return np.sum((model(x) - y) ** 2)


def main():
    model_key, x_key, y_key = random.split(random.key(0), 3)
    model = TwoLayers(4, 8, 2, key=model_key)
    x, y = random.normal(x_key, (16, 4)), random.normal(y_key, (16, 2))
    print(model)

    value, gradient = fg.value_and_grad(loss)(model, x, y)
    print(f"loss {value:.4f}")
    for path, array in nn.named_parameters(gradient):
        print(f"{path:15} {array.shape!s:8} norm {np.linalg.norm(array):.4f}")

    # The gradient of the last bias is simple enough to check by hand.
    np.testing.assert_allclose(gradient.output.bias, 2 * np.sum(model(x) - y, axis=0), rtol=1e-4)


if __name__ == "__main__":
    main()
