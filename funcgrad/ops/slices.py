"""Slice specs as data: their NumPy index, the shape they select, and one spec for two slices in a row.

A spec has one entry per axis: an int, which drops the axis, or (start, stop, step) with stop None for the end.
"""

from __future__ import annotations

from typing import Any

Spec = tuple[Any, ...]


def spec_index(spec: Spec) -> tuple:
    """The NumPy index of a slice spec."""
    return tuple([entry if isinstance(entry, int) else slice(*entry) for entry in spec])


def spec_shape(spec: Spec, shape: tuple) -> tuple:
    """The shape of `x[spec]` for `x` of this shape."""
    return tuple(
        len(range(*slice(*entry).indices(n)))
        for entry, n in zip(spec, shape, strict=True)
        if not isinstance(entry, int)
    )


def is_whole(spec: Spec, shape: tuple) -> bool:
    """Whether a slice takes every element in its place."""
    return all(entry == (0, n, 1) for entry, n in zip(spec, shape, strict=True))


def composed(outer: Spec, inner: Spec, shape: tuple) -> Spec:
    """The spec of `x[outer][inner]` for `x` of this shape."""
    rest = iter(inner)
    return tuple(
        entry if isinstance(entry, int) else _entry(range(n)[slice(*entry)], next(rest))
        for entry, n in zip(outer, shape, strict=True)
    )


def _entry(elements: range, entry: Any) -> Any:
    """What an entry selects among elements at these positions, as an entry over all positions."""
    if isinstance(entry, int):
        return elements[entry]
    chosen = elements[slice(*entry)]
    if not chosen:
        return (0, 0, 1)
    return (chosen.start, chosen.stop if chosen.stop >= 0 else None, chosen.step)


def sliced_axis(spec: Spec, shape: tuple) -> int | None:
    """The one axis along which a slice with step 1 leaves elements out; None if it is none such."""
    axes = [i for i, (entry, n) in enumerate(zip(spec, shape, strict=True)) if entry != (0, n, 1)]
    if len(axes) != 1 or isinstance(spec[axes[0]], int):
        return None
    start, stop, step = spec[axes[0]]
    return axes[0] if step == 1 and stop is not None and 0 <= start <= stop else None


def as_window(spec: Spec, shape: tuple) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Where a slice with steps of 1 begins along each axis, and its lengths, 1 for an int; None for other steps."""
    starts, sizes = [], []
    for entry, n in zip(spec, shape, strict=True):
        found = range(n)[slice(entry, entry + 1) if isinstance(entry, int) else slice(*entry)]
        if found.step != 1:
            return None
        starts.append(found.start)
        sizes.append(len(found))
    return tuple(starts), tuple(sizes)


def axis_spec(shape: tuple, axis: int, start: int, stop: int) -> Spec:
    """The elements from `start` to `stop` along one axis."""
    return tuple((start, stop, 1) if i == axis else (0, n, 1) for i, n in enumerate(shape))
