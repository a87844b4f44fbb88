"""A module under construction: the kernels of its programs, each once, and what its programs have in common."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from funcgrad.compiler.llvm.builder import Function, Module
from funcgrad.compiler.llvm.kernels.floating import NUMBER
from funcgrad.compiler.llvm.target import Target
from funcgrad.compiler.lowering.epilogues import Fused
from funcgrad.compiler.lowering.graph import Step


class ModuleWriter:
    """One LLVM module: what its programs and kernels share.

    Attributes:
        libraries: steps that call back into Python, in the order of their numbers.
        work: simple operations of a call.
        is_loud: whether something may cause a warning of NumPy.
    """

    def __init__(
        self,
        target: Target,
        write_step: Callable[[Any, Step], None],
        write_fused: Callable[[Any, Fused], None],
    ) -> None:
        self.module = Module()
        self.target = target
        self.write_step = write_step
        self.write_fused = write_fused
        self.kernels: dict[str, str] = {}
        self.libraries: list[Step] = []
        self.work = 0
        self.is_loud = False
        self.slot_count = 0

    def text(self) -> str:
        """The text of the module, with a table for the numbers of its library steps."""
        if self.libraries:
            count = len(self.libraries)
            self.module.data("library_numbers", f"global [{count} x i64] zeroinitializer")
        if self.is_loud:
            self.module.data(NUMBER, "global i64 0")
        return self.module.text()

    def kernel(self, function: Function) -> str:
        """The name of this kernel, or of one with the same text."""
        text = function.text().replace(f"@{function.name}(", "@KERNEL(", 1)
        key = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        if key in self.kernels:
            self.module.functions.remove(function)
        return self.kernels.setdefault(key, function.name)
