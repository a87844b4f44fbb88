"""The native code of the instructions for donated arguments: their memory goes on to results of the call."""

from __future__ import annotations

from funcgrad.compiler.llvm.builder import Module
from funcgrad.compiler.llvm.calls import cpython, donated
from funcgrad.compiler.llvm.calls.dispatch_checks import Checks
from funcgrad.compiler.llvm.calls.dispatch_frame import NULL, Table, number
from funcgrad.compiler.llvm.calls.dispatch_results import Results
from funcgrad.compiler.llvm.instructions import Block
from funcgrad.compiler.llvm.types import Value, constant

OWNED_WRITEABLE = cpython.OWNS_DATA | cpython.WRITEABLE


def flags32(value: int) -> Value:
    return constant("i32", value)


class Donations(Checks, Results):
    """A method `op_...` per instruction; see `call_plan.Op` for what it does and its operands."""

    # --- which calls these are ---

    def op_owned(self) -> None:
        value = self.slot()
        self.require(self.is_owner(value))
        self.done(2)

    def is_owner(self, array: Value) -> Value:
        """Whether an array owns memory that may be written to."""
        f = self.f
        flags = f.op("and", self.field(array, cpython.ARRAY_FLAGS, "i32"), flags32(OWNED_WRITEABLE))
        owns = f.icmp("eq", flags, flags32(OWNED_WRITEABLE))
        is_base = f.icmp("eq", self.field(array, cpython.ARRAY_BASE), NULL)
        return f.op("and", owns, is_base)

    def op_apart(self) -> None:
        """Enter those of the first kind into a hash table, and look for the others and what they are views of."""
        f, given, others, bits = self.f, self.operand(1), self.operand(2), self.operand(3)
        table = self.cleared_table(self.data_word(4), bits)
        with self.each(given) as index:
            value = f.cast("ptrtoint", self.array_of(5, index), "i64")
            f.store(value, self.free_place(table, bits, value), 8)
        first = f.op("add", given, number(5))
        with self.each(others) as index:
            value = self.array_of(first, index)
            self.require_absent(table, bits, value)
            base = self.field(value, cpython.ARRAY_BASE)
            with f.when(f.icmp("ne", base, NULL)):
                self.require_absent(table, bits, base)
        self.done(f.op("add", first, others))

    def array_of(self, first: int | Value, index: Value) -> Value:
        """The value of a slot whose number is in a row of operands."""
        start = number(first) if isinstance(first, int) else first
        slot = self.f.load("i64", self.operand_address(self.f.op("add", start, index)), 8)
        return self.word(self.slots, slot)

    def require_absent(self, table: Value, bits: Value, value: Value) -> None:
        self.free_place(table, bits, self.f.cast("ptrtoint", value, "i64"))

    # --- memory that goes on ---

    def op_take(self) -> None:
        f, old = self.f, self.slot()
        take, allocate, made = (f.new_block(name) for name in ("take", "allocate", "made"))
        f.branch_if(self.can_take(old), take, allocate)
        f.block = take
        new = self.array_on(self.field(old, cpython.ARRAY_DATA), 4)
        self.require_made(new)
        self.hand_over(old, new)
        taken = self.leave_to(made)
        f.block = allocate
        fresh = self.new_array(4)
        self.require_made(fresh)
        allocated = self.leave_to(made)
        f.block = made
        sources = f"[{new.text}, %{taken.label}], [{fresh.text}, %{allocated.label}]"
        self.give_output(f.emit("ptr", f"phi ptr {sources}"), 4)

    def leave_to(self, block: Block) -> Block:
        """Branch there; the block that does so."""
        end = self.f.block
        self.f.branch(block)
        return end

    def can_take(self, array: Value) -> Value:
        """Whether nobody else refers to an array, or to its memory by a view of it, which refers to it."""
        f = self.f
        spared = f.load("i64", self.operand(3, "ptr"), 8)
        count = f.cast("zext", self.field(array, 0, "i32"), "i64")
        conditions = [
            f.icmp("eq", spared, number(0)),
            f.icmp("ule", count, self.operand(2)),
            f.icmp("ne", self.field(array, cpython.ARRAY_HANDLER), NULL),
        ]
        result = self.is_owner(array)
        for condition in conditions:
            result = f.op("and", result, condition)
        return result

    def array_on(self, data: Value, first: int) -> Value:
        """A new array on this memory, of the type that operands describe."""
        f, dtype, ndim = self.f, self.operand(first + 1, "ptr"), self.operand(first + 3)
        f.external("Py_IncRef", "void", [dtype])  # the new array takes one over
        arguments = [
            *(self.shared(Table.ARRAY_TYPE), dtype, f.cast("trunc", ndim, "i32")),
            *(self.operand_address(first + 4), NULL, data, flags32(cpython.CARRAY), NULL),
        ]
        return f.external("PyArray_NewFromDescr", "ptr", arguments)

    def hand_over(self, old: Value, new: Value) -> None:
        """Make the new array the owner of the memory, and the old one a read-only view of it."""
        f = self.f
        self.set_flags(new, cpython.OWNS_DATA, 0)
        handler = f.gep(old, cpython.ARRAY_HANDLER)
        f.store(f.load("ptr", handler, 8), f.gep(new, cpython.ARRAY_HANDLER), 8)
        f.store(NULL, handler, 8)
        self.set_flags(old, 0, OWNED_WRITEABLE)
        f.external("Py_IncRef", "void", [new])
        f.store(new, f.gep(old, cpython.ARRAY_BASE), 8)

    def set_flags(self, array: Value, on: int, off: int) -> None:
        f, place = self.f, self.f.gep(array, cpython.ARRAY_FLAGS)
        kept = f.op("and", f.load("i32", place, 4), flags32(~off))
        f.store(f.op("or", kept, flags32(on)), place, 4)

    # --- who gave them up ---

    def op_give(self) -> None:
        f, count, spared = self.f, self.operand(3), self.operand(2, "ptr")
        calls = f.load("i64", spared, 8)
        with f.when(f.icmp("ne", calls, number(0))):
            f.store(f.op("sub", calls, number(1)), spared, 8)
        frame = f.external("PyEval_GetFrame", "ptr", [])
        with f.when(f.icmp("ne", frame, NULL)):
            code = f.external("PyFrame_GetCode", "ptr", [frame])
            line = f.cast("sext", f.external("PyFrame_GetLasti", "i32", [frame]), "i64")
            with self.each(count) as index:
                note = [self.operand(1, "ptr"), code, line, self.shared(Table.DONATIONS)]
                f.call("note", "void", [self.array_of(4, index), *note])
            self.drop(code)
        with self.each(count) as index:
            self.set_flags(self.array_of(4, index), cpython.DONATED, cpython.WRITEABLE)
        self.done(f.op("add", count, number(4)))


def write_note(module: Module) -> None:
    """`void note(array, name, code, instruction, record)`: where an array was given up, see `donated`."""
    f = module.function("note", "void", ["ptr", "ptr", "ptr", "i64", "ptr"], "internal")
    array, name, code, instruction, record = f.arguments
    count = f.load("i64", record, 8)
    f.store(f.op("add", count, number(1)), record, 8)
    place = f.op("and", count, number(donated.KEPT - 1))
    first = f.op("add", f.op("mul", place, number(donated.WORDS)), number(1))
    entry = f.gep(record, first, "i64")
    owned = [(1, name), (2, code)]
    before = [f.load("ptr", f.gep(entry, index, "i64"), 8) for index, _ in owned]
    f.store(array, entry, 8)
    f.store(instruction, f.gep(entry, 3, "i64"), 8)
    for index, value in owned:
        f.external("Py_IncRef", "void", [value])
        f.store(value, f.gep(entry, index, "i64"), 8)
    for value in before:
        f.external("Py_DecRef", "void", [value])  # which does nothing with null
    f.ret()
