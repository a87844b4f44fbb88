"""Elements of nodes that are put together from parts, or chosen by indices known at run time, as C text.

What is read is read only where the condition holds: out of bounds nothing is touched. An index out of bounds gives
NaN, or 0 for integers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from funcgrad.compiler.cuda.kernels.places import Placed
from funcgrad.compiler.cuda.kernels.scalars import register_type
from funcgrad.compiler.cuda.kernels.values import ValueWriter
from funcgrad.compiler.lowering.choices import (
    Entry,
    entries_at,
    is_inside,
    parts_at,
    whole_ranges,
)
from funcgrad.compiler.lowering.graph import (
    Concatenate,
    Constant,
    Gather,
    Node,
    Place,
    Reduce,
    Window,
)
from funcgrad.compiler.lowering.index import (
    Affine,
    Index,
    broadcast_index,
    combine,
    constant as constant_index,
)
from funcgrad.ir.types import INT64, kind


class ChoosingWriter(ValueWriter):
    """Adds places, concatenations, gathers and windows."""

    def gated(self, node: Node, index: Index) -> Placed:
        if isinstance(node, Place):
            return self.place(node, index)
        if isinstance(node, Concatenate):
            return self.concatenate(node, index)
        if isinstance(node, Gather):
            return self.gather(node, index)
        if isinstance(node, Window):
            return self.window(node, index)
        if isinstance(node, Reduce) and self.gates:
            saved, self.gates = self.gates, []  # an outer gate does not change what a row holds
            found = self.value(node, index)
            self.gates = saved
            return found
        return super().gated(node, index)

    # --- conditions ---

    def choose(
        self, gate: Placed, inside: Callable[[], Placed], outside: Placed, dtype: np.dtype
    ) -> Placed:
        """A value where the gate is open; loads for it happen only there."""
        self.gates.append(self.both(self.gates[-1], gate) if self.gates else gate)
        self.alive.append(self.gates[-1])  # gates are told apart by identity
        found = inside()
        self.gates.pop()
        depth = max(gate.depth, found.depth, outside.depth)
        return self.let(register_type(dtype), f"{gate.text} ? {found.text} : {outside.text}", depth)

    def both(self, a: Placed, b: Placed) -> Placed:
        return self.let("bool", f"{a.text} && {b.text}", max(a.depth, b.depth))

    def all_of(self, tests: Sequence[Placed]) -> Placed | None:
        result: Placed | None = None
        for test in tests:
            result = test if result is None else self.both(result, test)
        return result

    def is_in_range(self, part: Affine, length: int) -> Placed:
        unsigned = "unsigned long long" if self.index_dtype == INT64 else "unsigned"
        text = f"({unsigned})({self.index_text(part)}) < {length}u"
        return self.let("bool", text, self.depth_of(part))

    def dynamic(self, placed: Placed) -> Affine:
        """A value as an index."""
        self.alive.append(placed)  # indices are told apart by identity
        return Affine((), 0, ((placed, 1),))

    def fill(self, dtype: np.dtype) -> Placed:
        """What stands for an element out of bounds."""
        return Placed(self.number(dtype, np.nan if kind(dtype) in "fc" else 0), 0)

    # --- parts ---

    def place(self, node: Place, index: Index) -> Placed:
        """The operand inside the slice, else the base."""
        operand, base = node.operands[0], node.operands[1:]
        inner, tests = [], []
        for entry in entries_at(node, index):
            place, found = self.place_in_slice(entry)
            tests += found
            if entry.is_axis:
                inner.append(place)
        if not all(tests):
            return self.value(base[0], index) if base else Placed(self.number(node.dtype, 0), 0)
        gate = self.all_of([test for test in tests if isinstance(test, Placed)])
        if gate is None:
            return self.value(operand, tuple(inner))
        outside = self.value(base[0], index) if base else Placed(self.number(node.dtype, 0), 0)
        return self.choose(gate, lambda: self.value(operand, tuple(inner)), outside, node.dtype)

    def test(self, part: Affine, length: int) -> Placed | bool:
        """Whether an index is in range: known at once if the loops decide it."""
        known = is_inside(part, length, whole_ranges(self.kernel.domain))
        return self.is_in_range(part, length) if known is None else known

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

    def divided(self, part: Affine, step: int) -> tuple[Affine, Placed]:
        """An index over a step, and whether it leaves no rest."""
        type, depth, text = (
            register_type(self.index_dtype),
            self.depth_of(part),
            self.index_text(part),
        )
        quotient = self.let(type, f"({text}) / {step}", depth)
        exact = self.let("bool", f"({text}) % {step} == 0", depth)
        return self.dynamic(quotient), exact

    def concatenate(self, node: Concatenate, index: Index) -> Placed:
        """The operand in whose part the index lies."""
        result = Placed(self.number(node.dtype, 0), 0)
        for part in parts_at(node, index, whole_ranges(self.kernel.domain)):
            if part.is_certain:
                return self.value(part.operand, part.index)
            gate = self.is_in_range(part.place, part.operand.shape[node.axis])
            result = self.choose(
                gate, lambda p=part: self.value(p.operand, p.index), result, node.dtype
            )
        return result

    # --- indices known at run time ---

    def gather(self, node: Gather, index: Index) -> Placed:
        """An element at integer indices."""
        x, *indices = node.operands
        rank = len(node.shape) - (len(x.shape) - len(indices))
        lead, rest = index[:rank], index[rank:]
        places, valid = [], []
        for axis, operand in enumerate(indices):
            own = broadcast_index(lead, operand.shape, node.shape[:rank])
            raw = self.converted(self.value(operand, own), operand.dtype, INT64)
            place, test = self.wrapped(raw, x.shape[axis], x.shape[axis])
            places.append(self.dynamic(place))
            valid.append(test)
        outside = Placed(self.number(node.dtype, 0), 0) if node.drop else self.fill(node.dtype)
        gate = self.all_of(valid)
        if gate is None:
            return self.value(x, (*places, *rest))
        return self.choose(gate, lambda: self.value(x, (*places, *rest)), outside, node.dtype)

    def wrapped(self, raw: Placed, length: int, room: int) -> tuple[Placed, Placed]:
        """An index counted from the front (0 if it is not below `room`), and whether it is."""
        shifted = f"{raw.text} < 0 ? {raw.text} + {length} : {raw.text}"
        whole = self.let("long long", shifted, raw.depth)
        test = self.let("bool", f"(unsigned long long){whole.text} < {room}u", raw.depth)
        type = register_type(self.index_dtype)
        place = self.let(type, f"{test.text} ? ({type}){whole.text} : 0", raw.depth)
        return place, test

    def window(self, node: Window, index: Index) -> Placed:
        """An element of a window that begins at run-time starts."""
        x, *starts = node.operands
        lead, rest = index[: node.lead], index[node.lead :]
        lengths, sizes = x.shape[node.lead :], node.shape[node.lead :]
        parts, valid = [], []
        for start, part, length, size in zip(starts, rest, lengths, sizes, strict=True):
            if size == length and isinstance(start, Constant) and start.value == 0:
                parts.append(part)
                continue
            raw = self.converted(self.value(start, lead), start.dtype, INT64)
            place, test = self.wrapped(raw, length, length - size + 1)
            valid.append(test)
            parts.append(combine([(part, 1), (self.dynamic(place), 1)]))
        gate = self.all_of(valid)
        if gate is None:
            return self.value(x, (*lead, *parts))
        return self.choose(
            gate, lambda: self.value(x, (*lead, *parts)), self.fill(node.dtype), node.dtype
        )
