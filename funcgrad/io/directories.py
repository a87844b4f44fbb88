"""Directories that appear as a whole: made under another name, renamed, and swept when left behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from funcgrad.io.atomic import STALE_SECONDS, sync_directory

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

TEMPORARY, OLD, LOCK = ".tmp-", ".old-", ".lock"


@contextlib.contextmanager
def new_directory(parent: Path, name: str) -> Iterator[Path]:
    """A directory to be filled, which takes its name when the block ends, and vanishes where it fails."""
    temporary = parent / f"{TEMPORARY}{name}-{os.urandom(6).hex()}"
    temporary.mkdir()
    try:
        yield temporary
        sync_directory(temporary)
        if (parent / name).exists():
            remove(parent / name)
        os.rename(temporary, parent / name)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_directory(parent)


def remove(directory: Path) -> None:
    """Delete a directory: first its name, so that no reader finds half of it."""
    old = directory.with_name(f"{OLD}{directory.name}-{os.urandom(6).hex()}")
    os.rename(directory, old)
    shutil.rmtree(old, ignore_errors=True)


def sweep_directories(parent: Path) -> None:
    """Remove what killed processes have left: half deleted directories, and half made ones after an hour."""
    oldest = time.time() - STALE_SECONDS
    for leftover in parent.iterdir():
        if leftover.is_symlink() or not leftover.is_dir():
            continue
        is_stale = leftover.name.startswith(TEMPORARY) and leftover.stat().st_mtime < oldest
        if is_stale or leftover.name.startswith(OLD):
            shutil.rmtree(leftover, ignore_errors=True)


class Lock:
    """The right to write to a directory: of one process, and one manager in it, at a time.

    Raises:
        BlockingIOError: another one has it.
    """

    def __init__(self, directory: Path) -> None:
        self.descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        if fcntl is None:
            return
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.release()
            raise BlockingIOError(
                f"[CheckpointManager] another process, or another manager of this one, writes to {directory}. "
                "Give each run a directory of its own, or close() the other manager first."
            ) from None

    def release(self) -> None:
        """Let others write. The operating system does so when the process ends."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def __del__(self) -> None:
        self.release()
