"""Where compiled code is kept on disk, how much of it, and whether code from there may be run."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

MEGABYTE = 1 << 20
DEFAULT_MEGABYTES = 512
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def default_directory() -> Path | None:
    """Where this user's compiled code is kept: `FUNCGRAD_CACHE_DIR`, else the platform's place for caches."""
    chosen = os.environ.get("FUNCGRAD_CACHE_DIR")
    if chosen:
        return Path(chosen).expanduser().absolute()
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    local = os.environ.get("LOCALAPPDATA", "")
    try:
        if os.path.isabs(xdg):
            return Path(xdg) / "funcgrad"
        if sys.platform == "win32" and local:
            return Path(local) / "funcgrad" / "Cache"
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Caches" / "funcgrad"
        return Path.home() / ".cache" / "funcgrad"
    except RuntimeError:  # there is no home directory
        return None


def default_limit() -> int:
    """How many bytes the directory may hold: `FUNCGRAD_CACHE_MB`, else 512 MB."""
    text = os.environ.get("FUNCGRAD_CACHE_MB", "")
    try:
        limit = int(float(text or DEFAULT_MEGABYTES) * MEGABYTE)
    except (ValueError, OverflowError):
        limit = -1
    if limit < 0:
        raise ValueError(
            f"[cache] FUNCGRAD_CACHE_MB is {text!r}, expected a number of megabytes, such as 512."
        )
    return limit


def is_private(status: os.stat_result) -> bool:
    """Whether only this user can write there. Where files have no owners, the user's profile is the protection."""
    if not hasattr(os, "geteuid"):
        return True
    return status.st_uid == os.geteuid() and not status.st_mode & WRITABLE_BY_OTHERS


def refusal(directory: Path) -> str | None:
    """Why code in this directory must not be run, and what to do about it; None if it may."""
    status = os.stat(directory)
    if is_private(status):
        return None
    if status.st_uid != os.geteuid():
        what = f"{directory} belongs to another user (uid {status.st_uid}, this process has {os.geteuid()})"
        how = "Set FUNCGRAD_CACHE_DIR to a directory of your own"
    else:
        what = f"{directory} is writable by other users (mode {stat.S_IMODE(status.st_mode):04o})"
        how = f"Run `chmod 700 {directory}`, or set FUNCGRAD_CACHE_DIR to another directory"
    return (
        f"[cache] {what}, who could place code there that funcgrad would run. "
        f"Compiled code is not kept on disk. {how}; FUNCGRAD_CACHE=0 turns the cache off."
    )
