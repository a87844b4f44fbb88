"""Elements in memory as C text: read and written one by one, or 16 bytes at a time.

The innermost scope may be the loop over the lanes of a vector: what lies contiguous along it is read before that loop
and written after it. Where a gate is closed, nothing is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.compiler.cuda.kernels.places import Placed, PlaceWriter
from funcgrad.compiler.cuda.kernels.scalars import (
    from_memory,
    memory_type,
    number,
    register_type,
    sections,
    to_memory,
)
from funcgrad.compiler.lowering.graph import Node
from funcgrad.compiler.lowering.index import Affine


class MemoryWriter(PlaceWriter):
    """Reads and writes elements at the current place."""

    def load(self, key: Any, offset: Affine, dtype: np.dtype) -> Placed:
        """An element in memory; where a gate is closed, nothing is read."""
        self.used |= sections(dtype)
        pointer = self.pointers.read(key, dtype)
        if self.lane is not None and self.is_contiguous(key, offset, dtype):
            vector = self.load_vector(key, pointer, offset, dtype)
            text = from_memory(dtype, f"{vector}.v[v]")
            return self.let(register_type(dtype), text, self.lane.depth)
        if not self.gates:
            return self.load_element(key, pointer, offset, dtype)
        gate = self.gates[-1]
        text = from_memory(dtype, f"{pointer}[{self.index_text(offset)}]")
        text = f"{gate.text} ? {text} : {number(dtype, 0)}"
        return self.let(register_type(dtype), text, max(self.depth_of(offset), gate.depth))

    def load_element(self, key: Any, pointer: str, offset: Affine, dtype: np.dtype) -> Placed:
        depth = self.depth_of(offset)
        memo = ("element", key, offset.key)
        scope = self.scopes[depth]
        if memo not in scope.memo:
            text = from_memory(dtype, f"{pointer}[{self.index_text(offset)}]")
            kept = self.remembered_load(memo, dtype, 0)
            scope.memo[memo] = kept or self.let(register_type(dtype), text, depth)
        return scope.memo[memo]

    def load_vector(self, key: Any, pointer: str, offset: Affine, dtype: np.dtype) -> str:
        """The name of the vector of the current lanes."""
        gates = self.gates[-1:]
        depth = max([self.base_depth(offset), *[gate.depth for gate in gates]])
        scope = self.scopes[depth]
        memo = ("vector", key, offset.key, *[id(gate) for gate in gates])
        if memo not in scope.memo:
            kept = None if gates else self.remembered_load(memo, dtype, self.lanes)
            if kept is None:
                type = f"fg_vec<{memory_type(dtype)}, {self.lanes}>"
                some, count = ("_some", f", {self.rest}") if self.rest else ("", "")
                address = f"{pointer} + ({self.index_text(offset, True)})"
                text = f"fg_load{some}<{self.lanes}>({address}{count})"
                text = f"{gates[0].text} ? {text} : {type}{{}}" if gates else text
                kept = self.let(type, text, depth)
            scope.memo[memo] = kept
        return scope.memo[memo].text

    def base_depth(self, offset: Affine) -> int:
        """The scope in which the first lane of a vector is known."""
        assert self.lane is not None
        found = [placed.depth for placed, _ in offset.dynamic]
        for i, level in enumerate(self.schedule.levels):
            if level.factor(offset):
                found.append(self.counters[i].depth)
        return self.lane.depth - 1 if self.rest else max(found, default=0)

    def remembered_load(self, memo: Any, dtype: np.dtype, lanes: int) -> Placed | None:
        """An element (or a vector of them) that an earlier pass over the row has read; rows override this."""
        del memo, dtype, lanes
        return None

    def is_contiguous(self, key: Any, offset: Affine, dtype: np.dtype) -> bool:
        """Whether the lanes lie next to each other in memory, and begin where a vector may begin."""
        if self.lane is None:
            return False
        if self.aligned is not None and isinstance(key, Node) and key not in self.aligned:
            return False
        levels, inside = self.schedule.levels, self.lane.depth
        if levels[self.vector_level].factor(offset) != 1:
            return False
        if any(placed.depth >= inside for placed in (*self.gates, *[p for p, _ in offset.dynamic])):
            return False
        others = [level.factor(offset) for i, level in enumerate(levels) if i != self.vector_level]
        others += [factor for _, factor in offset.dynamic]
        step = max(1, min(self.lanes, 16 // dtype.itemsize))
        return all(n % step == 0 for n in (*others, offset.constant))

    def store(
        self,
        key: Any,
        offset: Affine,
        dtype: np.dtype,
        placed: Placed,
        tests: Sequence[Placed] = (),
    ) -> None:
        """Write an element where all the tests hold."""
        self.used |= sections(dtype)
        pointer = self.pointers.write(key, dtype)
        raw, tests = to_memory(dtype, placed.text), list(tests)
        if self.is_contiguous(key, offset, dtype):
            self.store_vector(pointer, offset, dtype, raw, guard_of(tests))
            return
        depth = max(self.depth_of(offset), placed.depth, *[test.depth for test in tests], 0)
        if self.rest and self.lane is not None and depth == self.lane.depth:
            tests.append(Placed(f"v < {self.rest}", depth))
        scope = self.scopes[depth]
        block = scope.block if depth == self.depth else scope.after
        block.add(f"{guard_of(tests)}{pointer}[{self.index_text(offset)}] = {raw};")

    def store_vector(
        self, pointer: str, offset: Affine, dtype: np.dtype, raw: str, guard: str
    ) -> None:
        assert self.lane is not None
        outer, name = self.scopes[self.lane.depth - 1], self.names("s")
        outer.block.add(f"fg_vec<{memory_type(dtype)}, {self.lanes}> {name};")
        self.scopes[self.lane.depth].block.add(f"{name}.v[v] = {raw};")
        some, count = ("_some", f", {self.rest}") if self.rest else ("", "")
        address = f"{pointer} + ({self.index_text(offset, True)})"
        outer.after.add(f"{guard}fg_store{some}<{self.lanes}>({address}, {name}{count});")


def guard_of(tests: Sequence[Placed]) -> str:
    """The condition in front of a statement."""
    return f"if ({' && '.join(test.text for test in tests)}) " if tests else ""
