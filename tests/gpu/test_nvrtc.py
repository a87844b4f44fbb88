"""Generated kernels through NVRTC: they compile for two architectures, spill nothing, and use wide accesses."""

import os
import random
import re
import time

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import nn
from tests.gpu.emulator.available import require_emulator

require_emulator()
from funcgrad.compiler.cuda import stages  # noqa: E402
from funcgrad.compiler.cuda.listing import sources  # noqa: E402
from funcgrad.compiler.cuda.runtime import nvrtc  # noqa: E402
from funcgrad.compiler.cuda.runtime.modules import module_text  # noqa: E402
from tests.gpu.emulator.device import emulated  # noqa: E402
from tests.gpu.emulator.memory import put  # noqa: E402
from tests.ops import rows  # noqa: E402

try:
    nvrtc.version()
except Exception as error:  # CuPy's own errors, of several kinds
    pytest.skip(f"NVRTC cannot be used: {error}", allow_module_level=True)

pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")
ARCHITECTURES = ("sm_80", "sm_90")
GROUP = 40  # rows whose kernels are compiled together


def sources_of(f, *args):
    """The kernels of a function of arrays, by name."""
    with emulated() as device, fg.default_device("cuda"):
        entry = fg.jit(f).entry(*map(put, args))
        context = stages.Context(entry.donated, products=device.products)
        launches = stages.run_stages(entry.program, context)["write"]
        return sources(launches.items)


def ones(*shape, dtype=np.float32):
    return np.ones(shape, dtype)


def layer_norm(x, scale, shift):
    centered = x - x.mean(-1, keepdims=True)
    spread = np.sqrt((centered**2).mean(-1, keepdims=True) + 1e-5)
    return centered / spread * scale + shift


def cross_entropy(logits, labels):
    return -np.mean(np.sum(nn.log_softmax(logits) * labels, -1))


# What each is called, and arguments whose inner axis allows 16 bytes at a time.
TYPICAL = {
    "map": (lambda x, y: np.tanh(x) * y + 1, ones(1000, 64), ones(64)),
    "half": (lambda x, y: x * y, *[ones(64, 64, dtype=np.float16)] * 2),
    "layer norm": (layer_norm, ones(64, 1024), ones(1024), ones(1024)),
    "gradient of it": (
        fg.grad(lambda *xs: np.sum(layer_norm(*xs) ** 2), (0, 1, 2)),
        *(ones(64, 1024), ones(1024), ones(1024)),
    ),
    "cross entropy": (fg.value_and_grad(cross_entropy), *[ones(64, 4096)] * 2),
    "sum": (np.sum, ones(1 << 20)),
}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("name", TYPICAL)
def test_typical_kernels(name, architecture):
    f, *args = TYPICAL[name]
    text = module_text(list(sources_of(f, *args).values()))
    nvrtc.compiled(text, architecture)
    assert not spilling(nvrtc.resources(text, architecture))


@pytest.mark.parametrize("name", TYPICAL)
def test_accesses_are_wide(name):
    """But for sums of columns, where neighbouring threads read neighbouring numbers."""
    f, *args = TYPICAL[name]
    for source in sources_of(f, *args).values():
        if source.grid != (1, 1, 1) and not source.name.startswith("fg_parts"):
            code = nvrtc.ptx(module_text([source]), "compute_90")
            assert re.search(r"ld\.global[.\w]*\.v[24]", code), source.text


def test_a_gpu_that_is_newer_than_the_compiler_gets_assembly():
    code = nvrtc.compiled('extern "C" __global__ void f(float *x) { x[0] = 1; }', "sm_999")
    assert b".visible .entry f" in code and code.endswith(b"\0")


def spilling(resources, allowed=0):
    """The kernels that keep more bytes than allowed in memory for want of registers."""
    return {name: used for name, used in resources.items() if used.spilled > allowed}


# Continued fractions and series for several derivatives at once: more numbers than a thread has registers.
HEAVY = ("betainc",)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("kind", ["value_rows", "derivative_rows", "batched_rows"])
def test_kernels_of_the_table(kind, architecture, slow_seconds):
    """As many as there is time for: all take about three minutes. FUNCGRAD_SLOW_SEED leads to others."""
    end = time.monotonic() + slow_seconds
    found = [row for row in getattr(rows, kind)() if not row.name.startswith(HEAVY)]
    random.Random(os.environ.get("FUNCGRAD_SLOW_SEED", "0")).shuffle(found)
    done: set[str] = set()
    while found and time.monotonic() < end:
        chosen = {}
        for row in [found.pop() for _ in range(min(len(found), GROUP))]:
            chosen.update(sources_of(row.function, *row.arguments))
        text = module_text([source for name, source in chosen.items() if name not in done])
        # A few bytes around calls, such as that for sines of huge numbers, are NVIDIA's own.
        assert not spilling(nvrtc.resources(text, architecture), allowed=32)
        done.update(chosen)
    print(f"{len(done)} kernels, {len(found)} rows left")
