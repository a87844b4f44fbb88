"""How much memory this process holds, and the most that it has held since a moment."""

from __future__ import annotations

import sys
from pathlib import Path

if sys.platform != "win32":
    import resource

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def forget_peak() -> None:
    """Start the search for the peak anew, where the system can (Linux)."""
    if CLEAR.exists():
        CLEAR.write_text("5")


def memory_now() -> float:
    """Megabytes held in memory."""
    return _megabytes("VmRSS")


def memory_peak() -> float:
    """The most megabytes held since `forget_peak`, or since the process started."""
    return _megabytes("VmHWM")


def _megabytes(field: str) -> float:
    if STATUS.exists():
        lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
        return int(lines[field].split()[0]) / 1024
    if sys.platform == "win32":
        return float("nan")
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
