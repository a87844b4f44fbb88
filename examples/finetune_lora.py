"""Fine-tuning with frozen layers, by low-rank updates (LoRA; Hu et al., 2021).

A network learns the digits 0 to 4. Then it is to tell 5 to 9 apart: its layers stay as they are, and get updates of
rank 4, a small fraction of all parameters. Compared with training only a new last layer:
that reads 75 % of the new test digits, low-rank updates 97.8 %, after seconds of training.
"""

import numpy as np
from sklearn.datasets import load_digits

import funcgrad as fg
from funcgrad import nn, optim, random


def load_data(first):
    """Training and test images of the digits first ... first + 4, with labels 0 ... 4."""
    digits = load_digits()
    chosen = (digits.target >= first) & (digits.target < first + 5)
    images, labels = (digits.data[chosen] / 16).astype(np.float32), digits.target[chosen] - first
    order = random.permutation(0, len(labels))
    images, labels = images[order], labels[order]
    split = len(labels) * 4 // 5
    return (images[:split], labels[:split]), (images[split:], labels[split:])


def fit(model, data, steps, rate=2e-3, batch=64, seed=0):
    """The model after training; frozen parameters stay."""
    images, labels = data
    optimizer = optim.adam(rate)
    state = optimizer.init(model)

    def loss(model, images, labels):
        logits = model(images)
        return np.mean(nn.losses.softmax_cross_entropy_with_integer_labels(logits, labels))

    @fg.jit
    def step(model, state, images, labels):
        gradient = fg.grad(loss)(model, images, labels)
        updates, state = optimizer.update(gradient, state, model)
        return optim.apply_updates(model, updates), state

    for key in random.split(random.key(seed), steps):
        rows = random.randint(key, (batch,), 0, len(labels))
        model, state = step(model, state, images[rows], labels[rows])
    return model


def accuracy(model, data):
    images, labels = data
    return float(np.mean(model(images).argmax(axis=-1) == labels))


def with_new_head(model, key):
    """The frozen model with a fresh last layer."""
    head = nn.Linear(model.layers[-1].in_features, 5, key=key)
    return nn.replace(nn.freeze(model), {f"layers.{len(model.layers) - 1}": head})


def with_low_rank_updates(model, key, rank=4):
    """The same, where each other layer also gets a trained update of low rank."""
    changes = {
        f"layers.{i}": nn.LoRA(layer, rank, key=random.fold_in(key, i))
        for i, layer in enumerate(model.layers[:-1])
    }
    return nn.replace(with_new_head(model, key), changes)


def main(report=print):
    """Train all three, and return the accuracies of the two fine-tuned models."""
    train, test = load_data(0)
    model = fit(nn.MLP(64, 5, 128, 2, key=random.key(0)), train, 300)
    report(f"digits 0-4, all {nn.count_parameters(model)} parameters: {accuracy(model, test):.3f}")

    train, test = load_data(5)
    found = []
    for name, tuned in (
        ("last layer", with_new_head(model, random.key(1))),
        ("low rank", with_low_rank_updates(model, random.key(1))),
    ):
        count = nn.count_parameters(tuned, trainable=True)
        tuned = fit(tuned, train, 300)
        found.append(accuracy(tuned, test))
        report(f"digits 5-9, {name:10}, {count:5} parameters: {found[-1]:.3f}")
    return found


if __name__ == "__main__":
    main()
