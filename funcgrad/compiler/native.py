"""Machine code of Programs: found in the cache by what a Program computes, or compiled, and called with arrays."""

from __future__ import annotations

import ctypes
import importlib
import json
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from funcgrad.compiler.collector import collector_paused
from funcgrad.compiler.fingerprint import Unprintable, fingerprint, operation_text, walk
from funcgrad.compiler.llvm.calls import callbacks, failure, recheck
from funcgrad.compiler.llvm.calls.callbacks import LibraryCall
from funcgrad.compiler.llvm.loading import libraries
from funcgrad.compiler.llvm.loading.keys import program_key
from funcgrad.compiler.llvm.loading.load import (
    Compilation,
    Loaded,
    recall,
    store,
    stored,
)
from funcgrad.compiler.llvm.loading.machine_code import Source
from funcgrad.compiler.llvm.runtime import halves
from funcgrad.compiler.llvm.runtime.memory import allocate_output
from funcgrad.compiler.lowering.ragged import is_native
from funcgrad.compiler.pipeline import implementation
from funcgrad.compiler.report import timed
from funcgrad.ir.program import Equation, Program

ENTRY = "program"
LONG_WORK = 1 << 16  # simple operations from which on other Python threads may run meanwhile


class NativeProgram:
    """Machine code of a Program, callable with arrays.

    Attributes:
        address: of `i32 program(ptr inputs, ptr outputs)`.
        libraries: the equations that are computed in Python.
        releases_gil: whether it runs long enough to let other Python threads go on.
        in_place: outputs that may be written to the memory of donated inputs: (output number, input number).
        spared: the number of coming calls that shall leave their inputs as they are all the same.
    """

    has_fresh_results = True

    def __init__(
        self,
        program: Program,
        loaded: Loaded,
        libraries: list[LibraryCall],
        work: int,
        in_place: Sequence[Sequence[int]] = (),
    ) -> None:
        self.program = program
        self.loaded = loaded
        self.libraries = libraries
        callbacks.fill_numbers(loaded, libraries)
        self.in_place = tuple([(output, number) for output, number in in_place])
        self.spared = np.zeros(1, np.uint64)
        self.recheck = recheck.attach(loaded, program, self.in_place, self.spared)
        self.address = loaded.address(ENTRY)
        self.releases_gil = work > LONG_WORK
        self.input_types = [type.strong() for type in program.input_types]
        self.output_types = [type.strong() for type in program.output_types]
        prototype = ctypes.CFUNCTYPE if self.releases_gil else ctypes.PYFUNCTYPE
        self.run = prototype(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(self.address)

    def __call__(self, *args: Any) -> list[Any]:
        arrays = [prepared(x, t) for x, t in zip(args, self.input_types, strict=True)]
        outs = [allocate_output(t.shape, t.dtype) for t in self.output_types]
        try:
            code = self.run(pointers(arrays), pointers(outs))
        except SystemError as error:  # so ctypes calls an exception that the machine code left
            raise error.__cause__ or error from None
        if code:
            self.handle(code)
        return [out if out.ndim else out[()] for out in outs]

    def handle(self, code: int) -> NoReturn:
        """Raise what the machine code has met."""
        failure.raise_pending(code, lambda: _sites(self.program))


def prepared(x: Any, type: Any) -> np.ndarray:
    """A C-contiguous, aligned array of this type."""
    if x.__class__ is np.ndarray and x.dtype is type.dtype and x.flags.carray:
        return x
    return np.require(np.asarray(x, type.dtype), requirements=["C", "A"])


def pointers(arrays: list[np.ndarray]) -> Any:
    return (ctypes.c_void_p * max(1, len(arrays)))(*[array.ctypes.data for array in arrays])


def compile_native(program: Program, donated: Sequence[int] = ()) -> NativeProgram | None:
    """Machine code for a Program; None if stacks of unknown length come in or go out.

    Args:
        program: what to compile; need not be simplified.
        donated: numbers of the inputs that the caller gives up.
    """
    with timed("load"):
        failure.register()
        callbacks.register()
        recheck.register()
        libraries.register()
        halves.register()
    with timed("find"):
        text = fingerprint(program)
        key = None if text is None else program_key("program", text, *map(str, donated))
    found = None if key is None else _recall(key, program, donated)
    if found is not None:
        return found
    with collector_paused():
        return _compile(key, program, donated)


# --- entries of the cache: the key of the machine code, the work of a call, what may be done in place, and the places
# of library steps ---


def _recall(key: str, program: Program, donated: Sequence[int]) -> NativeProgram | None:
    entry = stored(key)
    if entry is None:
        return None
    code, work, in_place, places = json.loads(entry["program"])
    loaded = recall(code, lambda: _source(program, donated))
    if loaded is None:
        return None
    equations = walk(program) if places else []
    calls = [LibraryCall(equations[place], implementation(equations[place])) for place in places]
    return NativeProgram(program, loaded, calls, work, in_place)


def _compile(key: str | None, program: Program, donated: Sequence[int]) -> NativeProgram | None:
    # Imported by the first compilation: a start with a warm cache does without, which saves 25 ms.
    with timed("import"):
        stages = importlib.import_module("funcgrad.compiler.stages")
    with timed("simplify"):
        if not is_native(stages.simplified(program)):
            return None
    with Compilation() as compilation:
        emitted = stages.run_stages(program, donated, compilation.begin)["emit"]
        code, loaded = compilation.finish(emitted.source)
    equations = [step.equation for step in emitted.libraries]
    places = _places(program, equations)
    if key is not None and places is not None:
        entry = [code, emitted.work, emitted.in_place, places]
        store(key, {"program": json.dumps(entry).encode()})
    calls = [LibraryCall(equation, implementation(equation)) for equation in equations]
    return NativeProgram(program, loaded, calls, emitted.work, emitted.in_place)


def _sites(program: Program) -> Sequence[Equation]:
    """The equations that code names in its errors; worked out again, since errors are rare."""
    stages = importlib.import_module("funcgrad.compiler.stages")
    return stages.run_stages(program)["emit"].sites


def _source(program: Program, donated: Sequence[int]) -> Source:
    """The LLVM text of a Program."""
    stages = importlib.import_module("funcgrad.compiler.stages")
    return stages.run_stages(program, donated)["emit"].source


def _places(program: Program, equations: Sequence[Equation]) -> list[int] | None:
    """Where in a Program there are these equations of its simplified form; None if it does not hold one of them."""
    if not equations:
        return []
    known: dict[tuple, int] = {}
    try:
        for place, equation in enumerate(walk(program)):
            known.setdefault(_identity(equation), place)
        return [known[_identity(equation)] for equation in equations]
    except (KeyError, Unprintable):
        return None


def _identity(equation: Equation) -> tuple:
    types = [str(atom.type) for atom in (*equation.inputs, *equation.outputs)]
    return (operation_text(equation), *types, equation.source)
