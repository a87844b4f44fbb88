"""Freezing a convolution, and training what follows.

PyTorch: p.requires_grad_(False). Here: nn.freeze(model, pattern). Frozen parameters have no gradient, cost no work on
the way back, and optimizers leave them as they are.
"""

import numpy as np

import funcgrad as fg
from funcgrad import nn, optim, random


def make_model(key):
    first, second = random.split(key)
    return nn.Sequential(
        [
            nn.Conv2d(1, 4, 3, padding=1, key=first),
            nn.relu,
            nn.Flatten(),
            nn.Linear(4 * 8 * 8, 3, key=second),
        ]
    )


def loss(model, x, labels):
    return np.mean(nn.losses.softmax_cross_entropy_with_integer_labels(model(x), labels))


def main():
    model_key, x_key, label_key = random.split(random.key(0), 3)
    model = nn.freeze(make_model(model_key), "layers.0")
    x, labels = random.normal(x_key, (32, 1, 8, 8)), random.randint(label_key, (32,), 0, 3)
    print("trained:", [path for path, _ in nn.named_parameters(model, trainable=True)])

    optimizer = optim.adam(1e-2)
    state = optimizer.init(model)

    @fg.jit
    def step(model, state):
        value, gradient = fg.value_and_grad(loss)(model, x, labels)
        updates, state = optimizer.update(gradient, state, model)
        return optim.apply_updates(model, updates), state, value

    before, values = model, []
    for _ in range(50):
        model, state, value = step(model, state)
        values.append(value)
    print(f"loss {values[0]:.3f} -> {values[-1]:.3f}")

    assert fg.grad(loss)(model, x, labels).layers[0].weight is None
    np.testing.assert_array_equal(model.layers[0].weight, before.layers[0].weight)
    assert values[-1] < 0.1 * values[0]


if __name__ == "__main__":
    main()
