"""Copies around the tiles of convolutions: x with zeros around it, w as panels, and tiles into the result."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.products.matrix_copy import copy_matrix
from funcgrad.compiler.llvm.strided import at, index, repeat
from funcgrad.compiler.llvm.types import Value, constant, vector
from funcgrad.compiler.llvm.windows.conv_tile import ConvTile
from funcgrad.compiler.lowering.conv_spec import ConvSpec, Part

# Lanes in which offsets are computed.
OFFSETS = 16


def place(f: Function, number: Value, axes: Sequence[tuple[int, ...]], *which: int) -> list[Value]:
    """Sums of strides for the element with this number along several axes, for each stride in `which`."""
    totals = [constant(number.type, 0) for _ in which]
    rest = number
    for i, axis in reversed(list(enumerate(axes))):
        extent = constant(number.type, axis[0])
        along = f.op("urem", rest, extent) if i else rest
        for n, stride in enumerate(which):
            step = f.op("mul", along, constant(number.type, axis[stride]))
            totals[n] = f.op("add", totals[n], step)
        rest = f.op("udiv", rest, extent) if i else rest
    return totals


def write_offsets(
    f: Function,
    table: Value,
    axes: Sequence[tuple[int, ...]],
    start: Value,
    count: Value,
    last: int,
    which: int = 1,
) -> None:
    """Offsets of `count` elements from number `start` on, as i32; those after `last` repeat it.

    Writes up to 15 entries more. `which` stride of the axes is meant.
    """
    type = vector(OFFSETS, "i32")
    lanes = ", ".join(f"i32 {lane}" for lane in range(OFFSETS))
    with repeat(f, index(0), count, OFFSETS) as loop:
        first = f.cast("trunc", f.op("add", start, loop.index), "i32")
        numbers = f.op("add", f.splat(first, OFFSETS), Value(type, f"<{lanes}>"))
        numbers = f.intrinsic("llvm.umin", type, [numbers, constant(type, last)])
        (offsets,) = place(f, numbers, axes, which)
        f.store(offsets, f.gep(table, loop.index, "i32"), 4)


@contextlib.contextmanager
def runs(
    f: Function, start: Value, stop: Value, extent: int
) -> Iterator[tuple[Value, Value, Value]]:
    """The numbers from start to stop, cut where the last axis begins anew: (number of the run, first, length)."""
    size = index(extent)
    first = f.op("udiv", start, size)
    last = f.op("udiv", f.op("add", stop, index(extent - 1)), size)
    with repeat(f, first, last) as loop:
        begin = f.op("mul", loop.index, size)
        low = f.intrinsic("llvm.smax", "i64", [begin, start])
        high = f.intrinsic("llvm.smin", "i64", [f.op("add", begin, size), stop])
        yield loop.index, low, f.op("sub", high, low)


def last_axis(axes: Sequence[tuple[int, ...]], strides: int) -> tuple[int, ...]:
    return axes[-1] if axes else (1, *(0,) * strides)


# --- x ---


def pad_lines(
    f: Function, spec: ConvSpec, x: Value, padded: Value, start: Value, stop: Value
) -> None:
    """Some lines along the last axis of the padded x, counted through all others."""
    size = spec.dtype.itemsize
    *outer, length = spec.padded_shape
    low, high = spec.padding[-1]
    with repeat(f, start, stop) as loop:
        line = f.gep(padded, f.op("mul", loop.index, index(length * size)))
        inside, source = _source_line(f, spec, x, loop.index, outer)
        fill(f, line, low * size)
        middle = f.gep(line, low * size)
        done, copy, blank = f.new_block("done"), f.new_block("copy"), f.new_block("blank")
        f.branch_if(inside, copy, blank)
        f.block = copy
        copy_line(f, spec, middle, source)
        f.branch(done)
        f.block = blank
        fill(f, middle, spec.shape[-1] * size)
        f.branch(done)
        f.block = done
        fill(f, f.gep(middle, spec.shape[-1] * size), high * size)


def _source_line(
    f: Function, spec: ConvSpec, x: Value, number: Value, outer: Sequence[int]
) -> tuple[Value, Value]:
    """Whether a line of the padded array is one of x, and where that begins."""
    inside, offset = constant("i1", 1), index(0)
    for i in reversed(range(len(outer))):
        along = f.op("urem", number, index(outer[i])) if i else number
        number = f.op("udiv", number, index(outer[i])) if i else number
        low = spec.padding[i][0]
        along = f.op("sub", along, index(low)) if low else along
        offset = f.op("add", offset, f.op("mul", along, index(spec.strides[i])))
        if any(spec.padding[i]):
            inside = f.op("and", inside, f.icmp("ult", along, index(spec.shape[i])))
    return inside, f.gep(x, f.op("mul", offset, index(spec.dtype.itemsize)))


def fill(f: Function, to: Value, size: int) -> None:
    """Zeros."""
    if size:
        f.module.declare("llvm.memset.p0.i64", "void", ["ptr", "i8", "i64", "i1"])
        f.do(f"call void @llvm.memset.p0.i64(ptr {to.text}, i8 0, i64 {size}, i1 false)")


def copy_line(f: Function, spec: ConvSpec, to: Value, source: Value) -> None:
    """One line of x."""
    size, length, stride = spec.dtype.itemsize, spec.shape[-1], spec.strides[-1]
    if stride == 1 or length == 1:
        f.module.declare("llvm.memcpy.p0.p0.i64", "void", ["ptr", "ptr", "i64", "i1"])
        arguments = f"ptr {to.text}, ptr {source.text}, i64 {length * size}, i1 false"
        f.do(f"call void @llvm.memcpy.p0.p0.i64({arguments})")
        return
    with repeat(f, index(0), index(length)) as loop:
        element = f.load(f"i{8 * size}", at(f, source, (loop.index, index(stride * size))))
        f.store(element, f.gep(to, f.op("mul", loop.index, index(size))))


# --- w ---


def pack_terms(
    f: Function, part: Part, tile: ConvTile, w: Value, panel: Value, columns: Value, span: tuple
) -> None:
    """The rows of a panel for the terms of a span: `columns` output channels each, from where `w` points on."""
    size = tile.dtype.itemsize
    _, column, _ = last_axis(part.columns, 2)
    extent, _, step = last_axis(part.terms, 2)
    with runs(f, span[0], span[1], extent) as (number, first, length):
        (start,) = place(f, number, part.terms[:-1], 2)
        within = f.op("sub", first, f.op("mul", number, index(extent)))
        start = f.op("add", start, f.op("mul", within, index(step)))
        source = f.gep(w, f.op("mul", start, index(size)))
        to = at(f, panel, (first, index(tile.row_bytes)))
        copy_matrix(f, size, to, (tile.columns, 1), source, (step, column), (length, columns))


# --- the result ---


def store_rows(
    f: Function, part: Part, tile: ConvTile, sums: Value, out: Value, columns: Value, span: tuple
) -> None:
    """The rows of a span, which `sums` holds, to their places in the result; `out` points to the first column."""
    size = tile.dtype.itemsize
    _, _, column = last_axis(part.columns, 2)
    extent, _, step = last_axis(part.rows, 2)
    with runs(f, span[0], span[1], extent) as (number, first, length):
        (place_of_run,) = place(f, number, part.rows[:-1], 2)
        within = f.op("sub", first, f.op("mul", number, index(extent)))
        offset = f.op("add", place_of_run, f.op("mul", within, index(step)))
        to = f.gep(out, f.op("mul", offset, index(size)))
        source = at(f, sums, (f.op("sub", first, span[0]), index(tile.row_bytes)))
        copy_matrix(f, size, to, (step, column), source, (tile.columns, 1), (length, columns))
