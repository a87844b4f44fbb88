"""The native code of the instructions that run a program and make its results."""

from __future__ import annotations

from funcgrad.compiler.llvm.calls import cpython
from funcgrad.compiler.llvm.calls.dispatch_frame import NULL, Frame, number
from funcgrad.compiler.llvm.types import Value, constant


class Results(Frame):
    """A method `op_...` per instruction; see `call_plan.Op` for what it does and its operands."""

    # --- the program ---

    def op_allocate(self) -> None:
        array = self.new_array(1)
        self.require_made(array)
        self.give_output(array, 1)

    def new_array(self, first: int) -> Value:
        """A new array, described by the operands behind this one: dtype, bytes, ndim, shape."""
        f, dtype, size = self.f, self.operand(first + 1, "ptr"), self.operand(first + 2)
        ndim = f.cast("trunc", self.operand(first + 3), "i32")
        f.external("Py_IncRef", "void", [dtype])  # the new array takes one over
        described = [dtype, ndim, self.operand_address(first + 4), size]
        return f.external("fg_new_array", "ptr", described)

    def give_output(self, array: Value, first: int) -> None:
        """Append an array, and let the program write to it as this operand says; end the instruction."""
        f = self.f
        self.append(array)
        f.store(self.field(array, cpython.ARRAY_DATA), self.data_word(first), 8)
        self.done(f.op("add", self.operand(first + 3), number(first + 4)))

    def op_space(self) -> None:
        self.f.store(self.data_word(2), self.data_word(1), 8)
        self.done(3)

    def op_run(self) -> None:
        f, releases = self.f, self.f.icmp("ne", self.operand(5), number(0))
        thread = f.alloca("ptr", align=8)
        with f.when(releases):
            f.store(f.external("PyEval_SaveThread", "ptr", []), thread, 8)
        function, inputs, outputs = self.operand(1, "ptr"), self.data_word(2), self.data_word(3)
        code = f.emit("i32", f"call i32 {function.text}({inputs}, {outputs})")
        with f.when(releases):
            f.external("PyEval_RestoreThread", "void", [f.load("ptr", thread, 8)])
        with f.when(f.icmp("ne", code, constant("i32", 0))):
            with f.when(f.icmp("ne", code, constant("i32", 1))):
                self.let_raise(code)
            self.require(constant("i1", 0), self.failed)
        self.done(6)

    def let_raise(self, code: Value) -> None:
        """Call the handler, whose exception then ends the call."""
        f = self.f
        value = f.external("PyLong_FromLong", "ptr", [f.cast("sext", code, "i64")])
        self.require_made(value)
        self.append(value)
        answer = f.external("PyObject_CallOneArg", "ptr", [self.operand(4, "ptr"), value])
        self.drop(answer)  # there is none, which does no harm here

    def op_scalar(self) -> None:
        made = [self.data_word(1), self.operand(2, "ptr"), NULL]
        value = self.f.external("PyArray_Scalar", "ptr", made)
        self.require_made(value)
        self.append(value)
        self.done(3)

    def op_copy(self) -> None:
        self.append_borrowed(self.slot())
        self.done(2)

    # --- containers ---

    def op_make_tuple(self) -> None:
        new = self.f.external("PyTuple_New", "ptr", [self.operand(1)])
        self.fill(new, "PyTuple_SetItem", 2)

    def op_make_named(self) -> None:
        new = self.f.external(
            "PyType_GenericAlloc", "ptr", [self.operand(2, "ptr"), self.operand(1)]
        )
        self.fill(new, "PyTuple_SetItem", 3)

    def op_make_list(self) -> None:
        new = self.f.external("PyList_New", "ptr", [self.operand(1)])
        self.fill(new, "PyList_SetItem", 2)

    def fill(self, new: Value, setter: str, words: int) -> None:
        """Move the last values into a new sequence."""
        self.require_made(new)
        count = self.operand(1)
        values = self.last(count)
        with self.each(count) as index:
            self.f.external(setter, "i32", [new, index, self.word(values, index)])
        self.forget(count)
        self.append(new)
        self.done(words)

    def op_make_dict(self) -> None:
        f, count, keys = self.f, self.operand(1), self.operand_address(3)
        new = f.external("PyDict_Copy", "ptr", [self.operand(2, "ptr")])
        self.require_made(new)
        values = self.last(count)
        self.append(new)
        with self.each(count) as index:
            entry = [new, self.word(keys, index), self.word(values, index)]
            failed = f.external("PyDict_SetItem", "i32", entry)
            self.require_same(failed, constant("i32", 0), self.failed)
        self.forget(number(1))
        self.replace(values, count, new)
        self.done(f.op("add", count, number(3)))

    def op_apply(self) -> None:
        count = self.operand(1)
        values = self.last(count)
        arguments = [self.operand(2, "ptr"), values, count, NULL]
        new = self.f.external("PyObject_Vectorcall", "ptr", arguments)
        self.require_made(new)
        self.replace(values, count, new)
        self.done(3)

    def replace(self, values: Value, count: Value, new: Value) -> None:
        """Release the last values and append the one made from them."""
        self.forget(count)
        with self.each(count) as index:
            self.drop(self.word(values, index))
        self.append(new)

    def op_return(self) -> None:
        self.f.store(self.word(self.last(number(1)), 0), self.answer, 8)
        self.forget(number(1))
        self.f.branch(self.release)
