"""How compiled code reports errors: a record in its memory, and exceptions kept for the thread that called it."""

from __future__ import annotations

import ctypes
import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from funcgrad.compiler.llvm.builder import Function, Module
from funcgrad.compiler.llvm.instructions import Block
from funcgrad.compiler.llvm.runtime import system
from funcgrad.compiler.llvm.types import Value, constant, lanes_of, mangled
from funcgrad.ir.program import Equation
from funcgrad.ops.bounds import out_of_bounds_error, window_error

# The first word of the record. A program answers 0, RAISED, or RECORDED for the other two.
RAISED, INDEX, RECORDED = 1, 2, 3
RECORD_BYTES = 64

# Errors of linear algebra, in NumPy's words.
SINGULAR, NOT_POSITIVE, NO_EIGENVALUES, NO_SINGULAR_VALUES = range(4)
LINEAR_ALGEBRA = (
    "Singular matrix",
    "Matrix is not positive definite",
    "Eigenvalues did not converge",
    "SVD did not converge",
)


class Pending(threading.local):
    """The exception that the code running in this thread has met."""

    error: BaseException | None = None
    site: int = -1


PENDING = Pending()


@ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 5)
def _index_error(index: int, axis: int, length: int, window: int, site: int) -> None:
    found = out_of_bounds_error(index, axis, length)
    PENDING.error = found if window < 0 else window_error(index, axis, length, window)
    PENDING.site = site


@ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64)
def _linalg_error(fault: int, site: int) -> None:
    PENDING.error = np.linalg.LinAlgError(LINEAR_ALGEBRA[fault])
    PENDING.site = site


@ctypes.CFUNCTYPE(None, ctypes.c_int64)
def _out_of_memory(size: int) -> None:
    PENDING.error = MemoryError(
        f"compiled code needs {size:,} bytes for its intermediate arrays, and there are not that many. "
        "Work in smaller batches, or recompute instead of keeping: funcgrad.checkpoint."
    )


@functools.cache
def register() -> None:
    """Make the reporting functions known to the loader."""
    system.add_symbol("fg_index_error", system.function_address(_index_error))
    system.add_symbol("fg_linalg_error", system.function_address(_linalg_error))
    system.add_symbol("fg_out_of_memory", system.function_address(_out_of_memory))


def raise_pending(code: int, sites: Callable[[], Sequence[Equation]]) -> NoReturn:
    """Raise what a program has met that answered with this code, with a note of the user's line."""
    error, site = PENDING.error, PENDING.site
    PENDING.error, PENDING.site = None, -1
    assert error is not None, f"compiled code answered {code} and left no exception"
    source = sites()[site].source if site >= 0 else None
    if source is not None:
        source.explain(error)
    raise error


def write_index_failure(
    f: Function, record: Value, bad: Value, index: Value, where: tuple[int, int, int]
) -> None:
    """If an index (a lane of it) is bad, note it with its axis, the length, the window (-1: none) and the equation.

    The first one counts. Threads may race for it: any of theirs is a right answer.
    """
    lanes = lanes_of(bad.type)
    any_bad = bad
    if lanes:
        any_bad = f.intrinsic("llvm.vector.reduce.or", "i1", [bad], mangled(bad.type))
    with f.when(any_bad):
        if lanes:
            bits = f.cast("bitcast", bad, f"i{lanes}")
            first = f.intrinsic("llvm.cttz", f"i{lanes}", [bits, constant("i1", 1)])
            text = f"extractelement {index.type} {index.text}, i{lanes} {first.text}"
            index = f.emit("i64", text)
        numbers = [index, *[constant("i64", n) for n in (*where, site_number(f))]]
        f.call(note_function(f.module), "void", [record, *numbers])


def note_function(module: Module) -> str:
    """The function that writes a record, unless there is one; one for all places that may, since none is likely to."""
    name = "note_index"
    if not module.defines(name):
        f = module.function(name, "void", ["ptr", *["i64"] * 5], "internal")
        f.attributes += " noinline optnone"
        record, *numbers = f.arguments
        with f.when(f.icmp("eq", f.load("i64", record, 8), constant("i64", 0))):
            for place, number in enumerate([constant("i64", INDEX), *numbers]):
                f.store(number, f.gep(record, place, "i64"), 8)
        f.ret()
    return name


def site_number(f: Function) -> int:
    """The number by which code names the equation that it is written for; -1 for none."""
    sites, site = f.module.sites, f.module.site
    if site is None:
        return -1
    if site not in sites:
        sites.append(site)
    return sites.index(site)


def stop_if(f: Function, bad: Value, record: Value, state: int, end: Block) -> None:
    """Leave the program if something went wrong."""
    failed, going = f.new_block("failed"), f.new_block("going")
    f.branch_if(bad, failed, going)
    f.block = failed
    f.store(constant("i64", state), record, 8)
    f.branch(end)
    f.block = going


def write_memory_check(f: Function, pointer: Value, size: int) -> None:
    """Give up at once if there is no memory."""
    none, some = f.new_block("no_memory"), f.new_block("memory")
    f.branch_if(f.icmp("eq", pointer, Value("ptr", "null")), none, some)
    f.block = none
    f.external("fg_out_of_memory", "void", [constant("i64", size)])
    f.ret(constant("i32", 2))
    f.block = some


def write_answer(f: Function, record: Value) -> Value:
    """What the program returns, after an index error has been made an exception."""
    state = f.load("i64", record, 8)
    with f.when(f.icmp("eq", state, constant("i64", INDEX))):
        numbers: list[Any] = [
            f.load("i64", f.gep(record, place, "i64"), 8) for place in range(1, 6)
        ]
        f.external("fg_index_error", "void", numbers)
    limited = f.intrinsic("llvm.umin", "i64", [state, constant("i64", 2)])
    return f.cast("trunc", limited, "i32")
