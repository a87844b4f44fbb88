"""A transformer that learns to write, character by character, from a text of this repository.

The text is the license: small, and everybody has it. A part of it is kept back to see what the model makes of
sentences that it has not read. At the end the model writes a few lines of its own.

After 400 steps, one to two minutes on two cores, the loss is 1.23 nats per character, and 2.1 on the part kept back.
"""

import argparse
from pathlib import Path

import numpy as np
from tqdm import tqdm

import funcgrad as fg
from funcgrad import lax, nn, optim, random

TEXT = Path(__file__).parents[1] / "LICENSE"
CONTEXT = 64  # characters that the model sees


class Transformer(nn.Module):
    """Characters and their positions, blocks of causal attention, a score for each next character."""

    token: nn.Embedding
    position: nn.Embedding
    blocks: nn.TransformerEncoder
    score: nn.Linear

    def __init__(self, characters, width=96, heads=4, depth=2, *, key):
        keys = random.split(key, 4)
        self.token = nn.Embedding(characters, width, key=keys[0])
        self.position = nn.Embedding(CONTEXT, width, key=keys[1])

        def block(key):
            options = {"batch_first": True, "norm_first": True, "activation": nn.gelu}
            return nn.TransformerEncoderLayer(width, heads, 4 * width, 0.0, key=key, **options)

        self.blocks = nn.TransformerEncoder(block, depth, nn.LayerNorm(width), key=keys[2])
        self.score = nn.Linear(width, characters, key=keys[3])

    def __call__(self, text):
        """Scores (..., times, characters) for character numbers (..., times)."""
        h = self.token(text) + self.position(np.arange(text.shape[-1]))
        return self.score(self.blocks(h, is_causal=True))


# --- data ---


def load_text():
    """The characters there are, and the numbers of those of the text: training part and the rest."""
    text = " ".join(TEXT.read_text(encoding="utf-8").split())
    characters = sorted(set(text))
    numbers = np.array([characters.index(c) for c in text])
    split = len(numbers) * 9 // 10
    return characters, numbers[:split], numbers[split:]


def windows(key, numbers, count):
    """Random pieces of the text (count, CONTEXT), and the same one character later."""
    starts = random.randint(key, (count,), 0, len(numbers) - CONTEXT)
    rows = fg.numpy.take(numbers, starts[:, None] + np.arange(CONTEXT + 1))
    return rows[:, :-1], rows[:, 1:]


# --- training ---


def loss(model, text, following):
    """Mean cross entropy of the next character, in nats."""
    logits = model(text)
    return np.mean(nn.losses.softmax_cross_entropy_with_integer_labels(logits, following))


def train(steps=400, batch=32, seed=0, report=print):
    """The trained model, its last loss, and its loss on the part that it has not read."""
    characters, numbers, rest = load_text()
    model_key, key = random.split(random.key(seed))
    model = Transformer(len(characters), key=model_key)
    schedule = optim.warmup_cosine_decay_schedule(0.0, 3e-3, 50, steps, 1e-4)
    optimizer = optim.chain(optim.clip_by_global_norm(1.0), optim.adamw(schedule, weight_decay=0.1))
    state = optimizer.init(model)

    @fg.jit
    def step(model, state, key):
        text, following = windows(key, numbers, batch)
        value, gradient = fg.value_and_grad(loss)(model, text, following)
        updates, state = optimizer.update(gradient, state, model)
        return optim.apply_updates(model, updates), state, value

    report(f"{nn.count_parameters(model)} parameters, {len(numbers)} characters")
    recent = []
    for number in tqdm(range(steps), disable=None):
        model, state, value = step(model, state, random.fold_in(key, number))
        recent = [*recent[-49:], float(value)]
        if number % 100 == 99:
            report(f"step {number + 1:4}   loss {np.mean(recent):.3f}")
    unread = float(fg.jit(loss)(model, *windows(random.key(1), rest, 64)))
    report(f"loss on what it has not read: {unread:.3f}")
    return model, float(np.mean(recent)), unread


# --- writing ---


def write(model, start, count, key, temperature=0.7):
    """Character numbers (count,) that go on from `start` (CONTEXT,), compiled as one loop."""

    def one(text, key):
        logits = model(text)[-1] / np.float32(temperature)
        chosen = random.categorical(key, logits)
        return np.concatenate([text[1:], chosen[None]]), chosen

    return lax.scan(one, start, random.split(key, count))[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    model, _, _ = train(options.steps, seed=options.seed)
    characters, numbers, _ = load_text()
    text = fg.jit(write, static_argnums=2)(model, numbers[:CONTEXT], 300, random.key(options.seed))
    print("".join(characters[i] for i in [*numbers[:CONTEXT], *text]))


if __name__ == "__main__":
    main()
