"""The table on a GPU: `python -m benchmarks.gpu [ROW ...] [--json FILE]`; `make gpu-check` runs it after the tests.

Rows are W1 to W12 of the CPU's table, and kernels: K1 elementwise, K2 layer norm, K3 cross entropy, K4a to K4c a
block of GPT-2 small in float32, TF32 and bfloat16. Sides are funcgrad on CuPy arrays, JAX, PyTorch eager, PyTorch
compiled with mode="reduce-overhead", and PyTorch eager captured in a CUDA graph by hand. All compute in the same
precision: float32 products are exact unless the row says otherwise.

Every side of a row is a process of its own with a time limit; one that fails becomes a line below the table. Each is
first compared with a float64 reference. Then the sides take turns. A time is that of one call in a group of calls
that the GPU gets at once: the time of a step in a training loop. "limit" is the time that the work would take at the
speed of a copy, or of the library's largest products, measured in the same run.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.gpu.limits import measured_limits
from benchmarks.gpu.report import report_text
from benchmarks.gpu.rows import ROWS, Kernel, row_named
from benchmarks.gpu.sides import SIDES, sides_of
from benchmarks.gpu.worker import reference
from benchmarks.process import Failed, Settings, Worker
from benchmarks.row import check
from benchmarks.rows import whole

ROUNDS = 5
SLACK = 10.0  # GPUs add in other orders than the reference: so many times the tolerance of the CPU


class GpuWorker(Worker):
    module = "benchmarks.gpu.worker"


@dataclass
class Side:
    """What was found for one side of one row.

    Attributes:
        times: seconds of a call, of each slice.
        host: seconds until a call returned, of each slice.
        first: seconds of the first call, which compiles.
        memory: megabytes of the GPU that the library holds.
        trouble: why there are no times.
    """

    times: list[float] = field(default_factory=list)
    host: list[float] = field(default_factory=list)
    first: float = float("nan")
    memory: float = float("nan")
    version: str = ""
    trouble: str = ""

    @property
    def time(self) -> float:
        return min(self.times, default=float("nan"))


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description="The GPU table.")
    add = parser.add_argument
    add("rows", nargs="*", metavar="ROW", help="W1 ... W12, K1 ... K4c (all)")
    add("--sides", nargs="+", choices=list(SIDES), default=list(SIDES), help="(all)")
    add("--seconds", type=float, default=0.3, help="to measure each side of a row (0.3)")
    add("--limit", type=float, default=150.0, help="seconds until a side must be ready (150)")
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
        self.workers: dict[str, Worker] = {}
        for side, found in self.found.items():
            if not found.trouble:
                caches = Path(self.directory.name) / side
                self.workers[side] = GpuWorker(name, side, settings, caches)

    def give_up(self, side: str, reason: object) -> None:
        self.found[side] = Side(trouble=str(reason))
        self.workers.pop(side).stop()

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
                found.memory = answer["memory"]

    def stop(self) -> None:
        for worker in self.workers.values():
            worker.stop()
        self.directory.cleanup()


def measure_rows(names: Sequence[str], options: argparse.Namespace) -> dict[str, dict[str, Side]]:
    settings = Settings(
        options.peers_python, options.backend, options.seconds, options.limit, patience=0.0
    )
    found = {}
    for batch in batches(names, options.together):
        started = [Started(name, options.sides, settings) for name in batch]
        try:
            for row in started:
                row.wait()
            for row in started:
                print(f"{row.name} ...", end=" ", file=sys.stderr, flush=True)
                row.measure(options.seconds)
                found[row.name] = row.found
        finally:
            for row in started:
                row.stop()
    print(file=sys.stderr)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    names = [name + "@tiny" * options.tiny for name in chosen(options.rows)]
    limits = measured_limits(options.backend)
    found = measure_rows(names, options)
    text = report_text(found, limits, options.sides)
    print(text)
    if options.results:
        options.results.write_text("# Benchmark results on a GPU\n\n" + text)
    if options.json:
        numbers = {
            name: {s: asdict(side) for s, side in sides.items()} for name, sides in found.items()
        }
        options.json.write_text(json.dumps({"limits": limits, "rows": numbers}, indent=1))


if __name__ == "__main__":
    main()
