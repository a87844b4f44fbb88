"""The native code of the instructions that recognise a call."""

from __future__ import annotations

from funcgrad.compiler.llvm.calls import cpython
from funcgrad.compiler.llvm.calls.dispatch_frame import NULL, Frame, Table, number
from funcgrad.compiler.llvm.types import Value, constant

EQUALITY = constant("i32", 2)  # Py_EQ
GOLDEN = number(0x9E3779B97F4A7C15 - (1 << 64))  # spreads addresses over a hash table


class Checks(Frame):
    """A method `op_...` per instruction; see `call_plan.Op` for what it does and its operands."""

    def require_type(self, value: Value, cls: Value) -> None:
        self.require_same(self.field(value, cpython.TYPE), cls)

    def items(self, value: Value) -> Value:
        """The address of the items of a tuple."""
        return self.f.gep(value, self.shared(Table.TUPLE_ITEMS, "i64"))

    def look_up(self, mapping: Value, key: Value) -> Value:
        """The value in a dict, borrowed."""
        found = self.f.external("PyDict_GetItemWithError", "ptr", [mapping, key])
        self.require_found(found)
        return found

    # --- containers ---

    def op_type(self) -> None:
        self.require_type(self.slot(), self.operand(2, "ptr"))
        self.done(3)

    def append_items(self, value: Value, items: Value) -> None:
        count = self.operand(2)
        self.require_same(self.field(value, cpython.SIZE, "i64"), count)
        with self.each(count) as index:
            self.append_borrowed(self.word(items, index))
        self.done(3)

    def op_tuple(self) -> None:
        value = self.slot()
        self.append_items(value, self.items(value))

    def op_list(self) -> None:
        value = self.slot()
        self.append_items(value, self.field(value, cpython.LIST_ITEMS))

    def op_dict(self) -> None:
        value, count, keys = self.slot(), self.operand(2), self.operand_address(3)
        self.require_same(self.f.external("PyDict_Size", "i64", [value]), count)
        with self.each(count) as index:
            self.append_borrowed(self.look_up(value, self.word(keys, index)))
        self.done(self.f.op("add", count, number(3)))

    def op_item(self) -> None:
        self.append_borrowed(self.look_up(self.slot(), self.operand(2, "ptr")))
        self.done(3)

    def op_element(self) -> None:
        value, index = self.slot(), self.operand(2)
        self.require(self.f.icmp("ult", index, self.field(value, cpython.SIZE, "i64")))
        self.append_borrowed(self.word(self.field(value, cpython.LIST_ITEMS), index))
        self.done(3)

    def op_attribute(self) -> None:
        self.append_found("PyObject_GetAttr", self.slot(), self.operand(2, "ptr"))

    def op_call(self) -> None:
        self.append_found("PyObject_CallOneArg", self.operand(2, "ptr"), self.slot())

    def append_found(self, function: str, *arguments: Value) -> None:
        found = self.f.external(function, "ptr", arguments)
        self.require_found(found)
        self.append(found)
        self.done(3)

    # --- identity and equality ---

    def op_is(self) -> None:
        self.require_same(self.slot(), self.operand(2, "ptr"))
        self.done(3)

    def op_equal(self) -> None:
        value, expected = self.slot(), self.operand(2, "ptr")
        self.require_type(value, self.field(expected, cpython.TYPE))
        compared = [value, expected, EQUALITY]
        equal = self.f.external("PyObject_RichCompareBool", "i32", compared)
        self.require_same(equal, constant("i32", 1), self.missing)
        self.done(3)

    def op_data(self) -> None:
        f, value, expected = self.f, self.slot(), self.operand(2, "ptr")
        with f.when(f.icmp("ne", value, expected)):
            pair = f.alloca("ptr", 2, 8)
            f.store(value, pair, 8)
            f.store(expected, f.gep(pair, 1, "i64"), 8)
            arguments = [self.shared(Table.SAME), pair, number(2), NULL]
            answer = f.external("PyObject_Vectorcall", "ptr", arguments)
            self.require_found(answer)
            self.drop(answer)  # a bool lives for ever
            self.require_same(answer, self.shared(Table.TRUE))
        self.done(3)

    def op_same(self) -> None:
        self.require_same(self.slot(1), self.slot(2))
        self.done(3)

    def op_distinct(self) -> None:
        """Enter all into a hash table with open addressing."""
        f, count, bits, numbers = self.f, self.operand(1), self.operand(2), self.operand_address(4)
        table = self.cleared_table(self.data_word(3), bits)
        with self.each(count) as index:
            value = self.word(self.slots, self.word(numbers, index, "i64"), "i64")
            f.store(value, self.free_place(table, bits, value), 8)
        self.done(f.op("add", count, number(4)))

    def cleared_table(self, table: Value, bits: Value) -> Value:
        """A hash table of 2**bits words, all zero."""
        f = self.f
        size = f.op("shl", number(8), bits)
        f.module.declare("llvm.memset.p0.i64", "void", ["ptr", "i8", "i64", "i1"])
        f.call("llvm.memset.p0.i64", "void", [table, constant("i8", 0), size, constant("i1", 0)])
        return table

    def free_place(self, table: Value, bits: Value, value: Value) -> Value:
        """The address of the first free word of a hash table from a value's own place on. If the value is met on the
        way, this is another call."""
        f = self.f
        mask = f.op("sub", f.op("shl", number(1), bits), number(1))
        place = f.op("lshr", f.op("mul", value, GOLDEN), f.op("sub", number(64), bits))
        current = f.alloca("i64", align=8)
        f.store(place, current, 8)
        look, free = f.new_block("look"), f.new_block("free")
        f.branch(look)
        f.block = look
        index = f.load("i64", current, 8)
        known = self.word(table, index, "i64")
        self.require(f.icmp("ne", known, value))
        f.store(f.op("and", f.op("add", index, number(1)), mask), current, 8)
        f.branch_if(f.icmp("eq", known, number(0)), free, look)
        f.block = free
        return f.gep(table, index, "i64")

    # --- the world outside ---

    def op_global(self) -> None:
        self.require_same(
            self.look_up(self.operand(1, "ptr"), self.operand(2, "ptr")), self.operand(3, "ptr")
        )
        self.done(4)

    def op_cell(self) -> None:
        content = self.field(self.operand(1, "ptr"), cpython.CELL_CONTENT)
        self.require_same(content, self.operand(2, "ptr"))
        self.done(3)

    def op_constant(self) -> None:
        self.append_borrowed(self.operand(1, "ptr"))
        self.done(2)

    # --- arrays and numbers ---

    def op_array(self) -> None:
        f, value, dtype = self.f, self.slot(), self.operand(3, "ptr")
        self.require_type(value, self.shared(Table.ARRAY_TYPE))
        self.require_dtype(self.field(value, cpython.ARRAY_DESCR), dtype)
        self.require_flags(
            value, cpython.CONTIGUOUS_ALIGNED | cpython.DONATED, cpython.CONTIGUOUS_ALIGNED
        )
        self.require_owner_not_donated(value)
        ndim = self.operand(4)
        found = f.cast("zext", self.field(value, cpython.ARRAY_NDIM, "i32"), "i64")
        self.require_same(found, ndim)
        shape, expected = self.field(value, cpython.ARRAY_SHAPE), self.operand_address(5)
        with self.each(ndim) as axis:
            self.require_same(self.word(shape, axis, "i64"), self.word(expected, axis, "i64"))
        f.store(self.field(value, cpython.ARRAY_DATA), self.data_word(2), 8)
        self.done(f.op("add", ndim, number(5)))

    def require_flags(self, array: Value, mask: int, expected: int) -> None:
        flags = self.field(array, cpython.ARRAY_FLAGS, "i32")
        self.require_same(self.f.op("and", flags, constant("i32", mask)), constant("i32", expected))

    def require_owner_not_donated(self, array: Value) -> None:
        """An array that it was made a view of may have been given up since."""
        f, base = self.f, self.field(array, cpython.ARRAY_BASE)
        with f.when(f.icmp("ne", base, NULL)):
            kind = self.field(base, cpython.TYPE)
            with f.when(f.icmp("eq", kind, self.shared(Table.ARRAY_TYPE))):
                self.require_flags(base, cpython.DONATED, 0)

    def require_dtype(self, found: Value, expected: Value) -> None:
        """Mostly one object; arrays that were pickled have their own."""
        with self.f.when(self.f.icmp("ne", found, expected)):
            for offset, type in (
                (cpython.TYPE, "ptr"),
                (cpython.DESCR_NUMBER, "i32"),
                (cpython.DESCR_BYTEORDER, "i8"),
            ):
                self.require_same(
                    self.field(found, offset, type), self.field(expected, offset, type)
                )

    def op_number(self) -> None:
        value = self.slot()
        self.require_type(value, self.operand(3, "ptr"))
        self.f.store(self.f.gep(value, cpython.NUMBER), self.data_word(2), 8)
        self.done(4)

    def op_integer(self) -> None:
        f, value = self.f, self.slot()
        self.require_type(value, self.shared(Table.INT_TYPE))
        overflow = f.alloca("i32", align=4)
        found = f.external("PyLong_AsLongLongAndOverflow", "i64", [value, overflow])
        self.require_same(f.load("i32", overflow, 4), constant("i32", 0))
        self.give_input(found)

    def op_boolean(self) -> None:
        value = self.slot()
        self.require_type(value, self.shared(Table.BOOL_TYPE))
        is_true = self.f.icmp("eq", value, self.shared(Table.TRUE))
        self.give_input(self.f.cast("zext", is_true, "i64"))

    def give_input(self, value: Value) -> None:
        """Store a number into a data word, and the address of that into another."""
        space = self.data_word(3)
        self.f.store(value, space, 8)
        self.f.store(space, self.data_word(2), 8)
        self.done(4)
