"""NumPy's indexing rules, resolved: which slice, which index arrays, and where their axes go.

A key such as `(0, ..., [1, 2], None)` is parsed once against a shape; the result can read from and write into any
array of that shape.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.ops.bounds import raise_out_of_bounds
from funcgrad.ops.gather import gather
from funcgrad.ops.index_key import (
    Mask,
    MaskPositions,
    check_broadcast,
    expand_ellipsis,
    is_mask,
    parse_entry,
    resolve_slice,
)
from funcgrad.ops.index_mode import adjust, fill_outside
from funcgrad.ops.operands import broadcast_shapes, shape_of
from funcgrad.ops.shape import reshape, transpose
from funcgrad.ops.slices import Spec, spec_shape
from funcgrad.ops.update import fit_updates, static_slice, update_slice


class Selection:
    """The elements that a NumPy index selects from arrays of one shape.

    Read as: slice by `spec`, insert axes (`expanded`), index the axes `axes` with `indices`, and move the axes of
    the index arrays to `destination`.

    Attributes:
        labels: for each index array the number of its axis in the array, for error messages.
        is_view: whether NumPy's result would share memory with the array.
        mode: what an index array does out of bounds.
    """

    __slots__ = (
        "axes", "destination", "expanded", "indices", "is_view", "labels", "mode", "spec", "sliced",
    )  # fmt: skip

    spec: Spec
    sliced: tuple
    expanded: tuple
    axes: list[int]
    indices: list[Any]
    labels: list[int]
    destination: int
    is_view: bool
    mode: str | None

    @property
    def index_shape(self) -> tuple:
        return broadcast_shapes("index", [shape_of(index) for index in self.indices])

    @property
    def shape(self) -> tuple:
        """The shape of what is selected."""
        rest = tuple(n for i, n in enumerate(self.expanded) if i not in self.axes)
        if not self.axes:
            return rest
        return rest[: self.destination] + self.index_shape + rest[self.destination :]

    @property
    def order(self) -> list[int]:
        """The axes of the expanded slice with the indexed ones first."""
        return [*self.axes, *(i for i in range(len(self.expanded)) if i not in self.axes)]

    @property
    def drops(self) -> bool:
        return self.mode in ("fill", "drop")

    def front(self, x: Any) -> Any:
        """The slice of `x` with the indexed axes first."""
        return transpose(reshape(static_slice(x, self.spec), self.expanded), self.order)

    def read(self, x: Any, fill_value: Any = None) -> Any:
        """The selected elements of `x`."""
        if not self.axes:
            return reshape(static_slice(x, self.spec), self.expanded)
        out = gather(self.front(x), self.indices, tuple(self.labels), self.drops)
        if self.drops:
            lengths = [self.expanded[axis] for axis in self.axes]
            out = fill_outside(out, self.indices, lengths, fill_value)
        rank, first = len(self.index_shape), self.destination
        rest = range(rank, len(shape_of(out)))
        return transpose(out, [*rest[:first], *range(rank), *rest[first:]])

    def write(self, combine: Callable[..., Any], x: Any, updates: Any) -> Any:
        """`x` with `updates` combined into the selected elements.

        Args:
            combine: (elements, updates) -> elements, or, where there are index arrays,
                (array, indices, updates, labels, drop) -> array.
            x: an array of the shape this selection was made for.
            updates: broadcasts to the shape of the selection, of the dtype of `x`.
        """
        updates = fit_updates(updates, self.shape)
        if not self.axes:
            updates = reshape(updates, self.sliced)
            return update_slice(x, combine(static_slice(x, self.spec), updates), self.spec)
        rank, first = len(self.index_shape), self.destination
        rest = [i for i in range(len(self.shape)) if not first <= i < first + rank]
        updates = transpose(updates, [*range(first, first + rank), *rest])
        out = combine(self.front(x), self.indices, updates, tuple(self.labels), self.drops)
        back = [self.order.index(i) for i in range(len(self.order))]
        return update_slice(x, reshape(transpose(out, back), self.sliced), self.spec)


def select_elements(shape: tuple, key: Any, mode: str | None = None) -> Selection:
    """Resolve a NumPy index against a shape.

    Args:
        shape: of the arrays to be indexed.
        key: what stands between the brackets.
        mode: None raises for integers out of bounds; "clip", "wrap", "fill" and "drop" as in `at`.
    """
    return _select_integer(shape, key, mode) if type(key) is int else _select(shape, key, mode)


def _select(shape: tuple, key: Any, mode: str | None) -> Selection:
    entries = key if isinstance(key, tuple) else (key,)
    items = expand_ellipsis([item for entry in entries for item in parse_entry(entry)], shape)
    return Resolver(shape, items, mode, any(e is Ellipsis for e in entries)).selection


_select_integer = functools.lru_cache(maxsize=1024)(_select)


class Resolver:
    """Walks over the items of a key and the axes of the array together."""

    def __init__(
        self, shape: tuple, items: list[Any], mode: str | None, has_ellipsis: bool
    ) -> None:
        self.shape = shape
        self.mode = mode
        self.spec: list[Any] = []
        self.expanded: list[int] = []
        self.axes: list[int] = []
        self.indices: list[Any] = []
        self.labels: list[int] = []
        for item in items:
            self.add(item)
        self.selection = self.finish(items, has_ellipsis)

    def add(self, item: Any) -> None:
        axis = len(self.spec)
        if item is Ellipsis:
            return
        if item is None:
            self.expanded.append(1)
        elif isinstance(item, Mask):
            self.index(np.zeros(int(item), np.int64), 1, axis)
        elif isinstance(item, slice):
            entry, length = resolve_slice(item, self.shape[axis])
            self.spec.append(entry)
            self.expanded.append(length)
        elif isinstance(item, int):
            self.add_integer(item, axis)
        elif isinstance(item, MaskPositions):
            self.add_mask(item, axis)
        else:
            self.spec.append((0, self.shape[axis], 1))
            self.index(item, self.shape[axis], axis)

    def add_integer(self, item: int, axis: int) -> None:
        size = self.shape[axis]
        if -size <= item < size:
            self.spec.append(item % size)
        elif self.mode is None:
            raise_out_of_bounds(item, axis, size)
        else:
            self.spec.append((0, size, 1))
            self.index(np.int64(item), size, axis)

    def add_mask(self, item: MaskPositions, axis: int) -> None:
        if item.length != self.shape[axis]:
            raise IndexError(
                f"boolean index did not match indexed array along axis {axis}; size of axis is {self.shape[axis]} but "
                f"size of corresponding boolean axis is {item.length}"
            )
        self.spec.append((0, item.length, 1))
        self.index(item.index, item.length, axis)

    def index(self, index: Any, size: int, label: int) -> None:
        self.axes.append(len(self.expanded))
        self.indices.append(adjust(index, size, self.mode))
        self.labels.append(label)
        self.expanded.append(size)

    def finish(self, items: list[Any], has_ellipsis: bool) -> Selection:
        found = Selection()
        found.spec, found.expanded = tuple(self.spec), tuple(self.expanded)
        found.sliced = spec_shape(found.spec, self.shape)
        found.axes, found.indices, found.labels = self.axes, self.indices, self.labels
        found.destination, found.mode = self.destination(items), self.mode
        check_broadcast(self.indices)
        only_scalars = all(not shape_of(index) for index in self.indices)
        is_scalar = len(self.axes) == len(self.expanded) and not has_ellipsis
        found.is_view = only_scalars and not is_scalar and not any(map(is_mask, items))
        return found

    def destination(self, items: list[Any]) -> int:
        """NumPy's rule: the axes of the index arrays go where the first index is if all indices stand side by
        side (integers count as well), and to the front otherwise."""
        plain = [item is Ellipsis or isinstance(item, slice | None) for item in items]
        advanced = [i for i, is_plain in enumerate(plain) if not is_plain]
        if not self.axes or advanced[-1] - advanced[0] >= len(advanced):
            return 0
        return sum(item is not Ellipsis for item in items[: advanced[0]])
