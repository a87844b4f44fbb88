"""CUDA C text to machine code, by NVRTC; needs no device."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

# IEEE arithmetic as on the CPU: nothing is contracted, divisions and roots are rounded, small numbers are kept.
OPTIONS = ("--std=c++17", "--fmad=false", "--prec-div=true", "--prec-sqrt=true", "--ftz=false")


class CompilationError(RuntimeError):
    """NVRTC refused a text that funcgrad has generated."""


def library() -> Any:
    """NVRTC, as CuPy has it; without types."""
    from cupy.cuda import nvrtc

    return nvrtc


@functools.cache
def version() -> str:
    """The version of the compiler, as part of the names of what it makes."""
    nvrtc = library()
    return ".".join(map(str, nvrtc.getVersion()))


def compiled(text: str, architecture: str) -> bytes:
    """The machine code of a text. Other Python threads run meanwhile.

    Args:
        text: CUDA C; includes nothing.
        architecture: "sm_90".
    """
    nvrtc = library()
    known = nvrtc.getSupportedArchs()
    # The driver goes on from there for a GPU that is newer than this compiler.
    if int(architecture[3:]) not in known:
        newest = max(number for number in known if number < int(architecture[3:]))
        return ptx(text, f"compute_{newest}").encode() + b"\0"
    with _program(text, architecture) as program:
        return _whole(nvrtc.getCUBIN(program))


class Resources(NamedTuple):
    """What a kernel takes.

    Attributes:
        registers: of each thread.
        spilled: bytes that a thread writes to memory for want of registers.
    """

    registers: int
    spilled: int


def resources(text: str, architecture: str) -> dict[str, Resources]:
    """What each kernel of a text takes on an architecture, by its name."""
    nvrtc = library()
    with _program(text, architecture, "--ptxas-options=-v") as program:
        log = nvrtc.getProgramLog(program)
    found = re.findall(
        r"entry function '(\w+)'.*?(\d+) bytes spill stores.*?Used (\d+) registers", log, re.S
    )
    return {name: Resources(int(registers), int(spilled)) for name, spilled, registers in found}


def ptx(text: str, architecture: str) -> str:
    """The assembly of a text.

    Args:
        text: CUDA C; includes nothing.
        architecture: "compute_90".
    """
    nvrtc = library()
    with _program(text, architecture) as program:
        code = nvrtc.getPTX(program)
    return code if isinstance(code, str) else code.decode()


@contextlib.contextmanager
def _program(text: str, architecture: str, *options: str) -> Iterator[int]:
    """A compiled text, as the library knows it."""
    nvrtc = library()
    program = nvrtc.createProgram(text, "funcgrad.cu", (), ())
    try:
        nvrtc.compileProgram(program, (f"-arch={architecture}", *OPTIONS, *options))
        yield program
    except nvrtc.NVRTCError:
        log = nvrtc.getProgramLog(program)
        raise CompilationError(
            f"[jit] NVRTC refused generated code. Please report this.\n{log}\n{text}"
        ) from None
    finally:
        nvrtc.destroyProgram(program)


def _whole(code: bytes) -> bytes:
    """CuPy 14 takes the last byte of the image for the end of a string and cuts it off."""
    return code if _is_complete(code) else code + b"\0"


def _is_complete(code: bytes) -> bool:
    """Whether an ELF image ends where its last table does: section headers, then program headers."""
    ends = [
        int.from_bytes(code[at : at + 8], "little")
        + int.from_bytes(code[size : size + 2], "little")
        * int.from_bytes(code[size + 2 : size + 4], "little")
        for at, size in ((0x20, 0x36), (0x28, 0x3A))
    ]
    return len(code) >= max(ends)
