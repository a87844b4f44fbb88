"""The tests on a real GPU, in several processes with time limits: `python -m tests.gpu.check [WORD ...]`.

A test that crashes, hangs or loses the device costs only itself: its process is started again for what is left. Every
result is printed and written to a file as it comes, and what was not run is said.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
# In how many processes the tests of each file run; what shows most comes first.
FILES = {
    "tests/gpu/test_on_device.py": 1,
    "tests/gpu/test_precision.py": 1,
    "tests/gpu/test_primitives_compiled.py": 1,
    "tests/gpu/test_attention.py": 1,
    "tests/gpu/test_table_on_device.py": 12,
    "tests/gpu/test_models.py": 6,
}
FINE = (0, 5)  # exit codes of pytest: all passed, nothing chosen
TESTS_FAILED = 1
HARMLESS = ("passed", "skipped")
RESULTS = threading.Lock()  # held by who reads or changes those of any job
CRASH = "Fatal Python error"  # with which Python begins to say where it was
STARTING = 90.0  # seconds until the first sign of life
SHOWN = 12  # lines of a failure


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.gpu.check", description="The GPU tests.")
    add = parser.add_argument
    add("words", nargs="*", metavar="WORD", help="only jobs with one of these in their names (all)")
    add("--together", type=int, default=8, help="processes at a time (8)")
    add("--seconds", type=float, default=300.0, help="for one process (300)")
    add("--quiet", type=float, default=100.0, help="seconds after which one test hangs (100)")
    add("--minutes", type=float, default=8.0, help="for everything (8)")
    add("--json", type=Path, default=Path("gpu-tests.json"), help="write all results there")
    add("--marks", default="gpu", help="which tests (gpu); 'not gpu' tries this program out")
    return parser.parse_args(arguments)


class Job:
    """Tests that run in one process: a part of a file.

    Attributes:
        results: by test: outcome, seconds, text.
        troubles: what happened to its processes.
        row: of the table, if one was begun last.
    """

    def __init__(self, file: str, part: int, parts: int) -> None:
        self.file = file
        self.part = f"{part}/{parts}"
        self.name = Path(file).stem + (f" {part + 1}/{parts}" if parts > 1 else "")
        self.results: dict[str, dict[str, Any]] = {}
        self.troubles: list[str] = []
        self.row = ""

    def run(self, options: argparse.Namespace, end: float) -> None:
        """All tests, in another process after each crash."""
        last = time.monotonic() + options.seconds
        while True:
            seconds = min(end, last) - time.monotonic()
            if seconds <= 0:
                self.troubles.append("out of time: not all tests were run")
                return
            with tempfile.TemporaryDirectory() as directory:
                progress = Path(directory) / "progress"
                code, output = self.process(options, progress, seconds)
                with RESULTS:
                    begun = self.read(progress)
            if code in (*FINE, TESTS_FAILED):
                return
            reason = "it hung" if code is None else f"exit code {code}"
            reason += f" in row {self.row}" if self.row else ""
            crashed = {"outcome": "crashed", "seconds": 0.0, "text": f"{reason}: {said(output)}"}
            with RESULTS:
                for test in begun:
                    self.results.setdefault(test, crashed)
            if not begun:
                self.troubles.append(f"{reason}: {output[-600:]}")
                return

    def process(
        self, options: argparse.Namespace, progress: Path, seconds: float
    ) -> tuple[int | None, str]:
        """The exit code of pytest (None if it had to be ended), and what it has said."""
        done = progress.with_name("done")
        done.write_text(json.dumps(list(self.results)))
        command = [sys.executable, "-m", "pytest", "-q", self.file]
        command += ["-m", options.marks, "-p", "tests.gpu.progress", "-p", "no:cacheprovider"]
        variables = {**os.environ, "FUNCGRAD_GPU_PART": self.part}
        variables |= {"FUNCGRAD_GPU_PROGRESS": str(progress), "FUNCGRAD_GPU_DONE": str(done)}
        variables["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # whatever else that Python has
        with tempfile.TemporaryFile("w+") as output:
            started = subprocess.Popen(
                command,
                cwd=ROOT,
                env=variables,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
            RUNNING.add(started.pid)
            try:
                code = waited(started, progress, seconds, options.quiet)
            finally:
                kill(started.pid)
                started.wait()
            output.seek(0)
            return code, output.read()

    def read(self, progress: Path) -> list[str]:
        """Take over the results of a process; the tests that it has begun."""
        begun = []
        for line in progress.read_text().splitlines() if progress.exists() else ():
            found = json.loads(line)
            self.row = found.get("row", "")
            if "row" in found:
                continue
            test, outcome = found.pop("test"), found["outcome"]
            if outcome == "begun":
                begun.append(test)
            elif test not in self.results or self.results[test]["outcome"] in HARMLESS:
                self.results[test] = found
        return begun

    def lines(self) -> Iterator[str]:
        """What is printed about it."""
        counts = Counter(found["outcome"] for found in self.results.values())
        seconds = sum(found["seconds"] for found in self.results.values())
        said = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
        yield f"{self.name:32} {said or 'nothing'} ({seconds:.0f} s)"
        for test, found in self.results.items():
            if found["outcome"] not in HARMLESS:
                yield f"  {found['outcome'].upper()} {test}"
                yield from (f"    {line}" for line in found["text"].splitlines()[-SHOWN:])
        yield from (f"  TROUBLE {text}" for text in self.troubles)


RUNNING: set[int] = set()  # groups of processes


def kill(group: int) -> None:
    """End a process with all that it has started."""
    RUNNING.discard(group)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def ended_from_outside(*_: object) -> None:
    for group in list(RUNNING):
        kill(group)
    print("ended from outside: what was running has no results", flush=True)
    os._exit(1)


def said(output: str) -> str:
    """Where Python says that it has crashed, or else the end of an output."""
    place = output.find(CRASH)
    return output[place:][:1500] if place >= 0 else output[-1500:]


def waited(process: subprocess.Popen, progress: Path, seconds: float, quiet: float) -> int | None:
    """The exit code of a process; None if it takes longer than allowed, or notes nothing for too long."""
    start = last = time.monotonic()
    size = 0
    while time.monotonic() < min(start + seconds, last + (quiet if size else max(quiet, STARTING))):
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(0.2)
        now = progress.stat().st_size if progress.exists() else 0
        if now != size:
            size, last = now, time.monotonic()
    return None


def all_jobs() -> list[Job]:
    return [Job(file, part, parts) for file, parts in FILES.items() for part in range(parts)]


def write(jobs: Sequence[Job], path: Path) -> None:
    """What is known so far."""
    with RESULTS:
        known = {job.name: {"tests": job.results, "troubles": job.troubles} for job in jobs}
        path.write_text(json.dumps(known, indent=1))


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    words = options.words or [""]
    jobs = [job for job in all_jobs() if any(word in job.name for word in words)]
    end = time.monotonic() + 60 * options.minutes

    def work(job: Job) -> None:
        job.run(options, end)
        write(jobs, options.json)
        print("\n".join(job.lines()), flush=True)

    with ThreadPoolExecutor(options.together) as pool:
        list(pool.map(work, jobs))
    counts = Counter(found["outcome"] for job in jobs for found in job.results.values())
    print("all:", ", ".join(f"{count} {outcome}" for outcome, count in counts.items()) or "nothing")
    is_bad = counts["failed"] or counts["crashed"] or any(job.troubles for job in jobs)
    return int(bool(is_bad) or not counts["passed"])


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, ended_from_outside)
    raise SystemExit(main())
