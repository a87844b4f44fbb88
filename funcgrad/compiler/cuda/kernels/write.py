"""CUDA kernels for the loop nests of `lowering.fusion`."""

from __future__ import annotations

import hashlib
import math
from typing import Any

from funcgrad.compiler.cuda.kernels import shapes
from funcgrad.compiler.cuda.kernels.divide import (
    Piece,
    part_of,
    pieces,
    reduction_groups,
    stores_of,
    without_empty,
)
from funcgrad.compiler.cuda.kernels.gathering import GatheringWriter, open_gathered_rows, row_of
from funcgrad.compiler.cuda.kernels.loops import Loops
from funcgrad.compiler.cuda.kernels.maps import MapWriter
from funcgrad.compiler.cuda.kernels.parts import Layout, PartsWriter, parts_shape
from funcgrad.compiler.cuda.kernels.pointers import Pointers
from funcgrad.compiler.cuda.kernels.rows import RowWriter, gathered_type
from funcgrad.compiler.cuda.kernels.scalars import register_type
from funcgrad.compiler.cuda.kernels.text import Block, Names
from funcgrad.compiler.cuda.kernels.tiles import HEIGHT, SIDE, TileWriter, crosswise_level
from funcgrad.compiler.cuda.kernels.tiny import TinyWriter
from funcgrad.compiler.cuda.kernels.values import ValueWriter
from funcgrad.compiler.cuda.launches import Source
from funcgrad.compiler.lowering.graph import Node, Reduce
from funcgrad.compiler.lowering.kernels import Kernel
from funcgrad.compiler.lowering.reductions import POSITIONS, accumulator_dtype

Launches = list[tuple[Source, tuple[Any, ...]]]


def write_kernel(
    kernel: Kernel, in_memory: set[Node], aligned: frozenset[Node] | None = None
) -> Launches:
    """What computes a kernel.

    Args:
        kernel: the loop nest.
        in_memory: the nodes that have memory when it starts, and those that it stores.
        aligned: those whose memory begins at a multiple of 16 bytes; None for all.

    Returns:
        Sources to launch in order, each with the keys of its pointers: nodes, or `("part", node, nbytes)` for
        scratch memory that only these launches use.
    """
    if kernel.is_tiny:
        return [tiny_launch(kernel, in_memory, aligned)]
    kernel = without_empty(kernel)
    found = gathering_launches(kernel, in_memory, aligned)
    if found is not None:
        return found
    found, scratch = [], {}
    for piece in pieces(kernel, in_memory):
        for node in piece.scratch:
            scratch[node] = ("part", node, node.type.size * node.dtype.itemsize)
        found += piece_launches(piece, scratch, aligned)
    return found


def piece_launches(
    piece: Piece, scratch: dict[Any, Any], aligned: frozenset[Node] | None
) -> Launches:
    schedule = Loops(piece.kernel, piece.in_memory)
    if not piece.kernel.reduced:
        return [map_launch(schedule, piece.in_memory, Pointers(scratch), aligned)]
    return row_launches(schedule, piece.in_memory, scratch, aligned)


def tiny_launch(
    kernel: Kernel, in_memory: set[Node], aligned: frozenset[Node] | None
) -> tuple[Source, tuple[Any, ...]]:
    pointers, body = Pointers(), Block()
    writer = TinyWriter(Loops.of_nothing(kernel), in_memory, pointers, Names(), 1, aligned)
    writer.write(body)
    return source("tiny", body, writer, pointers, 1, 1)


def map_launch(
    schedule: Loops, in_memory: set[Node], pointers: Pointers, aligned: frozenset[Node] | None
) -> tuple[Source, tuple[Any, ...]]:
    across = crosswise_level(schedule)
    if across is not None:
        return tile_launch(schedule, across, in_memory, pointers)
    lanes = shapes.choose_lanes(schedule, aligned) if schedule.levels else 1
    body = Block()
    writer = MapWriter(schedule, in_memory, pointers, Names(), lanes, aligned)
    with writer.scope(body.room()):
        type, threads = register_type(writer.index_dtype), shapes.THREADS
        body.add(f"const {type} q = ({type})blockIdx.x * {threads} + threadIdx.x;")
        inner = body if writer.vectors % threads == 0 else body.open(f"if (q < {writer.vectors})")
        writer.write_vector(inner)
    return source("map", body, writer, pointers, -(-writer.vectors // threads), threads)


def tile_launch(
    schedule: Loops, across: int, in_memory: set[Node], pointers: Pointers
) -> tuple[Source, tuple[Any, ...]]:
    body = Block()
    writer = TileWriter(schedule, in_memory, pointers, Names(), 1, None)
    writer.across = across
    with writer.scope(body.room()):
        writer.write_tile(body)
    return source("tile", body, writer, pointers, writer.blocks, SIDE * HEIGHT)


def row_launches(
    schedule: Loops,
    in_memory: set[Node],
    scratch: dict[Any, Any],
    aligned: frozenset[Node] | None,
) -> Launches:
    """One launch, or two where rows are divided among blocks."""
    shape = shapes.row_shape(schedule, passes(schedule), aligned)
    pointers, body = Pointers(scratch), Block()
    writer = RowWriter(schedule, in_memory, pointers, Names(), shape, aligned)
    keys = {node: part_key(node, shape.rows * shape.parts) for node in schedule.kernel.reduced}
    if shape.parts > 1:
        for node, key in keys.items():
            writer.parts[node] = pointers.typed(key, gathered_type(node), is_written=True)
    with writer.scope(body.room()):
        open_rows(writer, body)
        with writer.scope(body):
            writer.open_counters()
            writer.write_row(body)
    launches = [
        source("row", body, writer, pointers, shape.blocks, shape.threads, writer.shared_bytes)
    ]
    if shape.parts > 1:
        layout = "columns" if shape.is_column else "rows"
        pointers = Pointers(scratch)
        launches.append(parts_launch(schedule, in_memory, shape.parts, keys, layout, pointers))
    return launches


def gathering_launches(
    kernel: Kernel, in_memory: set[Node], aligned: frozenset[Node] | None
) -> Launches | None:
    """Launches of a kernel that reduces along rows and across them; None if it does not, or has no room for it."""
    row = row_of(kernel) if len(reduction_groups(kernel)) > 1 else None
    if row is None:
        return None
    whole = part_of(kernel, list(kernel.reduced), kernel.stores)
    whole.row = row
    others = [node for node, loops in kernel.reduced.items() if frozenset(loops) != row]
    columns = [node for node in others if row.isdisjoint(kernel.reduced[node])]
    schedule = Loops(whole, in_memory)
    shape = shapes.gathering_shape(schedule, len(columns), aligned)
    if shape is None:
        return None
    blocks = shapes.gathering_blocks(shape)
    keys = {node: part_key(node, node.type.size * blocks) for node in others}
    pointers, body = Pointers(), Block()
    writer = GatheringWriter(schedule, in_memory, pointers, Names(), shape, aligned)
    targets = {
        node: pointers.typed(key, gathered_type(node), is_written=True)
        for node, key in keys.items()
    }
    with writer.scope(body.room()):
        loop = open_gathered_rows(writer, body, blocks)
        with writer.scope(loop):
            writer.open_counters()
            writer.write_row(loop)
        writer.write_gathered(body, targets)
    found = [source("gather", body, writer, pointers, blocks, shape.threads, writer.shared_bytes)]
    for nodes in (columns, [node for node in others if node not in columns]):
        if nodes:
            part = Loops(part_of(kernel, nodes, stores_of(kernel, nodes)), in_memory)
            own = {node: keys[node] for node in nodes}
            found.append(parts_launch(part, in_memory, blocks, own, "elements", Pointers()))
    return found


def parts_launch(
    schedule: Loops,
    in_memory: set[Node],
    parts: int,
    keys: dict[Reduce, Any],
    layout: Layout,
    pointers: Pointers,
) -> tuple[Source, tuple[Any, ...]]:
    """The kernel that combines parts."""
    rows = math.prod(level.extent for level in schedule.levels[: schedule.outer])
    body, shape = Block(), parts_shape(rows, parts, layout)
    writer = PartsWriter(schedule, in_memory, pointers, Names(), shape, None)
    with writer.scope(body.room()):
        open_rows(writer, body)
        found = {n: pointers.typed(key, gathered_type(n)) for n, key in keys.items()}
        with writer.scope(body):
            writer.open_counters()
            writer.write_parts(body, found, layout)
    return source("parts", body, writer, pointers, shape.blocks, shape.threads)


def passes(schedule: Loops) -> int:
    """How many passes over a row a kernel makes."""
    inside = {v for level in schedule.levels[schedule.outer :] for v in level.variables}
    stores = [s.node for s in schedule.kernel.stores if not inside.isdisjoint(s.axes)]
    return 1 + max(map(schedule.phase, [*schedule.kernel.reduced, *stores]))


def part_key(node: Reduce, count: int) -> tuple[str, Node, int]:
    """The scratch memory of so many parts of a reduction."""
    nbytes = 16 if node.combine in POSITIONS else accumulator_dtype(node).itemsize
    return ("part", node, nbytes * count)


def open_rows(writer: RowWriter, body: Block) -> None:
    """Which row a thread works on, and its number `t` in the group that shares it."""
    shape, type = writer.shape, register_type(writer.index_dtype)
    block = "blockIdx.x" if shape.parts == 1 else f"(blockIdx.x / {shape.parts})"
    if shape.is_column:
        body.add(f"const int t = threadIdx.x / {shape.width}, g = threadIdx.x % {shape.width};")
    elif shape.width == 1:
        body.add("const int t = threadIdx.x;")
    else:
        body.add(f"const int t = threadIdx.x % {shape.group}, g = threadIdx.x / {shape.group};")
    place = f"({type}){block}" if shape.width == 1 else f"({type}){block} * {shape.width} + g"
    if shape.row_groups % shape.width:
        body.add(f"const {type} wanted = {place};")
        body.add(f"const bool live = wanted < {shape.row_groups};")
        place, writer.live = f"(live ? wanted : {shape.row_groups - 1})", "live"
    several = f" * {shape.lanes}" if shape.is_column and shape.lanes > 1 else ""
    body.add(f"const {type} row = {f'({place}){several}' if several else place};")
    writer.leader = "t == 0" if shape.group > 1 else ""
    if shape.parts > 1:
        body.add(
            f"const {type} part = blockIdx.x % {shape.parts}, start = part * {shape.part_length};"
        )
        stop = f"start + {shape.part_length}"
        body.add(f"const {type} stop = {stop} < {shape.length} ? {stop} : {shape.length};")


# --- sources ---


def source(
    kind: str,
    body: Block,
    writer: ValueWriter,
    pointers: Pointers,
    blocks: int,
    threads: int,
    shared: int = 0,
) -> tuple[Source, tuple[Any, ...]]:
    """A kernel with this body, named by what it says; and what its pointers name."""
    lines = [f"  {line}" for line in pointers.declarations("p.at")]
    if shared:
        lines.append("  FG_DYNAMIC_SHARED(fg_room);")
    count = max(1, len(pointers.keys))
    text = "\n".join([*lines, str(body)])
    digest = hashlib.sha256(f"{threads} {text} {sorted(writer.used)}".encode()).hexdigest()[:16]
    name = f"fg_{kind}_{digest}"
    # Of 512 threads two blocks shall fit: 64 registers for each. Eight lanes need more.
    is_tight = threads == shapes.ROW_THREADS and writer.lanes <= 4
    bounds = f"{threads}, 2" if is_tight else threads
    head = f'extern "C" __global__ void __launch_bounds__({bounds})'
    whole = f"{head} {name}(const __grid_constant__ Pointers<{count}> p) {{\n{text}\n}}\n"
    prelude = frozenset(writer.used)
    return Source(name, whole, prelude, (blocks, 1, 1), (threads, 1, 1), shared), tuple(
        pointers.keys
    )
