"""Memory of the device, and the error that says what a Program needs when there is not enough."""

from __future__ import annotations

from typing import Any

import cupy

from funcgrad.compiler.cuda.launches import Launches
from funcgrad.compiler.lowering.plan import nbytes
from funcgrad.ir.program import Program

SHOWN = 8  # arrays in the table

UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


class DeviceMemoryError(MemoryError):
    """The device has not enough memory for what a compiled function needs."""


def size_text(size: float) -> str:
    """
    Example:
        >>> size_text(3 << 19)
        '1.5 MiB'
    """
    unit = 0
    while size >= 1024 and unit < len(UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:.0f} {UNITS[unit]}" if unit == 0 else f"{size:.1f} {UNITS[unit]}"


def not_enough(program: Program, launches: Launches, error: MemoryError) -> DeviceMemoryError:
    """The error for a call that found no memory: the needs of the Program, and its largest arrays."""
    inputs = sum(map(type_bytes, program.input_types))
    outputs = sum(map(type_bytes, program.output_types))
    lines = [
        f"[jit] the device has not enough memory for {program.name}: {error}",
        f"  arguments     {size_text(inputs):>12}",
        f"  results       {size_text(outputs):>12}",
        f"  intermediates {size_text(launches.arena):>12}",
        *_largest(launches),
        "Pass smaller batches, donate arguments that are replaced (donate_argnums), keep less for the backward pass "
        "(funcgrad.checkpoint), or free arrays of your own; cupy.get_default_memory_pool().free_all_blocks() "
        "returns what CuPy keeps.",
    ]
    return DeviceMemoryError("\n".join(lines))


def type_bytes(type: Any) -> int:
    return type.size * type.dtype.itemsize


def _largest(launches: Launches) -> list[str]:
    nodes = [key for key, place in launches.plan.places.items() if place.kind == "arena"]
    nodes.sort(key=nbytes, reverse=True)
    lines = [f"    {size_text(nbytes(node)):>10}  {node!r}"[:120] for node in nodes[:SHOWN]]
    return ["  the largest intermediates:", *lines] if lines else []


def allocate(size: int) -> Any:
    """Memory from CuPy's pool; what the pool keeps is given back and tried again before this fails."""
    try:
        return cupy.cuda.alloc(size)
    except cupy.cuda.memory.OutOfMemoryError:
        give_back()
        return cupy.cuda.alloc(size)


def give_back() -> None:
    """Return what CuPy keeps for later to the device."""
    cupy.get_default_memory_pool().free_all_blocks()
