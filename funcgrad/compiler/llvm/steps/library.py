"""Library steps: a primitive without native code is called back in Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcgrad.compiler.llvm.builder import Module
from funcgrad.compiler.llvm.calls.callbacks import FUNCTION, TABLE
from funcgrad.compiler.llvm.calls.failure import RAISED, stop_if
from funcgrad.compiler.llvm.program import ProgramWriter, pointer_array
from funcgrad.compiler.llvm.types import Value, constant
from funcgrad.compiler.lowering.graph import Node, Step


def takes(operands: Sequence[Node], params: dict[str, Any]) -> bool:
    del operands, params
    return True


def write(writer: ProgramWriter, step: Step) -> None:
    """Call the step by its place in the program's table of numbers, which is filled when the program is loaded."""
    f, module = writer.f, writer.writer
    slot = len(module.libraries)
    module.libraries.append(step)
    number = f.load("i64", f.gep(Value("ptr", f"@{TABLE}"), slot, "i64"), 8)
    inputs = pointer_array(f, [writer.operand(operand) for operand in step.operands])
    targets = [writer.result(step, i) for i in range(len(step.types))]
    addresses = [
        t if t is not None else f.emit("ptr", "getelementptr i8, ptr null, i64 0") for t in targets
    ]
    outputs = pointer_array(f, addresses)
    counts = [constant("i64", len(step.operands)), constant("i64", len(step.types))]
    arguments = [number, inputs, counts[0], outputs, counts[1]]
    failed = f.call(call_function(module.module), "i1", arguments)
    stop_if(f, failed, writer.failure, RAISED, writer.end)


def call_function(module: Module) -> str:
    """`i1 (i64 number, ptr inputs, i64 count, ptr outputs, i64 results)`: true if an exception is set now."""
    name = "fg_call_library"
    if module.defines(name):
        return name
    f = module.function(name, "i1", ["i64", "ptr", "i64", "ptr", "i64"], "internal")
    module.data(FUNCTION, "external global i8")
    module.declare("PyObject_CallFunction", "ptr", ["ptr", "ptr", "..."])
    text = module.data("library_format", 'private constant [6 x i8] c"LLLLL\\00"')
    state = f.external("PyGILState_Ensure", "i32", [])
    function = Value("ptr", f"@{FUNCTION}")
    given = ", ".join(f"{v.type} {v.text}" for v in [function, text, *f.arguments])
    found = f.emit("ptr", f"call ptr (ptr, ptr, ...) @PyObject_CallFunction({given})")
    failed = f.icmp("eq", found, Value("ptr", "null"))
    with f.when(f.icmp("ne", found, Value("ptr", "null"))):
        f.external("Py_DecRef", "void", [found])
    f.external("PyGILState_Release", "void", [state])
    f.ret(failed)
    return name
