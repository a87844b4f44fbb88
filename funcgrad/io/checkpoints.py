"""Checkpoints of a training run: a directory for each, made at once, with the newest and the best kept."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from funcgrad.errors import CheckpointError
from funcgrad.io.atomic import write_atomically
from funcgrad.io.directories import Lock, new_directory, remove, sweep_directories
from funcgrad.io.loading import load
from funcgrad.io.manifest import ARRAYS, read_manifest, verify, write_manifest
from funcgrad.io.saving import save

STEP = re.compile(r"step_(\d{8,})")
COMMITTED = "commit_success"


class CheckpointManager:
    """Saves and restores the whole state of a training run.

    A run that was stopped at any moment, also by `kill -9`, resumes from its last whole checkpoint with the
    same bits, if the tree holds all that later steps depend on: model, optimizer state, random key, number of
    the step, and position in the data (`train.Minibatches.state`).

    Args:
        directory: where the checkpoints are; it is made if it does not exist.
        keep: how many of the newest are kept, None for all.
        keep_best: how many of the best by `metric` are kept besides.
        metric: name of the metric that decides.
        mode: whether less ("min") or more ("max") is better.

    Example:
        >>> import tempfile
        >>> manager = CheckpointManager(tempfile.mkdtemp(), keep=2, keep_best=1, metric="loss")
        >>> for step, loss in ((1, 0.5), (2, 0.1), (3, 0.4), (4, 0.3)):
        ...     path = manager.save(step, {"w": np.full(2, step)}, metrics={"loss": loss})
        >>> manager.steps(), manager.latest(), manager.best()
        ([2, 3, 4], 4, 2)
        >>> manager.restore({"w": np.zeros(2, int)})
        {'w': array([4, 4])}
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        keep: int | None = 3,
        keep_best: int = 0,
        metric: str | None = None,
        mode: str = "min",
    ) -> None:
        if keep is not None and keep < 1:
            raise ValueError(
                f"[CheckpointManager] keep must be at least 1, or None, but got {keep}."
            )
        if mode not in ("min", "max"):
            raise ValueError(f"[CheckpointManager] mode must be 'min' or 'max', but got {mode!r}.")
        if keep_best and metric is None:
            raise ValueError("[CheckpointManager] keep_best needs the name of a metric.")
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.keep, self.keep_best = keep, keep_best
        self.metric, self.mode = metric, mode
        self._lock: Lock | None = None

    def __repr__(self) -> str:
        return f"CheckpointManager({str(self.directory)!r}, steps={self.steps()})"

    # --- writing ---

    def save(
        self,
        step: int,
        pytree: Any,
        *,
        metrics: Mapping[str, Any] | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> Path:
        """Save a checkpoint, and remove those that are no longer kept.

        Args:
            step: its number. A checkpoint of the same number is replaced.
            pytree: arrays and numbers, as for `funcgrad.save`.
            metrics: name -> number, for `best`.
            meta: what else to remember, as JSON holds it.

        Returns:
            The directory of the checkpoint.

        Raises:
            BlockingIOError: another process writes to this directory.
        """
        if not isinstance(step, int | np.integer) or step < 0:
            raise TypeError(f"[CheckpointManager] step must be an int from 0 on, but got {step!r}.")
        if self._lock is None:
            self._lock = Lock(self.directory)
        sweep_directories(self.directory)
        self._remove_halves()
        numbers = {name: float(value) for name, value in (metrics or {}).items()}
        if self.keep_best and self.metric not in numbers:
            raise ValueError(
                f"[CheckpointManager] metrics must have {self.metric!r}, which decides what is best, but has "
                f"{sorted(numbers)}."
            )
        with new_directory(self.directory, f"step_{int(step):08d}") as place:
            save(place / ARRAYS, pytree)
            write_manifest(place, int(step), numbers, meta or {})
        path = self._path(step)
        # For file systems on which a rename is not atomic.
        write_atomically(path / COMMITTED, b"")
        self._prune()
        return path

    def close(self) -> None:
        """Let other managers write to the directory."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> CheckpointManager:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _prune(self) -> None:
        steps = self.steps()
        newest = steps if self.keep is None else steps[-self.keep :]
        kept = {*newest, *self._ranked()[: self.keep_best]}
        for step in set(steps) - kept:
            remove(self._path(step))

    def _remove_halves(self) -> None:
        """Checkpoints that were never committed: with the lock in our hands nobody is at work on them."""
        for entry in self.directory.iterdir():
            is_checkpoint = STEP.fullmatch(entry.name) and entry.is_dir() and not entry.is_symlink()
            if is_checkpoint and not (entry / COMMITTED).is_file():
                remove(entry)

    # --- reading ---

    def steps(self) -> list[int]:
        """The numbers of all whole checkpoints, in order."""
        found = []
        for entry in self.directory.iterdir():
            match = STEP.fullmatch(entry.name)
            if match and not entry.is_symlink() and (entry / COMMITTED).is_file():
                found.append(int(match[1]))
        return sorted(found)

    def latest(self) -> int | None:
        """The number of the newest checkpoint, None if there is none."""
        return max(self.steps(), default=None)

    def best(self) -> int | None:
        """The number of the checkpoint with the best metric, None if none has it."""
        return next(iter(self._ranked()), None)

    def manifest(self, step: int | None = None) -> dict[str, Any]:
        """What a checkpoint says about itself: step, metrics, meta, arrays, versions.

        Args:
            step: its number, the newest by default.
        """
        return read_manifest(self._existing(step))

    def restore(self, like: Any = ..., step: int | None = None, **options: Any) -> Any:
        """Load a checkpoint, after a check of its size and checksum.

        Args:
            like: a tree of the same structure, as for `funcgrad.load`; without it nested dicts are returned.
            step: its number, the newest by default; `manager.best()` for the best.
            **options: `strict` and `cast` of `funcgrad.load`.

        Raises:
            FileNotFoundError: there is no such checkpoint.
            CheckpointError: it is damaged or does not fit; names the steps that are left.
        """
        path = self._existing(step)
        try:
            verify(path, read_manifest(path))
        except CheckpointError as error:
            others = [one for one in self.steps() if self._path(one) != path]
            raise CheckpointError(f"{error} Other checkpoints: {others or 'none'}.") from None
        if like is ...:
            return load(path / ARRAYS, **options)
        return load(path / ARRAYS, like, **options)

    def _ranked(self) -> list[int]:
        """Steps with the metric, best first; of equal ones the newer."""
        found = []
        for step in self.steps() if self.metric else []:
            value = read_manifest(self._path(step))["metrics"].get(self.metric)
            if value is not None and value == value:
                found.append((value if self.mode == "min" else -value, -step))
        return [-negative for _, negative in sorted(found)]

    def _path(self, step: int) -> Path:
        return self.directory / f"step_{int(step):08d}"

    def _existing(self, step: int | None) -> Path:
        steps = self.steps()
        chosen = self.latest() if step is None else step
        if chosen is None or chosen not in steps:
            what = "no checkpoint" if step is None else f"no checkpoint of step {step}"
            raise FileNotFoundError(
                f"[CheckpointManager] {what} in {self.directory}; there are {steps or 'none'}."
            )
        return self._path(chosen)
