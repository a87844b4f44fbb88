"""One side of one row, in its own process: `python -m benchmarks.worker ROW SIDE BACKEND RESULT`.

It does the row's work once, saves what came out to the file RESULT, and then answers each line of standard
input, a number of seconds, by calling for so long and saying how long a call took. Every answer is a line of
JSON.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.libraries import Library, arrays_of, library
from benchmarks.memory import forget_peak, memory_now, memory_peak
from benchmarks.row import Training
from benchmarks.rows import row_named

# Calls are timed in groups of about this many seconds, so that reading the clock costs nothing beside them.
GROUP = 2e-3

Wait = Callable[[Any], Any] | None


def timed(call: Callable[[], Any], wait: Wait, calls: int) -> float:
    """Seconds for some calls, each of which is awaited."""
    repeat = itertools.repeat(None, calls)
    start = time.perf_counter()
    if wait is None:
        for _ in repeat:
            call()
    else:
        for _ in repeat:
            wait(call())
    return time.perf_counter() - start


def measure_slice(call: Callable, wait: Wait, seconds: float, estimate: float) -> dict[str, float]:
    """The median time of a call over `seconds`, and the processor time that this process used meanwhile."""
    calls = max(1, int(GROUP / estimate))
    gc.collect()
    times, cpu, end = [], time.process_time(), time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        times.append(timed(call, wait, calls) / calls)
    return {"seconds": statistics.median(times), "cpu": time.process_time() - cpu}


def first_call(library: Library, call: Callable[[], Any], path: str) -> tuple[float, Wait]:
    """Seconds of the first call, whose results are saved, and how to wait for those of the next."""
    gc.collect()  # what the start has left, which is no part of the call
    start = time.perf_counter()
    result = call()
    wait = library.waiter(result)
    if wait is not None:
        wait(result)
    seconds = time.perf_counter() - start
    np.savez(path, *arrays_of(library, result))
    return seconds, wait


def main(name: str, side: str, backend: str, path: str) -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer
    used, row = library(side, backend), row_named(name)
    used.start()
    work = used.build(row, row.data(np.random.default_rng(0)))
    call, reset = work if isinstance(work, Training) else (work, lambda: None)
    forget_peak()
    before = memory_now()
    first, wait = first_call(used, call, path)
    first_memory = memory_peak() - before
    reset()
    estimate = min(timed(call, wait, 1) for _ in range(2))
    ready = {"first": first, "seconds": estimate, "memory": first_memory, "version": used.version}
    print(json.dumps(ready), file=answers)
    forget_peak()
    for line in sys.stdin:
        reset()
        found = measure_slice(call, wait, float(line), estimate)
        estimate = found["seconds"]
        print(json.dumps({**found, "memory": memory_peak() - before}), file=answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
