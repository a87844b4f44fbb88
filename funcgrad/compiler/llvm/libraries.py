"""Functions that programs share: compiled when the first program that needs one is linked, and kept."""

from __future__ import annotations

import functools
import importlib

from funcgrad.compiler.llvm import runtime
from funcgrad.compiler.llvm.load import LEVEL, Loaded, Source, load_known, provide

GEMM, CONVOLUTION = "fg_gemm.", "fg_convolution."
# By prefix of their names, the modules whose `module_text(name)` defines functions. A name says all about a function.
# These modules are imported only where the machine code is not in the cache.
WRITERS = {
    GEMM: "funcgrad.compiler.llvm.dot_library",
    CONVOLUTION: "funcgrad.compiler.llvm.conv_library",
}
# Loops around calls of tiles: their own speed hardly counts, and level 0 compiles in an eighth of the time.
LOOPS = (GEMM + "loops", CONVOLUTION + "direct.")


def find(name: str) -> int:
    """The address of a function.

    Args:
        name: such as "fg_gemm.product", "fg_gemm.tile.outer.float32.16.6x4" or "fg_convolution.copy.rows.4".
    """
    prefix = next(prefix for prefix in WRITERS if name.startswith(prefix))
    # Functions with a short name are defined together.
    is_alone = "." in name.removeprefix(prefix)
    return _library(prefix, name if is_alone else prefix + "loops").address(name)


@functools.cache
def _library(prefix: str, name: str) -> Loaded:
    def write() -> Source:
        text = importlib.import_module(WRITERS[prefix]).module_text(name)
        return Source(text, level=0 if name.startswith(LOOPS) else LEVEL)

    runtime.ensure()
    return load_known(name, write)


def register() -> None:
    """Make these functions known to the loader."""
    for prefix in WRITERS:
        provide(prefix, find)
