"""A variational autoencoder of handwritten digits (Kingma and Welling, 2013).

The encoder gives a mean and a scale for each image, the decoder the probability of each pixel; the loss is the
negative evidence lower bound. Writes a picture of digits that were never drawn.
After 60 epochs the loss on test images is 24.1 nats; that takes less than half a minute.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from tqdm import tqdm

import funcgrad as fg
from funcgrad import nn, optim, random

OUTPUT = Path(__file__).parent / "output"
LATENT = 8


class Autoencoder(nn.Module):
    """Two networks: pixels to a distribution over LATENT numbers, and back to logits of pixels."""

    encoder: nn.MLP
    decoder: nn.MLP

    def __init__(self, width=256, *, key):
        first, second = random.split(key)
        self.encoder = nn.MLP(64, 2 * LATENT, width, 2, activation=nn.silu, key=first)
        self.decoder = nn.MLP(LATENT, 64, width, 2, activation=nn.silu, key=second)

    def encode(self, images):
        """Mean and logarithm of the variance, each (images, LATENT)."""
        return np.split(self.encoder(images), 2, axis=-1)


def negative_bound(model, images, key):
    """Mean of reconstruction error plus distance from the normal distribution, in nats per image."""
    mean, log_variance = model.encode(images)
    z = mean + np.exp(log_variance / 2) * random.normal(key, mean.shape)
    pixels = nn.losses.sigmoid_binary_cross_entropy(model.decoder(z), images).sum(axis=-1)
    divergence = 0.5 * np.sum(np.exp(log_variance) + mean**2 - 1 - log_variance, axis=-1)
    return np.mean(pixels + divergence)


def load_data():
    images = (load_digits().data / 16).astype(np.float32)
    images = images[random.permutation(0, len(images))]
    return images[:1500], images[1500:]


def train(epochs=60, batch=100, seed=0, report=print):
    """The trained model, and the bound on the test set."""
    images, test = load_data()
    model_key, key = random.split(random.key(seed))
    model, optimizer = Autoencoder(key=model_key), optim.adam(1e-3)
    state = optimizer.init(model)

    @fg.jit
    def step(model, state, batch, key):
        value, gradient = fg.value_and_grad(negative_bound)(model, batch, key)
        updates, state = optimizer.update(gradient, state, model)
        return optim.apply_updates(model, updates), state, value

    evaluate = fg.jit(negative_bound)
    for epoch in tqdm(range(epochs), disable=None):
        key, order_key, epoch_key = random.split(key, 3)
        order = random.permutation(order_key, len(images)).reshape(-1, batch)
        for rows, step_key in zip(order, random.split(epoch_key, len(order)), strict=True):
            model, state, _ = step(model, state, images[rows], step_key)
        if epoch % 10 == 9:
            bound = float(evaluate(model, test, random.key(0)))
            report(f"epoch {epoch + 1:3}   test bound {bound:.3f} nats")
    return model, bound


def draw(model, path, seed=0):
    """Save a picture of 8 x 8 decoded samples."""
    import matplotlib.pyplot as plt

    z = random.normal(random.key(seed), (64, LATENT))
    pixels = nn.sigmoid(model.decoder(z)).reshape(8, 8, 8, 8)
    path.parent.mkdir(exist_ok=True)
    plt.imsave(path, pixels.transpose(0, 2, 1, 3).reshape(64, 64), cmap="gray_r")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=60)
    model, _ = train(parser.parse_args().epochs)
    draw(model, OUTPUT / "vae_digits.png")
    print("wrote", OUTPUT / "vae_digits.png")


if __name__ == "__main__":
    main()
