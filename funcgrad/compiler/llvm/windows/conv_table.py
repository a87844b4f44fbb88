"""Convolutions as constant tables: what differs between those that run through the same loops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from funcgrad.compiler.llvm.builder import Function, Module
from funcgrad.compiler.llvm.products.matrix_copy import PARAMETERS as COPY_PARAMETERS, copy_name
from funcgrad.compiler.llvm.strided import index
from funcgrad.compiler.llvm.target import host
from funcgrad.compiler.llvm.types import Value
from funcgrad.compiler.llvm.windows.conv_tasks import LEAST_BYTES, LEAST_WORK, POLL_WORK
from funcgrad.compiler.llvm.windows.conv_tile import (
    PARAMETERS as TILE_PARAMETERS,
    ConvTile,
    choose_tile,
)
from funcgrad.compiler.lowering.conv_spec import ConvSpec, Part, total

# A panel of this size stays in the second cache while the rows of a chunk pass.
PANEL_BYTES = 1 << 18
# The sums of the rows of a chunk, and how many rows that can be.
SUMS_BYTES = 3 << 14
MOST_ROWS = 1024

MOST_AXES = 8
AXIS_WORDS = 4
AXES = ("group", "row", "term")
POINTERS = ("tile", "pack", "store")
NUMBERS = (
    *("groups", "rows", "row_length", "terms", "term_length", "blocks", "panels", "columns"),
    *("group_axes", "row_axes", "term_axes", "x_start", "w_start", "out_start"),
    *("w_term", "w_column", "out_row", "out_column", "pack_turns", "store_turns"),
    *("tile_rows", "tile_columns", "row_bytes", "panel_bytes", "terms_at_once", "pieces"),
    *("tiles", "least_tiles", "most_tiles", "polls"),
)
PADDING = (
    *("padded_bytes", "lines", "line_bytes", "low_bytes", "length", "high_bytes", "x_step"),
    *("pad_chunks", "pad_polls", "line_axes", "parts"),
)
AXIS_PLACES = {
    name: len(POINTERS) + len(NUMBERS) + i * MOST_AXES * AXIS_WORDS for i, name in enumerate(AXES)
}
PART_WORDS = len(POINTERS) + len(NUMBERS) + len(AXES) * MOST_AXES * AXIS_WORDS
HEAD_WORDS = len(PADDING) + MOST_AXES * AXIS_WORDS
PART_PLACES = {name: i for i, name in enumerate((*POINTERS, *NUMBERS))}
HEAD_PLACES = {name: i for i, name in enumerate(PADDING)}


class Table:
    """Reads the words of a table, each where the function begins."""

    def __init__(self, f: Function, pointer: Value, places: dict[str, int]) -> None:
        self.f = f
        self.pointer = pointer
        self.places = places
        self.known: dict[str, Value] = {}

    def __getattr__(self, name: str) -> Value:
        if name not in self.known:
            type = "ptr" if name in POINTERS else "i64"
            with self.f.at(self.f.entry):
                address = self.f.gep(self.pointer, 8 * self.places[name])
                self.known[name] = self.f.load(type, address, 8)
        return self.known[name]

    def holds(self, name: str) -> Value:
        return self.f.icmp("ne", getattr(self, name), index(0))


@dataclass(frozen=True)
class Plan:
    """How one part of a convolution is computed.

    Attributes:
        part: the part, with at most one column axis.
        tile: the register tile.
        terms_at_once: whose panel stays in a cache.
    """

    part: Part
    tile: ConvTile
    terms_at_once: int


def plan_part(spec: ConvSpec, part: Part) -> Plan:
    """The plan of a part that has rows and columns."""
    terms = total(part.terms)
    tile = choose_tile(spec.dtype, total(part.rows), total(part.columns), host())
    pieces = max(-(-terms * tile.row_bytes // PANEL_BYTES), 1)
    return Plan(part, tile, max(-(-terms // pieces), 1))


def with_one_column_axis(part: Part) -> Part:
    """All but the last of its column axes count as groups."""
    outer = tuple((n, 0, w, out) for n, w, out in part.columns[:-1])
    return replace(part, groups=part.groups + outer, columns=part.columns[-1:])


def fits(spec: ConvSpec) -> bool:
    """Whether its axes and offsets have room in a table."""
    counts = [len(spec.shape) - 1]
    for part in map(with_one_column_axis, spec.parts):
        counts += [len(part.groups), len(part.rows), len(part.terms)]
    return max(counts) <= MOST_AXES and spec.padded_size < 1 << 31


def conv_table(module: Module, name: str, spec: ConvSpec, parts: Sequence[Part]) -> Value:
    """The constant that describes the convolution of these parts."""
    words = head_words(spec, len(parts))
    for part in parts:
        words += part_words(module, spec, plan_part(spec, part))
    types = ", ".join(word.split(" ")[0] for word in words)
    return module.data(name, f"private constant {{{types}}} {{{', '.join(words)}}}")


def axis_words(axes: Sequence[tuple[int, ...]]) -> list[str]:
    """Axes from the last to the first."""
    numbers = [n for axis in reversed(axes) for n in (*axis, *[0] * (AXIS_WORDS - len(axis)))]
    numbers += [0] * (MOST_AXES * AXIS_WORDS - len(numbers))
    return [f"i64 {n}" for n in numbers]


def head_words(spec: ConvSpec, parts: int) -> list[str]:
    """How x is surrounded by zeros. Lines run along its last axis."""
    size = spec.dtype.itemsize
    *outer, length = spec.padded_shape
    lines = total([(n,) for n in outer])
    low, high = spec.padding[-1]
    axes = [
        (n, before, own, stride * size)
        for n, (before, _), own, stride in zip(
            outer, spec.padding, spec.shape, spec.strides, strict=False
        )
    ] or [(1, 0, 1, 0)]
    values = {
        "padded_bytes": lines * length * size if spec.is_padded else 0,
        "lines": lines,
        "line_bytes": length * size,
        "low_bytes": low * size,
        "length": spec.shape[-1],
        "high_bytes": high * size,
        "x_step": spec.strides[-1] * size,
        "pad_chunks": max(lines * length * size // LEAST_BYTES, 1),
        "pad_polls": lines * length > POLL_WORK,
        "line_axes": len(axes),
        "parts": parts,
    }
    return [f"i64 {int(values[name])}" for name in PADDING] + axis_words(axes)


def part_words(module: Module, spec: ConvSpec, plan: Plan) -> list[str]:
    """All there is to know of a part. Strides and starts are in bytes, offsets of rows and terms in elements."""
    part, tile, size = plan.part, plan.tile, spec.dtype.itemsize
    columns, w_column, out_column = last_axis(part.columns)
    row_length, _, out_row = last_axis(part.rows)
    term_length, _, w_term = last_axis(part.terms)
    pack, pack_turns = copy_name(size, (tile.columns, 1), (w_term, w_column))
    store, store_turns = copy_name(size, (out_row, out_column), (tile.columns, 1))
    pointers = {"tile": tile.name, "pack": pack, "store": store}
    values = {
        "row_length": row_length,
        "term_length": term_length,
        "columns": columns,
        "group_axes": len(part.groups),
        "row_axes": len(part.rows),
        "term_axes": len(part.terms),
        "x_start": part.starts[0] * size,
        "w_start": part.starts[1] * size,
        "out_start": part.starts[2] * size,
        "w_term": w_term * size,
        "w_column": w_column * size,
        "out_row": out_row * size,
        "out_column": out_column * size,
        "pack_turns": pack_turns,
        "store_turns": store_turns,
        **tile_numbers(plan, columns),
    }
    for name, types in (
        (tile.name, TILE_PARAMETERS),
        (pack, COPY_PARAMETERS),
        (store, COPY_PARAMETERS),
    ):
        module.declare(name, "void", types)
    words = [f"ptr @{pointers[name]}" for name in POINTERS]
    words += [f"i64 {int(values[name])}" for name in NUMBERS]
    for axes in (part.groups, part.rows, part.terms):
        words += axis_words(axes)
    return words


def last_axis(axes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The length and strides of the innermost axis."""
    return axes[-1] if axes else (1, 0, 0)


def tile_numbers(plan: Plan, columns: int) -> dict[str, int]:
    """How the positions and terms of a part fall into tiles and panels, and how much work these are."""
    part, tile = plan.part, plan.tile
    groups, rows, terms = total(part.groups), total(part.rows), total(part.terms)
    blocks, tiles = -(-columns // tile.columns), -(-rows // tile.rows)
    work = tile.rows * terms * tile.width
    most_rows = min(SUMS_BYTES // tile.row_bytes, MOST_ROWS)
    return {
        "groups": groups,
        "rows": rows,
        "terms": terms,
        "blocks": blocks,
        "panels": groups * blocks,
        "tile_rows": tile.rows,
        "tile_columns": tile.columns,
        "row_bytes": tile.row_bytes,
        "panel_bytes": terms * tile.row_bytes,
        "terms_at_once": plan.terms_at_once,
        "pieces": max(terms * tile.row_bytes // LEAST_BYTES, 1),
        "tiles": tiles,
        "least_tiles": max(-(-LEAST_WORK // max(work, 1)), 1),
        "most_tiles": max(most_rows // tile.rows, 1),
        "polls": groups * blocks * tiles * work > POLL_WORK,
    }
