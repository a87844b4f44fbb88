"""A kernel as LLVM code: what is computed in its loops, everything as far out as it can be, and where it goes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.kernels import combine as combining
from funcgrad.compiler.llvm.kernels.accumulator import Accumulator
from funcgrad.compiler.llvm.kernels.loop_nest import LoopNest
from funcgrad.compiler.llvm.kernels.registers import memory_type, register_type
from funcgrad.compiler.llvm.kernels.scopes import Placed
from funcgrad.compiler.llvm.target import Target
from funcgrad.compiler.llvm.types import Value, constant, lanes_of, vector
from funcgrad.compiler.lowering.accesses import store_offset
from funcgrad.compiler.lowering.graph import Node, Reduce
from funcgrad.compiler.lowering.index import flat_offset
from funcgrad.compiler.lowering.kernels import Store, loops_index, reduced_index
from funcgrad.compiler.lowering.reductions import accumulator_dtype
from funcgrad.compiler.lowering.schedule import Level, Schedule


class KernelWriter(LoopNest):
    """Writes the loops of one kernel, a function `void NAME(ptr buffers, i64 chunk)`.

    Args: those of `LoopNest`, and
        streamed: large results that nobody reads soon, in aligned memory: written past the cache.
    """

    def __init__(
        self,
        function: Function,
        schedule: Schedule,
        buffers: dict[Any, Value],
        chunk: Value | None,
        target: Target,
        failure: Value,
        streamed: frozenset[Node] = frozenset(),
    ) -> None:
        super().__init__(function, schedule, buffers, chunk, target, failure)
        self.buffers = buffers
        self.streamed = streamed if self.chunks_are_aligned() else frozenset()
        self.keep_values()

    # --- the loops around the rows ---

    def write(self) -> None:
        with self.values.scope(None, None):
            self.write_outer(0)

    def write_outer(self, depth: int) -> None:
        """The loops around the rows."""
        if depth == self.schedule.outer:
            self.write_rows()
            return
        level = self.schedule.levels[depth]
        if level.is_vector:
            self.write_vector_level(level, lambda: self.write_outer(depth + 1))
            return
        start, stop, _ = self.range_of(level)
        with self.f.loop(start, stop, 1, "row") as loop, self.values.scope(level, loop):
            self.note_first(level, loop.index, start)
            self.write_outer(depth + 1)

    def write_vector_level(self, level: Level, body: Any) -> None:
        """A vector loop that has rows inside: whole vectors, then a masked rest."""
        start, stop, length = self.range_of(level)
        for first, last, is_rest in self.vector_parts(start, stop, length, self.lanes):

            def whole(now: dict, is_rest: bool = is_rest) -> dict:
                index = self.values.innermost_index()
                if is_rest:
                    self.values.limit(index, stop)
                self.note_first(level, index, start)
                body()
                return now

            self.carried_loop(level, first, last, self.lanes, {}, whole, self.lanes)

    # --- a row ---

    def write_rows(self) -> None:
        """All passes over one row, then what is known once per row."""
        rows = self.schedule.levels[self.schedule.outer :]
        last = max([0, *[self.schedule.phase(node) for node in self.all_nodes()]])
        for phase in range(last + 1):
            self.values.phase = phase
            reductions = [n for n in self.reductions() if self.schedule.phase(n) == phase]
            stores = [s for s in self.stores_in_rows() if self.schedule.phase(s.node) == phase]
            if rows and (reductions or stores):
                self.write_pass(rows, reductions, stores)
            elif not rows:
                self.finish(reductions, {n: self.single(n) for n in reductions})
        self.values.phase = last
        for store in self.kernel.stores:
            if store not in self.stores_in_rows() and not self.is_reduction(store.node):
                self.store(store)

    def all_nodes(self) -> list[Node]:
        return [*self.kernel.members, *[store.node for store in self.kernel.stores]]

    def reductions(self) -> list[Reduce]:
        return list(self.kernel.reduced)

    def is_reduction(self, node: Node) -> bool:
        return node in self.kernel.reduced

    def stores_in_rows(self) -> list[Store]:
        row = {v for level in self.schedule.levels if level.is_row for v in level.variables}
        return [
            store
            for store in self.kernel.stores
            if not self.is_reduction(store.node) and row & {a for a in store.axes if a is not None}
        ]

    def single(self, node: Reduce) -> tuple[Value, ...]:
        """The one element that a reduction of a kernel without loops combines."""
        return (self.operand(node).value,)

    def write_pass(self, rows: list[Level], reductions: list[Reduce], stores: list[Store]) -> None:
        """One pass over the row: reductions into registers or memory, and stores."""
        inside = {v for level in rows for v in level.variables}
        in_registers = [n for n in reductions if inside & set(self.kernel.reduced[n])]
        in_memory = [n for n in reductions if n not in in_registers]
        lanes = self.lanes if any(level.is_vector for level in self.schedule.levels) else 0
        gathered = {n: Accumulator(n, lanes) for n in in_registers}
        state = {n: a.start() for n, a in gathered.items()}
        state = self.write_row_level(rows, 0, gathered, state, stores, in_memory)
        results = {}
        horizontal = any(level.is_vector for level in rows)
        for node, parts in state.items():
            results[node] = gathered[node].across_lanes(self.f, parts) if horizontal else parts
        self.finish(in_registers, results)

    def write_row_level(
        self,
        rows: list[Level],
        depth: int,
        gathered: dict[Reduce, Accumulator],
        state: dict[Reduce, tuple[Value, ...]],
        stores: list[Store],
        in_memory: list[Reduce],
    ) -> dict[Reduce, tuple[Value, ...]]:
        """The loops of the row from `depth` on; the registers of the reductions after them."""
        level = rows[depth]

        def body(now: dict[Reduce, tuple[Value, ...]]) -> dict[Reduce, tuple[Value, ...]]:
            if depth + 1 < len(rows):
                return self.write_row_level(rows, depth + 1, gathered, now, stores, in_memory)
            return self.write_point(gathered, now, stores, in_memory)

        start, stop, length = self.range_of(level)
        if not level.is_vector:
            return self.carried_loop(level, start, stop, 1, state, body, 0)
        step = self.lanes * (self.unroll() if depth + 1 == len(rows) else 1)
        inner = self.inner_vectors(level)
        if inner is not None:
            return self.divided_loop(level, inner, gathered, state, body)
        for first, last, masked in self.vector_parts(start, stop, length, step):
            if not masked:
                state = self.unrolled_loop(level, first, last, step, gathered, state, body)
            else:
                state = self.masked_loop(level, first, last, state, body)
        return state

    def write_point(
        self,
        gathered: dict[Reduce, Accumulator],
        state: dict[Reduce, tuple[Value, ...]],
        stores: list[Store],
        in_memory: list[Reduce],
    ) -> dict[Reduce, tuple[Value, ...]]:
        """What is done at one point (or vector of points) of the domain."""
        roots = [n.operands[0] for n in (*gathered, *in_memory)] + [s.node for s in stores]
        for member in self.kernel.members_for(roots, self.values.is_kept):
            if self.schedule.is_computed(member):
                self.values.value(member, loops_index(self.kernel.axes[member]))
        following = {}
        for node, accumulator in gathered.items():
            parts = self.gathered_parts(node, accumulator)
            following[node] = accumulator.combine(self.f, state[node], parts)
        for store in stores:
            self.store(store)
        for node in in_memory:
            self.add_to_memory(node, (self.operand_register(node),))
        return following

    def operand(self, node: Reduce) -> Placed:
        return self.values.value(node.operands[0], reduced_index(self.kernel, node))

    def operand_register(self, node: Reduce) -> Value:
        """The element that a reduction combines next, as it accumulates it."""
        return self.values.widened(
            self.operand(node), node.operands[0].dtype, accumulator_dtype(node)
        ).value

    def gathered_parts(self, node: Reduce, accumulator: Accumulator) -> tuple[Value, ...]:
        value = self.values.full(self.operand_register(node), accumulator.type)
        parts: tuple[Value, ...] = (value,)
        if accumulator.is_position:
            index = reduced_index(self.kernel, node)[node.axes[0]]
            position = self.values.index_value(index)
            parts = (
                value,
                self.values.full(position.value, combining.position_type(accumulator.type)),
            )
        if self.values.mask is None:
            return parts
        mask = self.values.mask
        return tuple(
            self.f.select(mask, part, first)
            for part, first in zip(parts, accumulator.start(), strict=True)
        )

    # --- results of reductions ---

    def finish(self, nodes: Sequence[Reduce], results: dict[Reduce, tuple[Value, ...]]) -> None:
        """Use what reductions gathered over a row: as values of the next pass, in memory, or both."""
        row = {v for level in self.schedule.levels if level.is_row for v in level.variables}
        for node in nodes:
            parts = results[node]
            if set(self.kernel.reduced[node]) <= row and not self.is_divided(node):
                final = parts[-1]
                narrow = self.values.narrowed(final, accumulator_dtype(node), node.dtype)
                self.values.define(node, loops_index(self.kernel.axes[node]), narrow)
                for store in self.kernel.stores:
                    if store.node is node:
                        self.store(store)
            else:
                self.add_to_memory(node, parts)

    def is_divided(self, node: Reduce) -> bool:
        level = self.schedule.chunk_level
        return level >= 0 and self.schedule.is_partial(node, level)

    def add_to_memory(self, node: Reduce, parts: tuple[Value, ...]) -> None:
        """Combine with what memory holds of a reduction whose loops lie outside."""
        f, dtype = self.f, accumulator_dtype(node)
        place = "part" if self.is_divided(node) else "sum"
        offset = flat_offset(loops_index(self.kernel.axes[node]), node.shape)
        address = self.values.address(self.buffers[place, node], offset, memory_type(dtype))
        lanes = abs(address.lanes)
        value = parts[0]
        if lanes:
            value = self.values.full(value, vector(lanes, register_type(dtype)))
        elif lanes_of(value.type):
            value = self.combined_lanes(node, value)
        known = self.values.load_from(address, dtype, self.values.mask if lanes else None)
        first = self.is_first(node)
        known = f.select(first, combining.start(node.combine, dtype, value.type), known)
        self.values.store_to(
            address, dtype, combining.combine(f, node.combine, dtype, known, value)
        )

    def combined_lanes(self, node: Reduce, value: Value) -> Value:
        dtype = accumulator_dtype(node)
        if self.values.mask is not None:
            value = self.f.select(
                self.values.mask, value, combining.start(node.combine, dtype, value.type)
            )
        return combining.across_lanes(self.f, node.combine, dtype, value)

    def is_first(self, node: Reduce) -> Value:
        """Whether all outer loops that a reduction runs over are at their beginning."""
        flags = [self.first_of[v] for v in self.kernel.reduced[node] if v in self.first_of]
        if not flags:
            return constant("i1", 1)
        result = flags[0]
        for flag in flags[1:]:
            result = self.f.op("and", result, flag)
        return result

    # --- stores ---

    def store(self, store: Store) -> None:
        placed = self.values.value(store.node, loops_index(store.axes))
        offset = store_offset(store.axes, store.shape, store.spec)
        if self.is_readable(store):
            self.values.written.setdefault(store.node, self.values.phase)
        past_cache = store.owner in self.streamed and self.values.is_aligned(offset)
        self.values.store(self.buffers[store.owner], offset, store.node.dtype, placed, past_cache)

    def is_readable(self, store: Store) -> bool:
        """Whether later passes over the row read a result from memory instead of computing it again."""
        node = store.node
        is_own = store.owner is node and node in self.kernel.axes and not self.is_reduction(node)
        return is_own and node not in self.streamed and len(node.operands) > 1

    # --- values kept from one pass over the row to the next ---

    def keep_values(self) -> None:
        rows = self.schedule.levels[self.schedule.outer :]
        self.values.keep(self.schedule.kept_values(), math.prod(level.extent for level in rows))
