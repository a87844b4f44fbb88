"""Elements of arrays that are put together from parts: the tests that choose one, few and far out."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.kernels.row_memory import RowMemory
from funcgrad.compiler.llvm.kernels.scopes import Placed
from funcgrad.compiler.llvm.types import lanes_of
from funcgrad.compiler.lowering.choices import (
    Entry,
    Part,
    entries_at,
    is_inside,
    parts_at,
    whole_ranges,
)
from funcgrad.compiler.lowering.graph import Concatenate, Constant, Full, Node, Place, View
from funcgrad.compiler.lowering.index import Affine, Index, combine, constant as constant_index
from funcgrad.compiler.lowering.reads import behind_views
from funcgrad.compiler.lowering.schedule import Schedule
from funcgrad.compiler.lowering.views import view_index


class ChoiceWriter(RowMemory):
    """Chooses among the operands of concatenations and places.

    Attributes:
        ranges: what the loop variables run through in the code that is being written.
        is_narrow: whether that is a part of a loop only.
    """

    def __init__(self, function: Function, schedule: Schedule, lanes: int) -> None:
        super().__init__(function, schedule, lanes)
        self.ranges = whole_ranges(schedule.kernel.domain)
        self.is_narrow = False

    def value(self, node: Node, index: Index) -> Placed:
        """An element of a node."""
        raise NotImplementedError

    def is_loaded(self, node: Node) -> bool:
        """Whether the elements of a node come from memory."""
        raise NotImplementedError

    @contextlib.contextmanager
    def within(self, variable: int, counts: range) -> Iterator[None]:
        """Code for a part of a loop: what is true there needs no tests."""
        saved = self.ranges
        self.ranges = [counts if i == variable else r for i, r in enumerate(saved)]
        self.is_narrow = True
        yield
        self.ranges, self.is_narrow = saved, False

    def place(self, node: Place, index: Index) -> Placed:
        """The operand inside the slice, else the base."""
        inner, tests = [], []
        for entry in entries_at(node, index):
            place, found = self.place_in_slice(entry)
            tests += found
            if entry.is_axis:
                inner.append(place)
        base = node.operands[1:]
        if not all(tests):
            return self.value(base[0], index) if base else Placed(self.number(node.dtype, 0), 0)
        gate = self.all_of([test for test in tests if isinstance(test, Placed)])
        operand = node.operands[0]
        if gate is None:
            return self.value(operand, tuple(inner))
        outside = self.value(base[0], index) if base else Placed(self.number(node.dtype, 0), 0)
        inside = functools.partial(self.value, operand, tuple(inner))
        return self.choose(gate, inside, outside, node.dtype, operand)

    def place_in_slice(self, entry: Entry) -> tuple[Affine, list[Placed | bool]]:
        """The position within a slice of an index of the whole axis, and tests whether it lies there."""
        place = entry.place
        tests: list[Placed | bool] = []
        if entry.step != 1 and place.is_constant:
            quotient, rest = divmod(place.constant, entry.step)
            place = constant_index(quotient)
            tests.append(rest == 0)
        elif entry.step != 1:
            place, test = self.divided(place, entry.step)
            tests.append(test)
        tests.append(self.test(place, entry.count))
        if entry.is_backward:
            place = combine([(place, -1)], entry.count - 1)
        return place, tests

    def test(self, part: Affine, length: int) -> Placed | bool:
        """Whether an index lies in `range(length)`: known, or computed once."""
        known = is_inside(part, length, self.ranges)
        if known is not None:
            return known
        key = ("test", part.key, length)
        for scope in reversed(self.scopes):
            if key in scope.memo:
                return scope.memo[key]
        found = self.is_in_range(part, length)
        self.scopes[found.depth].memo[key] = found
        return found

    def choose(
        self,
        gate: Placed,
        inside: Any,
        outside: Placed,
        dtype: np.dtype,
        source: Node | None = None,
    ) -> Placed:
        """A value where the gate is open, an element of `source`; loads for it happen only there."""
        is_zero = outside.value.text == self.number(dtype, 0).text
        saved = self.is_blank
        self.is_blank = is_zero and source is not None and self.is_loaded(behind_views(source))
        found = self.under(gate, inside)
        self.is_blank = saved
        if is_zero and found.value.text in self.blank:
            return found
        depth = max(gate.depth, found.depth, outside.depth)
        lanes = max(lanes_of(v.value.type) for v in (gate, found, outside))
        x, y, test = (self.wide(v, lanes) for v in (found, outside, gate))
        with self.at(depth):
            return Placed(self.f.select(test, x, y), depth)

    def under(self, gate: Placed, inside: Any) -> Placed:
        """A value of which nothing is loaded where the gate is closed."""
        combined = gate if not self.gates else self.both(self.gates[-1], gate)
        self.gates.append(combined)
        self.alive.append(combined)  # gates are told apart by identity
        found = inside()
        self.gates.pop()
        return found

    def concatenate(self, node: Concatenate, index: Index) -> Placed:
        """The operand in whose part the index lies."""
        parts = parts_at(node, index, self.ranges)
        if len(parts) == 1:
            return self.value(parts[0].operand, parts[0].index)
        gates = [self.test(part.place, part.operand.shape[node.axis]) for part in parts]
        tested = [(p, g) for p, g in zip(parts, gates, strict=True) if isinstance(g, Placed)]
        moved = self.moved(tested)
        if moved is not None:
            return self.value(*moved)
        *others, last = sorted(tested, key=lambda pair: is_number(pair[0].operand))
        if is_number(last[0].operand):
            result = self.value(last[0].operand, last[0].index)
            number = result.value.text
        else:
            result = self.under(last[1], lambda: self.value(last[0].operand, last[0].index))
            number = None
        for part, gate in others:
            if (
                is_number(part.operand)
                and self.value(part.operand, part.index).value.text == number
            ):
                continue
            inside = functools.partial(self.value, part.operand, part.index)
            result = self.choose(gate, inside, result, node.dtype, part.operand)
        return result

    def moved(self, tested: Sequence[tuple[Part, Placed]]) -> tuple[Node, Index] | None:
        """One array of which all parts are views, and one index in it: chosen, if it is the same in all lanes."""
        if any(lanes_of(gate.value.type) for _, gate in tested):
            return None
        node, index = self.behind(tested[0][0])
        for part, gate in tested[1:]:
            other, place = self.behind(part)
            if other is not node:
                return None
            chosen = [self.chosen(gate, a, b) for a, b in zip(place, index, strict=True)]
            if None in chosen:
                return None
            index = tuple([part for part in chosen if part is not None])
        return node, index

    def behind(self, part: Part) -> tuple[Node, Index]:
        """The array behind affine views, as far as these are not in memory themselves, and the index in it."""
        node, index = part.operand, part.index
        while isinstance(node, View) and not self.is_loaded(node):
            found = view_index(node, index)
            if found is None:
                break
            node, index = node.operands[0], found
        return node, index

    def chosen(self, gate: Placed, inside: Affine, outside: Affine) -> Affine | None:
        """One of two indices; None if they differ and move with the lanes."""
        if inside.key == outside.key:
            return inside
        x, y = self.index_value(inside), self.index_value(outside)
        if lanes_of(x.value.type) or lanes_of(y.value.type):
            return None
        depth = max(gate.depth, x.depth, y.depth)
        with self.at(depth):
            return self.dynamic(Placed(self.f.select(gate.value, x.value, y.value), depth))


def is_number(node: Node) -> bool:
    """Whether all elements of an array are one known number."""
    return isinstance(behind_views(node), Constant | Full)
