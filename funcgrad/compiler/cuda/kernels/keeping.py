"""Values that one pass over a row hands on to later ones, in registers or shared memory: memory is read once."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from funcgrad.compiler.cuda.kernels.choosing import ChoosingWriter
from funcgrad.compiler.cuda.kernels.places import Placed, Scope
from funcgrad.compiler.cuda.kernels.pointers import Pointers
from funcgrad.compiler.cuda.kernels.scalars import memory_type, register_type
from funcgrad.compiler.cuda.kernels.shapes import THREADS, RowShape
from funcgrad.compiler.cuda.kernels.text import Block, Names
from funcgrad.compiler.lowering.costs import cost_of
from funcgrad.compiler.lowering.graph import Map, Node
from funcgrad.compiler.lowering.phases import DEAR_STEP
from funcgrad.compiler.lowering.schedule import Schedule

# Of 32 bits, of a thread, for values between two passes; half of that in large blocks.
REGISTER_WORDS = 64
# Shared memory of a block for what does not fit: what any GPU since 2020 gives one block, and Hopper two.
SHARED_BYTES = 96 << 10


class Kept(NamedTuple):
    """A value that passes hand on: an array with an element for each turn of the thread (and each lane).

    Attributes:
        name: of the array; that of what is in shared memory has an "s" behind it.
        words: of 32 bits, in registers.
        first: the pass that computes it.
        near: how many turns are in registers.
        stride: elements of shared memory from one turn or lane to the next.
    """

    name: str
    words: int
    first: int
    near: int
    stride: int


class KeepingWriter(ChoosingWriter):
    """Adds what is remembered from earlier passes.

    Attributes:
        past: the scopes of the passes that are done: of a turn, and of a lane.
        kept: by memo key, what passes hand on.
        last: by memo key, the last pass that uses it.
        top: room for declarations in front of all passes.
        shared_bytes: dynamic shared memory that kept values take.
        reserved_words: registers of a thread that hold something else.
        may_share: whether shared memory may be used.
    """

    def __init__(
        self,
        schedule: Schedule,
        in_memory: set[Node],
        pointers: Pointers,
        names: Names,
        shape: RowShape,
        aligned: frozenset[Node] | None,
    ) -> None:
        super().__init__(schedule, in_memory, pointers, names, shape.lanes, aligned)
        self.shape = shape
        self.past: list[list[Scope]] = []
        self.kept: dict[Any, Kept] = {}
        self.last: dict[Any, int] = {}
        self.top = Block()
        self.shared_bytes = 0
        self.reserved_words = 0
        self.may_share = True

    def remembered(self, key: Any, node: Node) -> Placed | None:
        is_dear = isinstance(node, Map) and cost_of(node) >= DEAR_STEP
        if self.gates or not is_dear:
            return None
        return self.recall(key, register_type(node.dtype), np.dtype(node.dtype).itemsize)

    def remembered_load(self, memo: Any, dtype: np.dtype, lanes: int) -> Placed | None:
        type = f"fg_vec<{memory_type(dtype)}, {lanes}>" if lanes else register_type(dtype)
        return self.recall(memo, type, dtype.itemsize * max(1, lanes))

    def is_handed_on(self, node: Node) -> bool:
        index = self.kernel.index(node)
        key = (node, tuple([part.key for part in index]), ())
        is_dear = isinstance(node, Map) and cost_of(node) >= DEAR_STEP
        return is_dear and self.shape.is_unrolled and self.find_past(key) is not None

    def find_past(self, key: Any) -> tuple[int, bool, Scope] | None:
        """The pass that computed a value first, whether for each lane, and the scope."""
        for number, scopes in enumerate(self.past):
            for place, scope in enumerate(scopes):
                if key in scope.memo:
                    return number, place > 0, scope
        return None

    def recall(self, key: Any, type: str, nbytes: int) -> Placed | None:
        """A value as an earlier pass has kept it, where there is room."""
        found = self.find_past(key) if self.shape.is_unrolled else None
        if found is None:
            return None
        number, is_lane, scope = found
        kept = self.kept.get(key)
        if kept is None:
            kept = self.keep(type, nbytes, number, is_lane)
            if kept is None:
                return None
            self.kept[key] = kept
            scope.block.add(f"{self.element(kept, is_lane)} = {scope.memo[key].text};")
        self.last[key] = len(self.past)
        depth = self.depth if is_lane or self.lane is None else self.depth - 1
        return self.let(type, self.element(kept, is_lane), depth)

    def element(self, kept: Kept, is_lane: bool) -> str:
        """The place of the current turn: in registers for the first turns, in shared memory for the others."""
        lanes, turns = self.shape.lanes, self.shape.turns
        near = f"{kept.name}[{f'k * {lanes} + v' if is_lane else 'k'}]"
        turn = f"(k - {kept.near})" if kept.near else "k"
        place = f"({turn} * {lanes} + v)" if is_lane else turn
        far = f"{kept.name}s[{place} * {kept.stride}]"
        if kept.near == turns:
            return near
        return f"(k < {kept.near} ? {near} : {far})" if kept.near else far

    def keep(self, type: str, nbytes: int, first: int, is_lane: bool) -> Kept | None:
        """Room for a value, from a pass that is done on; None if there is none."""
        lanes = self.shape.lanes if is_lane else 1
        words, threads, turns = -(-nbytes // 4) * lanes, self.shape.threads, self.shape.turns
        limit = REGISTER_WORDS if threads <= THREADS else REGISTER_WORDS // 2
        limit -= self.reserved_words
        near = max(0, min(turns, (limit - self.live_words(first)) // words))
        nbytes = 4 * words * (turns - near) * threads
        if nbytes and (not self.may_share or self.shared_bytes + nbytes > SHARED_BYTES):
            return None
        name = self.names("k")
        if near:
            self.top.add(f"{type} {name}[{near * lanes}];")
        if nbytes:
            where = f"({type} *)(fg_room + {self.shared_bytes}) + threadIdx.x"
            self.top.add(f"{type} *const {name}s = {where};")
            self.shared_bytes += nbytes
        return Kept(name, words * near, first, near, threads)

    def live_words(self, first: int) -> int:
        """The most registers that are kept at a time between a pass and now."""
        return max(
            sum(
                kept.words for key, kept in self.kept.items() if kept.first <= time < self.last[key]
            )
            for time in range(first, len(self.past))
        )
