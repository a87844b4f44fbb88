"""What the machine can do at most: the bandwidth of a copy and the speed of large products, measured."""

from __future__ import annotations

import functools
import importlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

from benchmarks.process import run_python

COUNT = {"cupy": 100_000_000, "numpy": 1_000_000}  # numbers that are copied
SIZE = {"cupy": 8192, "numpy": 256}  # rows of the matrices
REPEATS = 7
GROUP = 10  # calls between two waits
LIMIT = 120.0  # seconds


def shortest(call: Callable[[], Any], wait: Callable[[], Any]) -> float:
    """Seconds of a call in the fastest of several groups."""
    call()
    wait()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        for _ in range(GROUP):
            call()
        wait()
        times.append((time.perf_counter() - start) / GROUP)
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
    host = np.random.default_rng(0).standard_normal((size, size), np.float32)
    x, half = (xp.asarray(host.astype(t)) for t in (np.float32, ml_dtypes.bfloat16))
    for precision, matrix in (("highest", x), ("tensorfloat32", x), ("bfloat16", half)):
        try:
            with fg.default_matmul_precision(precision):
                product = fg.jit(lambda a, b: a @ b)
                work = functools.partial(product, matrix, matrix)
                found[precision] = 2 * size**3 / shortest(work, wait)
        except Exception as error:
            found[f"no {precision}"] = f"{type(error).__name__}: {error}"
    if backend == "cupy":
        properties = xp.cuda.runtime.getDeviceProperties(0)
        found["device"] = properties["name"].decode()
        found["driver"] = xp.cuda.runtime.driverGetVersion()
        found["CuPy"] = xp.__version__
    return found


def measured_limits(backend: str) -> dict[str, Any]:
    """The same from a process of its own; {"trouble": reason} if that fails."""
    try:
        done = run_python(sys.executable, ["-m", "benchmarks.gpu.limits", backend], LIMIT)
    except subprocess.TimeoutExpired:
        return {"trouble": f"no answer in {LIMIT:g} s"}
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return {"trouble": lines[-1] if lines else f"exit code {done.returncode}"}
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1])))
