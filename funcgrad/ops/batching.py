"""The batch axis of operands, brought to where a batch rule wants it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcgrad.ops.operands import RULES, ndim_of, shape_of


def align_batch(args: Sequence, axes: Sequence) -> list[Any]:
    """Bring operands to a common leading batch axis so that they broadcast example by example."""
    rank = max(ndim_of(arg) - (axis is not None) for arg, axis in zip(args, axes, strict=True))
    aligned = []
    for arg, axis in zip(args, axes, strict=True):
        if axis is None:
            aligned.append(arg)
            continue
        arg = RULES["moveaxis"](arg, axis, 0)
        shape = shape_of(arg)
        missing = rank - (len(shape) - 1)
        if missing:
            arg = RULES["reshape"](arg, (shape[0], *(1,) * missing, *shape[1:]))
        aligned.append(arg)
    return aligned


def move_batch_first(args: Sequence, axes: Sequence) -> list[Any]:
    """Move the batch axis of every batched operand to the front; others stay as they are."""
    return [
        arg if axis is None or axis == 0 else RULES["moveaxis"](arg, axis, 0)
        for arg, axis in zip(args, axes, strict=True)
    ]


def all_batched(size: int, args: Sequence, axes: Sequence) -> list[Any]:
    """Like `move_batch_first`, with operands that are the same for every example repeated."""
    return [
        RULES["broadcast_to"](arg, (size, *shape_of(arg)))
        if axis is None
        else RULES["moveaxis"](arg, axis, 0)
        for arg, axis in zip(args, axes, strict=True)
    ]
