"""Worker processes as the runner sees them: started in a clean environment, asked, stopped."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
# Variables of these names choose kernels (some shells pin slower ones than the machine has), numbers of threads,
# precisions and caches. No side gets any: each runs as it is installed, on all cores.
PINS = ("OPENBLAS_", "MKL_", "OMP_", "GOMP_", "KMP_", "NPY_", "FUNCGRAD_", "JAX_", "XLA_", "TORCH")
# Set, it would make every process compile our Python files anew; those of installed packages are compiled.
PINS += ("PYTHONDONTWRITEBYTECODE",)
INSTALLED_HERE = ("funcgrad", "numpy")


@dataclass(frozen=True)
class Settings:
    """How to run.

    Attributes:
        peers_python: the Python that has the peers.
        backend: whose arrays funcgrad gets.
        seconds: to measure each side of a row.
        limit: seconds that a first call may take.
        patience: seconds to wait for a calm machine, for each second of measuring.
    """

    peers_python: str = sys.executable
    backend: str = "numpy"
    seconds: float = 1.0
    limit: float = 300.0
    patience: float = 3.0

    def python(self, side: str) -> str:
        return sys.executable if side in INSTALLED_HERE else self.peers_python


def environment(caches: Path, keeps_jax_cache: bool = False) -> dict[str, str]:
    """The variables of a worker, with every cache of compiled code in one directory."""
    variables = {k: value for k, value in os.environ.items() if not k.startswith(PINS)}
    variables["XDG_CACHE_HOME"] = str(caches)
    variables["FUNCGRAD_CACHE_DIR"] = str(caches / "funcgrad")
    variables["TORCHINDUCTOR_CACHE_DIR"] = str(caches / "torch")
    variables["TRITON_CACHE_DIR"] = str(caches / "triton")
    if keeps_jax_cache:  # JAX has none unless it is told where
        variables["JAX_COMPILATION_CACHE_DIR"] = str(caches / "jax")
        variables["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        variables["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
    return variables


def run_python(
    python: str, arguments: list[str], seconds: float | None = None
) -> subprocess.CompletedProcess[str]:
    """A short program in the environment of a worker, with empty caches, and with a time limit if one is given."""
    with tempfile.TemporaryDirectory() as directory:
        return subprocess.run(
            [python, *arguments],
            cwd=ROOT,
            env=environment(Path(directory)),
            capture_output=True,
            text=True,
            timeout=seconds,
        )


class Failed(Exception):
    """A side that could not do a row's work."""


class Worker:
    """A process that does one row's work for one side, again and again."""

    module = "benchmarks.worker"

    def __init__(
        self,
        row: str,
        side: str,
        settings: Settings,
        caches: Path,
        keeps_jax_cache: bool = False,
    ) -> None:
        self.side, self.limit = side, settings.limit
        self.directory = tempfile.TemporaryDirectory(prefix="funcgrad-benchmark-")
        self.result = Path(self.directory.name) / "result.npz"
        self.errors = (Path(self.directory.name) / "errors.txt").open("w+")
        self.process = subprocess.Popen(
            [settings.python(side), "-m", self.module, row, side, settings.backend]
            + [str(self.result)],
            cwd=ROOT,
            env=environment(caches, keeps_jax_cache),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )
        self.ready: dict[str, Any] = {}

    def answer(self) -> dict[str, Any]:
        line = self.process.stdout.readline()  # type: ignore[union-attr]
        if line:
            return json.loads(line)
        self.process.wait()
        self.errors.seek(0)
        lines = [text for text in self.errors.read().splitlines() if text.strip()]
        reason = lines[-1] if lines else f"exit code {self.process.returncode}"
        raise Failed(reason[:300])

    def wait_until_ready(self) -> None:
        """Until the first calls are done: `ready` then has their times."""
        timer = threading.Timer(self.limit, self.process.kill)
        timer.start()
        try:
            self.ready = self.answer()
        except Failed as error:
            if timer.finished.is_set():
                raise Failed(f"the first call took more than {self.limit:g} s") from error
            raise
        finally:
            timer.cancel()

    def results(self) -> list[np.ndarray]:
        with np.load(self.result) as saved:
            return [saved[f"arr_{i}"] for i in range(len(saved.files))]

    def measure(self, seconds: float) -> dict[str, float]:
        """One slice: what `worker.measure_slice` found."""
        with contextlib.suppress(BrokenPipeError):  # then it has died, and `answer` says of what
            self.process.stdin.write(f"{seconds}\n")  # type: ignore[union-attr]
            self.process.stdin.flush()  # type: ignore[union-attr]
        return self.answer()

    def stop(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()  # type: ignore[union-attr]
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()  # type: ignore[union-attr]
        self.errors.close()
        self.directory.cleanup()
