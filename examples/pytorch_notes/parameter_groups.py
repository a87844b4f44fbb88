"""Parameter groups: another learning rate for the head, no weight decay for biases, and schedules of both.

PyTorch: a list of dicts for the optimizer. Here: nn.label gives each parameter the name of its group by its path, and
optim.partition has an optimizer for each name.
"""

import numpy as np

import funcgrad as fg
from funcgrad import nn, optim, random


def main():
    model = nn.MLP(4, 2, width_size=16, depth=2, key=random.key(0))
    groups = nn.label(model, {r".*\.bias": "bias", r"layers\.2\..*": "head"}, "body")
    print("weights of the head are in group", repr(groups.layers[2].weight))

    optimizer = optim.partition(
        {
            "body": optim.adamw(1e-3, weight_decay=1e-2),
            "head": optim.adamw(optim.cosine_decay_schedule(1e-2, 100), weight_decay=1e-2),
            "bias": optim.sgd(1e-2, momentum=0.9),
        },
        groups,
    )
    x = random.normal(random.key(1), (64, 4))
    y = np.stack([np.sin(x.sum(axis=1)), np.cos(x[:, 0])], axis=1)

    @fg.jit
    def step(model, state):
        def loss(model):
            return np.mean((model(x) - y) ** 2)

        value, gradient = fg.value_and_grad(loss)(model)
        updates, state = optimizer.update(gradient, state, model)
        return optim.apply_updates(model, updates), state, value

    state, values = optimizer.init(model), []
    for _ in range(200):
        model, state, value = step(model, state)
        values.append(value)
    print(f"loss {values[0]:.4f} -> {values[-1]:.4f}")
    assert values[-1] < 0.3 * values[0]

    # The learning rate of one optimizer, read and set while it runs:
    adjustable = optim.inject_hyperparams(optim.sgd)(learning_rate=0.1)
    state = adjustable.init(model)
    print("learning rate", float(optim.tree.get(state, "learning_rate")))
    state = optim.tree.set(state, learning_rate=0.01)
    assert float(optim.tree.get(state, "learning_rate")) == 0.01


if __name__ == "__main__":
    main()
