"""The benchmark programs on CuPy arrays, at tiny sizes, on the emulator: whole training steps, loops, derivatives."""

import sys

import numpy as np
import pytest

from benchmarks.row import check, doubled, leaves_of
from benchmarks.rows import ROWS
from funcgrad import tree
from tests.gpu.emulator.available import require_emulator

require_emulator()

from funcgrad.compiler.cuda import stages  # noqa: E402
from tests.gpu.emulator.device import emulated  # noqa: E402
from tests.gpu.emulator.fake_cuda import checked_cuda  # noqa: E402
from tests.gpu.emulator.memory import host, put  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")
JITTED = [name for name, row in ROWS.items() if "funcgrad" in row.sides() and name != "W10a"]
ORDERS = 3


def on_device(value):
    return tree.map(put, value)


def on_host(value):
    return [host(leaf) for leaf in tree.leaves(value)]


@pytest.mark.parametrize("is_grouped", [True, False], ids=["grouped", "apart"])
@pytest.mark.parametrize("name", JITTED)
def test_row(name, is_grouped, monkeypatch):
    """Apart: every small unit is a launch of its own, as in programs of usual size, so that there are graphs. They run
    by the device class for real GPUs.
    """
    if not is_grouped:
        monkeypatch.setattr(stages, "groups", lambda plan: [[unit] for unit in plan.units])
    row = ROWS[name].shrunk()
    # Optimizers begin on the host here: CuPy's own kernels cannot be emulated.
    monkeypatch.setattr(
        sys.modules[type(row).__module__], "train", lambda *parts: parts, raising=False
    )
    data = row.data(np.random.default_rng(0))
    expected = leaves_of(row.reference(*doubled(data)))
    place = emulated if is_grouped else checked_cuda
    with place(len(name) % ORDERS) as device:
        call = call_on_device(row, data)
        for _ in range(3):  # launched, recorded, replayed
            check(row, on_host(call()), expected)
        assert device.launches


def call_on_device(row, data):
    """The first training step, or another call, on arrays of the device."""
    made = row.funcgrad(*data)
    if not isinstance(made, tuple):
        return row.funcgrad(*on_device(data))
    step, start, *batch = made
    batch = on_device(batch)

    def call():
        *carried, value = step(*on_device(start()), *batch)
        return carried[0], value

    return call
