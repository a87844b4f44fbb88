"""Worker processes as the runner sees them: started in a clean environment, asked, stopped."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
# Some shells pin these; they choose slower BLAS kernels than the machine has.
PINS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
INSTALLED_HERE = ("funcgrad", "numpy")


@dataclass(frozen=True)
class Settings:
    """How to run: which Python has the peers, which arrays, how long to measure each side."""

    peers_python: str = sys.executable
    backend: str = "numpy"
    seconds: float = 1.0

    def python(self, side: str) -> str:
        return sys.executable if side in INSTALLED_HERE else self.peers_python


def environment(caches: Path, keeps_jax_cache: bool = False) -> dict[str, str]:
    """The variables of a worker, with every cache of compiled code in one directory."""
    variables = {name: value for name, value in os.environ.items() if name not in PINS}
    variables["XDG_CACHE_HOME"] = str(caches)
    variables["TORCHINDUCTOR_CACHE_DIR"] = str(caches / "torch")
    variables["TRITON_CACHE_DIR"] = str(caches / "triton")
    if keeps_jax_cache:  # JAX has none unless it is told where
        variables["JAX_COMPILATION_CACHE_DIR"] = str(caches / "jax")
        variables["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        variables["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
    return variables


def run_python(python: str, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """A short program in the environment of a worker, with empty caches."""
    with tempfile.TemporaryDirectory() as directory:
        return subprocess.run(
            [python, *arguments],
            cwd=ROOT,
            env=environment(Path(directory)),
            capture_output=True,
            text=True,
        )


class Failed(Exception):
    """A side that could not do a row's work."""


class Worker:
    """A process that does one row's work for one side, again and again."""

    def __init__(
        self,
        row: str,
        side: str,
        settings: Settings,
        caches: Path,
        keeps_jax_cache: bool = False,
    ) -> None:
        self.side = side
        self.directory = tempfile.TemporaryDirectory(prefix="funcgrad-benchmark-")
        self.result = Path(self.directory.name) / "result.npz"
        self.errors = (Path(self.directory.name) / "errors.txt").open("w+")
        self.process = subprocess.Popen(
            [settings.python(side), "-m", "benchmarks.worker", row, side, settings.backend]
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
        self.ready = self.answer()

    def results(self) -> list[np.ndarray]:
        with np.load(self.result) as saved:
            return [saved[f"arr_{i}"] for i in range(len(saved.files))]

    def measure(self, calls: int) -> dict[str, Any]:
        """Seconds per call over some calls, and the peak memory until then."""
        with contextlib.suppress(BrokenPipeError):  # then it has died, and `answer` says of what
            self.process.stdin.write(f"{calls}\n")  # type: ignore[union-attr]
            self.process.stdin.flush()  # type: ignore[union-attr]
        answer = self.answer()
        return {"seconds": answer["seconds"] / calls, "memory": answer["memory"]}

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
