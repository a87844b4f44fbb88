"""What NVRTC makes of kernels: no spills, memory read once and 16 bytes at a time, for two architectures."""

import functools
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import funcgrad as fg
from funcgrad import nn

pytest.importorskip("cupy", reason="CuPy is not installed: pip install '.[cuda-test]'")
nvrtc = pytest.importorskip("funcgrad.compiler.cuda.runtime.nvrtc")

from funcgrad.compiler.cuda.runtime.modules import module_text  # noqa: E402
from tests.compiler.cuda.emulated import prepared  # noqa: E402
from tests.compiler.cuda.test_kernels import normalized  # noqa: E402

TOOLS = Path(sys.prefix, "lib", f"python3.{sys.version_info[1]}", "site-packages/nvidia/cu13/bin")
needs_tools = pytest.mark.skipif(
    not (TOOLS / "cuobjdump").exists(), reason="cuobjdump and nvdisasm are not installed"
)


def like(*shape, dtype=np.float32):
    """An array of this shape that takes no memory."""
    return np.broadcast_to(np.zeros((), dtype), shape)


def loss(x, y):
    return fg.value_and_grad(lambda x: nn.softmax_cross_entropy_with_integer_labels(x, y).mean())(x)


def layer_norm_gradient(x, scale, shift, seed):
    total = lambda *args: (normalized(*args) * seed).sum()
    return fg.grad(total, argnums=(0, 1, 2))(x, scale, shift)


CASES = {
    "chain": (lambda x: nn.gelu(x) * 2 + 1, like(10_000, 10_000)),
    "half chain": (lambda x, y: x * y + x, *[like(4096, 4096, dtype=ml_dtypes.bfloat16)] * 2),
    "layer norm": (normalized, like(8192, 4096), like(4096), like(4096)),
    "layer norm gradient": (layer_norm_gradient, like(8192, 768), like(768), like(768), like(8192, 768)),
    "softmax": (nn.softmax, like(4096, 1024)),
    "loss": (loss, like(8192, 32_000), like(8192, dtype=np.int32)),
    "columns": (lambda x: x.sum(0), like(8192, 4096)),
    "embedding": (lambda x, i: x[i] * 2, like(50_000, 768), like(8192, dtype=np.int32)),
    "many dtypes": (
        lambda x: [x.astype(d).astype(np.float32) for d in ("float16", "int8", "uint64", "complex128", "bool")],
        like(1000),
    ),
    "threefry": (lambda k: fg.random.normal(k, (4096, 4096), np.float32), fg.random.key(0)),
    "huge": (lambda x: x.T + 1, like(1 << 16, 1 << 16)),
}  # fmt: skip


@functools.cache
def program(name):
    f, *args = CASES[name]
    return prepared(f, *args)


@functools.cache
def machine_code(architecture):
    sources = [source for name in CASES for source in program(name).sources]
    return nvrtc.compiled(module_text(sources), architecture)


@functools.cache
def resources(architecture):
    """Per kernel: what `cuobjdump` says of registers and memory, and how often each instruction occurs."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(machine_code(architecture))
        file.flush()
        run = functools.partial(subprocess.run, capture_output=True, text=True, check=True)
        usage = run([TOOLS / "cuobjdump", "--dump-resource-usage", file.name]).stdout
        text = run([TOOLS / "nvdisasm", "-c", file.name]).stdout
    pattern = r"Function (\w+):\s*REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)"
    found = {
        m[1]: Counter(registers=int(m[2]), stack=int(m[3])) for m in re.finditer(pattern, usage)
    }
    for part in re.split(r"\n\.text\.", text)[1:]:
        name = part.split(":", 1)[0]
        if name in found:
            found[name].update(re.findall(r"\b((?:LDG|STG|LDL|STL)[.\w]*)", part))
    return found


def of(name, architecture="sm_90"):
    return [resources(architecture)[source.name] for source in program(name).sources]


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
def test_everything_compiles(architecture):
    assert machine_code(architecture)[:4] == b"\x7fELF"


@needs_tools
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
def test_nothing_is_spilled(architecture):
    for name, found in resources(architecture).items():
        assert not found["stack"] and not found["LDL"] and not found["STL"], (name, found)


@needs_tools
def test_chains_move_16_bytes_at_a_time():
    for name in ("chain", "half chain", "embedding"):
        (found,) = of(name)
        assert found["LDG.E.128"] and found["STG.E.128"] and not found["STG.E"], (name, found)


@needs_tools
def test_rows_are_read_once():
    (found,) = of("layer norm")  # of four vectors for each thread: x, scale and shift
    assert found["LDG.E.128"] == 12 and found["STG.E.128"] == 4 and not found["LDG.E"]
    (found,) = of("softmax")
    assert found["LDG.E.128"] == found["STG.E.128"] == 8
    rows, *_ = of("loss")  # half of a row stays in registers, half in shared memory
    assert rows["LDG.E.128"] == rows["STG.E.128"] == 16 and rows["registers"] <= 64
    assert program("loss").sources[0].shared == 1 << 16


@needs_tools
def test_the_gradient_of_layer_norm_is_one_kernel_and_a_sum():
    rows, parts = of("layer norm gradient")
    assert rows["LDG.E.128"] == 9 and rows["STG.E.128"] == 3
    assert not parts["STG.E.128"]


def test_large_arrays_have_long_indices():
    (source,) = program("huge").sources
    assert "long long" in source.text and source.grid[0] >= 1 << 22
    (source,) = program("chain").sources
    assert "long long" not in source.text
