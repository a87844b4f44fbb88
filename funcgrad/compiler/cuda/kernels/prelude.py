"""CUDA C that generated kernels use, in named sections: one text for NVRTC and for C++ on the CPU.

The files of the sections lie in `source/`. A section may use those before it in `SECTIONS`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path

# In the order in which they stand in a module, with the sections that each needs.
SECTIONS: dict[str, tuple[str, ...]] = {
    "core": (),
    "half": ("core",),
    "math": ("core",),
    "integers": ("core",),
    "floats": ("math",),
    "special": ("floats",),
    "complex": ("core", "math"),
    "complex_math": ("complex", "floats"),
    "threefry": ("core",),
    "combine": ("complex", "floats"),
    "groups": ("combine",),
}


@functools.cache
def section(name: str) -> str:
    """The text of one section."""
    return (Path(__file__).parent / "source" / f"{name}.cuh").read_text()


def with_needed(names: Iterable[str]) -> list[str]:
    """These sections and all that they need, in order."""
    found, pending = {"core"}, list(names)
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending += SECTIONS[name]
    return [name for name in SECTIONS if name in found]


def text(names: Iterable[str]) -> str:
    """What stands in front of the kernels of a module."""
    return "\n".join(section(name) for name in with_needed(names))
