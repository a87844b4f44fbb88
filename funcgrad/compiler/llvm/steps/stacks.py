"""Stacks whose length only the running program knows: what a `while_loop` collects for its way back.

Each level of a stack (see `lowering/ragged.py`) is a slot of three words in the frame of the program: address, length
and capacity in elements. Slots keep their memory until the program ends, so that a loop that runs again uses it
again. What leaves the body of a loop is therefore copied, to the end of a stack or to what is carried.
"""

from __future__ import annotations

from collections.abc import Callable

from funcgrad.compiler.llvm.builder import Function, Module
from funcgrad.compiler.llvm.types import Value, constant
from funcgrad.compiler.lowering.ragged import level_count, row_bytes
from funcgrad.ir.types import ArrayType

FRAME = "%stacks"
WORDS = 3
ENTRY_BYTES = 16
FIRST_CAPACITY = 64
ZERO, ONE = constant("i64", 0), constant("i64", 1)


class Stack:
    """The slots of one stack, one for each level.

    Args:
        function: the code that is being written.
        slots: the address of the first one.
        type: of the stack.
        leave: writes the way out of the program if the i1 holds, because there is no memory.
    """

    def __init__(
        self, function: Function, slots: Value, type: ArrayType, leave: Callable[[Value], None]
    ) -> None:
        self.f = function
        self.slots = slots
        self.leave = leave
        self.levels = level_count(type.shape)
        self.row = row_bytes(type)
        self.width = element_bytes(type)

    def word(self, place: int, level: int = 0) -> Value:
        return self.f.gep(self.slots, WORDS * level + place, "i64")

    def base(self) -> Value:
        """The address of the first element."""
        return self.f.load("ptr", self.word(0), 8)

    def element(self, place: Value) -> Value:
        return self.f.gep(self.base(), self.f.op("mul", place, constant("i64", self.width)))

    def clear(self) -> None:
        for level in range(self.levels):
            self.f.store(ZERO, self.word(1, level), 8)

    def reserve(self, count: Value) -> None:
        """Make room for so many elements in all."""
        write_reserve(self.f, self.slots, count, constant("i64", self.width), self.leave)

    def length(self) -> Value:
        return self.f.load("i64", self.word(1), 8)

    def push(self) -> Value:
        """The number of a new element at the end."""
        length = self.length()
        following = self.f.op("add", length, ONE)
        self.reserve(following)
        self.set_length(following)
        return length

    def set_length(self, count: Value) -> None:
        self.f.store(count, self.word(1), 8)

    def put(self, place: Value, header: Value) -> None:
        """Let an element be a copy of the stack with this header."""
        f = self.f
        entry, length = self.element(place), f.load("i64", header, 8)
        f.store(f.load("i64", self.word(1, 1), 8), entry, 8)
        f.store(length, f.gep(entry, 1, "i64"), 8)
        self.append(header, first_level=1)

    def append(self, header: Value, first_level: int = 0) -> None:
        """Copy the elements of the stack with this header behind those that are there."""
        f = self.f
        append = append_function(f.module, self.levels - first_level)
        slot, source = self.word(0, first_level), f.gep(header, 1, "i64")
        given = [slot, source, ZERO, f.load("i64", header, 8), constant("i64", self.row)]
        self.leave(f.call(append, "i1", given))

    def write_header(self, target: Value) -> None:
        f = self.f
        f.store(self.length(), target, 8)
        for level in range(self.levels):
            f.store(f.load("ptr", self.word(0, level), 8), f.gep(target, 1 + level, "i64"), 8)


def element_bytes(type: ArrayType) -> int:
    """The size of an element of the first level."""
    return row_bytes(type) if level_count(type.shape) == 1 else ENTRY_BYTES


def write_empty_header(f: Function, target: Value, type: ArrayType) -> None:
    for word in range(1 + level_count(type.shape)):
        f.store(ZERO, f.gep(target, word, "i64"), 8)


# --- functions of the module, one for each number of levels; true if there is no memory ---


def write_reserve(
    f: Function, slot: Value, count: Value, width: Value, leave: Callable[[Value], None]
) -> None:
    """Make room for so many elements of `width` bytes in a slot."""
    grow = grow_function(f.module)
    capacity = f.load("i64", f.gep(slot, 2, "i64"), 8)
    with f.when(f.icmp("slt", capacity, count)):
        leave(f.call(grow, "i1", [slot, count, width]))


def return_if(f: Function) -> Callable[[Value], None]:
    """What makes a function of the module return true if an i1 holds."""

    def leave(bad: Value) -> None:
        failed, going = f.new_block("failed"), f.new_block("going")
        f.branch_if(bad, failed, going)
        f.block = failed
        f.ret(constant("i1", 1))
        f.block = going

    return leave


def grow_function(module: Module) -> str:
    """`i1 (ptr slot, i64 count, i64 size)`: at least twice the capacity, with what was there."""
    name = "fg_grow_stack"
    if module.defines(name):
        return name
    f = module.function(name, "i1", ["ptr", "i64", "i64"], "internal")
    slot, count, size = f.arguments
    old = f.load("ptr", slot, 8)
    capacity = f.load("i64", f.gep(slot, 2, "i64"), 8)
    doubled = f.op("mul", capacity, constant("i64", 2))
    wanted = f.intrinsic("llvm.smax", "i64", [doubled, count])
    wanted = f.intrinsic("llvm.smax", "i64", [wanted, constant("i64", FIRST_CAPACITY)])
    # The system's own, which moves large blocks without copying them.
    bytes_ = f.op("mul", wanted, size)
    new = f.external("realloc", "ptr", [old, bytes_])
    missing = f.icmp("eq", new, Value("ptr", "null"))
    with f.when(missing):
        f.external("fg_out_of_memory", "void", [bytes_])
    return_if(f)(missing)
    f.store(new, slot, 8)
    f.store(wanted, f.gep(slot, 2, "i64"), 8)
    f.ret(constant("i1", 0))
    return name


def append_function(module: Module, levels: int) -> str:
    """`i1 (ptr slots, ptr source, i64 start, i64 length, i64 row)`: copy elements behind those of a stack.

    `source` holds the addresses of the levels, of which these elements of the first one are copied.
    """
    name = f"fg_append_stack_{levels}"
    if module.defines(name):
        return name
    inner = append_function(module, levels - 1) if levels > 1 else ""
    f = module.function(name, "i1", ["ptr", "ptr", "i64", "i64", "i64"], "internal")
    slots, source, start, length, row = f.arguments
    width = row if levels == 1 else constant("i64", ENTRY_BYTES)
    count = f.load("i64", f.gep(slots, 1, "i64"), 8)
    after = f.op("add", count, length)
    write_reserve(f, slots, after, width, return_if(f))
    f.store(after, f.gep(slots, 1, "i64"), 8)
    target = f.gep(f.load("ptr", slots, 8), f.op("mul", count, width))
    given = f.gep(f.load("ptr", source, 8), f.op("mul", start, width))
    if levels == 1:
        f.module.declare("llvm.memcpy.p0.p0.i64", "void", ["ptr", "ptr", "i64", "i1"])
        arguments = [target, given, f.op("mul", length, width), constant("i1", 0)]
        f.call("llvm.memcpy.p0.p0.i64", "void", arguments)
    else:
        _append_entries(f, inner, target, given)
    f.ret(constant("i1", 0))
    return name


def _append_entries(f: Function, inner: str, target: Value, given: Value) -> None:
    """Entries for copies of the elements behind the given ones."""
    slots, source, _, length, row = f.arguments
    deeper, behind = f.gep(slots, WORDS, "i64"), f.gep(source, 1, "i64")
    with (
        f.when(f.icmp("sgt", length, ZERO)),
        f.loop(ZERO, length, hint="entries") as loop,
    ):
        shift = f.op("mul", loop.index, constant("i64", ENTRY_BYTES))
        first, count = load_entry(f, f.gep(given, shift))
        store_entry(f, f.gep(target, shift), f.load("i64", f.gep(deeper, 1, "i64"), 8), count)
        return_if(f)(f.call(inner, "i1", [deeper, behind, first, count, row]))


def load_entry(f: Function, place: Value) -> tuple[Value, Value]:
    """Where the elements of an element begin in the next level, and how many there are."""
    return f.load("i64", place, 8), f.load("i64", f.gep(place, 1, "i64"), 8)


def store_entry(f: Function, place: Value, first: Value, count: Value) -> None:
    f.store(first, place, 8)
    f.store(count, f.gep(place, 1, "i64"), 8)


# --- the frame of the program ---


def frame_slot(f: Function, number: int) -> Value:
    return f.gep(Value("ptr", FRAME), WORDS * number, "i64")


def write_frame(f: Function, count: int) -> None:
    """The memory of the slots, all empty."""
    words = WORDS * count
    f.entry.lines.insert(0, f"  {FRAME} = alloca i64, i64 {words}, align 8")
    for place in range(words):
        f.store(ZERO, f.gep(Value("ptr", FRAME), place, "i64"), 8)


def write_release(f: Function, count: int) -> None:
    """Free what the stacks hold."""
    for number in range(count):
        base = f.load("ptr", frame_slot(f, number), 8)
        with f.when(f.icmp("ne", base, Value("ptr", "null"))):
            f.external("free", "void", [base])
