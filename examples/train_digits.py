"""Train a network on handwritten digits, save it, and load it in a fresh process.

The data are the 1797 images of 8x8 pixels that come with scikit-learn. The program prints how the training
goes, writes the parameters to a safetensors file, lets a fresh process load them and compares its
predictions bit by bit, and draws the loss curve and some test images with their predicted labels. It
reads 98 % of the test digits after less than half a minute.
"""

import argparse
import hashlib
import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from tqdm import tqdm

import funcgrad as fg
from funcgrad import nn, optim, random

BATCH = 64
OUTPUT = Path(__file__).parent / "output"
OPTIMIZERS = {
    "sgd": lambda schedule: optim.sgd(schedule(0.1), momentum=0.9, nesterov=True),
    "adam": lambda schedule: optim.adam(schedule(4e-3)),
    "adamw": lambda schedule: optim.adamw(schedule(4e-3), weight_decay=0.05, mask=is_matrix),
}


# --- data and model ---


def load_data(seed):
    """Images as rows of 64 numbers from 0 to 1, and labels: (training set, test set)."""
    digits = load_digits()
    order = random.permutation(seed, len(digits.target))
    images = (digits.data[order] / 16).astype(np.float32)
    labels = digits.target[order]
    split = len(labels) * 4 // 5
    return (images[:split], labels[:split]), (images[split:], labels[split:])


def make_model(key):
    return nn.MLP(64, 10, width_size=128, depth=2, activation=nn.gelu, key=key)


def is_matrix(model):
    """Which parameters decay: weights, but not biases."""
    return fg.tree.map(lambda parameter: parameter.ndim > 1, model)


def move_to(backend, tree):
    """The arrays of a tree as arrays of the chosen library."""
    if backend == "numpy":
        return tree
    cupy = importlib.import_module("cupy")
    return fg.tree.map(lambda x: cupy.asarray(x) if fg.is_array(x) else x, tree)


def to_numpy(array):
    return array.get() if hasattr(array, "get") else np.asarray(array)


# --- training ---


def loss(model, images, labels):
    """Mean cross entropy, and the share of right answers."""
    logits = model(images)
    right = np.mean(np.argmax(logits, axis=-1) == labels)
    return np.mean(nn.softmax_cross_entropy_with_integer_labels(logits, labels)), right


def make_step(optimizer):
    """One training step: gradient, update and new parameters, compiled as one program."""

    @fg.jit
    def step(model, state, images, labels, key):
        noisy = images + 0.2 * random.normal(key, images.shape)
        (value, right), gradient = fg.value_and_grad(loss, has_aux=True)(model, noisy, labels)
        updates, state = optimizer.update(gradient, state, model)
        return optim.apply_updates(model, updates), state, value, right

    return step


@fg.jit
def predict(model, images):
    return model(images)


def train(options, model, training):
    """Train for some epochs; returns the model and the loss of each step."""
    images, labels = training
    batches = len(labels) // BATCH
    total = options.epochs * batches
    optimizer = OPTIMIZERS[options.optimizer](lambda peak: optim.cosine_decay_schedule(peak, total))
    state, step = optimizer.init(model), make_step(optimizer)
    key, losses = random.key(options.seed + 1), []
    with tqdm(total=total, unit="batch", disable=options.quiet) as progress:
        for epoch in range(options.epochs):
            order_key, noise_key = random.split(random.fold_in(key, epoch))
            order = random.permutation(order_key, len(labels))
            for number, batch in enumerate(np.split(order[: batches * BATCH], batches)):
                noise = random.fold_in(noise_key, number)
                model, state, value, right = step(model, state, images[batch], labels[batch], noise)
                losses.append(float(value))
                progress.update()
            progress.set_postfix(loss=f"{losses[-1]:.3f}", accuracy=f"{float(right):.2f}")
    return model, losses


# --- after the training ---


def predict_in_fresh_process(path, options):
    """The test logits that another Python process computes from the file."""
    command = [sys.executable, __file__, "--predict-from", str(path), "--seed", str(options.seed)]
    result = subprocess.run(
        [*command, "--backend", options.backend], stdout=subprocess.PIPE, check=True
    )
    return np.frombuffer(result.stdout, np.float32).reshape(-1, 10)


def predict_from_file(options):
    """What the fresh process does: load, predict, write the logits to standard output."""
    _, (images, _) = load_data(options.seed)
    model = fg.load(options.predict_from, like=make_model(key=0))
    logits = predict(move_to(options.backend, model), move_to(options.backend, images))
    sys.stdout.buffer.write(to_numpy(logits).tobytes())


def draw(path, losses, images, labels, predictions):
    """Save a picture: the loss curve, and test images with predicted and true labels."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(12, 6), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.1))
    axes = left.subplots()
    axes.plot(losses, color="0.8", label="each batch")
    window = min(50, len(losses))
    smooth = np.convolve(losses, np.ones(window) / window, "valid")
    axes.plot(np.arange(window - 1, len(losses)), smooth, label=f"mean of {window}")
    axes.set(xlabel="batch", ylabel="cross entropy", yscale="log", title="training loss")
    axes.legend()
    wrong = np.flatnonzero(predictions != labels)
    shown = [*wrong[:5], *np.flatnonzero(predictions == labels)][:30]
    for cell, number in zip(right.subplots(5, 6).flat, shown, strict=True):
        cell.imshow(images[number].reshape(8, 8), cmap="gray_r")
        is_right = predictions[number] == labels[number]
        cell.set_title(
            f"{predictions[number]} (true {labels[number]})",
            fontsize=9,
            color="black" if is_right else "red",
        )
        cell.axis("off")
    right.suptitle("test images: predicted (true), mistakes first")
    figure.savefig(path, dpi=100)
    plt.close(figure)


def run(options):
    """Train, test, save, load in a fresh process, draw. Returns the test accuracy."""
    training, (images, labels) = load_data(options.seed)
    print(f"{len(training[1])} training images, {len(labels)} test images")
    model = move_to(options.backend, make_model(random.key(options.seed)))
    model, losses = train(options, model, move_to(options.backend, training))
    logits = to_numpy(predict(model, move_to(options.backend, images)))
    predictions = np.argmax(logits, axis=-1)
    accuracy = float(np.mean(predictions == labels))
    print(f"test accuracy {accuracy:.2%}")

    options.output.mkdir(parents=True, exist_ok=True)
    file, picture = options.output / "digits.safetensors", options.output / "digits.png"
    fg.save(file, model, metadata={"accuracy": f"{accuracy:.4f}"})
    again = predict_in_fresh_process(file, options)
    if again.tobytes() != logits.tobytes():
        raise SystemExit("error: the fresh process predicts something else")
    digest = hashlib.sha256(logits.tobytes()).hexdigest()[:16]
    print(
        f"saved {file}; a fresh process predicts the same {logits.size} logits, bit by bit ({digest})"
    )
    draw(picture, losses, images, labels, predictions)
    print(f"drew {picture}")
    return accuracy


# --- command line ---


def whole_number(least):
    """A parser of command-line numbers that are not below `least`."""

    def parse_number(text):
        if not text.isascii() or not text.lstrip("-").isdigit() or not least <= int(text) < 2**62:
            raise argparse.ArgumentTypeError(
                f"must be a whole number from {least} on, got {text!r}"
            )
        return int(text)

    return parse_number


def usable_backend(name):
    """The name of an array library, after a check that it works here."""
    if name not in ("numpy", "cupy"):
        raise argparse.ArgumentTypeError(f"must be numpy or cupy, got {name!r}")
    if name == "cupy":
        try:
            cupy = importlib.import_module("cupy")
            cupy.zeros(1)
        except ImportError:
            text = "CuPy is not installed; install funcgrad[cuda12] or funcgrad[cuda13]"
            raise argparse.ArgumentTypeError(text) from None
        except cupy.cuda.runtime.CUDARuntimeError as error:
            raise argparse.ArgumentTypeError(f"CuPy finds no usable GPU: {error}") from None
    return name


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--epochs", type=whole_number(1), default=60, metavar="N", help="passes over the data (60)")
    add(
        "--seed", type=whole_number(0), default=0, metavar="N", help="of split, start and order (0)"
    )
    add("--optimizer", choices=OPTIMIZERS, default="adamw", help="(adamw)")
    add("--backend", type=usable_backend, default="numpy", metavar="{numpy,cupy}", help="(numpy)")
    add(
        "--output",
        type=Path,
        default=OUTPUT,
        metavar="DIR",
        help="for the results (examples/output)",
    )
    add("--quiet", action="store_true", help="no progress bar")
    add("--predict-from", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments=None):
    options = parse(arguments)
    if options.predict_from is not None:
        predict_from_file(options)
    else:
        run(options)


if __name__ == "__main__":
    main()
