"""Where in the user's code something happened: frames outside funcgrad, resolved only when printed."""

from __future__ import annotations

import linecache
import os
import sys
from types import CodeType, FrameType

PACKAGE_DIR = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class SourceLocation:
    """A code object and an instruction in it; the line number is worked out on demand."""

    __slots__ = ("code", "instruction")

    def __init__(self, code: CodeType, instruction: int) -> None:
        self.code = code
        self.instruction = instruction

    @property
    def filename(self) -> str:
        return self.code.co_filename

    @property
    def function(self) -> str:
        return self.code.co_name

    @property
    def line(self) -> int:
        position = self.instruction // 2
        for index, (start, _, _, _) in enumerate(self.code.co_positions()):
            if index == position:
                return start or self.code.co_firstlineno
        return self.code.co_firstlineno

    @property
    def text(self) -> str:
        """The source line, stripped; empty when the source is not at hand."""
        return linecache.getline(self.filename, self.line).strip()

    def __str__(self) -> str:
        return f"{os.path.basename(self.filename)}:{self.line}"

    def describe(self) -> str:
        """File, line, function and the line's text, for error messages."""
        return f"{self}  in {self.function}".ljust(32) + f"  {self.text}"


def is_user_frame(frame: FrameType) -> bool:
    filename = frame.f_code.co_filename
    return not filename.startswith(PACKAGE_DIR) and not filename.startswith("<funcgrad")


def user_frame() -> FrameType | None:
    """The innermost frame that runs code outside funcgrad."""
    frame = sys._getframe(1)
    while frame is not None and not is_user_frame(frame):
        frame = frame.f_back
    return frame


def user_location() -> SourceLocation | None:
    """The user's line that is running now."""
    frame = user_frame()
    return None if frame is None else SourceLocation(frame.f_code, frame.f_lasti)


def where() -> str:
    """The user's line, in the form of error messages."""
    location = user_location()
    return "" if location is None else location.describe()
