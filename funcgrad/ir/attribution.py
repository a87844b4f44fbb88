"""Which line of the user an operation belongs to: the one that runs, or, in derivatives, the one derived from."""

from __future__ import annotations

from funcgrad.ir.source import SourceLocation, user_location
from funcgrad.ir.tracer import state


class attributed:  # noqa: N801
    """Context manager: operations that run or are recorded inside belong to this line of the user.

    Without a line the surrounding attribution stays.
    """

    __slots__ = ("location", "saved")

    def __init__(self, location: SourceLocation | None) -> None:
        self.location = location

    def __enter__(self) -> None:
        self.saved = state.location
        if self.location is not None:
            state.location = self.location

    def __exit__(self, *exc: object) -> None:
        state.location = self.saved


def current_location() -> SourceLocation | None:
    """The user's line that the operation called now belongs to."""
    return state.location or user_location()


def behind_mask(location: SourceLocation | None, mask: object) -> SourceLocation | None:
    """A line in a branch that was not taken also names the line that chose, where that is known."""
    if location is None or not isinstance(mask, SourceLocation):
        return location
    return location.noted(f"in a branch that was not taken at {mask.describe()}")
