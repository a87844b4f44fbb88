"""Calls of BLAS and LAPACK: all arguments by address, on one thread, without a trace in the floating point state."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.kernels.floating import can_look
from funcgrad.compiler.llvm.target import host
from funcgrad.compiler.llvm.types import Value, constant

LETTERS = {"float32": "s", "float64": "d", "complex64": "c", "complex128": "z"}


def letter(f: Function, text: str) -> Value:
    """The address of a letter."""
    return f.module.data(f"letter_{text}", f'private constant [1 x i8] c"{text}"')


def chosen(f: Function, condition: Value, yes: str, no: str) -> Value:
    """The address of one of two letters."""
    return f.select(condition, letter(f, yes), letter(f, no))


def integer(f: Function, value: Value) -> Value:
    """The address of an i64 as a C `int`."""
    slot = f.alloca("i32", align=8)
    f.store(f.cast("trunc", value, "i32"), slot, 4)
    return slot


def number(f: Function, dtype: np.dtype, value: float) -> Value:
    """The address of a number; of a complex one with imaginary part 0."""
    part = "float" if dtype.name in ("float32", "complex64") else "double"
    text = f"private constant [2 x {part}] [{constant(part, value)}, {constant(part, 0.0)}]"
    return f.module.data(f"number_{part}_{'minus_' * (value < 0)}{abs(int(value))}", text)


def blas(f: Function, dtype: np.dtype, name: str, arguments: Sequence[Value]) -> None:
    f.external(f"fg_blas_{LETTERS[dtype.name]}{name}", "void", arguments)


def lapack(f: Function, dtype: np.dtype, name: str, arguments: Sequence[Value]) -> Value:
    """Call a function of LAPACK, whose last argument is added; what it answers there: 0 if all went well."""
    answer = f.alloca("i32", align=8)
    f.store(constant("i32", 0), answer, 4)
    f.external(f"fg_lapack_{LETTERS[dtype.name]}{name}", "void", [*arguments, answer])
    return f.load("i32", answer, 4)


@contextlib.contextmanager
def section(f: Function) -> Iterator[None]:
    """Calls in the body run on the thread that makes them."""
    f.external("fg_blas_enter", "void", [])
    yield
    f.external("fg_blas_leave", "void", [])


@contextlib.contextmanager
def unnoticed(f: Function) -> Iterator[None]:
    """Floating point events of the body are forgotten: NumPy does not warn about them either."""
    if not can_look(host()):
        yield
        return
    slot = f.alloca("i32", 1, 4)
    f.external("llvm.x86.sse.stmxcsr", "void", [slot])
    yield
    f.external("llvm.x86.sse.ldmxcsr", "void", [slot])
