"""Reductions over sliding windows in native code: pooling, the positions of extrema, and the elements at positions.

Axes before the first that is slid over count planes, which threads divide. A plane with elements around it or between
its elements is first copied to scratch. The vector runs over places along the last axis.
"""

from __future__ import annotations

import hashlib
import math

from funcgrad.compiler.llvm.builder import Module
from funcgrad.compiler.llvm.windows.window_choices import Choices
from funcgrad.compiler.llvm.windows.window_planes import (
    CHOICES,
    MOST_ELEMENTS,
)
from funcgrad.compiler.llvm.windows.window_reductions import Reductions
from funcgrad.compiler.lowering.window_spec import WindowSpec


def supports(spec: WindowSpec) -> bool:
    """Whether there is native code for it."""
    names = ("float32", "float64", "int32", "int64", "uint32", "uint64")
    return bool(spec.shape) and spec.dtype.name in names and spec.elements <= MOST_ELEMENTS


def windows(module: Module, spec: WindowSpec) -> str:
    """The name of a function `void (ptr x, ptr out)`, or `void (ptr x, ptr positions, ptr out)` for "take" and "put".

    For "put", x has the shape of the places and out that of the array. Large work is divided among threads; poll
    for Ctrl-C afterwards.

    Args:
        module: gets the function, once for each spec.
        spec: what to compute, which must be something that `supports`.
    """
    name = "fg_windows_" + hashlib.sha256(repr(spec).encode()).hexdigest()[:20]
    if not module.defines(name):
        pointers = 3 if spec.what in CHOICES else 2
        f = module.function(name, "void", ["ptr"] * pointers, "internal")
        if math.prod(spec.places) or (spec.what == "put" and math.prod(spec.shape)):
            kind = Choices if spec.what in CHOICES else Reductions
            kind(module, name, spec).write(f)
        f.ret()
    return name
