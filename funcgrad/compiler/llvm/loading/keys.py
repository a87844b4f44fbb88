"""Keys of the cache: what machine code depends on besides its source."""

from __future__ import annotations

import functools
import sys

import numpy as np

from funcgrad.compiler.cache import digest, package_stamp
from funcgrad.compiler.llvm.target import machine


def program_key(*parts: str | bytes) -> str:
    """The key of what our Python code computes for this machine, such as a whole compiled Program.

    Besides `parts` it depends on the target, on all versions, and on funcgrad's own source files.
    """
    return digest(*parts, *platform(), origin())


@functools.cache
def origin() -> str:
    """The versions of all that writes LLVM text."""
    return digest(package_stamp(), np.__version__, sys.version)


@functools.cache
def platform() -> tuple[str, ...]:
    """Everything besides the source that machine code depends on."""
    # Only the package, not the library in it, which takes 25 ms to load. Its version says which LLVM it holds.
    return (*machine(), f"llvmlite {__import__('llvmlite').__version__}")
