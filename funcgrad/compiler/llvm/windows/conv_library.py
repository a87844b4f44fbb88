"""Loops, tiles and copies of convolutions: compiled once, when a program first needs them, and kept for all."""

from __future__ import annotations

from funcgrad.compiler.llvm.builder import Module
from funcgrad.compiler.llvm.loading.libraries import CONVOLUTION
from funcgrad.compiler.llvm.products import matrix_copy
from funcgrad.compiler.llvm.windows import conv_driver, conv_tile, winograd_transforms


def module_text(name: str) -> str:
    """The LLVM text of the module that defines a function.

    Args:
        name: such as "fg_convolution.tile.float32.16.6x4", "fg_convolution.copy.rows.4" or "fg_convolution.direct.4".
    """
    module = Module()
    kind, _, text = name.removeprefix(CONVOLUTION).partition(".")
    if kind == "direct":
        conv_driver.write_driver(module, name, int(text))
    elif kind == "tile":
        f = module.function(name, "void", conv_tile.PARAMETERS)
        conv_tile.write_tile(f, conv_tile.parse_tile(text))
        f.ret()
    elif kind == "winograd":
        f = module.function(name, "void", winograd_transforms.parameters(text))
        winograd_transforms.write_transform(f, text)
        f.ret()
    else:
        f = module.function(name, "void", matrix_copy.PARAMETERS)
        matrix_copy.write_copy(f, text)
        f.ret()
    return module.text()
