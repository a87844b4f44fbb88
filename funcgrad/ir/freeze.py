"""Write protection for arrays that funcgrad reads again after the user's code has gone on."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from funcgrad import errors
from funcgrad.ir import source

# Views that become writeable when somebody else releases their base.
_waiting: list[weakref.ref] = []


def thaw(array: np.ndarray) -> bool:
    """Make an array writeable, and say whether its base allows that."""
    try:
        array.flags.writeable = True
    except ValueError:
        return False
    return True


def is_mutable(array: np.ndarray) -> bool:
    """Whether a write can change an array: through itself, or through an array it is a view of."""
    base: Any = array
    while type(base) is np.ndarray:
        if base.flags.writeable:
            return True
        base = base.base
    return False


class FrozenArrays:
    """Arrays made read-only for a while, and who needs them."""

    def __init__(self) -> None:
        self.held: list[tuple[np.ndarray, str, source.SourceLocation | None]] = []

    def freeze(self, array: Any, needed_by: str) -> None:
        """Make a writeable ndarray, and the arrays it is a view of, read-only until `release`."""
        where = None
        while type(array) is np.ndarray:
            if array.flags.writeable:
                where = where or source.user_location()
                array.flags.writeable = False
                self.held.append((array, needed_by, where))
            array = array.base

    def release(self) -> None:
        """Give the arrays back their write permission."""
        if not self.held and not _waiting:
            return
        # Last one first: a view can be made writeable only after its base.
        arrays = [array for array, *_ in reversed(self.held)]
        arrays += [array for array in (ref() for ref in _waiting) if array is not None]
        self.held.clear()
        _waiting[:] = [weakref.ref(array) for array in arrays if not thaw(array)]

    def explain(self, error: BaseException) -> BaseException:
        """The error to raise for `error`: a write to a frozen array says who still needs it."""
        if not self.held or not isinstance(error, ValueError) or "read-only" not in str(error):
            return error
        readers = dict.fromkeys(
            f"needed by {needed_by} at {where.describe() if where else '?'}"
            for _, needed_by, where in self.held
        )
        return errors.MutatedResidualError(
            errors.compose(
                "An array was written to that a traced operation reads again later.",
                where="\n".join(readers),
                why="The operations of a traced function run, or run backward, after your code has gone on; "
                "they would see the new contents.",
                fix="buf = np.full(n, i)    # make a new array in each step instead of writing into one\n"
                "x * buf.copy()         # or hand out a copy",
                page="mutated-residual",
            )
        )
