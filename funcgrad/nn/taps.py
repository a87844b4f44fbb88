"""Which tapped models run in this thread; see `tapping.py`. Apart, so that layers can ask."""

from __future__ import annotations

import threading
from typing import Any


class Taps(threading.local):
    """The running taps of this thread, innermost last."""

    def __init__(self) -> None:
        self.stack: list[Any] = []


TAPS = Taps()
