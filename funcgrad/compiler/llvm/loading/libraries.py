"""Functions that programs share: compiled when the first program that needs one is linked, and kept."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from funcgrad.compiler.llvm.loading.load import share
from funcgrad.compiler.llvm.loading.machine_code import LEVEL, Source

GEMM, CONVOLUTION, LINALG = "fg_gemm.", "fg_convolution.", "fg_linalg."
FOURIER = "fg_fourier."
# By prefix of their names, the modules whose `module_text(name)` defines functions. A name says all about a function.
# These modules are imported only where the machine code is not in the cache.
WRITERS = {
    GEMM: "funcgrad.compiler.llvm.products.dot_library",
    CONVOLUTION: "funcgrad.compiler.llvm.windows.conv_library",
    FOURIER: "funcgrad.compiler.llvm.fourier.passes",
    LINALG: "funcgrad.compiler.llvm.linalg.library",
}
# Loops around calls of tiles: their own speed hardly counts, and level 0 compiles in an eighth of the time.
LOOPS = (GEMM + "loops", GEMM + "pack.", CONVOLUTION + "direct.")


def module_of(name: str) -> tuple[str, Callable[[], Source]]:
    """The module that defines a function, and what writes it.

    Args:
        name: such as "fg_gemm.product", "fg_gemm.tile.outer.float32.16.6x4" or "fg_convolution.copy.rows.4".
    """
    prefix = next(prefix for prefix in WRITERS if name.startswith(prefix))
    # Functions with a short name are defined together.
    is_alone = "." in name.removeprefix(prefix)
    module = name if is_alone else prefix + "loops"

    def write() -> Source:
        text = importlib.import_module(WRITERS[prefix]).module_text(module)
        return Source(text, level=0 if module.startswith(LOOPS) else LEVEL)

    return module, write


def register() -> None:
    """Make these functions known to the loader."""
    for prefix in WRITERS:
        share(prefix, module_of)
