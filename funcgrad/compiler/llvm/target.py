"""The machine that code is made for: CPU name, features, vector width."""

from __future__ import annotations

import functools
import platform
import sys
from typing import Any

from funcgrad.compiler.report import timed


class NoLLVM(RuntimeError):
    """Llvmlite cannot be imported."""


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
    with timed("import"):
        llvm: Any = __import__("llvmlite.binding", fromlist=["binding"])
    features = llvm.get_host_cpu_features().flatten()
    return Target(llvm.get_default_triple(), llvm.get_host_cpu_name(), features)


# What `/proc/cpuinfo` says of a CPU that decides which instructions it has, on x86 and on ARM.
DECISIVE = frozenset(
    {"vendor_id", "cpu family", "model", "flags"}
    | {"Features", "CPU implementer", "CPU architecture", "CPU variant", "CPU part"}
)


@functools.cache
def machine() -> tuple[str, ...]:
    """What decides which instructions this process may use; on Linux without asking LLVM, which takes 30 ms to load."""
    found = [f"{sys.platform} {platform.machine()}"]
    if sys.platform == "linux":
        found += _cpu_information()
    if len(found) == 1:
        target = host()
        found += [target.triple, target.cpu, target.features]
    return tuple(found)


def _cpu_information() -> list[str]:
    """Lines about the first CPU; none unless they name its instructions."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            lines = file.read(1 << 14).split("\n\n", 1)[0].splitlines()
    except OSError:
        return []
    kept = [line for line in lines if line.partition(":")[0].strip() in DECISIVE]
    return kept if any(line.startswith(("flags", "Features")) for line in kept) else []
