"""The native code that follows a plan: its frame, and how instructions read operands, take references and give up."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Iterator

from funcgrad.compiler.llvm.builder import Module
from funcgrad.compiler.llvm.calls import cpython
from funcgrad.compiler.llvm.calls.call_plan import Header
from funcgrad.compiler.llvm.instructions import Block
from funcgrad.compiler.llvm.types import Value, constant

NULL = Value("ptr", "null")
NOT_THIS_CALL = Value("ptr", "inttoptr (i64 1 to ptr)")


class Table(enum.IntEnum):
    """Words that all plans share: objects of this process, whose addresses must not be part of the code."""

    TRUE = 0
    ARRAY_TYPE = 1
    INT_TYPE = 2
    BOOL_TYPE = 3
    EXCEPTION_TYPE = 4
    SAME = 5  # the equality of static data
    TUPLE_ITEMS = 6  # the offset of the items
    WATCHED = 7  # a list; while it has elements, ask before every call
    IS_IDLE = 8  # whether this thread may make native calls
    DONATIONS = 9  # the record of arrays that were given up


def number(value: int) -> Value:
    return constant("i64", value)


class Frame:
    """Writes `ptr follow(ptr plan, ptr args, i64 count, ptr names, ptr table)` but for the instructions.

    The function returns the result, null with an exception set, or `NOT_THIS_CALL`. Each slot behind the arguments
    owns a reference, and `top` counts the slots in use, so that one loop at the end releases them all.
    """

    def __init__(self, module: Module) -> None:
        types = ["ptr", "ptr", "i64", "ptr", "ptr"]
        self.f = f = module.function("follow", "ptr", types, "internal")
        f.attributes = "nounwind noinline"
        self.plan, self.args, self.count, self.names, self.table = f.arguments
        self.here, self.top, self.answer = (f.alloca("i64", align=8) for _ in range(3))
        self.next, self.other, self.missing, self.failed, self.release, self.end = (
            f.new_block(name) for name in ("next", "other", "missing", "failed", "release", "end")
        )
        self.slots, self.data = self._start()
        self._write_missing()
        self._answer(self.other, NOT_THIS_CALL)
        self._answer(self.failed, NULL)
        self._write_release()

    # --- operands, slots, references ---

    def word(self, base: Value, index: int | Value, type: str = "ptr") -> Value:
        return self.f.load(type, self.f.gep(base, index, "i64"), 8)

    def field(self, value: Value, offset: int, type: str = "ptr") -> Value:
        return self.f.load(type, self.f.gep(value, offset))

    def shared(self, entry: Table, type: str = "ptr") -> Value:
        return self.word(self.table, entry, type)

    def operand_address(self, index: int | Value) -> Value:
        return self.f.gep(self.f.load("ptr", self.here, 8), index, "i64")

    def operand(self, index: int, type: str = "i64") -> Value:
        return self.f.load(type, self.operand_address(index), 8)

    def slot(self, index: int = 1) -> Value:
        """The value in the slot that an operand names."""
        return self.word(self.slots, self.operand(index))

    def data_word(self, index: int) -> Value:
        """The address of the data word that an operand names."""
        return self.f.gep(self.data, self.operand(index), "i64")

    def append(self, value: Value) -> None:
        """Give a reference to the next slot."""
        f = self.f
        top = f.load("i64", self.top, 8)
        f.store(value, f.gep(self.slots, top, "i64"), 8)
        f.store(f.op("add", top, number(1)), self.top, 8)

    def append_borrowed(self, value: Value) -> None:
        self.f.external("Py_IncRef", "void", [value])
        self.append(value)

    def last(self, count: Value) -> Value:
        """The address of the last slots in use."""
        top = self.f.op("sub", self.f.load("i64", self.top, 8), count)
        return self.f.gep(self.slots, top, "i64")

    def forget(self, count: Value) -> None:
        """Take the last slots out of use; their references went elsewhere."""
        self.f.store(self.f.op("sub", self.f.load("i64", self.top, 8), count), self.top, 8)

    def drop(self, value: Value) -> None:
        """Give a reference up."""
        self.f.external("Py_DecRef", "void", [value])

    # --- control ---

    def require(self, condition: Value, otherwise: Block | None = None) -> None:
        """Go on only if it holds; otherwise, by default, this is another call."""
        on = self.f.new_block("on")
        self.f.branch_if(condition, on, otherwise or self.other)
        self.f.block = on

    def require_same(self, a: Value, b: Value, otherwise: Block | None = None) -> None:
        self.require(self.f.icmp("eq", a, b), otherwise)

    def require_found(self, value: Value) -> None:
        """The result of a look-up, which says null for nothing and for an exception."""
        self.require(self.f.icmp("ne", value, NULL), self.missing)

    def require_made(self, value: Value) -> None:
        """A new object, which is null if there is no memory."""
        self.require(self.f.icmp("ne", value, NULL), self.failed)

    @contextlib.contextmanager
    def each(self, count: Value) -> Iterator[Value]:
        """Count from 0; unlike `Function.loop` possibly not at all."""
        with (
            self.f.when(self.f.icmp("ne", count, number(0))),
            self.f.loop(number(0), count) as loop,
        ):
            yield loop.index

    def done(self, words: int | Value) -> None:
        """Go on to the next instruction; this one has so many words."""
        f = self.f
        f.store(f.gep(f.load("ptr", self.here, 8), words, "i64"), self.here, 8)
        f.branch(self.next)

    # --- the parts of the function ---

    def _start(self) -> tuple[Value, Value]:
        """Compare the outline of the call, and lay out slots and data on the stack."""
        f, plan = self.f, self.plan
        f.store(NOT_THIS_CALL, self.answer, 8)
        positional = self.word(plan, Header.POSITIONAL, "i64")
        self.require_same(self.count, positional, self.end)
        named = self.word(plan, Header.NAMED, "i64")
        self._compare_names(named)
        slots, data = (
            f.emit("ptr", f"alloca i64, i64 {self.word(plan, part, 'i64').text}, align 16")
            for part in (Header.SLOTS, Header.DATA)
        )
        total = f.op("add", positional, named)
        with self.each(total) as index:
            f.store(self.word(self.args, index), f.gep(slots, index, "i64"), 8)
        f.store(total, self.top, 8)
        f.store(f.gep(plan, self.word(plan, Header.START, "i64"), "i64"), self.here, 8)
        f.branch(self.next)
        return slots, data

    def _compare_names(self, named: Value) -> None:
        """Names of keyword arguments are interned, and mostly in the order of the example."""
        f = self.f
        has_names = f.icmp("ne", self.names, NULL)
        with f.when(f.op("xor", has_names, constant("i1", 1))):
            self.require_same(named, number(0), self.end)
        with f.when(has_names):
            self.require_same(self.field(self.names, cpython.SIZE, "i64"), named, self.end)
            given = f.gep(self.names, self.shared(Table.TUPLE_ITEMS, "i64"))
            known = f.gep(self.plan, Header.NAMES, "i64")
            with self.each(named) as index:
                self.require_same(self.word(given, index), self.word(known, index), self.end)

    def _write_missing(self) -> None:
        """Nothing was found, or looking for it raised an exception: the portable path will do so again. Only what is
        no `Exception`, such as Ctrl-C, ends the call."""
        f = self.f
        f.block = self.missing
        with f.when(f.icmp("ne", f.external("PyErr_Occurred", "ptr", []), NULL)):
            kind = self.shared(Table.EXCEPTION_TYPE)
            is_ordinary = f.external("PyErr_ExceptionMatches", "i32", [kind])
            self.require(f.icmp("ne", is_ordinary, constant("i32", 0)), self.failed)
            f.external("PyErr_Clear", "void", [])
        f.branch(self.other)

    def _answer(self, block: Block, value: Value) -> None:
        with self.f.at(block):
            self.f.store(value, self.answer, 8)
            self.f.branch(self.release)

    def _write_release(self) -> None:
        f = self.f
        f.block = self.release
        positional = self.word(self.plan, Header.POSITIONAL, "i64")
        first = f.op("add", positional, self.word(self.plan, Header.NAMED, "i64"))
        owned = f.gep(self.slots, first, "i64")
        with self.each(f.op("sub", f.load("i64", self.top, 8), first)) as index:
            self.drop(self.word(owned, index))
        f.branch(self.end)
        f.block = self.end
        f.ret(f.load("ptr", self.answer, 8))
