"""Tests on a lesser CPU: with FUNCGRAD_TEST_CPU=x86-64-v3 (or v2) code is made for that, and runs on this one."""

from __future__ import annotations

import os
from typing import Any

# By level of x86-64, the beginnings of what newer CPUs have besides.
BEYOND = {
    "x86-64-v3": ("avx512", "avx10", "amx", "avxvnni", "avxifma", "avxneconvert", "evex512"),
    "x86-64-v2": ("avx", "amx", "fma", "f16c", "vaes", "vpclmul", "gfni", "bmi", "lzcnt", "movbe"),
}
NAME = "FUNCGRAD_TEST_CPU"


def pretend() -> None:
    """Let the compiler believe that this is the CPU which the environment names, if any."""
    level = os.environ.get(NAME)
    if not level:
        return
    import llvmlite.binding as llvm

    from funcgrad.compiler.llvm import target

    features: Any = llvm.get_host_cpu_features()
    for name in features:
        if name.startswith(BEYOND[level]):
            features[name] = False
    llvm.get_host_cpu_features = lambda: features  # type: ignore[assignment]
    llvm.get_host_cpu_name = lambda: level  # type: ignore[assignment]
    machine = target.machine()
    target.machine = lambda: (*machine, level)  # type: ignore[assignment]
