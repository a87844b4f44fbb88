"""Trials on a device: what the library of products makes of NaN, which no manual says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from funcgrad.compiler.cuda.runtime.memory import allocate

if TYPE_CHECKING:
    from funcgrad.compiler.cuda.runtime.device import Device
    from funcgrad.compiler.cuda.steps.cublaslt import PreparedProduct

NAN = 0xFF  # each byte of a NaN, in every precision


def keeps_nan(device: Device, prepared: PreparedProduct) -> bool:
    """Whether all results of a product of contiguous matrices are NaN when all operands are."""
    plan, stream = prepared.plan, device.current_stream().ptr
    counts = {"a": plan.m * plan.k, "b": plan.k * plan.n, "bias": plan.n, "d": plan.m * plan.n}
    memory = {role: allocate(count * plan.dtype.itemsize) for role, count in counts.items()}
    for role, place in memory.items():
        device.fill(place.ptr, counts[role] * plan.dtype.itemsize, NAN * (role != "d"), stream)
    device.product(prepared, {role: place.ptr for role, place in memory.items()}, stream)
    found = device.read(memory["d"].ptr, counts["d"] * plan.dtype.itemsize, stream)
    return bool(np.isnan(np.frombuffer(found, plan.dtype)).all())
