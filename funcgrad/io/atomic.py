"""Writing a file so that readers see the old content or the new, never a mixture."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from pathlib import Path

PREFIX = ".funcgrad-"
STALE_SECONDS = 3600.0
# O_EXCL never opens what another process put there, a symbolic link included.
FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
CANNOT_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EACCES)


def write_atomically(path: Path, data: bytes) -> None:
    """Replace the file at `path` by one with this content; on failure the old file stays.

    The content is on the disk when this returns. The mode is that of any new file (0666 & ~umask).
    """
    directory = path.parent
    sweep(directory)
    temporary = directory / f"{PREFIX}{os.urandom(8).hex()}.tmp"
    descriptor = os.open(temporary, FLAGS, 0o666)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync_directory(directory)


def sweep(directory: Path) -> None:
    """Remove temporary files that processes killed more than an hour ago have left."""
    oldest = time.time() - STALE_SECONDS
    for leftover in directory.glob(f"{PREFIX}*.tmp"):
        with contextlib.suppress(OSError):
            found = os.lstat(leftover)
            if stat.S_ISREG(found.st_mode) and found.st_mtime < oldest:
                os.unlink(leftover)


def sync_directory(directory: Path) -> None:
    """Make the new name survive a power loss, where the file system can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in CANNOT_SYNC:
            raise
    finally:
        os.close(descriptor)
