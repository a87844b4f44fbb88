"""Elements of nodes that are chosen from their operands by index: views, slices, concatenations, gathers, windows."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.calls.failure import write_index_failure
from funcgrad.compiler.llvm.kernels.row_memory import RowMemory
from funcgrad.compiler.llvm.kernels.scopes import Placed
from funcgrad.compiler.llvm.types import Value, constant, lanes_of
from funcgrad.compiler.lowering.graph import (
    Concatenate,
    Constant,
    Gather,
    Iota,
    Node,
    Place,
    View,
    Window,
)
from funcgrad.compiler.lowering.index import (
    ZERO,
    Affine,
    Index,
    broadcast_index,
    combine,
    constant as constant_index,
    flat_offset,
)
from funcgrad.compiler.lowering.schedule import Schedule
from funcgrad.compiler.lowering.views import contiguous_base, parts_at, view_index
from funcgrad.ir.types import kind


class PartWriter(RowMemory):
    """Finds the operand, and the index in it, that an element comes from.

    Args:
        buffers: addresses of the nodes in memory.
        failure: address of the record that an index out of bounds is written to.
    """

    def __init__(
        self,
        function: Function,
        schedule: Schedule,
        buffers: dict[Any, Value],
        lanes: int,
        failure: Value | None,
    ) -> None:
        super().__init__(function, schedule, lanes)
        self.buffers = buffers
        self.failure = failure
        self.site: Any = None  # the equation whose indices are checked

    def value(self, node: Node, index: Index) -> Placed:
        """An element of a node."""
        raise NotImplementedError

    def view(self, node: View, index: Index) -> Placed:
        found = view_index(node, index)
        if found is not None:
            return self.value(node.operands[0], found)
        base = contiguous_base(node)
        owner, start = base if base is not None else (node.operands[0], 0)
        offset = combine([(flat_offset(index, node.shape), 1)], start)
        return self.load(self.buffers[owner], offset, node.dtype)

    def place(self, node: Place, index: Index) -> Placed:
        """The operand inside the slice, else the base."""
        operand = node.operands[0]
        if all(part.is_constant for part in index):
            return self.place_at(node, [part.constant for part in index])
        inner, tests = [], []
        for part, entry, length in zip(index, node.spec, node.shape, strict=True):
            if isinstance(entry, int):
                tests.append(self.is_in_range(combine([(part, 1)], -(entry % length)), 1))
                continue
            place, test = self.place_in_slice(part, range(*slice(*entry).indices(length)), length)
            inner.append(place)
            tests += test
        gate = self.all_of(tests)
        base = node.operands[1:]
        outside = self.value(base[0], index) if base else Placed(self.number(node.dtype, 0), 0)
        if gate is None:
            return self.value(operand, tuple(inner))
        return self.choose(gate, lambda: self.value(operand, tuple(inner)), outside)

    def place_at(self, node: Place, index: list[int]) -> Placed:
        """The same for an index that is known."""
        inner = []
        for i, entry, length in zip(index, node.spec, node.shape, strict=True):
            span = range(length)[entry] if isinstance(entry, int) else range(length)[slice(*entry)]
            places = range(span, span + 1) if isinstance(span, int) else span
            if i not in places:
                inner = None
                break
            if not isinstance(entry, int):
                inner.append(constant_index(places.index(i)))
        if inner is not None:
            return self.value(node.operands[0], tuple(inner))
        if len(node.operands) == 1:
            return Placed(self.number(node.dtype, 0), 0)
        return self.value(node.operands[1], tuple(map(constant_index, index)))

    def place_in_slice(self, part: Affine, span: range, length: int) -> tuple[Affine, list[Placed]]:
        """The position within a slice of an index of the whole axis, and when it lies there."""
        if span == range(length):
            return part, []
        count = len(span)
        if not count:
            return ZERO, [Placed(constant("i1", 0), 0)]
        first, step = (span.start, span.step) if span.step > 0 else (span[-1], -span.step)
        relative = combine([(part, 1)], -first)
        if step == 1:
            place, tests = relative, [self.is_in_range(relative, count)]
        else:
            place, test = self.divided(relative, step)
            tests = [test, self.is_in_range(place, count)]
        if span.step < 0:
            place = combine([(place, -1)], count - 1)
        return place, tests

    def choose(self, gate: Placed, inside: Any, outside: Placed) -> Placed:
        """A value where the gate is open; loads for it happen only there."""
        combined = gate if not self.gates else self.both(self.gates[-1], gate)
        self.gates.append(combined)
        found = inside()
        self.gates.pop()
        depth = max(gate.depth, found.depth, outside.depth)
        lanes = max(lanes_of(v.value.type) for v in (gate, found, outside))
        x, y, test = (self.wide(v, lanes) for v in (found, outside, gate))
        with self.at(depth):
            return Placed(self.f.select(test, x, y), depth)

    def concatenate(self, node: Concatenate, index: Index) -> Placed:
        """The operand in whose part the index lies."""
        result = Placed(self.number(node.dtype, 0), 0)
        for operand, place, inner in parts_at(node, index):
            if place.is_constant:
                return self.value(operand, inner)
            gate = self.is_in_range(place, operand.shape[node.axis])
            result = self.choose(gate, lambda o=operand, i=inner: self.value(o, i), result)
        return result

    def gather(self, node: Gather, index: Index) -> Placed:
        """An element at integer indices."""
        x, *indices = node.operands
        self.site = node.equation
        rank = len(node.shape) - (len(x.shape) - len(indices))
        lead, rest = index[:rank], index[rank:]
        places, valid = [], []
        for axis, operand in enumerate(indices):
            own = broadcast_index(lead, operand.shape, node.shape[:rank])
            counted = counted_index(operand, own, x.shape[axis])
            if counted is not None:
                places.append(counted)
                continue
            raw = self.converted(self.value(operand, own), operand.dtype, np.dtype(np.int64))
            place, test = self.wrapped(raw, x.shape[axis])
            if not node.drop:
                self.check(raw, test, node.labels[axis], x.shape[axis])
            places.append(self.dynamic(place))
            valid.append(test)
        if not node.drop:
            return self.value(x, (*places, *rest))
        gate = self.all_of(valid)
        if gate is None:
            return self.value(x, (*places, *rest))
        zero = Placed(self.number(node.dtype, 0), 0)
        return self.choose(gate, lambda: self.value(x, (*places, *rest)), zero)

    def wrapped(self, raw: Placed, length: int) -> tuple[Placed, Placed]:
        """An index counted from the front (0 if it is out of bounds), and whether it is in bounds."""
        f, type = self.f, raw.value.type
        with self.at(raw.depth):
            size = constant(type, length)
            shifted = f.op("add", raw.value, size)
            place = f.select(f.icmp("slt", raw.value, constant(type, 0)), shifted, raw.value)
            test = f.icmp("ult", place, size)
            safe = f.select(test, place, constant(type, 0))
        return Placed(safe, raw.depth), Placed(test, raw.depth)

    def check(self, raw: Placed, test: Placed, axis: int, length: int, limit: int = -1) -> None:
        """Note the first index out of bounds, where a lane that is on has one."""
        f = self.f
        active = test if not self.gates else self.gates[-1]
        depth = max(raw.depth, active.depth)
        with self.at(depth):
            bad = f.op("xor", test.value, constant(test.value.type, 1))
            if self.gates:
                lanes = max(lanes_of(bad.type), lanes_of(active.value.type))
                bad = f.op("and", f.splat(bad, lanes), self.wide(active, lanes))
            index = raw.value
            if lanes_of(bad.type):
                if self.mask is not None and depth + 1 >= len(self.scopes):
                    bad = f.op("and", bad, self.mask)
                index = f.splat(index, lanes_of(bad.type))
            assert self.failure is not None
            f.module.site = self.site
            write_index_failure(f, self.failure, bad, index, (axis, length, limit))

    def window(self, node: Window, index: Index) -> Placed:
        """An element of a window that begins at run-time starts."""
        x, *starts = node.operands
        self.site = node.equation
        lead, rest = index[: node.lead], index[node.lead :]
        lengths, sizes = x.shape[node.lead :], node.shape[node.lead :]
        parts = []
        for axis, (start, part) in enumerate(zip(starts, rest, strict=True)):
            length, size = lengths[axis], sizes[axis]
            if size == length and isinstance(start, Constant) and start.value == 0:
                parts.append(part)
                continue
            raw = self.converted(self.value(start, lead), start.dtype, np.dtype(np.int64))
            place, test = self.window_start(raw, length, length - size + 1)
            self.check(raw, test, axis, length, size)
            parts.append(combine([(part, 1), (self.dynamic(place), 1)]))
        return self.value(x, (*lead, *parts))

    def window_start(self, raw: Placed, length: int, room: int) -> tuple[Placed, Placed]:
        f, type = self.f, raw.value.type
        with self.at(raw.depth):
            shifted = f.op("add", raw.value, constant(type, length))
            place = f.select(f.icmp("slt", raw.value, constant(type, 0)), shifted, raw.value)
            test = f.icmp("ult", place, constant(type, room))
            return Placed(f.select(test, place, constant(type, 0)), raw.depth), Placed(
                test, raw.depth
            )


def counted_index(operand: Node, index: Index, length: int) -> Affine | None:
    """An element of an array of indices that just counts, as in `x[arange(n), labels]`; None if it may leave bounds."""
    while isinstance(operand, View):
        found = view_index(operand, index)
        if found is None:
            return None
        operand, index = operand.operands[0], found
    if not isinstance(operand, Iota):
        return None
    count = operand.shape[operand.axis]
    fits = kind(operand.dtype) in "iu" and count - 1 <= np.iinfo(operand.dtype).max
    return index[operand.axis] if fits and count <= length else None
