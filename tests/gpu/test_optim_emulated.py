"""Compiled updates of optimizers on CuPy arrays, on the emulator: the values are those of the plain evaluation."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import optim, tree
from tests.gpu.emulator.available import require_emulator

require_emulator()

from tests.gpu.emulator.device import emulated  # noqa: E402
from tests.gpu.emulator.memory import host, put  # noqa: E402

PATH = Path(__file__).parents[1] / "optim" / "cases.py"
SPEC = importlib.util.spec_from_file_location("cases", PATH)
cases = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(cases)


def on_device(pytree):
    return tree.map(lambda x: put(x) if isinstance(x, np.ndarray) else x, pytree)


@pytest.mark.parametrize("name", ["adamw", "inject_hyperparams", "adafactor", "muon"])
def test_updates(name):
    optimizer, params = cases.CASES[name](optim), cases.start(np.float32)
    expected, state = params, optimizer.init(params)
    with emulated():
        there, there_state = on_device(params), on_device(state)

        @fg.jit
        def step(grads, state, params):
            updates, state = optimizer.update(grads, state, params)
            return optim.apply_updates(params, updates), state

        for number in (1, 2, 3):
            grads = cases.gradient(expected, number, np.float32)
            updates, state = optimizer.update(grads, state, expected)
            expected = optim.apply_updates(expected, updates)
            there, there_state = step(on_device(grads), there_state, there)
        found = tree.map(host, there)
    np.testing.assert_allclose(cases.flat(found), cases.flat(expected), rtol=1e-5, atol=1e-6)
