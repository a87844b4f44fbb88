"""The machine that code is made for: CPU name, features, vector width."""

from __future__ import annotations

import functools
from typing import Any


class Target:
    """What code generation needs to know of the CPU.

    Attributes:
        triple, cpu, features: as LLVM spells them.
        vector_bytes: the width of a vector register: 64 (AVX-512), 32 (AVX2) or 16.
        registers: how many vector registers there are.
        has_masks: whether masked loads and stores cost nothing extra.
    """

    __slots__ = ("cpu", "features", "has_masks", "registers", "triple", "vector_bytes")

    def __init__(self, triple: str, cpu: str, features: str) -> None:
        self.triple = triple
        self.cpu = cpu
        self.features = features
        known = set(features.split(","))
        self.has_masks = {"+avx512f", "+avx512bw", "+avx512vl", "+avx512dq"} <= known
        self.vector_bytes = 64 if self.has_masks else 32 if "+avx2" in known else 16
        self.registers = 32 if self.has_masks or triple.startswith(("aarch64", "arm64")) else 16


@functools.cache
def host() -> Target:
    """The CPU this process runs on."""
    llvm: Any = __import__("llvmlite.binding", fromlist=["binding"])
    features = llvm.get_host_cpu_features().flatten()
    return Target(llvm.get_default_triple(), llvm.get_host_cpu_name(), features)
