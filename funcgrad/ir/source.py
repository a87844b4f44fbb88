"""Where in the user's code something happened: frames outside funcgrad, resolved only when printed."""

from __future__ import annotations

import copy
import functools
import importlib.util
import linecache
import os
import sys
from types import CodeType, FrameType


def package_dir(name: str) -> str:
    """Where an installed package lives, without importing it; a name that no file has if it is missing."""
    found = importlib.util.find_spec(name)
    return os.path.dirname(found.origin) + os.sep if found and found.origin else f"<no {name}>"


PACKAGE_DIR = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
LIBRARIES = tuple(package_dir(name) for name in ("numpy", "scipy", "cupy"))
# Tracebacks name CuPy's compiled files as they were called when it was built.
NOT_USER = (PACKAGE_DIR, "<funcgrad", "<__array_function__", "cupy/", "cupy_backends/", *LIBRARIES)


class SourceLocation:
    """A code object and an instruction in it; the line number is worked out on demand.

    A note is printed below the line in error messages.
    """

    __slots__ = ("code", "instruction", "note")

    def __init__(self, code: CodeType, instruction: int, note: str = "") -> None:
        self.code = code
        self.instruction = instruction
        self.note = note

    def noted(self, note: str) -> SourceLocation:
        """The same place with a note."""
        other = copy.copy(self)
        other.note = note
        return other

    def explain(self, error: BaseException) -> None:
        """Tell in a note of an error that was raised while compiled code ran for this line, once."""
        note = f"in compiled code for\n  {self.describe()}"
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)

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
        line = f"{self}  in {self.function}".ljust(32) + f"  {self.text}"
        return f"{line}\n{self.note}" if self.note else line


@functools.cache
def is_user_file(filename: str) -> bool:
    return not filename.startswith(NOT_USER)


def is_user_frame(frame: FrameType) -> bool:
    return is_user_file(frame.f_code.co_filename)


def user_frame() -> FrameType | None:
    """The innermost frame that runs code outside funcgrad, NumPy and SciPy."""
    frame = sys._getframe(1)
    while frame is not None and not is_user_file(frame.f_code.co_filename):
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


def where_traced() -> str:
    """The user's line, and the line outside that called the transformed function."""
    frame = inner = user_frame()
    while frame is not None and is_user_frame(frame):
        frame = frame.f_back
    while frame is not None and not is_user_frame(frame):
        frame = frame.f_back
    if inner is None:
        return ""
    line = SourceLocation(inner.f_code, inner.f_lasti).describe()
    if frame is None or frame.f_code.co_filename.startswith("<frozen"):
        return line
    return f"{line}\ncalled from {SourceLocation(frame.f_code, frame.f_lasti).describe()}"


def where_raised(error: BaseException) -> str:
    """The innermost user's line that an exception passed, in the form of error messages."""
    found, traceback = "", error.__traceback__
    while traceback is not None:
        if is_user_frame(traceback.tb_frame):
            found = SourceLocation(traceback.tb_frame.f_code, traceback.tb_lasti).describe()
        traceback = traceback.tb_next
    return found


CUPY = LIBRARIES[2]
KEPT = ("linalg", "fft")  # of the modules inside CuPy, those that are part of the public name


def cupy_name(frame: FrameType) -> str:
    """'linalg.inv': the public name in CuPy of the function that a frame runs; '' for other libraries."""
    name = frame.f_code.co_name
    if not frame.f_code.co_filename.startswith(CUPY) or name.startswith("_"):
        return ""
    if hasattr(sys.modules["cupy"], name):
        return name
    module = frame.f_globals.get("__name__", "").split(".")
    return ".".join([*[part for part in module if part in KEPT], name])


def cupy_call() -> str:
    """The function of CuPy that the user's line called and that runs now; '' if it called none."""
    found = ""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and not is_user_frame(frame):
        found = cupy_name(frame) or found
        frame = frame.f_back
    return found


def cupy_call_in(error: BaseException) -> str:
    """The function of CuPy that the innermost user's line had called when an exception was raised."""
    found, traceback = "", error.__traceback__
    while traceback is not None:
        if is_user_frame(traceback.tb_frame):
            found = ""
        else:
            found = found or cupy_name(traceback.tb_frame)
        traceback = traceback.tb_next
    return found


def library_call() -> str:
    """'scipy.special.softmax': the function of NumPy or SciPy that the user's line called; '' if none."""
    found = ""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and not is_user_frame(frame):
        name = frame.f_code.co_name
        if frame.f_code.co_filename.startswith(LIBRARIES) and "wrap" not in name and name[0] != "<":
            module = frame.f_globals.get("__name__", "").split(".")
            public = [part for part in module if not part.startswith("_")]
            found = ".".join([*public, name])
        frame = frame.f_back
    return found
