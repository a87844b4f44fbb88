"""Tiles, copies and loops of matrix products: compiled once, when a program first needs them, and kept for all."""

from __future__ import annotations

import functools

import numpy as np

from funcgrad.compiler.llvm import runtime
from funcgrad.compiler.llvm.builder import Module
from funcgrad.compiler.llvm.dot_blas import write_blas
from funcgrad.compiler.llvm.dot_copy import (
    COPY_PARAMETERS,
    STORE_PARAMETERS,
    write_copy,
    write_store,
)
from funcgrad.compiler.llvm.dot_driver import BLOCK_PARAMETERS, PREFIX, write_driver
from funcgrad.compiler.llvm.load import Loaded, load
from funcgrad.compiler.llvm.microkernel import PARAMETERS, parse_tile, write_tile


def find(name: str) -> int:
    """The address of a function, whose name says all about it.

    Args:
        name: such as "fg_gemm.product" or "fg_gemm.tile.outer.float32.16.6x4".
    """
    kind, _, text = name.removeprefix(PREFIX).partition(".")
    return _loaded(kind if text else "loops", text).address(name)


@functools.cache
def _loaded(kind: str, text: str) -> Loaded:
    if kind == "blas":
        runtime.ensure_blas()
    else:
        runtime.ensure()
    return load(module_text(kind, text))


def module_text(kind: str, text: str) -> str:
    """The LLVM text of the module that defines a function; the loops of `dot_driver` are one module."""
    module = Module()
    name = f"{PREFIX}{kind}.{text}"
    if kind == "tile":
        write_tile(module.function(name, "void", PARAMETERS), parse_tile(text))
    elif kind == "copy":
        write_copy(module.function(name, "void", COPY_PARAMETERS), text)
    elif kind == "store":
        dtype, lanes = text.split(".")
        store = module.function(name, "void", STORE_PARAMETERS)
        write_store(store, np.dtype(dtype), int(lanes))
    elif kind == "blas":
        write_blas(module.function(name, "void", BLOCK_PARAMETERS), text)
    else:
        write_driver(module)
    return module.text()
