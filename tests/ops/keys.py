"""Random NumPy indices for arrays of a given shape."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)


@st.composite
def slices(draw: Any, size: int) -> slice:
    bound = st.none() | st.integers(-size - 2, size + 2)
    step = draw(st.none() | st.sampled_from([1, 2, 3, -1, -2]))
    return slice(draw(bound), draw(bound), step)


@st.composite
def index_arrays(draw: Any, size: int, shape: tuple) -> Any:
    """Integers into an axis, in a shape that broadcasts to `shape`; sometimes a list or of a small dtype."""
    shape = shape[draw(st.integers(0, len(shape))) :] if shape else shape
    shape = tuple(draw(st.sampled_from([1, n])) for n in shape)
    count = int(np.prod(shape))
    values = draw(st.lists(st.integers(-size, size - 1), min_size=count, max_size=count))
    array = np.array(values, draw(st.sampled_from([np.int64, np.int32, np.int8]))).reshape(shape)
    return array.tolist() if array.ndim and array.size and draw(st.booleans()) else array


@st.composite
def masks(draw: Any, shape: tuple) -> np.ndarray:
    count = int(np.prod(shape))
    return np.array(draw(st.lists(st.booleans(), min_size=count, max_size=count)), bool).reshape(
        shape
    )


@st.composite
def basic_entries(draw: Any, shape: tuple) -> list:
    entries: list[Any] = []
    for size in shape[: draw(st.integers(0, len(shape)))]:
        choice = st.integers(-size, size - 1) if size and draw(st.booleans()) else slices(size)
        entries.append(draw(choice))
    return entries


@st.composite
def mixed_entries(draw: Any, shape: tuple) -> list:
    """Entries among which are index arrays that broadcast, or one mask."""
    common = draw(st.lists(st.integers(1, 3), max_size=2).map(tuple))
    entries: list[Any] = []
    axis, stop, has_mask = 0, draw(st.integers(0, len(shape))), False
    while axis < stop:
        size = shape[axis]
        kind = draw(st.sampled_from(["slice", "int", "array", "array", "mask"]))
        if kind == "mask" and not has_mask and (not common or len(common) == 1):
            rank = draw(st.integers(1, stop - axis))
            mask = draw(masks(shape[axis : axis + rank]))
            # The positions of a mask must broadcast with the other index arrays.
            if not common or int(mask.sum()) in (1, common[0]):
                entries.append(mask)
                axis, has_mask = axis + rank, True
                continue
        if kind == "int" and size:
            entries.append(draw(st.integers(-size, size - 1)))
        elif kind == "array" and size:
            entries.append(draw(index_arrays(size, common)))
        else:
            entries.append(draw(slices(size)))
        axis += 1
    return entries


@st.composite
def keys(draw: Any, shape: tuple, basic: bool = False) -> Any:
    """What may stand between the brackets for an array of this shape."""
    entries = draw(basic_entries(shape) if basic else mixed_entries(shape))
    extras: list[Any] = [None, None] if basic else [None, None, True, False, np.True_]
    for _ in range(draw(st.integers(0, 2))):
        entries.insert(draw(st.integers(0, len(entries))), draw(st.sampled_from(extras)))
    if draw(st.booleans()):
        split = draw(st.integers(0, len(entries)))
        # After an ellipsis the entries count from the end; they fit only if no axis was left over.
        taken = sum(np.ndim(e) if np.asarray(e).dtype == bool and np.ndim(e) else 1
                    for e in entries if e is not None and not isinstance(e, bool | np.bool_))  # fmt: skip
        if taken == len(shape) or split == len(entries):
            entries.insert(split, Ellipsis)
    if len(entries) == 1 and draw(st.booleans()):
        return entries[0]
    return tuple(entries)


def try_numpy(function: Any) -> Any:
    """The result, or the exception type NumPy raises."""
    try:
        return function()
    except (IndexError, ValueError) as error:
        return type(error)
