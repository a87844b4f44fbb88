"""How busy other programs kept the machine while something was measured, and measuring again when they did."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

STAT = Path("/proc/stat")
TICK = 0.01  # the unit of /proc/stat
IDLE = (3, 4)  # its columns that are no work; stolen time is work of others
GUEST = 8  # from here on its columns count again what others contain

# The machine is calm while other programs use less than this share of one core. A tick on each core is the error
# of the counters.
CALM = 0.15
WINDOW = 0.05  # seconds to look at; the threads of a BLAS go on spinning for about half of this

T = TypeVar("T")


def machine_time() -> float:
    """Seconds of work that all cores have done; 0 where the system does not say."""
    if not STAT.exists():
        return 0.0
    with STAT.open() as file:
        columns = [int(x) for x in file.readline().split()[1:]]
    return TICK * sum(x for i, x in enumerate(columns[:GUEST]) if i not in IDLE)


class Patience:
    """Waits for a calm machine, but not for ever: on one that never is, disturbed measurements have to do.

    Args:
        seconds: to spend on waiting and on repeating.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def wait(self) -> None:
        """Until the machine has been calm for a moment."""
        while True:
            _, others = watched(lambda: (time.sleep(WINDOW), 0.0))
            if others <= CALM or self.seconds <= 0:
                return
            self.seconds -= WINDOW

    def calmest(self, measure: Callable[[], tuple[T, float]]) -> tuple[T, bool]:
        """The result of the least disturbed attempt, and whether that one was calm.

        Args:
            measure: returns a result, and the processor time that went into it.
        """
        self.wait()
        best, least = watched(measure)
        while least > CALM and self.seconds > 0:
            start = time.perf_counter()
            self.wait()
            result, others = watched(measure)
            if others < least:
                best, least = result, others
            self.seconds -= time.perf_counter() - start
        return best, least <= CALM


def watched(measure: Callable[[], tuple[T, float]]) -> tuple[T, float]:
    """The result, and how many cores other programs used meanwhile."""
    begin, work = time.perf_counter(), machine_time()
    result, own = measure()
    others = machine_time() - work - own - 2 * TICK
    return result, others / (time.perf_counter() - begin)
