"""Stacks whose length only the running program knows: what a `while_loop` collects for its way back.

A stack is a slot of three words in the frame of the program: address, length and capacity in elements. Slots keep
their memory until the program ends, so that a loop that runs again uses it again.
"""

from __future__ import annotations

from funcgrad.compiler.llvm.builder import Function, Module
from funcgrad.compiler.llvm.types import Value, constant

FRAME = "%stacks"
WORDS = 3
FIRST_CAPACITY = 64


class Stack:
    """One slot, for elements of so many bytes."""

    def __init__(self, function: Function, number: int, size: int) -> None:
        self.f = function
        self.size = max(1, size)
        self.number = number

    def word(self, place: int) -> Value:
        return self.f.gep(Value("ptr", FRAME), WORDS * self.number + place, "i64")

    def base(self) -> Value:
        """The address of the first element."""
        return self.f.load("ptr", self.word(0), 8)

    def element(self, base: Value, place: Value) -> Value:
        return self.f.gep(base, self.f.op("mul", place, constant("i64", self.size)))

    def clear(self) -> None:
        self.f.store(constant("i64", 0), self.word(1), 8)

    def reserve(self, count: Value) -> None:
        """Make room for so many elements in all."""
        f = self.f
        grow = grow_function(f.module)
        with f.when(f.icmp("slt", f.load("i64", self.word(2), 8), count)):
            f.call(grow, "void", [self.word(0), count, constant("i64", self.size)])

    def push(self) -> Value:
        """The address of a new element at the end."""
        f = self.f
        length = f.load("i64", self.word(1), 8)
        following = f.op("add", length, constant("i64", 1))
        self.reserve(following)
        f.store(following, self.word(1), 8)
        return self.element(self.base(), length)

    def set_length(self, count: Value) -> None:
        self.f.store(count, self.word(1), 8)


def grow_function(module: Module) -> str:
    """`void (ptr slot, i64 count, i64 size)`: at least twice the capacity, with what was there."""
    name = "fg_grow_stack"
    if module.defines(name):
        return name
    f = module.function(name, "void", ["ptr", "i64", "i64"], "internal")
    slot, count, size = f.arguments
    old = f.load("ptr", slot, 8)
    capacity = f.load("i64", f.gep(slot, 2, "i64"), 8)
    doubled = f.op("mul", capacity, constant("i64", 2))
    wanted = f.intrinsic("llvm.smax", "i64", [doubled, count])
    wanted = f.intrinsic("llvm.smax", "i64", [wanted, constant("i64", FIRST_CAPACITY)])
    # The system's own, which moves large blocks without copying them.
    new = f.external("realloc", "ptr", [old, f.op("mul", wanted, size)])
    f.store(new, slot, 8)
    f.store(wanted, f.gep(slot, 2, "i64"), 8)
    f.ret()
    return name


def write_frame(f: Function, count: int) -> None:
    """The memory of the slots, all empty."""
    words = WORDS * count
    f.entry.lines.insert(0, f"  {FRAME} = alloca i64, i64 {words}, align 8")
    for place in range(words):
        f.store(constant("i64", 0), f.gep(Value("ptr", FRAME), place, "i64"), 8)


def write_release(f: Function, count: int) -> None:
    """Free what the stacks hold."""
    for number in range(count):
        base = f.load("ptr", f.gep(Value("ptr", FRAME), WORDS * number, "i64"), 8)
        with f.when(f.icmp("ne", base, Value("ptr", "null"))):
            f.external("free", "void", [base])
