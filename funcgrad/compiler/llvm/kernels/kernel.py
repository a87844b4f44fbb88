"""The loops of a kernel as LLVM code: explicit vectors, a masked rest, everything computed as far out as it can be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from funcgrad.compiler.llvm.builder import Block, Function, Loop, Value, constant, lanes_of, vector
from funcgrad.compiler.llvm.kernels import combine as combining
from funcgrad.compiler.llvm.kernels.registers import memory_type, register_bytes, register_type
from funcgrad.compiler.llvm.kernels.scopes import Placed
from funcgrad.compiler.llvm.kernels.values import ValueWriter
from funcgrad.compiler.llvm.target import Target
from funcgrad.compiler.lowering.accesses import store_offset
from funcgrad.compiler.lowering.graph import POSITIONS, Node, Reduce, accumulator_dtype
from funcgrad.compiler.lowering.index import flat_offset
from funcgrad.compiler.lowering.kernels import Kernel, Store, loops_index, reduced_index
from funcgrad.compiler.lowering.schedule import Level, Schedule

UNROLLED_COST = 48  # operations in the body of a loop up to which it is unrolled
MAX_UNROLL = 4
FEW_TURNS = 4  # of an unrolled loop, which are not worth its code
SHORT = 8  # vectors in a loop up to which its body is written only once, with a mask for the rest


class Accumulator:
    """What a reduction has gathered so far: a register per unrolled copy (two for positions)."""

    def __init__(self, node: Reduce, lanes: int) -> None:
        self.node = node
        self.dtype = accumulator_dtype(node)
        self.type = vector(lanes, register_type(self.dtype))
        self.is_position = node.combine in POSITIONS

    def start(self) -> tuple[Value, ...]:
        first = combining.start(self.node.combine, self.dtype, self.type)
        if not self.is_position:
            return (first,)
        return first, constant(combining.position_type(self.type), combining.LAST)

    def combine(self, f: Function, a: tuple[Value, ...], b: tuple[Value, ...]) -> tuple[Value, ...]:
        if self.is_position:
            return combining.better(f, self.node.combine, self.dtype, a, b)
        return (combining.combine(f, self.node.combine, self.dtype, a[0], b[0]),)

    def across_lanes(self, f: Function, parts: tuple[Value, ...]) -> tuple[Value, ...]:
        if self.is_position:
            return combining.best_lane(f, self.node.combine, self.dtype, parts)
        return (combining.across_lanes(f, self.node.combine, self.dtype, parts[0]),)


class KernelWriter:
    """Writes the loops of one kernel, a function `void NAME(ptr buffers, i64 chunk)`.

    Args:
        function: the function to write into.
        schedule: the loops.
        buffers: addresses of the nodes in memory, and of the parts of divided reductions.
        chunk: the number of the chunk.
        failure: address of the record of errors.
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
        self.f = function
        self.schedule = schedule
        self.kernel: Kernel = schedule.kernel
        self.buffers = buffers
        self.chunk = chunk
        self.lanes = self.choose_lanes(target)
        self.values = ValueWriter(function, schedule, buffers, self.lanes, failure)
        self.first_of: dict[int, Value] = {}
        self.streamed = streamed if self.chunks_are_aligned() else frozenset()
        self.keep_values()

    # --- sizes ---

    def choose_lanes(self, target: Target) -> int:
        """As many elements of the smallest floating (or widest integer) dtype as fill a vector register."""
        sizes = [register_bytes(node.dtype) for node in self.kernel.members]
        sizes += [register_bytes(store.node.dtype) for store in self.kernel.stores]
        floats = [s for s in sizes if s >= 4]
        lanes = target.vector_bytes // min(floats or sizes)
        vectors = [level.extent for level in self.schedule.levels if level.is_vector]
        while vectors and lanes > 4 and lanes >= 2 * vectors[0]:
            lanes //= 2
        return lanes

    def unroll(self) -> int:
        """Copies of the loop body that hide the latency of its operations."""
        level = self.schedule.levels[-1]
        if not level.is_vector:
            return 1
        cost = self.schedule.cost + 2 * len(self.schedule.accesses)
        copies = max(1, min(MAX_UNROLL, UNROLLED_COST // max(1, cost)))
        while copies > 1 and level.extent < FEW_TURNS * copies * self.lanes:
            copies //= 2
        return copies

    def chunks_are_aligned(self) -> bool:
        """Whether every chunk begins with a whole vector."""
        schedule = self.schedule
        level = schedule.chunk_level
        if level < 0 or not schedule.levels[level].is_vector:
            return True
        return schedule.chunk_size() % self.lanes == 0

    # --- structure ---

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

    def range_of(self, level: Level) -> tuple[Value, Value, int | None]:
        """The counts from which and to which a level runs, and how many if that is known."""
        number = self.schedule.levels.index(level)
        if number != self.schedule.chunk_level:
            return constant("i64", 0), constant("i64", level.extent), level.extent
        assert self.chunk is not None
        size = self.schedule.chunk_size()
        start = self.f.op("mul", self.chunk, constant("i64", size))
        stop = self.f.op("add", start, constant("i64", size))
        end = constant("i64", level.extent)
        stop = self.f.intrinsic("llvm.smin", "i64", [stop, end])
        return start, stop, None

    def vector_parts(
        self, start: Value, stop: Value, length: int | None, step: int
    ) -> list[tuple[Value, Value, bool]]:
        """Ranges in steps of whole vectors, and the rest that needs a mask."""
        if length is not None:
            is_short = length % self.lanes and length < SHORT * self.lanes
            whole = 0 if is_short else length - length % step
            parts = [(start, constant("i64", whole), False)] if whole else []
            if whole < length:
                parts.append((constant("i64", whole), stop, True))
            return parts
        count = self.f.op("sub", stop, start)
        rest = self.f.op("urem", count, constant("i64", step))
        middle = self.f.op("sub", stop, rest)
        parts = [(start, middle, False)]
        if (
            self.schedule.levels[self.schedule.chunk_level].extent % step
            or self.schedule.chunk_size() % step
        ):
            parts.append((middle, stop, True))
        return parts

    def note_first(self, level: Level, index: Value, start: Value) -> None:
        """Remember whether this is the first iteration of a level: sums in memory start there."""
        reduced = {v for loops in self.kernel.reduced.values() for v in loops}
        if level.variables[-1] in reduced:
            self.first_of[level.variables[-1]] = self.f.icmp("eq", index, start)

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
        for first, last, masked in self.vector_parts(start, stop, length, step):
            if not masked:
                state = self.unrolled_loop(level, first, last, step, gathered, state, body)
            else:
                state = self.masked_loop(level, first, last, state, body)
        return state

    def unrolled_loop(
        self,
        level: Level,
        start: Value,
        stop: Value,
        step: int,
        gathered: dict[Reduce, Accumulator],
        state: dict[Reduce, tuple[Value, ...]],
        body: Any,
    ) -> dict[Reduce, tuple[Value, ...]]:
        """Whole vectors, several at a time, each copy with its own registers, combined after the loop."""
        copies = step // self.lanes
        starts = [state] + [{n: a.start() for n, a in gathered.items()} for _ in range(copies - 1)]
        flat = {(n, c): starts[c][n] for c in range(copies) for n in gathered}

        def all_copies(now: dict) -> dict:
            following = {}
            for copy in range(copies):
                with self.values.copy(copy * self.lanes):
                    after = body({n: now[n, copy] for n in gathered})
                following.update({(n, copy): after[n] for n in gathered})
            return following

        done = self.carried_loop(level, start, stop, step, flat, all_copies, self.lanes)
        result = {}
        for node, accumulator in gathered.items():
            total = done[node, 0]
            for copy in range(1, copies):
                total = accumulator.combine(self.f, total, done[node, copy])
            result[node] = total
        return result

    def masked_loop(
        self, level: Level, start: Value, stop: Value, state: dict, body: Any
    ) -> dict[Reduce, tuple[Value, ...]]:
        """The rest of a vector loop: lanes beyond the end are off."""

        def masked(now: dict) -> dict:
            self.values.limit(self.values.innermost_index(), stop)
            return body(now)

        return self.carried_loop(level, start, stop, self.lanes, state, masked, self.lanes)

    def carried_loop(
        self, level: Level, start: Value, stop: Value, step: int, state: dict, body: Any, lanes: int
    ) -> dict[Any, tuple[Value, ...]]:
        """A loop that carries the registers in `state`; what they hold after it. It may be empty if not constant."""
        f = self.f
        before = f.new_block("before")
        f.branch(before)
        f.block = before
        is_constant = start.text[0] != "%" and stop.text[0] != "%"
        if is_constant and int(stop.text) - int(start.text) <= step:
            return self.single_turn(level, start, state, body, lanes)
        skipped = before
        if not is_constant:
            inside, skipped = f.new_block("some"), f.new_block("none")
            f.branch_if(f.icmp("slt", start, stop), inside, skipped)
            f.block = inside
        with f.loop(start, stop, step, "vector" if lanes else "inner") as loop:
            now = {n: tuple([f.carry(loop, v) for v in parts]) for n, parts in state.items()}
            hoist = loop.preheader if is_constant else before
            with self.values.scope(level, loop, lanes, hoist):
                after = body(now)
            for n, parts in now.items():
                for phi, following in zip(parts, after[n], strict=True):
                    f.update(loop, phi, following)
        return after if is_constant else self.join_paths(before, skipped, state, after)

    def single_turn(
        self, level: Level, index: Value, state: dict, body: Any, lanes: int
    ) -> dict[Any, tuple[Value, ...]]:
        """The body of a loop that runs once, after the current block."""
        f = self.f
        before, inside = f.block, f.new_block("once")
        f.branch(inside)
        f.block = inside
        with self.values.scope(level, Loop(index, before, inside), lanes):
            return body(state)

    def join_paths(self, before: Block, skipped: Block, state: dict, after: dict) -> dict:
        """Registers after a loop that may have been skipped."""
        f = self.f
        end = f.block
        f.branch(skipped)
        f.block = skipped

        def joined(v: Value, w: Value) -> Value:
            sources = f"[{v.text}, %{before.end.label}], [{w.text}, %{end.label}]"
            return f.emit(v.type, f"phi {v.type} {sources}")

        return {
            n: tuple([joined(v, w) for v, w in zip(parts, after[n], strict=True)])
            for n, parts in state.items()
        }

    def write_point(
        self,
        gathered: dict[Reduce, Accumulator],
        state: dict[Reduce, tuple[Value, ...]],
        stores: list[Store],
        in_memory: list[Reduce],
    ) -> dict[Reduce, tuple[Value, ...]]:
        """What is done at one point (or vector of points) of the domain."""
        self.compute_members(
            [n.operands[0] for n in (*gathered, *in_memory)] + [s.node for s in stores]
        )
        following = {}
        for node, accumulator in gathered.items():
            parts = self.gathered_parts(node, accumulator)
            following[node] = accumulator.combine(self.f, state[node], parts)
        for store in stores:
            self.store(store)
        for node in in_memory:
            self.add_to_memory(node, (self.operand_register(node),))
        return following

    def compute_members(self, roots: list[Node]) -> None:
        """Compute what these need in the order of the graph: by recursion long chains would be too deep."""
        pending, needed = list(roots), set()
        while pending:
            node = pending.pop()
            if node in needed or node not in self.kernel.axes or isinstance(node, Reduce):
                continue
            needed.add(node)
            if not self.values.is_kept(node):
                pending += node.operands
        for node in sorted(needed, key=lambda n: n.number):
            self.values.value(node, loops_index(self.kernel.axes[node]))

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
