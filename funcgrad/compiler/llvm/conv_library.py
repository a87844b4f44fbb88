"""Tiles and copies of convolutions, as modules of their own that all programs share."""

from __future__ import annotations

from funcgrad.compiler.llvm import conv_tile, matrix_copy
from funcgrad.compiler.llvm.builder import Module
from funcgrad.compiler.llvm.libraries import CONVOLUTION


def module_text(name: str) -> str:
    """The LLVM text of the module that defines a function.

    Args:
        name: such as "fg_convolution.tile.float32.16.6x4.sets" or "fg_convolution.copy.rows.4".
    """
    module = Module()
    kind, _, text = name.removeprefix(CONVOLUTION).partition(".")
    if kind == "tile":
        f = module.function(name, "void", conv_tile.PARAMETERS)
        conv_tile.write_tile(f, conv_tile.parse_tile(text))
    else:
        f = module.function(name, "void", matrix_copy.PARAMETERS)
        matrix_copy.write_copy(f, text)
    f.ret()
    return module.text()
