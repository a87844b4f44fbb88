"""The machine that the table was measured on: `python -m benchmarks.machine` prints it as JSON."""

from __future__ import annotations

import importlib
import json
import os
import platform
import sys
from pathlib import Path

import numpy as np

from benchmarks.process import run_python

VECTORS = {"avx512f": "AVX-512", "avx2": "AVX2"}


def describe() -> dict[str, str]:
    """What this process sees; the BLAS chooses its kernels by the environment that it was started in."""
    return {
        "processor": processor(),
        "cores": str(len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()),
        "memory": memory(),
        "system": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "BLAS": blas(),
    }


def load() -> str:
    """Programs that waited for a core, on average over 1, 5 and 15 minutes."""
    if not hasattr(os, "getloadavg"):
        return "unknown"
    return ", ".join(f"{x:.1f}" for x in os.getloadavg())


def processor() -> str:
    """Model, and what of it matters most: the width of its vectors and the size of its caches."""
    information = Path("/proc/cpuinfo")
    if not information.exists():
        return platform.processor() or "unknown"
    lines = [line.partition(":") for line in information.read_text().splitlines()]
    found = {name.strip(): value.strip() for name, _, value in lines}
    name = found.get("model name", platform.machine())
    if "cpu family" in found:
        name += f" (family {found['cpu family']}, model {found['model']})"
    flags = found.get("flags", "").split()
    vectors = [label for flag, label in VECTORS.items() if flag in flags][:1]
    return ", ".join([name, *vectors, *caches()])


def caches() -> list[str]:
    """The data caches of the first core."""
    directory = Path("/sys/devices/system/cpu/cpu0/cache")
    found = []
    for index in sorted(directory.glob("index*")):
        level, kind, size = ((index / n).read_text().strip() for n in ("level", "type", "size"))
        if kind != "Instruction":
            found.append(f"L{level} {size}")
    return found


def memory() -> str:
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return "unknown"
    return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB"


def blas() -> str:
    """The core types whose kernels NumPy's and SciPy's BLAS use."""
    try:
        importlib.import_module("scipy.linalg.cython_blas")
        found = importlib.import_module("threadpoolctl").threadpool_info()
    except ImportError:
        return "unknown (threadpoolctl is not installed)"
    names = [
        f"{library['internal_api']} {library['version']}, {library.get('architecture', '?')} kernels, "
        f"{library['num_threads']} threads"
        for library in found
        if library["user_api"] == "blas"
    ]
    return "; ".join(dict.fromkeys(names))


def describe_workers() -> dict[str, str]:
    """The same, as the workers of the benchmarks see it."""
    return json.loads(run_python(sys.executable, ["-m", "benchmarks.machine"]).stdout)


if __name__ == "__main__":
    print(json.dumps(describe()))
