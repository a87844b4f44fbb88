"""One side of one row, in its own process: `python -m benchmarks.worker ROW SIDE BACKEND RESULT`.

It does the row's work once, saves what came out to the file RESULT, and then answers each line of standard
input, a number of calls, with the seconds that they took. Every answer is a line of JSON.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.libraries import Library, arrays_of, library
from benchmarks.memory import forget_peak, memory_now, memory_peak
from benchmarks.row import Training
from benchmarks.rows import ROWS


def timed(call: Callable[[], Any], wait: Callable[[Any], None] | None, calls: int) -> float:
    """Seconds for some calls, each of which is awaited."""
    gc.collect()
    repeat = itertools.repeat(None, calls)
    start = time.perf_counter()
    if wait is None:
        for _ in repeat:
            call()
    else:
        for _ in repeat:
            wait(call())
    return time.perf_counter() - start


def first_call(library: Library, call: Callable[[], Any], path: str) -> float:
    """Seconds of the first call; its results are saved."""
    start = time.perf_counter()
    result = call()
    if library.wait is not None:
        library.wait(result)
    seconds = time.perf_counter() - start
    np.savez(path, *arrays_of(library, result))
    return seconds


def main(name: str, side: str, backend: str, path: str) -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer
    used, row = library(side, backend), ROWS[name]
    used.start()
    data = row.data(np.random.default_rng(0))
    work = used.build(row, data)
    call, reset = work if isinstance(work, Training) else (work, lambda: None)
    forget_peak()
    before = memory_now()
    first = first_call(used, call, path)
    reset()
    seconds = [timed(call, used.wait, 1) for _ in range(2)]
    answer = {"first": first, "seconds": min(seconds), "version": used.version}
    print(json.dumps(answer), file=answers)
    for line in sys.stdin:
        reset()
        seconds = timed(call, used.wait, int(line))
        print(json.dumps({"seconds": seconds, "memory": memory_peak() - before}), file=answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
