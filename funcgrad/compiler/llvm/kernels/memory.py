"""Elements in memory: their addresses, and loading and storing them, one by one or as vectors."""

from __future__ import annotations

import numpy as np

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.kernels.indices import IndexWriter
from funcgrad.compiler.llvm.kernels.masked import (
    gather,
    masked_load,
    masked_store,
    off_lanes,
    scatter,
)
from funcgrad.compiler.llvm.kernels.registers import alignment, from_memory, memory_type, to_memory
from funcgrad.compiler.llvm.kernels.scopes import Placed
from funcgrad.compiler.llvm.types import Value, constant, lanes_of, vector, with_element
from funcgrad.compiler.lowering.index import Affine, combine, constant as constant_index
from funcgrad.compiler.lowering.schedule import Schedule

ALIGNED = 64  # bytes: vectors that are written past the cache, and the arrays they are part of
FAR_BYTES = 1 << 21  # arrays that the cache of one core does not hold
AHEAD = 2048  # bytes between what is read from such an array and what is asked for


class Address:
    """Where one element lies, or a vector of them: next to each other, or (a vector of addresses) anywhere."""

    __slots__ = ("depth", "lanes", "pointer")

    def __init__(self, pointer: Value, depth: int, lanes: int) -> None:
        self.pointer = pointer
        self.depth = depth
        self.lanes = lanes


class MemoryWriter(IndexWriter):
    """Loads and stores at the current place of a loop nest.

    Attributes:
        gates: tests, each including those before it; what is loaded while there is one may be missing where it fails.
        is_blank: whether what is missing shall be zero.
        blank: vectors of which that is true.
    """

    def __init__(self, function: Function, schedule: Schedule, lanes: int) -> None:
        super().__init__(function, lanes)
        self.schedule = schedule
        self.gates: list[Placed] = []
        self.is_blank = False
        self.blank: set[str] = set()

    # --- addresses ---

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

    # --- loads ---

    def load(self, base: Value, offset: Affine, dtype: np.dtype, is_far: bool = False) -> Placed:
        """An element, or a vector of them; `is_far` if it comes from an array that is not in a cache."""
        address = self.address(base, offset, memory_type(dtype))
        depth = max([address.depth, *[gate.depth for gate in self.gates[-1:]]])
        with self.at(depth):
            if not address.lanes and self.gates:
                return self.load_gated_scalar(base, address, dtype, depth)
            if is_far and address.lanes > 0 and self.mask is None and not self.gates:
                self.ask_ahead(address.pointer)
            mask = self.load_mask(address, depth)
            value = self.load_from(address, dtype, mask, self.is_blank)
            if self.is_blank and self.gates:
                self.blank.add(value.text)
            return Placed(value, depth)

    def ask_ahead(self, pointer: Value) -> None:
        """Have the cache fetch what the loop reads later. The CPU by itself begins too late if the body is long."""
        later = self.f.gep(pointer, AHEAD)
        reading, keep, data = (constant("i32", n) for n in (0, 3, 1))
        self.f.external("llvm.prefetch.p0", "void", [later, reading, keep, data])

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

    def load_from(
        self, address: Address, dtype: np.dtype, mask: Value | None, is_blank: bool = False
    ) -> Value:
        f, align = self.f, alignment(dtype)
        type = vector(abs(address.lanes), memory_type(dtype))
        off = None if is_blank else off_lanes(type, dtype)
        if address.lanes < 0:
            raw = gather(f, type, address.pointer, align, mask, off)
        elif mask is None or not address.lanes:
            raw = f.load(type, address.pointer, align)
        else:
            raw = masked_load(f, type, address.pointer, align, mask, off)
        return from_memory(f, dtype, raw)

    # --- stores ---

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
