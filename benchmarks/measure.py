"""Rows as they are measured: every side ready and checked, then in turns, so that all see the same machine."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.process import Failed, Settings, Worker, run_python
from benchmarks.row import Row, check, doubled, leaves_of
from benchmarks.rows import ROWS

ROUNDS = 7
PAUSE = 0.02  # lets the threads of the side before stop spinning


@dataclass
class Measured:
    """What was found for one side of one row.

    Attributes:
        times: seconds per call, of each round.
        first: seconds until the first call was done, from nothing compiled.
        memory: megabytes at the peak, above those before the row's function was made.
        version: of the library.
        trouble: why there are no times.
    """

    times: list[float] = field(default_factory=list)
    first: float = float("nan")
    memory: float = float("nan")
    version: str = ""
    trouble: str = ""

    @property
    def best(self) -> float:
        return min(self.times, default=float("nan"))

    @property
    def compile(self) -> float:
        """Seconds of the first call that were not computing."""
        return max(self.first - self.best, 0.0)


def reference(row: Row) -> list[np.ndarray]:
    """The results in float64."""
    return leaves_of(row.reference(*doubled(row.data(np.random.default_rng(0)))))


def measure_row(
    name: str, sides: Sequence[str], settings: Settings, report: Callable[[str], None]
) -> dict[str, Measured]:
    """Every side's time, first call and memory; sides that the row does not have are left out."""
    row, found = ROWS[name], {side: Measured() for side in sides if side in ROWS[name].sides()}
    if row.not_yet and "funcgrad" in sides:
        found["funcgrad"] = Measured(trouble=row.not_yet)
    expected = reference(row)
    workers: dict[str, Worker] = {}
    with tempfile.TemporaryDirectory() as directory:
        try:
            for side, measured in found.items():
                if measured.trouble:
                    continue
                report(f"{name}: {side} starts")
                workers[side] = Worker(name, side, settings, Path(directory) / side)
                _prepare(row, workers, side, measured, expected)
            _take_turns(workers, found, settings.seconds)
        finally:
            for worker in workers.values():
                worker.stop()
    return found


def _prepare(
    row: Row, workers: dict[str, Worker], side: str, measured: Measured, expected: list[Any]
) -> None:
    """The first calls of a side; one whose results are wrong is not timed."""
    worker = workers[side]
    try:
        worker.wait_until_ready()
        check(row, worker.results(), expected)
    except (Failed, ValueError) as error:
        measured.trouble = str(error)
        workers.pop(side).stop()
        return
    measured.first, measured.version = worker.ready["first"], worker.ready["version"]


def _take_turns(workers: dict[str, Worker], found: dict[str, Measured], seconds: float) -> None:
    budget = seconds / ROUNDS
    calls = {s: max(1, int(budget / max(w.ready["seconds"], 1e-8))) for s, w in workers.items()}
    for _ in range(ROUNDS):
        for side in list(workers):
            time.sleep(PAUSE)
            try:
                answer = workers[side].measure(calls[side])
            except Failed as error:
                found[side] = Measured(trouble=str(error))
                workers.pop(side).stop()
                continue
            found[side].times.append(answer["seconds"])
            found[side].memory = answer["memory"]


def measure_compile(name: str, side: str, settings: Settings) -> dict[str, float]:
    """Milliseconds to compile a row in a fresh process: without a disk cache, and with a filled one."""
    with tempfile.TemporaryDirectory() as directory:
        caches = Path(directory)
        cold = _compile_time(Worker(name, side, settings, caches))
        if side == "jax":  # its disk cache is off by default, so the cold process filled none
            _compile_time(Worker(name, side, settings, caches, keeps_jax_cache=True))
        warm = _compile_time(Worker(name, side, settings, caches, keeps_jax_cache=True))
    return {"cold": cold, "warm": warm}


def _compile_time(worker: Worker) -> float:
    try:
        worker.wait_until_ready()
        return 1e3 * max(worker.ready["first"] - worker.ready["seconds"], 0.0)
    finally:
        worker.stop()


def measure_imports(pythons: dict[str, str], rounds: int) -> dict[str, float]:
    """Milliseconds of importing each module in a fresh process, the best of several, in turns.

    Args:
        pythons: the interpreter that has each module.
        rounds: processes per module.
    """
    best = dict.fromkeys(pythons, float("inf"))
    for _ in range(rounds):
        for module in list(best):
            seconds = _import_time(module, pythons[module])
            if seconds is None:
                best.pop(module)
            else:
                best[module] = min(best[module], 1e3 * seconds)
    return best


def _import_time(module: str, python: str) -> float | None:
    """None where the module cannot be imported."""
    code = (
        "import time; start = time.perf_counter(); "
        f"import {module}; print(time.perf_counter() - start)"
    )
    result = run_python(python, ["-c", code])
    return None if result.returncode else float(result.stdout)
