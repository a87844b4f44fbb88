"""Trials on a device: what the library of products makes of NaN, which no manual says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from funcgrad.compiler.cuda.runtime.memory import allocate
from funcgrad.compiler.cuda.steps.cublaslt import WORKSPACE_BYTES

if TYPE_CHECKING:
    from funcgrad.compiler.cuda.runtime.device import Device
    from funcgrad.compiler.cuda.steps.cublaslt import PreparedProduct

NAN = 0xFF  # each byte of a NaN, in every precision


def keeps_nan(device: Device, prepared: PreparedProduct) -> bool:
    """Whether all results of a product of contiguous matrices are NaN when all operands are."""
    plan, stream, size = prepared.plan, device.current_stream().ptr, prepared.plan.dtype.itemsize
    counts = {"a": plan.m * plan.k, "b": plan.k * plan.n, "bias": plan.n, "d": plan.m * plan.n}
    memory = {role: allocate(count * size) for role, count in counts.items()}
    workspace = allocate(WORKSPACE_BYTES)  # that of the device may be in use
    addresses = {role: place.ptr for role, place in memory.items()}
    for role, address in addresses.items():
        device.fill(address, counts[role] * size, NAN * (role != "d"), stream)
    prepared.run(addresses, workspace.ptr, WORKSPACE_BYTES, stream)
    found = device.read(addresses["d"], counts["d"] * size, stream)
    return bool(np.isnan(np.frombuffer(found, plan.dtype)).all())
