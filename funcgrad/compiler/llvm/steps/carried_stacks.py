"""Stacks of unknown length that loops read element by element, or carry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from funcgrad.compiler.llvm.program import copy_bytes
from funcgrad.compiler.llvm.steps.carried import Elements, Phis, buffer_bytes
from funcgrad.compiler.llvm.steps.stacks import (
    ENTRY_BYTES,
    ZERO,
    Stack,
    element_bytes,
    load_entry,
)
from funcgrad.compiler.llvm.types import Value, constant
from funcgrad.compiler.lowering.graph import Node
from funcgrad.compiler.lowering.plan import nbytes, padded
from funcgrad.compiler.lowering.ragged import header_bytes, is_ragged

if TYPE_CHECKING:
    from funcgrad.compiler.llvm.steps.loops import LoopWriter


class StackElements:
    """The elements of a stack that a loop reads. Those of an empty one are zeros.

    Args:
        loop: which is not begun yet.
        stack: the operand.
        element: what the body calls its element.
    """

    def __init__(self, loop: LoopWriter, stack: Node, element: Node) -> None:
        self.f = f = loop.f
        self.is_nested = is_ragged(element.shape)
        header = loop.writer.operand(stack)
        zeros = loop.take(padded(max(nbytes(element), ENTRY_BYTES)))
        is_empty = f.icmp("eq", f.load("i64", header, 8), ZERO)
        with f.when(is_empty):
            write_zeros(loop, zeros, max(nbytes(element), ENTRY_BYTES))
        width = constant("i64", element_bytes(stack.type))
        self.base = f.select(is_empty, zeros, f.load("ptr", f.gep(header, 1, "i64"), 8))
        self.stride = f.select(is_empty, ZERO, width)
        if self.is_nested:
            self.header = loop.take(buffer_bytes(element))
            self.next = f.load("ptr", f.gep(header, 2, "i64"), 8)
            self.width = constant("i64", element_bytes(element.type))
            levels = constant("i64", header_bytes(element.shape))
            copy_bytes(f, self.header, f.gep(header, 1, "i64"), levels)

    def at(self, place: Value) -> Value:
        """Where the body finds an element."""
        f = self.f
        found = f.gep(self.base, f.op("mul", place, self.stride))
        if not self.is_nested:
            return found
        first, count = load_entry(f, found)
        f.store(count, self.header, 8)
        start = f.gep(self.next, f.op("mul", first, self.width))
        f.store(start, f.gep(self.header, 1, "i64"), 8)
        return self.header


class NoElements:
    """Zeros in place of the elements of a stack that is known to have none."""

    def __init__(self, loop: LoopWriter, element: Node) -> None:
        self.zeros = loop.take(buffer_bytes(element))
        write_zeros(loop, self.zeros, nbytes(element))

    def at(self, place: Value) -> Value:
        del place
        return self.zeros


def write_zeros(loop: LoopWriter, target: Value, size: int) -> None:
    f, name = loop.f, "llvm.memset.p0.i64"
    f.module.declare(name, "void", ["ptr", "i8", "i64", "i1"])
    given = [target, constant("i8", 0), constant("i64", size), constant("i1", 0)]
    f.call(name, "void", given)


class CarriedStack:
    """A stack that a loop carries; what the body makes is copied to one of two places in turn.

    Attributes:
        pointer: the header that the body reads.
        target: where the body writes the next one.
    """

    is_small = is_in_place = False

    def __init__(self, loop: LoopWriter, phis: Phis, operand: Node) -> None:
        self.f, self.phis, self.type = loop.f, phis, operand.type
        self.leave = loop.writer.leave_if
        self.elements: Elements = []
        self.pointer = loop.take(buffer_bytes(operand))
        self.target = loop.take(buffer_bytes(operand))
        copy_bytes(self.f, self.pointer, loop.writer.operand(operand), nbytes(operand))
        self.spare = phis.new(loop.writer.slots(operand.type))
        self.other = phis.new(loop.writer.slots(operand.type))

    def begin(self) -> None:
        """At the head of the body there is nothing to do."""

    def advance(self, following: Elements | None) -> None:
        """At the end of the body: what it wrote is what the next iteration reads."""
        del following
        stack = Stack(self.f, self.spare, self.type, self.leave)
        stack.clear()
        stack.append(self.target)
        stack.write_header(self.pointer)
        self.phis.update(self.spare, self.other)
        self.phis.update(self.other, self.spare)
