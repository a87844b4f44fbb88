"""What this process may use: CPUs and memory, as the machine, the affinity and control groups allow."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def available_cpus(groups: Path = GROUPS, membership: Path = MEMBERSHIP) -> int:
    """How many CPUs this process may use: at least 1, and no more than a control group's quota."""
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    for quota, period in _quotas(groups, membership):
        if quota > 0 and period > 0:
            count = min(
                count, -(-quota // period)
            )  # rounded up: a quota of 1.5 keeps two threads busy
    return max(count, 1)


def available_bytes(groups: Path = GROUPS, membership: Path = MEMBERSHIP) -> int:
    """How much memory this process may use."""
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        total = 4 << 30
    for directory in _directories("memory", groups, membership):
        for name in ("memory.max", "memory.limit_in_bytes"):
            total = min([total, *_numbers(directory / name)])
    return total


def _quotas(groups: Path, membership: Path) -> Iterator[tuple[int, int]]:
    """Microseconds of CPU time in each period, of every control group that has such a limit."""
    for directory in _directories("cpu", groups, membership):
        numbers = _numbers(directory / "cpu.max")
        if not numbers:
            numbers = [
                *_numbers(directory / "cpu.cfs_quota_us"),
                *_numbers(directory / "cpu.cfs_period_us"),
            ]
        if len(numbers) == 2:
            yield numbers[0], numbers[1]


def _directories(controller: str, groups: Path, membership: Path) -> Iterator[Path]:
    """The directories of this process's control group and of those around it. Version 2 has no name per controller."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        base = groups / controllers if controllers else groups
        group = base / path.lstrip("/")
        # In a container the path may be that of the host; its own limits lie at the base.
        yield from (
            group,
            *(parent for parent in group.parents if base in (parent, *parent.parents)),
        )


def _numbers(file: Path) -> list[int]:
    """The numbers in a file, empty if it says "max" or does not exist."""
    try:
        return [int(word) for word in file.read_text().split()]
    except (OSError, ValueError):
        return []
