"""Rows as they are measured: every side ready and checked, then in turns, so that all see the same machine."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.calm import Patience
from benchmarks.process import Failed, Settings, Worker
from benchmarks.row import Row, check, doubled, leaves_of
from benchmarks.rows import row_named

ROUNDS = 9


@dataclass
class Measured:
    """What was found for one side of one row.

    Attributes:
        times: seconds of a typical call, of each slice.
        disturbed: slices during which other programs were busy.
        first: seconds until the first call was done, from nothing compiled.
        first_memory: megabytes at the peak of the first call, above those before the row's function was made.
        memory: the same of later calls.
        version: of the library.
        trouble: why there are no times.
    """

    times: list[float] = field(default_factory=list)
    disturbed: int = 0
    first: float = float("nan")
    first_memory: float = float("nan")
    memory: float = float("nan")
    version: str = ""
    trouble: str = ""

    @property
    def time(self) -> float:
        """The lower quartile of the slices: what a calm machine needs."""
        if len(self.times) < 2:
            return min(self.times, default=float("nan"))
        return statistics.quantiles(self.times, n=4, method="inclusive")[0]

    @property
    def median(self) -> float:
        return statistics.median(self.times) if self.times else float("nan")

    @property
    def compile(self) -> float:
        """Seconds of the first call that were not computing."""
        return max(self.first - min(self.times, default=float("nan")), 0.0)


def reference(row: Row) -> list[np.ndarray]:
    """The results in float64."""
    return leaves_of(row.reference(*doubled(row.data(np.random.default_rng(0)))))


def measure_row(
    name: str, sides: Sequence[str], settings: Settings, report: Callable[[str], None]
) -> dict[str, Measured]:
    """Every side's time, first call and memory; sides that the row does not have are left out."""
    row = row_named(name)
    found = {side: Measured() for side in sides if side in row.sides()}
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
            report(f"{name}: in turns")
            _take_turns(workers, found, settings)
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
    measured.first_memory = worker.ready["memory"]


def _take_turns(workers: dict[str, Worker], found: dict[str, Measured], settings: Settings) -> None:
    patience = Patience(settings.patience * settings.seconds * len(workers))
    seconds = settings.seconds / ROUNDS
    for _ in range(ROUNDS):
        for side in list(workers):
            try:
                _measure_slice(workers[side], found[side], seconds, patience)
            except Failed as error:
                found[side] = Measured(trouble=str(error))
                workers.pop(side).stop()


def _measure_slice(worker: Worker, measured: Measured, seconds: float, patience: Patience) -> None:
    def measure() -> tuple[dict[str, float], float]:
        answer = worker.measure(seconds)
        return answer, answer["cpu"]

    answer, is_calm = patience.calmest(measure)
    measured.times.append(answer["seconds"])
    measured.disturbed += not is_calm
    measured.memory = answer["memory"]
