"""One side of one row on the GPU: `python -m benchmarks.gpu.worker ROW SIDE BACKEND RESULT`.

The side's result is compared with the float64 reference first: at full size, or for kernels with large results at a
smaller one. Then the worker answers each line of standard input, a number of seconds, by calling for so long. Calls are
timed in groups: all of a group are given to the GPU, and then waited for. Every answer is a line of JSON.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.gpu.rows import Kernel, row_named
from benchmarks.gpu.sides import gpu_library
from benchmarks.libraries import arrays_of
from benchmarks.row import Row, Training, check, doubled, leaves_of

GROUP = 20e-3  # seconds of calls between two waits


def timed(call: Callable[[], Any], wait: Any, calls: int) -> tuple[float, float]:
    """Seconds per call until all are done, and until all were given to the GPU."""
    start = time.perf_counter()
    for _ in itertools.repeat(None, calls):
        result = call()
    given = time.perf_counter()
    if wait is not None:
        wait(result)
    return (time.perf_counter() - start) / calls, (given - start) / calls


def measure_slice(call: Callable, wait: Any, seconds: float, estimate: float) -> dict[str, float]:
    calls = max(1, int(GROUP / estimate))
    gc.collect()
    gc.disable()
    found, end = [timed(call, wait, calls)], time.perf_counter() + seconds
    while time.perf_counter() < end:
        found.append(timed(call, wait, calls))
    gc.enable()
    done, given = zip(*found, strict=True)
    return {"seconds": statistics.median(done), "host": statistics.median(given)}


def parts(work: Any) -> tuple[Callable, Callable]:
    """The call to be timed, and what puts back its start."""
    return work if isinstance(work, Training) else (work, lambda: None)


def reference(row: Row) -> list[np.ndarray]:
    """The results in float64."""
    return leaves_of(row.reference(*doubled(row.data(np.random.default_rng(0)))))


def checked_small(library: Any, row: Kernel) -> None:
    """Compare a kernel with its reference at a size that a CPU computes at once."""
    small = row.smaller()
    library.prepare(small)
    call, _ = parts(library.build(small, small.data(np.random.default_rng(0))))
    check(small, arrays_of(library, call()), reference(small))


def main(name: str, side: str, backend: str, path: str) -> None:
    notes: list[str] = []
    warnings.showwarning = lambda message, *_: notes.append(" ".join(str(message).split())[:300])
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer
    row = row_named(name)
    library = gpu_library(side, backend)
    library.prepare(row)
    library.start()
    if isinstance(row, Kernel):
        checked_small(library, row)
        library.prepare(row)
    work = library.build(row, row.data(np.random.default_rng(0)))
    call, reset = parts(work)
    start = time.perf_counter()
    result = call()
    wait = library.waiter(result)
    if wait is not None:
        wait(result)
    first = time.perf_counter() - start
    if not isinstance(row, Kernel):
        np.savez(path, *arrays_of(library, result))
    reset()
    for _ in range(3):
        call()
    estimate = min(timed(call, wait, 3)[0] for _ in range(2))
    ready = {"first": first, "seconds": estimate, "version": library.version}
    print(json.dumps(ready), file=answers)
    for line in sys.stdin:
        reset()
        found = measure_slice(call, wait, float(line), estimate)
        estimate = found["seconds"]
        print(json.dumps({**found, "memory": library.memory(), "notes": notes}), file=answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
