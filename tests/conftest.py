"""Settings shared by all tests: hypothesis profiles, the time of long tests, GPU tests."""

import getpass
import importlib.util
import os
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from tests import other_cpu

os.environ.setdefault("MPLBACKEND", "Agg")
# Not the cache of the person who runs the tests, but one that the next run finds again.
os.environ.setdefault(
    "FUNCGRAD_CACHE_DIR", str(Path(tempfile.gettempdir()) / f"funcgrad-tests-{getpass.getuser()}")
)

# Scripts that write reference values with libraries that the tests do without.
collect_ignore_glob = ["*/make_*reference.py"]
# What stands for a GPU needs CuPy; the tests that use it say so and are skipped.
if any(importlib.util.find_spec(name) is None for name in ("cupy", "nvmath")):
    collect_ignore_glob += ["gpu/emulator/*.py", "gpu/rows.py"]
    collect_ignore_glob += ["compiler/cuda/emulated.py", "compiler/cuda/step_rows.py"]
if importlib.util.find_spec("unicorn") is None:  # the same for an ARM processor
    collect_ignore_glob += ["compiler/arm/processor.py", "compiler/arm/programs.py"]

other_cpu.pretend()

TABLE_COLUMNS = ("passed", "failed", "skipped", "seconds")

# No deadline: the first call of a compiled function is slower than the later ones.
settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.fixture(scope="session")
def slow_seconds() -> float:
    """How long one test marked `slow` may go on trying random cases."""
    return float(os.environ.get("FUNCGRAD_SLOW_SECONDS", "60"))


@pytest.fixture(autouse=True)
def same_numbers(request):
    """A test draws the same numbers from `RNG` of its module, whichever tests ran before it."""
    if (generator := getattr(request.module, "RNG", None)) is not None:
        generator.bit_generator.state = np.random.default_rng(0).bit_generator.state


@cache
def missing_gpu() -> str | None:
    """Why GPU tests cannot run here, or None where they can."""
    try:
        import cupy

        if not cupy.cuda.runtime.getDeviceCount():
            return "there is no CUDA device"
    except ImportError:
        return "CuPy is not installed"
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"no usable CUDA device: {error}"
    return None


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("gpu") and (reason := missing_gpu()):
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_terminal_summary(terminalreporter, config):
    """After `-m gpu`: a table with a row per test file, the part worth sending to others."""
    if config.option.markexpr != "gpu":
        return
    rows: dict[str, dict[str, float]] = {}
    for outcome in ("passed", "failed", "skipped"):
        for report in terminalreporter.getreports(outcome):
            row = rows.setdefault(report.location[0], dict.fromkeys(TABLE_COLUMNS, 0))
            row[outcome] += 1
            row["seconds"] += getattr(report, "duration", 0.0)  # a skipped file has none
    terminalreporter.section("GPU tests")
    terminalreporter.write_line(f"{'file':40}" + "".join(f"{name:>9}" for name in TABLE_COLUMNS))
    for file, row in sorted(rows.items()):
        numbers = "".join(f"{row[name]:9.0f}" for name in TABLE_COLUMNS[:-1])
        terminalreporter.write_line(f"{file:40}{numbers}{row['seconds']:9.2f}")
