"""The entries of a NumPy index: what each may be, and what the whole may look like."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad import errors
from funcgrad.ir import source
from funcgrad.ir.tracer import Tracer
from funcgrad.ir.types import INT64
from funcgrad.ops.cast import convert
from funcgrad.ops.operands import shape_of
from funcgrad.ops.sequences import as_array

INVALID = (
    "only integers, slices (`:`), ellipsis (`...`), None and integer or boolean arrays are valid "
    "indices, but got "
)


class Mask(int):
    """A boolean scalar in a key: it makes an axis of length 1 or 0."""


class MaskPositions(NamedTuple):
    """Where a mask holds, along one of its axes, and how long that is."""

    index: np.ndarray
    length: int


def parse_entry(entry: Any) -> list[Any]:
    """An entry as ints, slices, None, Ellipsis, Masks and integer arrays; a mask becomes its positions."""
    if entry is None or entry is Ellipsis or isinstance(entry, slice):
        return [entry]
    if isinstance(entry, bool | np.bool_):
        return [Mask(entry)]
    if isinstance(entry, int | np.integer):
        return [int(entry)]
    if not isinstance(entry, Tracer | np.ndarray | list | tuple) and not hasattr(entry, "dtype"):
        if hasattr(entry, "__index__"):
            return [operator.index(entry)]
        raise IndexError(f"{INVALID}{type(entry).__name__}: {entry!r:.60}")
    array = np.zeros(0, np.intp) if isinstance(entry, list) and not entry else as_array(entry)
    if array.dtype == np.bool_:
        mask = concrete_mask(array)
        if not shape_of(mask):
            return [Mask(mask)]
        return [MaskPositions(*pair) for pair in zip(mask.nonzero(), mask.shape, strict=True)]
    if array.dtype.kind not in "iu":
        raise IndexError(f"{INVALID}an array of dtype {array.dtype}. Use x.astype(int).")
    if not shape_of(array) and not isinstance(array, Tracer):
        return [int(array)]
    return [convert(array.snapshot() if isinstance(array, Tracer) else array, INT64)]


def concrete_mask(mask: Any) -> Any:
    """The boolean array behind `mask`."""
    if not isinstance(mask, Tracer):
        return mask
    value = mask.concrete()
    if value is None:
        raise errors.NonConcreteBooleanIndexError(
            errors.compose(
                f"A boolean index must be concrete, but got {mask!r}.",
                where=source.where(),
                why="How many elements it selects, and so the shape of the result, is known only at run time.",
                fix="np.where(mask, x, 0.0)                        # keep the shape, replace the others\n"
                "np.sum(x, where=mask)                         # reductions take a mask\n"
                "funcgrad.numpy.where(mask, size=n)            # positions, padded to a fixed number\n"
                "x[mask] = 0.0                                 # assigning one value works",
                page="boolean-index",
            )
        )
    return value


def axes_taken(item: Any) -> int:
    """How many axes of the array an item of a key uses up."""
    return 0 if item is None or isinstance(item, Mask) else 1


def expand_ellipsis(items: list[Any], shape: tuple) -> list[Any]:
    """Put whole slices behind the ellipsis, or at the end; it stays, because it separates index arrays."""
    places = [i for i, item in enumerate(items) if item is Ellipsis]
    if len(places) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    taken = sum(axes_taken(item) for item in items) - len(places)
    if taken > len(shape):
        raise IndexError(
            f"too many indices for array: array is {len(shape)}-dimensional (shape {shape}), but {taken} were "
            "indexed"
        )
    place = places[0] if places else len(items)
    whole = [slice(None)] * (len(shape) - taken)
    return items[: place + 1] + whole + items[place + 1 :]


def is_mask(item: Any) -> bool:
    return isinstance(item, Mask)


def resolve_slice(item: slice, size: int) -> tuple[tuple, int]:
    """A slice in canonical form, (start, stop, step) with stop None for the end, and its length."""
    if any(isinstance(bound, Tracer) for bound in (item.start, item.stop, item.step)):
        raise errors.TracerIntegerConversionError(
            errors.compose(
                f"The bounds of a slice must be concrete integers, but got {item!r}.",
                where=source.where(),
                why="The shape of the result is fixed when the function is traced.",
                fix="funcgrad.lax.dynamic_slice(x, (start,), (length,))    # start may be traced, the length not\n"
                "np.where(np.arange(x.size) < stop, x, 0)              # keep the shape, mask the rest",
                page="tracer-integer",
            )
        )
    start, stop, step = item.indices(size)
    length = len(range(start, stop, step))
    if not length:
        return (0, 0, 1), 0
    return (start, None if stop < 0 else stop, step), length


def check_broadcast(indices: Sequence[Any]) -> None:
    shapes = [shape_of(index) for index in indices]
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        shown = " ".join(map(str, shapes))
        raise IndexError(
            f"shape mismatch: indexing arrays could not be broadcast together with shapes {shown}. "
            "Use np.ix_(rows, columns) for all combinations."
        ) from None
