"""The loops of a kernel as LLVM code: vectors, unrolled, with a masked rest, and registers that loops carry."""

from __future__ import annotations

from typing import Any

from funcgrad.compiler.llvm.builder import Function, Loop
from funcgrad.compiler.llvm.instructions import Block
from funcgrad.compiler.llvm.kernels.accumulator import Accumulator
from funcgrad.compiler.llvm.kernels.registers import register_bytes
from funcgrad.compiler.llvm.kernels.values import ValueWriter
from funcgrad.compiler.llvm.target import Target
from funcgrad.compiler.llvm.types import Value, constant
from funcgrad.compiler.lowering.graph import Reduce
from funcgrad.compiler.lowering.kernels import Kernel
from funcgrad.compiler.lowering.reductions import POSITIONS
from funcgrad.compiler.lowering.schedule import Level, Schedule

UNROLLED_COST = 48  # operations in the body of a loop up to which it is unrolled
MAX_UNROLL = 4
FEW_TURNS = 4  # of an unrolled loop, which are not worth its code
SHORT = 8  # vectors in a loop up to which its body is written only once, with a mask for the rest


class LoopNest:
    """Writes single loops of one kernel; what is inside is left to callers.

    Args:
        function: the function to write into.
        schedule: the loops.
        buffers: addresses of the nodes in memory, and of the parts of divided reductions.
        chunk: the number of the chunk.
        failure: address of the record of errors.
    """

    def __init__(
        self,
        function: Function,
        schedule: Schedule,
        buffers: dict[Any, Value],
        chunk: Value | None,
        target: Target,
        failure: Value,
    ) -> None:
        self.f = function
        self.schedule = schedule
        self.kernel: Kernel = schedule.kernel
        self.chunk = chunk
        self.lanes = self.choose_lanes(target)
        self.values = ValueWriter(function, schedule, buffers, self.lanes, failure)
        self.first_of: dict[int, Value] = {}

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

    # --- ranges ---

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

    # --- loops ---

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

    def inner_vectors(self, level: Level) -> range | None:
        """The counts of a vector loop between which nothing about parts of arrays needs a test, in whole vectors."""
        found = self.schedule.interior(level)
        if found is None or any(node.combine in POSITIONS for node in self.kernel.reduced):
            return None
        first = -(-found.start // self.lanes) * self.lanes
        stop = first + (found.stop - first) // self.lanes * self.lanes
        return range(first, stop) if stop > first else None

    def divided_loop(
        self,
        level: Level,
        inner: range,
        gathered: dict[Reduce, Accumulator],
        state: dict[Reduce, tuple[Value, ...]],
        body: Any,
    ) -> dict[Reduce, tuple[Value, ...]]:
        """A loop without tests over the counts that need none, then the vectors before and behind these."""
        f = self.f
        start, stop, length = self.range_of(level)
        first, last = constant("i64", inner.start), constant("i64", inner.stop)
        turns = len(inner) // self.lanes
        copies = max(n for n in range(1, self.unroll() + 1) if turns % n == 0)
        step = copies * self.lanes
        if length is None:
            first = f.intrinsic("llvm.smax", "i64", [start, first])
            first = f.intrinsic("llvm.smin", "i64", [first, stop])
            last = f.intrinsic("llvm.smin", "i64", [stop, last])
            count = f.intrinsic("llvm.smax", "i64", [f.op("sub", last, first), constant("i64", 0)])
            last = f.op(
                "add", first, f.op("sub", count, f.op("urem", count, constant("i64", step)))
            )
        self.values.is_divided = True
        with self.values.within(level.variables[-1], inner):
            state = self.unrolled_loop(level, first, last, step, gathered, state, body)
        state = self.border_loop(level, (start, first, last, stop), state, body)
        self.values.is_divided = False
        return state

    def border_loop(
        self, level: Level, ends: tuple[Value, Value, Value, Value], state: dict, body: Any
    ) -> dict[Any, tuple[Value, ...]]:
        """The vectors from the first end to the second and from the third to the last, in one loop."""
        f, (start, first, last, stop) = self.f, ends
        lanes = constant("i64", self.lanes)

        def vectors(low: Value, high: Value) -> Value:
            length = f.op("sub", high, low)
            if length.text[0] != "%":
                return constant("i64", -(-int(length.text) // self.lanes))
            rounded = f.op("add", length, constant("i64", self.lanes - 1))
            return f.op("udiv", rounded, lanes)

        before, behind = vectors(start, first), vectors(last, stop)

        def at_border(now: dict) -> dict:
            scope = self.values.scopes[-1]
            assert scope.loop is not None
            number = scope.loop.index
            is_before = f.icmp("slt", number, before)
            low = f.op("add", start, f.op("mul", number, lanes))
            high = f.op("add", last, f.op("mul", f.op("sub", number, before), lanes))
            index = f.select(is_before, low, high)
            scope.loop = Loop(index, scope.loop.preheader, scope.loop.body)
            self.values.limit(index, f.select(is_before, first, stop))
            return body(now)

        count = f.op("add", before, behind)
        return self.carried_loop(level, constant("i64", 0), count, 1, state, at_border, self.lanes)

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
