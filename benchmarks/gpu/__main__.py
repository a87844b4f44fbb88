"""The table on a GPU: `python -m benchmarks.gpu [ROW ...] [--json FILE]`; `make gpu-check` runs it after the tests.

Rows are W1 to W12 of the CPU's table, and kernels: K1 elementwise, K2 layer norm, K3 cross entropy, K4a to K4c a
block of GPT-2 small in float32, TF32 and bfloat16. Sides are funcgrad on CuPy arrays, JAX, PyTorch eager, PyTorch
compiled with mode="reduce-overhead", and PyTorch eager captured in a CUDA graph by hand. All compute in the same
precision: float32 products are exact unless the row says otherwise.

Every side of a row is a process of its own with time limits; one that fails becomes a line below the table. Each is
first compared with a float64 reference. Then the sides take turns. Each row is printed and written to the files when
it is done; with --keep the rows of an earlier run stay in them, so that a table can be made in several runs: what is
there already is only measured again where rows are named.

A time is that of one call in a group of calls that the GPU gets at once: the time of a step in a training loop. "limit"
is the time that the work would take at the speed of a copy, or of the library's largest products, measured in the same
run.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.gpu.limits import measured_limits
from benchmarks.gpu.report import report_text
from benchmarks.gpu.rows import ROWS, Kernel, row_named
from benchmarks.gpu.sides import SIDES, sides_of
from benchmarks.gpu.worker import reference
from benchmarks.process import Failed, Settings, Worker
from benchmarks.report import duration
from benchmarks.row import check
from benchmarks.rows import whole

ROUNDS = 5
MEASURE_LIMIT = 20.0  # seconds for a slice, beside ten times its length
SLACK = 10.0  # GPUs add in other orders than the reference: so many times the tolerance of the CPU


class GpuWorker(Worker):
    """A process with a time limit for each answer, since a GPU may never give one."""

    module = "benchmarks.gpu.worker"

    def log(self) -> str:
        """The end of what it has printed, if it has ended."""
        self.process.kill()
        self.process.wait()
        self.errors.seek(0)
        return self.errors.read()[-3000:]

    def measure(self, seconds: float) -> dict[str, float]:
        limit = MEASURE_LIMIT + 10 * seconds
        timer = threading.Timer(limit, self.process.kill)
        timer.start()
        try:
            return super().measure(seconds)
        except Failed as error:
            if timer.finished.is_set():
                raise Failed(f"no answer in {limit:.0f} s") from error
            raise
        finally:
            timer.cancel()


@dataclass
class Side:
    """What was found for one side of one row.

    Attributes:
        times: seconds of a call, of each slice.
        host: seconds until a call returned, of each slice.
        first: seconds of the first call, which compiles.
        memory: megabytes of the GPU that the library holds.
        trouble: why there are no times.
        notes: warnings that it has given.
        log: the end of what it printed before it failed.
    """

    times: list[float] = field(default_factory=list)
    host: list[float] = field(default_factory=list)
    first: float = float("nan")
    memory: float = float("nan")
    version: str = ""
    trouble: str = ""
    notes: list[str] = field(default_factory=list)
    log: str = ""

    @property
    def time(self) -> float:
        return min(self.times, default=float("nan"))


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description="The GPU table.")
    add = parser.add_argument
    add("rows", nargs="*", metavar="ROW", help="W1 ... W12, K1 ... K4c (all)")
    add("--sides", nargs="+", choices=list(SIDES), default=list(SIDES), help="(all)")
    add("--seconds", type=float, default=0.3, help="to measure each side of a row (0.3)")
    add("--limit", type=float, default=120.0, help="seconds until a side must be ready (120)")
    add("--minutes", type=float, default=60.0, help="after which no row is begun (60)")
    add(
        "--keep",
        action="store_true",
        help="keep the rows that are in the JSON file; skip those not named",
    )
    add("--together", type=int, default=3, help="rows whose sides are started at once (3)")
    add("--backend", choices=("cupy", "numpy"), default="cupy", help="numpy tries the program out")
    add("--tiny", action="store_true", help="tiny sizes, to try the program out")
    add("--peers-python", default=sys.executable, metavar="PATH", help="the Python with the peers")
    add("--json", type=Path, metavar="FILE", help="write all numbers there")
    add("--results", type=Path, metavar="FILE", help="write the table there")
    return parser.parse_args(arguments)


def chosen(names: Sequence[str]) -> list[str]:
    for name in names:
        if name not in ROWS and name not in map(whole, ROWS):
            raise SystemExit(f"error: no row {name!r}. Rows are {', '.join(ROWS)}.")
    return [row for row in ROWS if not names or row in names or whole(row) in names]


def batches(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), max(1, size)):
        yield items[start : start + max(1, size)]


class Started:
    """The processes of one row, which all start at once."""

    def __init__(self, name: str, sides: Sequence[str], settings: Settings) -> None:
        self.name, self.row = name, row_named(name)
        self.directory = tempfile.TemporaryDirectory(prefix="funcgrad-gpu-")
        self.found = {side: Side() for side in sides if side in sides_of(self.row)}
        if self.row.not_yet and "funcgrad" in self.found:
            self.found["funcgrad"].trouble = self.row.not_yet
        self.workers: dict[str, GpuWorker] = {}
        for side, found in self.found.items():
            if not found.trouble:
                caches = Path(self.directory.name) / side
                self.workers[side] = GpuWorker(name, side, settings, caches)

    def give_up(self, side: str, reason: object) -> None:
        worker = self.workers.pop(side)
        self.found[side] = Side(trouble=str(reason), log=worker.log())
        worker.stop()

    def wait(self) -> None:
        """Until every side has done its first call and was compared with the reference."""
        expected = None if isinstance(self.row, Kernel) else reference(self.row)
        for side in list(self.workers):
            worker = self.workers[side]
            try:
                worker.wait_until_ready()
                if expected is not None:
                    check(self.row, worker.results(), expected, SLACK)
            except (Failed, ValueError, OSError) as error:
                self.give_up(side, error)
                continue
            self.found[side].first = worker.ready["first"]
            self.found[side].version = worker.ready["version"]

    def measure(self, seconds: float) -> None:
        """In turns."""
        for _ in range(ROUNDS):
            for side in list(self.workers):
                try:
                    answer = self.workers[side].measure(seconds / ROUNDS)
                except Failed as error:
                    self.give_up(side, error)
                    continue
                found = self.found[side]
                found.times.append(answer["seconds"])
                found.host.append(answer["host"])
                found.memory, found.notes = answer["memory"], list(dict.fromkeys(answer["notes"]))

    def stop(self) -> None:
        for worker in self.workers.values():
            worker.stop()
        self.directory.cleanup()


def measure_rows(
    names: Sequence[str], options: argparse.Namespace
) -> Iterator[tuple[str, dict[str, Side]]]:
    """Each row when it is done; sides of rows for which there was no time say so."""
    settings = Settings(
        options.peers_python, options.backend, options.seconds, options.limit, patience=0.0
    )
    end = time.monotonic() + 60 * options.minutes
    for batch in batches(names, options.together):
        if time.monotonic() > end:
            late = Side(trouble=f"not begun within {options.minutes:g} minutes")
            yield from ((name, dict.fromkeys(options.sides, late)) for name in batch)
            continue
        started = [Started(name, options.sides, settings) for name in batch]
        try:
            for row in started:
                row.wait()
            for row in started:
                row.measure(options.seconds)
                yield row.name, row.found
        finally:
            for row in started:
                row.stop()


class Results:
    """What was found so far, also by earlier runs, and the files where it is.

    Attributes:
        limits: of the machine.
        rows: by name.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.limits: dict[str, Any] = {}
        self.rows: dict[str, dict[str, Side]] = {}
        if options.keep and options.json and options.json.exists():
            known = json.loads(options.json.read_text())
            self.limits = known["limits"]
            for name, sides in known["rows"].items():
                self.rows[name] = {side: Side(**fields) for side, fields in sides.items()}

    def measure_limits(self) -> None:
        """Unless they are known."""
        if "copy" not in self.limits:
            self.limits = measured_limits(self.options.backend)
        self.write()

    def has(self, name: str) -> bool:
        """Whether every side of a row was measured."""
        known = self.rows.get(name, {})
        wanted = [side for side in sides_of(row_named(name)) if side in self.options.sides]
        return all(side in known and known[side].times for side in wanted)

    def add(self, name: str, sides: dict[str, Side]) -> None:
        kept = self.rows.get(name, {})
        new = {side: found for side, found in sides.items() if found.times or side not in kept}
        self.rows[name] = {**kept, **new}
        shown = [f"{side} {duration(found.time)}" for side, found in self.rows[name].items()]
        troubles = [f"\n    {s}: {found.trouble}" for s, found in sides.items() if found.trouble]
        print(f"{name}: {', '.join(shown)}{''.join(troubles)}", flush=True)
        self.write()

    def text(self) -> str:
        ordered = {name: self.rows[name] for name in sorted(self.rows, key=place_of)}
        return report_text(ordered, self.limits, self.options.sides)

    def write(self) -> None:
        if self.options.results:
            self.options.results.write_text("# Benchmark results on a GPU\n\n" + self.text())
        if self.options.json:
            numbers = {
                name: {s: asdict(side) for s, side in sides.items()}
                for name, sides in self.rows.items()
            }
            known = {"limits": self.limits, "rows": numbers}
            self.options.json.write_text(json.dumps(known, indent=1))


def place_of(name: str) -> int:
    return list(ROWS).index(name.partition("@")[0])


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    names = [name + "@tiny" * options.tiny for name in chosen(options.rows)]
    results = Results(options)
    try:
        results.measure_limits()
        names = [name for name in names if options.rows or not results.has(name)]
        for name, sides in measure_rows(names, options):
            results.add(name, sides)
    finally:
        print(results.text(), flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))
    main()
