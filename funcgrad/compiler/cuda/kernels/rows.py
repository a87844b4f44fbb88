"""Kernels with reductions: passes over rows that a group of threads shares.

The values of a row that several passes need are kept in registers, or else in shared memory, so that memory is read
once. A row that is long and has no company is divided among blocks, whose results a second kernel combines in order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.compiler.cuda.kernels.keeping import KeepingWriter
from funcgrad.compiler.cuda.kernels.places import Placed
from funcgrad.compiler.cuda.kernels.scalars import (
    convert,
    is_half,
    register_type,
    rounded,
    sections,
    start,
)
from funcgrad.compiler.cuda.kernels.shapes import WARP
from funcgrad.compiler.cuda.kernels.text import Block
from funcgrad.compiler.lowering.accesses import store_offset
from funcgrad.compiler.lowering.graph import Reduce
from funcgrad.compiler.lowering.kernels import Store, loops_index, reduced_index
from funcgrad.compiler.lowering.reductions import POSITIONS, accumulator_dtype
from funcgrad.ir.types import INT64

LAST = "9223372036854775807ll"  # the position of no element


def gathered_type(node: Reduce) -> str:
    """The C type of what a reduction gathers."""
    inner = register_type(accumulator_dtype(node))
    return f"fg_place<{inner}>" if node.combine in POSITIONS else inner


def first_value(node: Reduce) -> str:
    """What a reduction begins with."""
    inner = start(node.combine, accumulator_dtype(node))
    return f"{gathered_type(node)}{{{inner}, {LAST}}}" if node.combine in POSITIONS else inner


class RowWriter(KeepingWriter):
    """Writes one kernel with rows.

    Attributes:
        live: the condition that the row exists.
        leader: the condition that holds in one thread of a group.
        row_depth: the scope where a thread knows its row.
        parts: for the reductions of divided rows, the pointer to where their parts go.
        running: reductions over other loops than those of the row: the array that gathers them from row to row.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.used |= {"combine", "groups"}
        self.row_levels = range(self.schedule.outer, len(self.schedule.levels))
        self.live = ""
        self.leader = ""
        self.row_depth = 1
        self.parts: dict[Reduce, str] = {}
        self.running: dict[Reduce, str] = {}

    # --- rows and passes ---

    def open_counters(self) -> None:
        """The counters of the levels around rows, from the number of the row."""
        outer = list(range(self.schedule.outer))
        self.counters.update(self.split_counter("row", outer) if outer else {})

    def write_row(self, block: Block) -> None:
        """All passes over a row whose outer counters are known, then what is known once per row."""
        self.top = block.room()
        nodes = [*self.kernel.members, *[store.node for store in self.kernel.stores]]
        last = max(map(self.schedule.phase, nodes))
        in_rows = [s for s in self.kernel.stores if self.is_in_row(s)]
        for phase in range(last + 1):
            reductions = [n for n in self.kernel.reduced if self.schedule.phase(n) == phase]
            stores = [s for s in in_rows if self.schedule.phase(s.node) == phase]
            if reductions or stores:
                self.finish(block, self.write_pass(block, reductions, stores))
        if self.shape.parts == 1:
            self.write_rest(block)

    def write_rest(self, block: Block) -> None:
        """What is known once per row, and no result of a reduction."""
        rest = [
            store
            for store in self.kernel.stores
            if not self.is_in_row(store) and store.node not in self.kernel.reduced
        ]
        if rest:
            self.sync(block)  # other threads of the row may still read what is overwritten
        for store in rest:
            self.compute_members([store.node])
            self.write_store(store, self.leader)

    def is_in_row(self, store: Store) -> bool:
        inside = {v for i in self.row_levels for v in self.schedule.levels[i].variables}
        return store.node not in self.kernel.reduced and not inside.isdisjoint(store.axes)

    def sync(self, block: Block) -> None:
        """Wait for the threads of the group."""
        if self.shape.threads > WARP and (self.shape.is_column or self.shape.group > WARP):
            block.add("__syncthreads();")
        elif self.shape.group > 1:
            block.add("__syncwarp();")

    def write_pass(
        self, block: Block, reductions: list[Reduce], stores: list[Store]
    ) -> dict[Reduce, str]:
        """One pass over the row: stores, and reductions into arrays of registers, whose names are returned."""
        gathered = {node: self.names("a") for node in reductions if node not in self.running}
        lanes, outer = self.shape.lanes, dict(self.counters)
        for node, name in gathered.items():
            first = ", ".join([first_value(node)] * lanes)
            block.add(f"{gathered_type(node)} {name}[{lanes}] = {{{first}}};")
        around = self.scopes[-1]
        around.block = block.room()  # for what turns out to be known outside of the loop
        inner = self.open_turns(block)
        with self.scope(inner.room(), after=Block()) as row:
            scopes = [row]
            self.row_counters()
            if lanes == 1:
                self.write_point(reductions, gathered, stores)
            else:
                inner.add("#pragma unroll")
                with self.scope(inner.open(f"for (int v = 0; v < {lanes}; v++)")) as lane:
                    self.open_lane()
                    self.write_point(reductions, gathered, stores)
                    self.lane = None
                scopes.append(lane)
        inner.parts.append(row.after)
        around.block = block
        self.counters = outer
        self.rest = None
        self.past.append(scopes)
        return gathered

    def open_turns(self, block: Block) -> Block:
        """The loop over the turns of a thread; `c` is the position in the row."""
        shape, type = self.shape, register_type(self.index_dtype)
        step = shape.step
        begin = "t" if step == shape.group else f"t * {shape.lanes}"
        stop = "stop" if shape.parts > 1 else str(shape.length)
        if shape.is_unrolled:
            block.add("#pragma unroll")
            inner = block.open(f"for (int k = 0; k < {shape.turns}; k++)")
            inner.add(f"const {type} c = k * {step} + {begin};")
            if not shape.is_exact:
                inner = inner.open(f"if (c < {stop})")
            return inner
        block.add("#pragma unroll 4")
        first = f"start + {begin}" if shape.parts > 1 else begin
        return block.open(f"for ({type} c = {first}; c < {stop}; c += {step})")

    def row_counters(self) -> None:
        """The counters of the levels of the row."""
        self.counters.update(self.split_counter("c", list(self.row_levels)))
        if not self.shape.is_column and self.shape.length % self.shape.lanes:
            self.rest = self.let("int", f"{self.shape.length} - c", self.depth).text

    def split_counter(self, text: str, levels: list[int]) -> dict[int, Placed]:
        """A position among all points of some levels, as one counter for each."""
        found, type, rest = {}, register_type(self.index_dtype), text
        for i in reversed(levels):
            extent = self.schedule.levels[i].extent
            if i == levels[0]:
                found[i] = Placed(rest, self.depth)
            else:
                found[i] = self.let(type, f"{rest} % {extent}", self.depth)
                rest = self.let(type, f"{rest} / {extent}", self.depth).text
        return found

    def open_lane(self) -> None:
        """Inside the loop over lanes: the counter of the vector level; beyond the end, that of the last one inside."""
        base = self.counters[self.vector_level].text
        v = f"(v < {self.rest} ? v : {self.rest} - 1)" if self.rest else "v"
        self.lane = self.let(register_type(self.index_dtype), f"{base} + {v}", self.depth)

    def write_point(
        self, reductions: list[Reduce], gathered: dict[Reduce, str], stores: list[Store]
    ) -> None:
        """What is done at one point."""
        self.compute_members([n.operands[0] for n in reductions] + [s.node for s in stores])
        lane = "v" if self.shape.lanes > 1 else "0"
        inside = [f"v < {self.rest}"] if self.rest else []
        for node in reductions:
            text, tests = self.gathered_value(node), list(inside)
            place = f"{gathered[node]}[{lane}]" if node in gathered else self.running_place(node)
            if node in self.running and self.live:
                tests.append(self.live)
            guard = f"if ({' && '.join(tests)}) " if tests else ""
            line = f"{guard}{place} = fg_{node.combine}::of({place}, {text});"
            self.scopes[-1].block.add(line)
        for store in stores:
            self.write_store(store, "")

    def running_place(self, node: Reduce) -> str:
        """Where the current element is gathered with those of other rows; see `GatheringWriter`."""
        raise AssertionError(f"{node} runs over other loops than those of the row")

    def gathered_value(self, node: Reduce) -> str:
        """The element that a reduction combines next, as it accumulates it."""
        operand, dtype = node.operands[0], accumulator_dtype(node)
        index = reduced_index(self.kernel, node)
        placed = self.value(operand, index)
        if not (is_half(operand.dtype) and dtype == np.float32):  # a half is a float already
            placed = self.converted(placed, operand.dtype, dtype)
        if node.combine not in POSITIONS:
            return placed.text
        position = self.index_value(index[node.axes[0]])
        return f"{gathered_type(node)}{{{placed.text}, {position.text}}}"

    def write_store(self, store: Store, test: str) -> None:
        """Write an element of a result, once."""
        placed = self.value(store.node, loops_index(store.axes))
        offset = store_offset(store.axes, store.shape, store.spec)
        tests = [Placed(text, self.row_depth) for text in (self.live, test) if text]
        tests += self.other_loops(store.axes)
        self.store(store.owner, offset, store.node.dtype, placed, tests)

    # --- results of reductions ---

    def finish(self, block: Block, gathered: dict[Reduce, str]) -> None:
        """Combine what the threads of a group have gathered: used by the next pass, stored, or both."""
        if self.shape.is_column and self.shape.lanes > 1:
            block.add("#pragma unroll")
            block = block.open(f"for (int v = 0; v < {self.shape.lanes}; v++)")
            with self.scope(block):
                self.open_lane()
                for node, name in gathered.items():
                    self.finish_one(block, node, f"{name}[v]", "row + v")
                self.lane = None
            return
        for node, name in gathered.items():
            for lane in range(1, self.shape.lanes):
                block.add(f"{name}[0] = fg_{node.combine}::of({name}[0], {name}[{lane}]);")
            self.finish_one(block, node, f"{name}[0]", "row")

    def finish_one(self, block: Block, node: Reduce, text: str, row: str) -> None:
        """The result of one reduction, or a part of it."""
        total, parts = self.names("r"), self.shape.parts
        block.add(f"const {gathered_type(node)} {total} = {self.across_group(block, node, text)};")
        if parts == 1:
            self.publish(node, total)
            return
        guard = " && ".join(text for text in (self.live, self.leader) if text)
        place = (
            f"part * {self.shape.rows} + {row}"
            if self.shape.is_column
            else f"{row} * {parts} + part"
        )
        line = f"{self.parts[node]}[{place}] = {total};"
        block.add(f"if ({guard}) {line}" if guard else line)

    def publish(self, node: Reduce, total: str) -> None:
        """The result of a reduction as a value of the row, and in memory."""
        index = loops_index(self.kernel.axes[node])
        self.define(node, index, self.narrowed(node, total))
        for store in self.kernel.stores:
            if store.node is node:
                self.write_store(store, self.leader)

    def narrowed(self, node: Reduce, total: str) -> Placed:
        """What a reduction has accumulated, in the dtype of its result."""
        self.used |= sections(node.dtype)
        if node.combine in POSITIONS:
            text = convert(f"(long long){total}.at", INT64, node.dtype)
            return self.let(register_type(node.dtype), text, self.depth)
        if is_half(node.dtype):
            return self.let("float", rounded(node.dtype, total), self.depth)
        return Placed(total, self.depth)

    def across_group(self, block: Block, node: Reduce, text: str) -> str:
        shape, op = self.shape, f"fg_{node.combine}"
        if shape.group == 1:
            return text
        if not shape.is_column and shape.group <= WARP:
            return f"fg_across_lanes<{op}, {shape.group}>({text})"
        room, count = self.names("room"), shape.threads // WARP
        if shape.is_column:
            count = shape.group * (shape.width + 1) + shape.width
        block.add(f"FG_SHARED({gathered_type(node)}, {room}, {count});")
        if shape.is_column:
            return f"fg_across_columns<{op}, {shape.group}, {shape.width}>({text}, {room})"
        return f"fg_across_block<{op}, {shape.group}>({text}, {room})"
