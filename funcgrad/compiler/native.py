"""A Program as machine code: from its graph to a callable of arrays."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from funcgrad.compiler.graph import lower_program
from funcgrad.compiler.llvm import failure, library, runtime
from funcgrad.compiler.llvm.elements import supports
from funcgrad.compiler.llvm.load import Loaded, load
from funcgrad.compiler.llvm.memory import allocate_output
from funcgrad.compiler.llvm.program import ModuleWriter, write_entry
from funcgrad.compiler.llvm.steps import takes, write_step
from funcgrad.compiler.llvm.target import host
from funcgrad.compiler.pipeline import simplified
from funcgrad.compiler.plan import Plan
from funcgrad.compiler.report import timed
from funcgrad.ir.program import Program

ENTRY = "program"
LONG_WORK = 1 << 16  # simple operations from which on other Python threads may run meanwhile


class NativeProgram:
    """Machine code of a Program, callable with arrays.

    Attributes:
        address: of `i32 program(ptr inputs, ptr outputs)`.
        releases_gil: whether it runs long enough to let other Python threads go on.
    """

    def __init__(
        self,
        program: Program,
        loaded: Loaded,
        libraries: list[library.LibraryCall],
        work: int,
    ) -> None:
        self.program = program
        self.loaded = loaded
        self.libraries = libraries
        self.address = loaded.address(ENTRY)
        self.releases_gil = work > LONG_WORK
        self.input_types = [type.strong() for type in program.input_types]
        self.output_types = [type.strong() for type in program.output_types]
        prototype = ctypes.CFUNCTYPE if self.releases_gil else ctypes.PYFUNCTYPE
        self.run = prototype(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(self.address)

    def __call__(self, *args: Any) -> list[Any]:
        arrays = [prepared(x, t) for x, t in zip(args, self.input_types, strict=True)]
        outs = [allocate_output(t.shape, t.dtype) for t in self.output_types]
        code = self.run(pointers(arrays), pointers(outs))
        if code:
            self.handle(code)
        return [out if out.ndim else out[()] for out in outs]

    def handle(self, code: int) -> NoReturn:
        """Raise what the machine code has met."""
        failure.raise_pending(code)


def plan_program(program: Program) -> Plan:
    """The plan of a simplified Program, and of the Programs inside it."""
    known: dict[int, Plan] = {}

    def inner(program: Program) -> Plan:
        if id(program) not in known:
            known[id(program)] = make(simplified(program))
        return known[id(program)]

    def make(program: Program) -> Plan:
        return Plan(lower_program(program, supports, takes), inner)

    return make(program)


def prepared(x: Any, type: Any) -> np.ndarray:
    """A C-contiguous, aligned array of this type."""
    if x.__class__ is np.ndarray and x.dtype is type.dtype and x.flags.carray:
        return x
    return np.require(np.asarray(x, type.dtype), requirements=["C", "A"])


def pointers(arrays: list[np.ndarray]) -> Any:
    return (ctypes.c_void_p * max(1, len(arrays)))(*[array.ctypes.data for array in arrays])


def compile_native(
    program: Program, implement: Callable[[Any], Callable[..., Any]]
) -> NativeProgram:
    """Machine code for a simplified Program.

    Args:
        program: what to compile.
        implement: from an equation without native code to a function of arrays.
    """
    with timed("fuse"):
        plan = plan_program(program)
    with timed("emit"):
        writer = ModuleWriter(host(), write_step)
        write_entry(writer, plan, ENTRY)
        calls = [library.LibraryCall(step, implement(step.equation)) for step in writer.libraries]
        text = writer.text()
    runtime.ensure()
    runtime.ensure_blas()
    failure.register()
    library.register()
    loaded = load(text)
    library.fill_numbers(loaded, calls)
    return NativeProgram(program, loaded, calls, writer.work)
