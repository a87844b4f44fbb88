"""What the machine can do at most: the bandwidth of a copy and the speed of large products, measured."""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.process import run_python

COUNT = {"cupy": 100_000_000, "numpy": 1_000_000}  # numbers that are copied
SIZE = {"cupy": 8192, "numpy": 256}  # rows of the matrices
REPEATS = 7


def shortest(call: Callable[[], Any], wait: Callable[[], Any]) -> float:
    """Seconds of the fastest of several calls."""
    call()
    wait()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        call()
        wait()
        times.append(time.perf_counter() - start)
    return min(times)


def measure(backend: str) -> dict[str, Any]:
    """Bytes per second of a copy, and operations per second of products in each precision."""
    fg = importlib.import_module("funcgrad")
    xp = importlib.import_module(backend)
    wait = xp.cuda.Device().synchronize if backend == "cupy" else lambda: None
    found: dict[str, Any] = {}
    source = xp.ones(COUNT[backend], np.float32)
    target = xp.empty_like(source)
    found["copy"] = 2 * source.nbytes / shortest(lambda: xp.copyto(target, source), wait)
    size = SIZE[backend]
    x = xp.asarray(np.random.default_rng(0).standard_normal((size, size), np.float32))
    dot = importlib.import_module("funcgrad.ops.precision").matrix_product
    for precision in ("highest", "tensorfloat32", "bfloat16"):
        with fg.default_matmul_precision(precision):
            found[precision] = 2 * size**3 / shortest(lambda: dot(xp, x, x), wait)
    if backend == "cupy":
        properties = xp.cuda.runtime.getDeviceProperties(0)
        found["device"] = properties["name"].decode()
        found["driver"] = xp.cuda.runtime.driverGetVersion()
        found["CuPy"] = xp.__version__
    return found


def measured_limits(backend: str) -> dict[str, Any]:
    """The same from a process of its own; {"trouble": reason} if that fails."""
    done = run_python(sys.executable, ["-m", "benchmarks.gpu.limits", backend])
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return {"trouble": lines[-1] if lines else f"exit code {done.returncode}"}
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1])))
