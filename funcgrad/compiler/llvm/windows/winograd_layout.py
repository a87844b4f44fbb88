"""Sizes and memory of Winograd's convolution, and when it pays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.products.matrix_copy import copy_matrix
from funcgrad.compiler.llvm.strided import at, index
from funcgrad.compiler.llvm.target import host
from funcgrad.compiler.llvm.types import Value
from funcgrad.compiler.llvm.windows.conv_copy import fill
from funcgrad.compiler.llvm.windows.conv_tile import ConvTile, choose_tile
from funcgrad.compiler.llvm.windows.winograd_maps import PRODUCTS, SIDE, STEP
from funcgrad.compiler.lowering.conv_spec import ConvSpec, Planes, total

# Transformed squares that a thread works on: they stay in its second cache.
SQUARES_BYTES = 5 << 17
# Sums over all squares are made in so many parts, whatever the number of threads.
MOST_PARTS = 16
# Cycles per square and channel for turning, transforms and stores.
TRANSFORM_CYCLES = 12
# More bytes of transformed w than these leave the second cache: all lines that are worked on together read them again,
# in gradients these are sums that are read, written and added. So many bytes arrive in the time of one product.
CACHED_BYTES = 3 << 19
ARRIVING_BYTES = 4
GRADIENT_TRAFFIC = 4


def pays(spec: ConvSpec) -> bool:
    """Whether it is faster than the definition."""
    p = spec.planes
    if p is None or spec.dtype.name not in ("float32", "float64"):
        return False
    lanes = host().vector_bytes // spec.dtype.itemsize
    (channels, *_), (outputs, *_) = p.channels, p.outputs
    height, width = (axis.y_length for axis in p.axes)
    squares = total(p.examples) * -(-height // STEP) * -(-width // STEP)
    products = channels * (-(-outputs // lanes) * lanes) / lanes
    cycles = PRODUCTS * products + TRANSFORM_CYCLES * (channels + outputs) * 16 / lanes
    direct = 9 * products * total(p.examples) * height * width
    is_large = squares >= 16 and min(channels, outputs) >= lanes
    work = squares * cycles
    return is_large and work < 0.8 * direct and work + traffic(spec, p) / ARRIVING_BYTES < direct


def traffic(spec: ConvSpec, p: Planes) -> int:
    """Bytes of transformed w that come from beyond the second cache."""
    size = PRODUCTS * p.channels[0] * p.outputs[0] * spec.dtype.itemsize
    if size <= CACHED_BYTES:
        return 0
    layout = layout_of(spec, p)
    times = -(-layout.lines // layout.at_once)
    return size * times * (GRADIENT_TRAFFIC if p.sums_examples else 1)


@dataclass(frozen=True)
class Layout:
    """Sizes of what is computed on the way, for one line of squares after the other.

    Attributes:
        dtype, lanes: of elements, and of vectors.
        channels, outputs: how many there are.
        tile: of the products; its columns are outputs.
        lines: how many there are, and in each plane.
        squares: in a line.
        at_once: lines that are worked on together.
    """

    dtype: np.dtype
    lanes: int
    channels: int
    outputs: int
    tile: ConvTile
    lines: int
    lines_per_plane: int
    squares: int
    at_once: int

    @property
    def size(self) -> int:
        return self.dtype.itemsize

    @property
    def most_squares(self) -> int:
        return -(-self.at_once * self.squares // self.tile.rows) * self.tile.rows

    @property
    def channel_bytes(self) -> int:
        """Of all channels of one element of x, in whole vectors."""
        return -(-self.channels // self.lanes) * self.lanes * self.size

    @property
    def blocks(self) -> int:
        return -(-self.outputs // self.tile.columns)

    @property
    def output_bytes(self) -> int:
        """Of all outputs of one element of y, in whole tiles."""
        return self.blocks * self.tile.row_bytes

    @property
    def x_product(self) -> int:
        """Bytes between the squares of x for one product and the next."""
        return spread_out(self.most_squares * self.channel_bytes)

    @property
    def y_product(self) -> int:
        """The same for y."""
        return spread_out(self.most_squares * self.output_bytes)

    @property
    def w_product(self) -> int:
        """The same for w, whose channels are padded to whole tiles."""
        rows = -(-self.channels // self.tile.rows) * self.tile.rows
        return spread_out(rows * self.output_bytes)

    @property
    def work(self) -> int:
        products = PRODUCTS * self.channels * self.blocks * self.tile.width
        return self.lines * self.squares * products


def spread_out(size: int) -> int:
    """An odd number of cache lines, so that 16 streams of this distance fall into different sets of the cache."""
    return (-(-size // 64) | 1) * 64


def layout_of(spec: ConvSpec, p: Planes) -> Layout:
    channels, outputs = p.channels[0], p.outputs[0]
    lines_per_plane, squares = (-(-axis.y_length // STEP) for axis in p.axes)
    lines = total(p.examples) * lines_per_plane
    lanes = host().vector_bytes // spec.dtype.itemsize
    rows = channels if p.sums_examples else SQUARES_BYTES
    tile = choose_tile(spec.dtype, rows, outputs, host())
    per_line = PRODUCTS * squares * (channels + outputs) * spec.dtype.itemsize
    at_once = max(min(SQUARES_BYTES // per_line, -(-lines // MOST_PARTS)), 1)
    return Layout(
        spec.dtype, lanes, channels, outputs, tile, lines, lines_per_plane, squares, at_once
    )


@dataclass(frozen=True)
class Plane:
    """The planes of x or y, from which rows are taken with their channels last.

    Attributes:
        size: of an element in bytes.
        lengths: rows and columns of a plane.
        steps: strides of rows, columns and channels.
        low: zeros before rows and columns.
        room: columns that are wanted, zeros included.
        channels: how many there are.
        channel_bytes: what they take.
    """

    size: int
    lengths: tuple[int, int]
    steps: tuple[int, int, int]
    low: tuple[int, int]
    room: int
    channels: int
    channel_bytes: int

    @property
    def row_bytes(self) -> int:
        return self.room * self.channel_bytes

    def copy_row(self, f: Function, plane: Value, row: Value, into: Value) -> None:
        """A row of the plane that begins at `plane`; zeros if it lies outside. Columns of zeros are not written."""
        first = max(0, -self.low[1])
        count = min(self.lengths[1], self.room - self.low[1]) - first
        if count <= 0:
            return
        into = f.gep(into, (first + self.low[1]) * self.channel_bytes)
        row = f.op("sub", row, index(self.low[0])) if self.low[0] else row
        inside, outside, after = (f.new_block(hint) for hint in ("inside", "outside", "after"))
        f.branch_if(f.icmp("ult", row, index(self.lengths[0])), inside, outside)
        f.block = inside
        source = at(f, plane, (row, index(self.steps[0] * self.size)))
        source = f.gep(source, first * self.steps[1] * self.size)
        strides = (self.channel_bytes // self.size, 1), self.steps[1:]
        shape = index(count), index(self.channels)
        copy_matrix(f, self.size, into, strides[0], source, strides[1], shape)
        f.branch(after)
        f.block = outside
        fill(f, into, count * self.channel_bytes)
        f.branch(after)
        f.block = after


def x_plane(p: Planes, layout: Layout) -> Plane:
    rows, columns = p.axes
    return Plane(
        layout.size,
        (rows.x_length, columns.x_length),
        (rows.x_step, columns.x_step, p.channels[1]),
        (rows.low, columns.low),
        STEP * layout.squares + SIDE - STEP,
        layout.channels,
        layout.channel_bytes,
    )


def y_plane(p: Planes, layout: Layout) -> Plane:
    rows, columns = p.axes
    return Plane(
        layout.size,
        (rows.y_length, columns.y_length),
        (rows.y_step, columns.y_step, p.outputs[1]),
        (0, 0),
        STEP * layout.squares,
        layout.outputs,
        layout.output_bytes,
    )
