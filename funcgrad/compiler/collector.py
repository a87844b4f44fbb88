"""Python's garbage collector, kept from running where it would cost or disturb."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Meanwhile nobody looks for garbage: compiling makes many objects that live on, and it takes 15 ms to see that."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
