"""Elements of nodes that are found in their operands by index: views, gathers, windows."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.calls.failure import write_index_failure
from funcgrad.compiler.llvm.kernels.choosing import ChoiceWriter
from funcgrad.compiler.llvm.kernels.scopes import Placed
from funcgrad.compiler.llvm.types import Value, constant, lanes_of
from funcgrad.compiler.lowering.graph import (
    Constant,
    Gather,
    Iota,
    Node,
    View,
    Window,
)
from funcgrad.compiler.lowering.index import (
    Affine,
    Index,
    broadcast_index,
    combine,
    flat_offset,
)
from funcgrad.compiler.lowering.schedule import Schedule
from funcgrad.compiler.lowering.views import contiguous_base, view_index
from funcgrad.ir.types import kind


class PartWriter(ChoiceWriter):
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

    def view(self, node: View, index: Index) -> Placed:
        found = view_index(node, index)
        if found is not None:
            return self.value(node.operands[0], found)
        base = contiguous_base(node)
        owner, start = base if base is not None else (node.operands[0], 0)
        offset = combine([(flat_offset(index, node.shape), 1)], start)
        return self.load(self.buffers[owner], offset, node.dtype)

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
        return self.choose(gate, lambda: self.value(x, (*places, *rest)), zero, node.dtype)

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
