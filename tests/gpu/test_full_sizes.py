"""The programs of the GPU table at full size: not executed, but every kernel keeps CUDA's limits and spills nothing."""

import importlib
import random
import re
import sys
import time

import numpy as np
import pytest

import funcgrad as fg
from benchmarks.gpu.rows import ROWS
from benchmarks.gpu.sides import dtype_of, precision_of
from benchmarks.row import map_arrays
from funcgrad import tree
from tests.gpu.emulator.available import require_emulator

require_emulator()

from funcgrad.compiler.cuda.runtime import nvrtc  # noqa: E402
from funcgrad.compiler.cuda.runtime.modules import module_text  # noqa: E402
from tests.gpu.emulator import fake_cuda  # noqa: E402
from tests.gpu.emulator.memory import put  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*was compiled .* times")]
LARGE = ("K1", "K3")  # more memory than small machines have
NAMES = [name for name in ROWS if name not in ("W10a", *LARGE)]


@pytest.fixture
def idle(monkeypatch):
    """Nothing that the device is given is done, and optimizers begin on the host."""
    monkeypatch.setattr(fake_cuda.FakeCuda, "launch", lambda self, *args, **options: None)
    monkeypatch.setattr(fake_cuda.FakeCuda, "give", lambda self, stream, work: None)
    monkeypatch.setattr(fake_cuda.CheckedDevice, "library", lambda self, *args: None)
    for row in ROWS.values():
        monkeypatch.setattr(sys.modules[type(row).__module__], "train", lambda *p: p, raising=False)


def kernels_of(row):
    """All kernels of a row of the table."""
    data = row.data(np.random.default_rng(0))
    if dtype_of(row) == "bfloat16":
        half = importlib.import_module("ml_dtypes").bfloat16
        data = map_arrays(lambda x: x.astype(half) if x.dtype.kind == "f" else x, data)
    with fg.default_matmul_precision(precision_of(row)), fake_cuda.checked_cuda() as cuda:
        made = row.funcgrad(*data)
        if isinstance(made, tuple):
            step, start, *batch = made
            step(*tree.map(put, start()), *tree.map(put, batch))
        else:
            row.funcgrad(*tree.map(put, data))()
        return [kernel.source for kernel in cuda.kernels]


def check_kernel(source):
    pointers = re.search(r"Pointers<(\d+)> p\)", source.text)
    assert pointers is None or 8 * int(pointers[1]) <= 4096
    assert source.shared + fake_cuda.static_shared(source) <= fake_cuda.MOST_SHARED
    assert all(1 <= n <= most for n, most in zip(source.grid, fake_cuda.GRID, strict=True))
    assert 1 <= np.prod(source.block) <= 1024


def test_kernels(idle, slow_seconds):
    end, names = time.monotonic() + slow_seconds, list(NAMES)
    random.Random(time.time_ns()).shuffle(names)
    while names and time.monotonic() < end:
        name = names.pop()
        sources = kernels_of(ROWS[name])
        assert sources, name
        for source in sources:
            check_kernel(source)
        used = nvrtc.resources(module_text(sources), "sm_90")
        assert not [kernel for kernel, found in used.items() if found.spilled], name
    print(f"{len(names)} rows left")
