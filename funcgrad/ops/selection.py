"""NumPy's indexing rules, resolved: which slice, which index arrays, and where their axes go.

A key such as `(0, ..., [1, 2], None)` is parsed once against a shape; the result can read from and write into any
array of that shape.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad import errors
from funcgrad.ir import source
from funcgrad.ir.tracer import Tracer
from funcgrad.ir.types import INT64
from funcgrad.ops.bounds import raise_out_of_bounds
from funcgrad.ops.cast import convert
from funcgrad.ops.families import broadcast_shapes, shape_of
from funcgrad.ops.gather import gather
from funcgrad.ops.index_mode import adjust, fill_outside
from funcgrad.ops.sequences import as_array
from funcgrad.ops.shape import Spec, reshape, spec_shape, transpose
from funcgrad.ops.update import fit_updates, static_slice, update_slice

INVALID = (
    "only integers, slices (`:`), ellipsis (`...`), None and integer or boolean arrays are valid "
    "indices, but got "
)


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
    entries = key if isinstance(key, tuple) else (key,)
    items = expand_ellipsis([item for entry in entries for item in parse_entry(entry)], shape)
    return Resolver(shape, items, mode, any(e is Ellipsis for e in entries)).selection


# --- entries of a key -------------------------------------------------------------------------


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


# --- the walk over the axes ---------------------------------------------------------------------


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
