"""Elements of nodes inside a loop nest: loaded, or computed from elements of their operands.

Every value is computed at the outermost loop that knows its index, and once. Inside a vector loop a value is a vector
if its index moves with the loop, else a scalar.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from funcgrad.compiler.llvm.builder import (
    Block,
    Function,
    Loop,
    Value,
    constant,
    lanes_of,
    vector,
    with_element,
)
from funcgrad.compiler.llvm.calls.failure import write_index_failure
from funcgrad.compiler.llvm.kernels.elements import Element, apply
from funcgrad.compiler.llvm.kernels.masked import gather, masked_load, masked_store, scatter
from funcgrad.compiler.llvm.kernels.registers import (
    alignment,
    as_python,
    convert_value,
    from_memory,
    is_half,
    memory_type,
    register_type,
    round_half,
    to_memory,
)
from funcgrad.compiler.llvm.target import Target
from funcgrad.compiler.lowering.graph import (
    Concatenate,
    Constant,
    Full,
    Gather,
    Iota,
    Map,
    Node,
    Place,
    Reduce,
    View,
    Window,
    operand_dtypes,
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
from funcgrad.compiler.lowering.schedule import Level, Schedule
from funcgrad.compiler.lowering.views import contiguous_base, view_index

ALIGNED = 64  # bytes: vectors that are written past the cache, and the arrays they are part of


class Placed:
    """A value and the depth of the loop in which it was computed."""

    __slots__ = ("depth", "value")

    def __init__(self, value: Value, depth: int) -> None:
        self.value = value
        self.depth = depth


class Address:
    """Where one element lies, or a vector of them: next to each other, or (a vector of addresses) anywhere."""

    __slots__ = ("depth", "lanes", "pointer")

    def __init__(self, pointer: Value, depth: int, lanes: int) -> None:
        self.pointer = pointer
        self.depth = depth
        self.lanes = lanes


class Scope:
    """One open loop: what was computed in it, and the block in front of it."""

    __slots__ = ("hoist", "lanes", "level", "loop", "mask", "memo", "shift")

    def __init__(
        self, level: Level | None, loop: Loop | None, lanes: int, hoist: Block | None
    ) -> None:
        self.level = level
        self.loop = loop
        self.lanes = lanes
        self.hoist = hoist
        self.memo: dict[Any, Placed] = {}
        self.mask: Value | None = None
        self.shift = 0


class ValueWriter:
    """Computes elements at the current place of a loop nest.

    Args:
        buffers: addresses of the nodes in memory.
        lanes: elements per vector.
        failure: address of the record that an index out of bounds is written to.
    """

    def __init__(
        self,
        function: Function,
        schedule: Schedule,
        buffers: dict[Any, Value],
        lanes: int,
        target: Target,
        failure: Value | None,
    ) -> None:
        self.f = function
        self.schedule = schedule
        self.kernel = schedule.kernel
        self.buffers = buffers
        self.lanes = lanes
        self.target = target
        self.failure = failure
        self.scopes: list[Scope] = []
        self.gates: list[Placed] = []
        self.kept: dict[Node, Value] = {}
        self.saved: dict[Node, int] = {}
        self.written: dict[Node, int] = {}  # results, and the pass over the row that stored them
        self.phase = 0
        self.alive: list[Placed] = []
        self.site: Any = None  # the equation whose indices are checked

    # --- scopes ---

    @contextlib.contextmanager
    def scope(
        self, level: Level | None, loop: Loop | None, lanes: int = 0, hoist: Block | None = None
    ) -> Iterator[None]:
        """An open loop; `hoist` is the block in front of it, by default its preheader."""
        if hoist is None and loop is not None:
            hoist = loop.preheader
        self.scopes.append(Scope(level, loop, lanes, hoist))
        yield
        self.scopes.pop()

    @contextlib.contextmanager
    def copy(self, shift: int) -> Iterator[None]:
        """One unrolled copy of the body of the innermost loop, this many elements on."""
        inner = self.scopes[-1]
        saved = inner.memo, inner.shift
        inner.memo, inner.shift = {}, shift
        yield
        inner.memo, inner.shift = saved

    @contextlib.contextmanager
    def at(self, depth: int) -> Iterator[None]:
        """Write code of an outer loop: in front of the loop inside it."""
        if depth + 1 >= len(self.scopes):
            yield
            return
        hoist = self.scopes[depth + 1].hoist
        assert hoist is not None
        with self.f.at(hoist):
            yield

    def limit(self, index: Value, stop: Value) -> None:
        """Turn off the lanes of the innermost loop from `stop` on."""
        f, type = self.f, vector(self.lanes, "i64")
        steps = ", ".join(f"i64 {i}" for i in range(self.lanes))
        rest = f.splat(f.op("sub", stop, index), self.lanes)
        self.scopes[-1].mask = f.icmp("slt", Value(type, f"<{steps}>"), rest)

    def innermost_index(self) -> Value:
        """The counter of the innermost loop."""
        loop = self.scopes[-1].loop
        assert loop is not None
        return loop.index

    @property
    def mask(self) -> Value | None:
        """Which lanes of the vector loop are on; None for all."""
        for scope in reversed(self.scopes):
            if scope.mask is not None:
                return scope.mask
        return None

    def depth_of(self, part: Affine) -> int:
        """The innermost loop that an index depends on."""
        depth = 0
        for number, scope in enumerate(self.scopes):
            if scope.level is not None and any(part.factor(v) for v in scope.level.variables):
                depth = number
        return max([depth, *[placed.depth for placed, _ in part.dynamic]])

    # --- values ---

    def value(self, node: Node, index: Index) -> Placed:
        """An element of a node."""
        key = (node, tuple([part.key for part in index]), tuple([id(gate) for gate in self.gates]))
        for scope in reversed(self.scopes):
            if key in scope.memo:
                return scope.memo[key]
        placed = self.compute(node, index)
        self.scopes[placed.depth].memo[key] = placed
        return placed

    def define(self, node: Node, index: Index, value: Value) -> None:
        """An element that was computed elsewhere, in the loop that is now innermost."""
        depth = len(self.scopes) - 1
        key = (node, tuple([part.key for part in index]), ())
        self.scopes[depth].memo[key] = Placed(value, depth)

    def compute(self, node: Node, index: Index) -> Placed:
        if isinstance(node, Constant | Full):
            return Placed(self.number(node.dtype, node.value), 0)
        if isinstance(node, Iota):
            return self.converted(
                self.index_value(index[node.axis]), np.dtype(np.int64), node.dtype
            )
        if node in self.buffers and not self.is_member(node):
            return self.load(self.buffers[node], flat_offset(index, node.shape), node.dtype)
        if self.written.get(node, self.phase) < self.phase:
            return self.load(self.buffers[node], flat_offset(index, node.shape), node.dtype)
        if self.is_kept(node):
            return self.load_kept(node)
        if isinstance(node, View):
            return self.view(node, index)
        if isinstance(node, Map):
            return self.map(node, index)
        return self.gated(node, index)

    def is_kept(self, node: Node) -> bool:
        """Whether an earlier pass over the row has kept a value."""
        return (
            self.written.get(node, self.phase) < self.phase
            or self.saved.get(node, self.phase) < self.phase
        )

    def is_member(self, node: Node) -> bool:
        return node in self.kernel.axes

    def gated(self, node: Node, index: Index) -> Placed:
        if isinstance(node, Place):
            return self.place(node, index)
        if isinstance(node, Concatenate):
            return self.concatenate(node, index)
        if isinstance(node, Gather):
            return self.gather(node, index)
        if isinstance(node, Window):
            return self.window(node, index)
        if isinstance(node, Reduce):
            # An outer gate does not change what a row holds.
            saved, self.gates = self.gates, []
            found = self.value(node, index)
            self.gates = saved
            return found
        raise AssertionError(f"{node} is not in memory")

    def number(self, dtype: np.dtype, value: Any) -> Value:
        return constant(register_type(dtype), as_python(dtype, value))

    def map(self, node: Map, index: Index) -> Placed:
        """One elementwise operation."""
        dtypes = operand_dtypes(node.primitive, node.operands)
        operands, depth = [], 0
        for operand, dtype in zip(node.operands, dtypes, strict=True):
            if isinstance(operand, Constant):
                placed = Placed(self.number(dtype, operand.value), 0)
            else:
                placed = self.value(operand, broadcast_index(index, operand.shape, node.shape))
                placed = self.converted(placed, operand.dtype, dtype)
            operands.append((dtype, placed))
            depth = max(depth, placed.depth)
        lanes = max([lanes_of(placed.value.type) for _, placed in operands], default=0)
        numbers = [o.value if isinstance(o, Constant) else None for o in node.operands]
        elements = [
            Element(dtype, self.wide(placed, lanes), number)
            for (dtype, placed), number in zip(operands, numbers, strict=True)
        ]
        with self.at(depth):
            out = apply(self.f, node.primitive, node.params, elements, node.dtype, lanes)
        placed = Placed(out, depth)
        if node in self.kept:
            self.save(node, placed)
        return placed

    def converted(self, placed: Placed, source: np.dtype, target: np.dtype) -> Placed:
        if source == target:
            return placed
        with self.at(placed.depth):
            return Placed(convert_value(self.f, placed.value, source, target), placed.depth)

    def wide(self, placed: Placed, lanes: int) -> Value:
        """A value in all lanes, made where the value was made."""
        value = placed.value
        if not lanes or lanes_of(value.type) or value.text[0] != "%":
            return self.f.splat(value, lanes)
        memo = self.scopes[placed.depth].memo
        key = ("splat", value.text, lanes)
        if key not in memo:
            with self.at(placed.depth):
                memo[key] = Placed(self.f.splat(value, lanes), placed.depth)
        return memo[key].value

    def full(self, value: Value, type: str) -> Value:
        """A register in the type of an accumulator."""
        return self.f.splat(value, lanes_of(type)) if not lanes_of(value.type) else value

    def widened(self, placed: Placed, source: np.dtype, target: np.dtype) -> Placed:
        """An element as a reduction accumulates it: half precision is a float already."""
        if is_half(source) and target == np.float32:
            return placed
        return self.converted(placed, source, target)

    def narrowed(self, value: Value, source: np.dtype, target: np.dtype) -> Value:
        """What a reduction has accumulated, in the dtype of its result."""
        return (
            round_half(self.f, target, value) if is_half(target) and not is_half(source) else value
        )

    # --- views and chosen parts ---

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

    def divided(self, part: Affine, step: int) -> tuple[Affine, Placed]:
        """An index over a step, and whether it leaves no rest."""
        placed = self.index_value(part)
        divisor = constant(placed.value.type, step)
        with self.at(placed.depth):
            quotient = self.f.op("sdiv", placed.value, divisor)
            rest = self.f.op("srem", placed.value, divisor)
            exact = self.f.icmp("eq", rest, constant(rest.type, 0))
        return self.dynamic(Placed(quotient, placed.depth)), Placed(exact, placed.depth)

    def dynamic(self, placed: Placed) -> Affine:
        """A value as an index."""
        self.alive.append(placed)  # indices are told apart by identity
        return Affine((), 0, ((placed, 1),))

    def is_in_range(self, part: Affine, length: int) -> Placed:
        placed = self.index_value(part)
        with self.at(placed.depth):
            test = self.f.icmp("ult", placed.value, constant(placed.value.type, length))
        return Placed(test, placed.depth)

    def all_of(self, tests: Sequence[Placed]) -> Placed | None:
        result: Placed | None = None
        for test in tests:
            result = test if result is None else self.both(result, test)
        return result

    def both(self, a: Placed, b: Placed) -> Placed:
        depth = max(a.depth, b.depth)
        lanes = max(lanes_of(a.value.type), lanes_of(b.value.type))
        x, y = self.wide(a, lanes), self.wide(b, lanes)
        with self.at(depth):
            return Placed(self.f.op("and", x, y), depth)

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
        part, start = index[node.axis], 0
        result = Placed(self.number(node.dtype, 0), 0)
        for operand in node.operands:
            length = operand.shape[node.axis]
            relative = combine([(part, 1)], -start)
            start += length
            if not length:
                continue
            inner = (*index[: node.axis], relative, *index[node.axis + 1 :])
            if relative.is_constant:
                if 0 <= relative.constant < length:
                    return self.value(operand, inner)
                continue
            gate = self.is_in_range(relative, length)
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
            raw = self.converted(self.value(operand, own), operand.dtype, np.dtype(np.int64))
            place, test = self.wrapped(raw, x.shape[axis])
            if not node.drop:
                self.check(raw, test, node.labels[axis], x.shape[axis])
            places.append(self.dynamic(place))
            valid.append(test)
        if not node.drop:
            return self.value(x, (*places, *rest))
        gate = self.all_of(valid)
        assert gate is not None
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

    # --- indices as values ---

    def index_value(self, part: Affine) -> Placed:
        """An index as an i64, a vector of them if it moves with the vector loop."""
        f, depth = self.f, self.depth_of(part)
        total: Value = constant("i64", part.constant)
        lanes = 0
        terms: list[Value] = []
        with self.at(depth):
            for scope in self.scopes:
                factor = scope.level.factor(part) if scope.level is not None else 0
                if not factor or scope.loop is None:
                    continue
                count = scope.loop.index
                if scope.shift:
                    count = f.op("add", count, constant("i64", scope.shift))
                terms.append(f.op("mul", count, constant("i64", factor)) if factor != 1 else count)
                if scope.lanes:
                    lanes = scope.lanes
                    steps = ", ".join(f"i64 {i * factor}" for i in range(lanes))
                    terms.append(Value(vector(lanes, "i64"), f"<{steps}>"))
            for placed, factor in part.dynamic:
                value = placed.value
                lanes = max(lanes, lanes_of(value.type))
                terms.append(
                    f.op("mul", value, constant(value.type, factor)) if factor != 1 else value
                )
            for term in terms:
                total = f.op("add", f.splat(total, lanes), f.splat(term, lanes))
        return Placed(total, depth)

    # --- memory ---

    def address(self, base: Value, offset: Affine, element: str) -> Address:
        """The address of an element; addresses of outer loops are computed there."""
        vectors = [placed for placed, _ in offset.dynamic if lanes_of(placed.value.type)]
        inner = next((s for s in self.scopes if s.lanes), None)
        factor = inner.level.factor(offset) if inner is not None and inner.level is not None else 0
        if vectors or (factor not in (0, 1) and inner is not None):
            placed = self.index_value(offset)
            with self.at(placed.depth):
                type = with_element(placed.value.type, "ptr")
                text = f"getelementptr {element}, ptr {base.text}, {placed.value.type} {placed.value.text}"
                return Address(self.f.emit(type, text), placed.depth, -lanes_of(placed.value.type))
        depth, pointer = 0, base
        for part, at in self.address_parts(offset):
            depth = max(depth, at)
            pointer = self.step(pointer, part, depth, element)
        return Address(pointer, depth, self.lanes if factor else 0)

    def address_parts(self, offset: Affine) -> list[tuple[Affine, int]]:
        """An offset in pieces, from the outermost loop inward, the constant with the first."""
        parts: dict[int, list] = {0: [(constant_index(offset.constant), 1)]}
        for number, scope in enumerate(self.scopes):
            if scope.level is not None and scope.level.factor(offset):
                name = scope.level.variables[-1]
                parts.setdefault(number, []).append((Affine(((name, offset.factor(name)),)), 1))
        for placed, factor in offset.dynamic:
            parts.setdefault(placed.depth, []).append((Affine((), 0, ((placed, factor),)), 1))
        return [(combine(pieces), depth) for depth, pieces in sorted(parts.items())]

    def step(self, pointer: Value, part: Affine, depth: int, element: str) -> Value:
        """A pointer moved by a scalar part of an offset."""
        memo = self.scopes[depth].memo
        key = ("address", pointer.text, part.key, element)
        if key not in memo:
            with self.at(depth):
                moved = self.f.gep(pointer, self.scalar_index(part), element)
                memo[key] = Placed(moved, depth)
        return memo[key].value

    def scalar_index(self, part: Affine) -> Value | int:
        """An index in the first lane."""
        f = self.f
        if part.is_constant:
            return part.constant
        total: Value | None = None
        shift = part.constant
        for scope in self.scopes:
            factor = scope.level.factor(part) if scope.level is not None else 0
            if factor and scope.loop is not None:
                shift += scope.shift * factor
                term = scope.loop.index
                term = f.op("mul", term, constant("i64", factor)) if factor != 1 else term
                total = term if total is None else f.op("add", total, term)
        for placed, factor in part.dynamic:
            term = placed.value
            term = f.op("mul", term, constant("i64", factor)) if factor != 1 else term
            total = term if total is None else f.op("add", total, term)
        assert total is not None
        return f.op("add", total, constant("i64", shift)) if shift else total

    def load(self, base: Value, offset: Affine, dtype: np.dtype) -> Placed:
        address = self.address(base, offset, memory_type(dtype))
        depth = max([address.depth, *[gate.depth for gate in self.gates[-1:]]])
        with self.at(depth):
            if not address.lanes and self.gates:
                return self.load_gated_scalar(base, address, dtype, depth)
            return Placed(self.load_from(address, dtype, self.load_mask(address, depth)), depth)

    def load_gated_scalar(
        self, base: Value, address: Address, dtype: np.dtype, depth: int
    ) -> Placed:
        """A scalar that is read from the start of the array instead where the gate is closed."""
        f, gate = self.f, self.gates[-1].value
        if lanes_of(gate.type):
            type = with_element(gate.type, "ptr")
            pointers = f.splat(address.pointer, lanes_of(gate.type))
            wide = Address(Value(type, pointers.text), depth, -lanes_of(gate.type))
            return Placed(self.load_from(wide, dtype, self.load_mask(wide, depth)), depth)
        pointer = f.select(gate, address.pointer, base)
        return Placed(self.load_from(Address(pointer, depth, 0), dtype, None), depth)

    def load_mask(self, address: Address, depth: int) -> Value | None:
        """Which lanes may be read."""
        lanes = abs(address.lanes)
        if not lanes:
            return None
        mask = self.mask if self.is_in_vector(depth) else None
        if self.gates:
            gate = self.wide(self.gates[-1], lanes)
            mask = gate if mask is None else self.f.op("and", gate, mask)
        return mask

    def is_in_vector(self, depth: int) -> bool:
        """Whether code at this depth is inside the loop that has the mask."""
        return any(scope.mask is not None for scope in self.scopes[: depth + 1])

    def load_from(self, address: Address, dtype: np.dtype, mask: Value | None) -> Value:
        f, align = self.f, alignment(dtype)
        type = vector(abs(address.lanes), memory_type(dtype))
        if address.lanes < 0:
            raw = gather(f, type, address.pointer, align, mask)
        elif mask is None or not address.lanes:
            raw = f.load(type, address.pointer, align)
        else:
            raw = masked_load(f, type, address.pointer, align, mask)
        return from_memory(f, dtype, raw)

    def store(
        self, base: Value, offset: Affine, dtype: np.dtype, placed: Placed, past_cache: bool = False
    ) -> None:
        """Write an element (or a vector of them) at the current place; `past_cache` if nobody reads it soon."""
        address = self.address(base, offset, memory_type(dtype))
        value = self.wide(placed, abs(address.lanes))
        if lanes_of(value.type) and not address.lanes:
            value = self.f.extract(value, 0)
        if past_cache and self.mask is None and address.lanes * dtype.itemsize == ALIGNED:
            self.f.module.globals["nontemporal"] = "!0 = !{i32 1}"
            raw = to_memory(self.f, dtype, value)
            self.f.store(raw, address.pointer, ALIGNED, ", !nontemporal !0")
        else:
            self.store_to(address, dtype, value)

    def is_aligned(self, offset: Affine) -> bool:
        """Whether whole vectors at this offset begin where vectors of an array do."""
        factors = [factor for name, factor in offset.terms if not self.is_vector_variable(name)]
        return all(n % self.lanes == 0 for n in (*factors, offset.constant)) and not offset.dynamic

    def is_vector_variable(self, name: int) -> bool:
        return any(
            level.is_vector and level.variables[-1] == name for level in self.schedule.levels
        )

    def store_to(self, address: Address, dtype: np.dtype, value: Value) -> None:
        f, mask, align = self.f, self.mask, alignment(dtype)
        raw = to_memory(f, dtype, value)
        if address.lanes < 0:
            scatter(f, raw, address.pointer, align, mask)
        elif mask is None or not address.lanes:
            f.store(raw, address.pointer, align)
        else:
            masked_store(f, raw, address.pointer, align, mask)

    # --- values kept for the next pass over a row ---

    def keep(self, nodes: set[Node], length: int) -> None:
        """Give these nodes memory for one row."""
        for node in sorted(nodes, key=lambda n: n.number):
            count = length * (1 if self.row_is_vector() else self.lanes)
            element = (
                memory_type(np.dtype(np.float32))
                if is_half(node.dtype)
                else memory_type(node.dtype)
            )
            self.kept[node] = self.f.alloca(element, count)

    def row_is_vector(self) -> bool:
        return any(level.is_vector for level in self.schedule.levels if level.is_row)

    def kept_offset(self) -> Affine:
        """The place of the current point in the memory of a row."""
        rows = self.schedule.levels[self.schedule.outer :]
        parts, stride = [], 1
        for level in reversed(rows):
            parts.append((Affine(((level.variables[-1], 1),)), stride))
            stride *= level.extent
        return combine(parts)

    def kept_address(self, node: Node, dtype: np.dtype) -> Address:
        element = memory_type(dtype)
        offset = self.kept_offset()
        if self.row_is_vector():
            return self.address(self.kept[node], offset, element)
        index = self.scalar_index(offset)
        return Address(
            self.f.gep(self.kept[node], index, vector(self.lanes, element)),
            len(self.scopes) - 1,
            self.lanes,
        )

    def kept_dtype(self, node: Node) -> np.dtype:
        return np.dtype(np.float32) if is_half(node.dtype) else node.dtype

    def save(self, node: Node, placed: Placed) -> None:
        """Store a value of the innermost loop, so that later passes read it."""
        if placed.depth + 1 != len(self.scopes) or self.gates:
            return
        if self.saved.setdefault(node, self.phase) != self.phase:
            return
        dtype = self.kept_dtype(node)
        address = self.kept_address(node, dtype)
        self.store_to(address, dtype, self.wide(placed, abs(address.lanes)))

    def load_kept(self, node: Node) -> Placed:
        dtype = self.kept_dtype(node)
        address = self.kept_address(node, dtype)
        depth = len(self.scopes) - 1
        return Placed(self.load_from(address, dtype, self.load_mask(address, depth)), depth)
