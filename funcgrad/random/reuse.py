"""The check for keys that are used twice, switched on by the flag `debug_key_reuse`.

Two draws with the same key are not independent, they are equal or strongly correlated. The check compares the
words of keys, so a copy of a key and an equal seed count as the same key. Traced keys are not checked. What is
remembered is forgotten when the flag changes: two `with` blocks know nothing of each other.
"""

from __future__ import annotations

import threading
import warnings
from typing import Any

from funcgrad.config import config, when_changed
from funcgrad.errors import KeyReuseWarning, compose
from funcgrad.ir import source
from funcgrad.ir.tracer import Tracer

REMEMBERED = 1 << 16


class UsedKeys(threading.local):
    """Where each key of this thread was used first, oldest first."""

    def __init__(self) -> None:
        self.places: dict[bytes, str] = {}


USED = UsedKeys()


def note_use(key: Any, function: str) -> None:
    """Remember that a sampling function used a key, and warn if one did before."""
    if not config.debug_key_reuse or isinstance(key, Tracer):
        return
    words = key.tobytes()
    here = f"{function} at {source.where()}"
    if words in USED.places:
        message = compose(
            f"The random key {key.tolist()} is used twice.",
            where=f"first in {USED.places[words]}\nnow in {here}",
            why="Draws with the same key are not independent of each other.",
            fix="key, subkey = funcgrad.random.split(key)    # one subkey for each use",
            page="key-reuse",
        )
        warnings.warn(message, KeyReuseWarning, stacklevel=4)
        return
    if len(USED.places) >= REMEMBERED:
        USED.places.pop(next(iter(USED.places)))
    USED.places[words] = here


def forget_used_keys() -> None:
    """Start the check anew in this thread."""
    USED.places.clear()


when_changed("debug_key_reuse", forget_used_keys)
