"""Numbers, addresses and loops of native code that walks over memory in strides."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from funcgrad.compiler.llvm.builder import Function, Loop
from funcgrad.compiler.llvm.types import Value, constant


def index(value: int) -> Value:
    return constant("i64", value)


def at(f: Function, base: Value, *terms: tuple[Value, Value]) -> Value:
    """The address `base` plus the sum of these products."""
    for a, b in terms:
        base = f.gep(base, f.op("mul", a, b))
    return base


@contextlib.contextmanager
def repeat(f: Function, start: Value, stop: Value, step: int = 1) -> Iterator[Loop]:
    """A counted loop that may be empty."""
    with f.when(f.icmp("slt", start, stop)), f.loop(start, stop, step) as loop:
        yield loop
