"""R76: a training that was stopped and resumed from a file ends with the same bits."""

import subprocess
import sys

import numpy as np

import funcgrad as fg
from funcgrad import nn, optim, random

STEPS, STOP = 30, 17


def start():
    model = nn.MLP(4, 2, 8, 2, activation=nn.gelu, key=0)
    schedule = optim.warmup_cosine_decay_schedule(0.0, 1e-2, 5, STEPS)
    optimizer = optim.chain(optim.clip_by_global_norm(1.0), optim.adamw(schedule))
    return model, optimizer


@fg.jit
def step(model, state, number):
    """Data order and noise are functions of the step's number alone."""
    key = random.fold_in(random.key(1), number)
    x = random.normal(key, (16, 4))

    def loss(model):
        noisy = x + 0.1 * random.normal(random.fold_in(key, 1), x.shape)
        return np.mean((model(noisy) - x[:, :2]) ** 2)

    updates, state = start()[1].update(fg.grad(loss)(model), state, model)
    return optim.apply_updates(model, updates), state


def train(model, state, first, last):
    for number in range(first, last):
        model, state = step(model, state, np.int64(number))
    return model, state


def resume(path):
    """What a new process does."""
    model, optimizer = start()
    saved = fg.load(path, {"model": model, "state": optimizer.init(model), "step": 0})
    return train(saved["model"], saved["state"], saved["step"], STEPS)


def test_r76_resume_in_a_fresh_process(tmp_path):
    model, optimizer = start()
    whole = train(model, optimizer.init(model), 0, STEPS)
    model, state = train(model, optimizer.init(model), 0, STOP)
    fg.save(tmp_path / "half", {"model": model, "state": state, "step": STOP})
    fg.save(tmp_path / "whole", whole)
    code = (
        "import runpy, funcgrad as fg\n"
        f"module = runpy.run_path({__file__!r})\n"
        f"fg.save({str(tmp_path / 'resumed')!r}, module['resume']({str(tmp_path / 'half')!r}))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert (tmp_path / "resumed").read_bytes() == (tmp_path / "whole").read_bytes()
    assert fg.load_dict(tmp_path / "whole")["1.1.2.count"] == STEPS
