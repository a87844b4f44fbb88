"""What a loop carries from one iteration to the next: small arrays in registers, others in two buffers in turn."""

from __future__ import annotations

from collections.abc import Sequence

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.instructions import Block
from funcgrad.compiler.llvm.kernels.small_arrays import Elements, load_elements, store_elements
from funcgrad.compiler.llvm.types import Value
from funcgrad.compiler.lowering.fusion import TINY
from funcgrad.compiler.lowering.graph import Node
from funcgrad.compiler.lowering.kernels import Kernel
from funcgrad.compiler.lowering.plan import Plan, nbytes, padded
from funcgrad.compiler.lowering.ragged import is_ragged
from funcgrad.ir.types import ArrayType


class Phis:
    """Values that change from iteration to iteration; their definitions are written when the loop is complete."""

    def __init__(self, function: Function, header: Block, before: Block) -> None:
        self.f = function
        self.header = header
        self.before = before
        self.entries: list[list[Value]] = []

    def new(self, start: Value) -> Value:
        self.f.count += 1
        phi = Value(start.type, f"%p{self.f.count}")
        self.entries.append([phi, start, phi])
        return phi

    def update(self, phi: Value, following: Value) -> None:
        for entry in self.entries:
            if entry[0] is phi:
                entry[2] = following

    def finish(self, latch: Block) -> None:
        self.header.lines[:0] = [
            f"  {phi.text} = phi {phi.type} [{start.text}, %{self.before.end.label}], [{then.text}, %{latch.label}]"
            for phi, start, then in self.entries
        ]


def is_small(type: ArrayType) -> bool:
    return not is_ragged(type.shape) and 0 < type.size <= TINY


def only_tiny_readers(plans: Sequence[tuple[Plan, Node]]) -> bool:
    """Whether only tiny kernels read this input of each plan, so that it needs no memory."""
    for plan, node in plans:
        for unit in plan.units:
            if not (isinstance(unit, Kernel) and unit.is_tiny) and node in plan.reads(unit):
                return False
        if any(copied is node for _, copied in plan.copies):
            return False
    return True


class Carried:
    """One carried array.

    Attributes:
        elements: its elements in registers, if it is small.
        pointer: where the body finds it in memory; None if it need not.
        target: where the body writes the next one.
    """

    def __init__(
        self,
        f: Function,
        phis: Phis,
        type: ArrayType,
        start: Value,
        buffers: tuple[Value, Value],
        in_registers: bool,
        is_in_place: bool = False,
    ) -> None:
        self.f = f
        self.phis = phis
        self.type = type
        self.elements: Elements = []
        self.is_small = is_small(type)
        self.in_registers = in_registers
        self.is_in_place = is_in_place
        self.target: Value = buffers[0]
        self.pointer: Value = buffers[0]
        if self.is_small:
            with f.at(phis.before):
                first = load_elements(f, start, type)
            self.elements = [phis.new(value) for value in first]
            self.pointer, self.target = buffers
        elif is_in_place:
            self.pointer = self.target = buffers[0]
        else:
            self.pointer = phis.new(start)
            self.target = phis.new(buffers[0])
            self.other = phis.new(buffers[1])

    def begin(self) -> None:
        """At the head of the body: small arrays that somebody reads from memory go there."""
        if self.is_small and not self.in_registers:
            store_elements(self.f, self.elements, self.pointer, self.type)

    def advance(self, following: Elements | None) -> None:
        """At the end of the body: what it wrote is what the next iteration reads."""
        phis = self.phis
        if self.is_small:
            if following is None:
                following = load_elements(self.f, self.target, self.type)
            for phi, value in zip(self.elements, following, strict=True):
                phis.update(phi, value)
        elif not self.is_in_place:
            phis.update(self.pointer, self.target)
            phis.update(self.target, self.other)
            phis.update(self.other, self.target)


def buffer_bytes(node: Node) -> int:
    return padded(nbytes(node))
