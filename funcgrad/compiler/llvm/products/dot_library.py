"""Tiles, copies and loops of matrix products, as modules of their own that all programs share."""

from __future__ import annotations

import numpy as np

from funcgrad.compiler.llvm.builder import Module
from funcgrad.compiler.llvm.loading.libraries import GEMM
from funcgrad.compiler.llvm.products.dot_blas import write_blas
from funcgrad.compiler.llvm.products.dot_copy import (
    COPY_PARAMETERS,
    STORE_PARAMETERS,
    write_copy,
    write_store,
)
from funcgrad.compiler.llvm.products.dot_driver import BLOCK_PARAMETERS, write_driver
from funcgrad.compiler.llvm.products.dot_panels import write_pack
from funcgrad.compiler.llvm.products.microkernel import PARAMETERS, parse_tile, write_tile


def module_text(name: str) -> str:
    """The LLVM text of the module that defines a function; the loops of `dot_driver` are one module.

    Args:
        name: such as "fg_gemm.tile.outer.float32.16.6x4"; "fg_gemm.loops" for the loops.
    """
    module = Module()
    kind, _, text = name.removeprefix(GEMM).partition(".")
    if kind == "tile":
        write_tile(module.function(name, "void", PARAMETERS), parse_tile(text))
    elif kind == "copy":
        write_copy(module.function(name, "void", COPY_PARAMETERS), text)
    elif kind == "store":
        dtype, lanes = text.split(".")
        store = module.function(name, "void", STORE_PARAMETERS)
        write_store(store, np.dtype(dtype), int(lanes))
    elif kind == "pack":
        write_pack(module)
    elif kind == "blas":
        write_blas(module.function(name, "void", BLOCK_PARAMETERS), text)
    else:
        write_driver(module)
    return module.text()
