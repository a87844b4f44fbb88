"""NumPy's warnings about overflow, division by zero and invalid values, from compiled code.

Where the CPU noted such an event, the Program runs once more step by step, and the NumPy calls of its primitives warn
(or raise, under `np.errstate`) as they would without `jit`. Events of derivatives and of idle vector lanes cause no
warning there; after some runs in vain, or many warnings, nobody looks again. A call that has written over donated
inputs cannot be repeated: then the next ones leave theirs as they are, for such events mostly come again.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import threading
import warnings
import weakref
from typing import Any

import numpy as np

from funcgrad.compiler.llvm.calls.callbacks import fill_number, view
from funcgrad.compiler.llvm.calls.failure import PENDING
from funcgrad.compiler.llvm.runtime import system
from funcgrad.config import config
from funcgrad.ir.program import Program, evaluate

Pairs = tuple[tuple[int, int], ...]

RUNS_IN_VAIN = 2
RUNS_WITH_WARNINGS = 16
SPARED_CALLS = (
    16  # that leave donated inputs as they are, so that the next event can be looked into
)
NUMBER = "program_number"

_numbers = itertools.count(1)
_lock = threading.Lock()
_programs: weakref.WeakValueDictionary[int, Recheck] = weakref.WeakValueDictionary()


class Recheck:
    """A Program that can be run so that NumPy warns; `in_place` and `spared` as in `NativeProgram`."""

    def __init__(self, program: Program, in_place: Pairs, spared: np.ndarray) -> None:
        self.program = program
        self.in_place, self.spared = in_place, spared
        self.types = [type.strong() for type in program.input_types]
        self.weak = [type.weak for type in program.input_types]
        self.in_vain = self.with_warnings = 0
        with _lock:
            self.number = next(_numbers)
            _programs[self.number] = self

    def __call__(self, inputs: int, outputs: int) -> None:
        if self.in_vain >= RUNS_IN_VAIN or self.with_warnings >= RUNS_WITH_WARNINGS:
            self.spared[0] = 0
            return
        if set(np.geterr().values()) == {"ignore"}:
            return
        addresses = _words(inputs, len(self.types))
        results = _words(outputs, len(self.program.outputs))
        if any(addresses[j] == results[k] for k, j in self.in_place):
            self.spared[0] = SPARED_CALLS
            return
        arrays = [view(a, t) for a, t in zip(addresses, self.types, strict=False)]
        values = [x.item() if weak else x[()] for x, weak in zip(arrays, self.weak, strict=True)]
        with config.override(native=False), warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            evaluate(self.program, *values)
        if found:
            self.with_warnings += 1
        else:
            self.in_vain += 1
        for entry in found:
            warnings.warn_explicit(entry.message, entry.category, entry.filename, entry.lineno)


def _words(address: int, count: int) -> Any:
    return (ctypes.c_void_p * max(1, count)).from_address(address)


@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)
def _recheck(number: int, inputs: int, outputs: int) -> int:
    try:
        found = _programs.get(number)
        if found is not None:
            found(inputs or 0, outputs or 0)
    except BaseException as error:
        PENDING.error = error
        return 1
    return 0


@functools.cache
def register() -> None:
    """Make the way back into Python known to the loader."""
    system.add_symbol("fg_recheck", system.function_address(_recheck))


def attach(loaded: Any, program: Program, in_place: Pairs, spared: np.ndarray) -> Recheck | None:
    """Let loaded code ask for another run of its Program; None if it never does."""
    if NUMBER not in loaded.symbols:
        return None
    found = Recheck(program, in_place, spared)
    fill_number(loaded, NUMBER, found.number)
    return found
