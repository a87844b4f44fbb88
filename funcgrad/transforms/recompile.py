"""Why a jitted function was traced again, in words; and a warning where that happens for no good reason."""

from __future__ import annotations

import inspect
import os
import warnings
from typing import Any
from weakref import WeakKeyDictionary

MANY = 5
_traced: WeakKeyDictionary[Any, int] = WeakKeyDictionary()


class RecompilationWarning(UserWarning):
    """The same source function is compiled again and again because each call makes a new function object."""


def count_trace(fun: Any, name: str) -> None:
    """Warn once when many function objects of the same source line are compiled."""
    code = getattr(inspect.unwrap(fun), "__code__", None)
    if code is None:
        return
    _traced[code] = _traced.get(code, 0) + 1
    if _traced[code] == MANY + 1:
        warnings.warn(
            f"[jit] {name} ({os.path.basename(code.co_filename)}:{code.co_firstlineno}) was compiled "
            f"{MANY + 1} times, each time as a new function object. Define the function and call jit once, "
            "outside the loop.",
            RecompilationWarning,
            stacklevel=6,
        )


def explain_difference(name: str, known: list[tuple], new: tuple, stale: Any) -> str:
    """One line: what differs between a call and the most similar signature known."""
    if stale is not None:
        changed = [repr(guard.name) for guard in stale.guards if not guard.holds()]
        what = (
            f"the outside value {changed[0]}"
            if changed
            else "the shape or dtype of a captured array"
        )
        return f"[jit] {name} is traced again: {what} has changed."
    comparable = [key for key in known if len(key) == len(new)]
    if not comparable:
        return f"[jit] {name} is traced again: the number of arguments or their tree structure differs."
    closest = min(comparable, key=lambda key: sum(a != b for a, b in zip(key, new, strict=True)))
    changes = [f"{a} -> {b}" for a, b in zip(closest, new, strict=True) if a != b]
    return f"[jit] {name} is traced again: {'; '.join(changes)}."
