"""A convolution as a product: windows are the rows of one matrix, unless the array itself is that matrix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from funcgrad.compiler.cuda.launches import Slot
from funcgrad.compiler.cuda.program import LaunchWriter
from funcgrad.compiler.cuda.steps.copies import copy_source
from funcgrad.compiler.cuda.steps.products import layout_of, write_product
from funcgrad.compiler.lowering.conv_spec import Axes, ConvSpec, Part, contiguous, total
from funcgrad.compiler.lowering.dot_spec import DotSpec, Pair, simplified

MOST_BYTES = 1 << 29  # of the matrix of windows: larger ones are made piece by piece

Slots = tuple[Slot, Slot, Slot]


def write_as_product(
    writer: LaunchWriter, spec: ConvSpec, part: Part, slots: Slots, accumulate: bool = False
) -> None:
    """Add the products of one part, whose memory begins at these slots (x, w, result)."""
    size = spec.dtype.itemsize
    if not is_writable(part):
        write_to_copy(writer, spec, part, slots)
        return
    x, w, out = slots
    rows = matrix_of(part.groups, outer_rows(part), inner_rows(part), part.terms, 1)
    nbytes = total((*part.groups, *part.rows, *part.terms)) * size
    if rows is None and nbytes > MOST_BYTES:
        for piece, starts, adds in pieces(part, -(-nbytes // MOST_BYTES)):
            x, w, out = [s.at(n * size) for s, n in zip(slots, starts, strict=True)]
            with writer.memory.released():
                write_as_product(writer, spec, piece, (x, w, out), accumulate or adds)
        return
    if rows is None:
        x, rows = windows_of(writer, part, x, size)
    columns = matrix_of(part.groups, (), part.columns, part.terms, 2)
    if columns is None:
        w, columns = channels_of(writer, part, w, size)
    spec_of_product = dot_of(spec, part, rows, columns, accumulate)
    first, second = (x, w) if is_channels_last(part) else (w, x)
    write_product(writer, simplified(spec_of_product), first, second, out)


@dataclass(frozen=True)
class Matrix:
    """How an operand lies: strides of rows and of terms, and those of the axes of a batch."""

    row: int
    term: int
    groups: tuple[int, ...]
    outer: tuple[int, ...]


def dot_of(spec: ConvSpec, part: Part, rows: Matrix, columns: Matrix, accumulate: bool) -> DotSpec:
    """The product of the matrix of windows and that of channels, or its transpose."""
    row, column = one_axis(inner_rows(part), 2), one_axis(part.columns, 2)
    assert row is not None and column is not None
    outer = zip(outer_rows(part), rows.outer, strict=True)
    batch = [(n, step, 0, to) for (n, _, to), step in outer]
    groups = zip(part.groups, rows.groups, columns.groups, strict=True)
    batch += [(axis[0], x, w, axis[3]) for axis, x, w in groups]
    batch.sort(key=lambda axis: -axis[3])
    m, n, terms = row[0], column[0], total(part.terms)
    if is_channels_last(part):
        strides = (rows.row, rows.term), (columns.term, columns.row), (row[1], 1)
        return DotSpec(spec.dtype, tuple(batch), m, n, terms, *strides, accumulate)
    turned = tuple([(k, w, x, to) for k, x, w, to in batch])
    strides = (columns.row, columns.term), (rows.term, rows.row), (column[1], 1)
    return DotSpec(spec.dtype, turned, n, m, terms, *strides, accumulate)


# --- which axes are the rows and columns of the result ---


def one_axis(axes: Axes, which: int) -> Pair | None:
    """The length and stride of several axes as one, by their strides in one array; None if they do not count on."""
    wide = [axis for axis in axes if axis[0] != 1]
    for outer, inner in zip(wide, wide[1:], strict=False):
        if outer[which] != inner[which] * inner[0]:
            return None
    return total(wide), wide[-1][which] if wide else 1


def inner_rows(part: Part) -> Axes:
    """The last axes of rows that count on in the result."""
    start = len(part.rows)
    while start and one_axis(part.rows[start - 1 :], 2) is not None:
        start -= 1
    return part.rows[start:]


def outer_rows(part: Part) -> Axes:
    return part.rows[: len(part.rows) - len(inner_rows(part))]


def is_channels_last(part: Part) -> bool:
    """Whether the channels of one place are neighbours in the result."""
    column = one_axis(part.columns, 2)
    return column is not None and column[1] == 1


def is_writable(part: Part) -> bool:
    """Whether a product can write to the result: its rows or its columns are neighbours."""
    row, column = one_axis(inner_rows(part), 2), one_axis(part.columns, 2)
    return row is not None and column is not None and 1 in (row[1], column[1])


def write_to_copy(writer: LaunchWriter, spec: ConvSpec, part: Part, slots: Slots) -> None:
    """Compute a part into contiguous memory, and copy it to its places."""
    x, w, out = slots
    size = spec.dtype.itemsize
    axes = (*part.groups, *part.rows, *part.columns)
    steps = contiguous([axis[0] for axis in axes])
    moved = [(*axis[:-1], step) for axis, step in zip(axes, steps, strict=True)]
    count, rows = len(part.groups), len(part.rows)
    groups, columns = tuple(moved[:count]), tuple(moved[count + rows :])
    copy = replace(part, groups=groups, rows=tuple(moved[count : count + rows]), columns=columns)
    target = writer.scratch(total(axes) * size)
    write_as_product(writer, spec, copy, (x, w, target))
    back = [(axis[0], step, axis[-1]) for axis, step in zip(axes, steps, strict=True)]
    writer.launch(copy_source(size, back), target, out)


# --- operands ---


def matrix_of(groups: Axes, outer: Axes, rows: Axes, terms: Axes, which: int) -> Matrix | None:
    """An operand as it lies (1: x, 2: w), if the library can read it so; x is the first array of rows, w of columns."""
    row, term = one_axis(rows, 1), one_axis(terms, which)
    if row is None or term is None or layout_of(row[0], term[0], (row[1], term[1])) is None:
        return None
    steps = tuple([axis[which] for axis in groups])
    return Matrix(row[1], term[1], steps, tuple([axis[1] for axis in outer]))


def windows_of(writer: LaunchWriter, part: Part, x: Slot, size: int) -> tuple[Slot, Matrix]:
    """All windows, copied: those of one place are neighbours, or those of one element, as they are in the array."""
    rows, outer, terms = inner_rows(part), outer_rows(part), part.terms
    by_terms = least_step(terms) <= least_step(rows)
    last = [*rows, *terms] if by_terms else [*terms, *rows]
    axes = [*part.groups, *outer, *last]
    steps = contiguous([axis[0] for axis in axes])
    target = writer.scratch(total(axes) * size)
    moves = [(axis[0], axis[1], step) for axis, step in zip(axes, steps, strict=True)]
    writer.launch(copy_source(size, moves), x, target)
    count = len(part.groups)
    row, term = (total(terms), 1) if by_terms else (1, total(rows))
    return target, Matrix(row, term, steps[:count], steps[count : count + len(outer)])


def channels_of(writer: LaunchWriter, part: Part, w: Slot, size: int) -> tuple[Slot, Matrix]:
    """The weights, copied: those of one channel are neighbours."""
    sides = (
        [(axis[0], axis[2]) for axis in part.groups],
        [(axis[0], axis[1]) for axis in part.columns],
        [(axis[0], axis[2]) for axis in part.terms],
    )
    axes = [axis for side in sides for axis in side]
    steps = contiguous([axis[0] for axis in axes])
    target = writer.scratch(total(axes) * size)
    moves = [(*axis, step) for axis, step in zip(axes, steps, strict=True)]
    writer.launch(copy_source(size, moves), w, target)
    return target, Matrix(total(part.terms), 1, steps[: len(part.groups)], ())


def least_step(axes: Axes) -> int:
    """The distance of neighbours in x."""
    return min([axis[1] for axis in axes if axis[0] != 1], default=1)


# --- pieces of large convolutions ---


def pieces(part: Part, count: int) -> Iterator[tuple[Part, tuple[int, int, int], bool]]:
    """Parts of the longest axis of rows or terms: where they begin in x, w and the result, and which add to it."""
    place, axes = max(
        [("rows", part.rows), ("terms", part.terms)], key=lambda side: longest(side[1])[0]
    )
    extent, number = longest(axes)
    step = -(-extent // min(count, extent))
    _, *strides = axes[number]
    for start in range(0, extent, step):
        axis = (min(step, extent - start), *strides)
        changed = (*axes[:number], axis, *axes[number + 1 :])
        moved = [start * stride for stride in strides]
        if place == "rows":
            yield replace(part, rows=changed), (moved[0], 0, moved[1]), False
        else:
            yield replace(part, terms=changed), (moved[0], moved[1], 0), start > 0


def longest(axes: Sequence[tuple[int, ...]]) -> tuple[int, int]:
    """The extent and the number of the longest axis."""
    return max([(axis[0], i) for i, axis in enumerate(axes)], default=(0, 0))
