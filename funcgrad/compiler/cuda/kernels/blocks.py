"""Kernels as functions for one block of threads, which work on everything in turn: for loops that stay on the GPU."""

from __future__ import annotations

import hashlib
from typing import Any

from funcgrad.compiler.cuda.kernels import shapes
from funcgrad.compiler.cuda.kernels.divide import Piece, pieces, without_empty
from funcgrad.compiler.cuda.kernels.loops import Loops
from funcgrad.compiler.cuda.kernels.maps import MapWriter
from funcgrad.compiler.cuda.kernels.pointers import Pointers
from funcgrad.compiler.cuda.kernels.rows import RowWriter
from funcgrad.compiler.cuda.kernels.scalars import register_type
from funcgrad.compiler.cuda.kernels.text import Block, Names
from funcgrad.compiler.cuda.kernels.tiny import TinyWriter
from funcgrad.compiler.lowering.graph import Node
from funcgrad.compiler.lowering.kernels import Kernel


def block_function(
    kernel: Kernel, in_memory: set[Node]
) -> tuple[str, str, frozenset[str], tuple[Any, ...]]:
    """A function that computes a kernel with all threads of one block, whole warps.

    Args:
        kernel: the loop nest.
        in_memory: the nodes that have memory when it starts, and those that it stores.

    Returns:
        The name, the text of `static __device__ void NAME(char *const *p)`, the sections of the prelude that it
        needs, and what its pointers name: nodes, or `("part", node, nbytes)` for scratch memory. What it stores is
        there for other threads after the next `__syncthreads()`.
    """
    scratch: dict[Any, Any] = {}
    pointers, used, body, names = Pointers(scratch), {"core"}, Block(), Names()
    if kernel.is_tiny:
        writer = TinyWriter(Loops.of_nothing(kernel), in_memory, pointers, names, 1, None)
        writer.write(body.open("if (threadIdx.x == 0)"))
        used |= writer.used
    else:
        for number, piece in enumerate(pieces(without_empty(kernel), in_memory)):
            for node in piece.scratch:
                scratch[node] = ("part", node, node.type.size * node.dtype.itemsize)
            if number:
                body.add("__syncthreads();")
            used |= write_piece(piece, pointers, names, body)
    text = "\n".join([*[f"  {line}" for line in pointers.declarations("p")], str(body)])
    name = "fg_block_" + hashlib.sha256(f"{text} {sorted(used)}".encode()).hexdigest()[:16]
    whole = f"static __device__ void {name}(char *const *p) {{\n{text}\n}}\n"
    return name, whole, frozenset(used), tuple(pointers.keys)


def write_piece(piece: Piece, pointers: Pointers, names: Names, body: Block) -> set[str]:
    """One part of a kernel; the sections of the prelude that it uses."""
    schedule = Loops(piece.kernel, piece.in_memory)
    inner = body.open("")
    if piece.kernel.reduced:
        return write_rows(schedule, piece, pointers, names, inner)
    writer = MapWriter(schedule, piece.in_memory, pointers, names, 1, None)
    with writer.scope(inner.room()):
        type = register_type(writer.index_dtype)
        head = f"for ({type} q = threadIdx.x; q < {writer.vectors}; q += blockDim.x)"
        writer.write_vector(inner.open(head))
    return writer.used


def write_rows(
    schedule: Loops, piece: Piece, pointers: Pointers, names: Names, body: Block
) -> set[str]:
    """Rows in turn; the rows of a warp begin together, as its threads exchange values."""
    shape = shapes.block_row_shape(schedule)
    writer = RowWriter(schedule, piece.in_memory, pointers, names, shape, None)
    writer.may_share = False
    group, type = shape.group, register_type(writer.index_dtype)
    with writer.scope(body.room()):
        body.add(f"const int t = threadIdx.x % {group};")
        start, step = f"threadIdx.x / 32 * {shapes.WARP // group}", f"blockDim.x / {group}"
        loop = body.open(f"for ({type} first = {start}; first < {shape.rows}; first += {step})")
        loop.add(f"const {type} wanted = first + threadIdx.x % 32 / {group};")
        loop.add(f"const bool live = wanted < {shape.rows};")
        loop.add(f"const {type} row = live ? wanted : {shape.rows - 1};")
        writer.live, writer.leader = "live", "t == 0" if group > 1 else ""
        with writer.scope(loop):
            writer.open_counters()
            writer.write_row(loop)
    return writer.used
