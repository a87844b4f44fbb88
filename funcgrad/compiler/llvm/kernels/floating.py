"""Floating point events: overflow, division by zero, invalid values. The CPU notes them in a register.

A program whose operations may cause warnings of NumPy looks at it when it is done, see `recheck`.
"""

from __future__ import annotations

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.calls.recheck import NUMBER
from funcgrad.compiler.llvm.target import Target
from funcgrad.compiler.llvm.types import Value, constant

EVENTS = 0b1101  # of MXCSR: overflow, division by zero, invalid
ALL_EVENTS = 0b111111


def can_look(target: Target) -> bool:
    """Whether the register of this CPU is known here."""
    return target.triple.startswith("x86_64")


def _register(f: Function, name: str, slot: Value) -> None:
    f.module.declare(f"llvm.x86.sse.{name}", "void", ["ptr"])
    f.call(f"llvm.x86.sse.{name}", "void", [slot])


def write_clear(f: Function) -> None:
    """Forget earlier events of this thread."""
    slot = f.alloca("i32", 1, 4)
    _register(f, "stmxcsr", slot)
    state = f.load("i32", slot, 4)
    clear = f.op("and", state, constant("i32", ~ALL_EVENTS))
    f.store(clear, slot, 4)
    with f.when(f.icmp("ne", f.op("and", state, constant("i32", EVENTS)), constant("i32", 0))):
        _register(f, "ldmxcsr", slot)


def write_events(f: Function) -> Value:
    """The events of this thread since, as bits of an i64."""
    slot = f.alloca("i32", 1, 4)
    _register(f, "stmxcsr", slot)
    state = f.op("and", f.load("i32", slot, 4), constant("i32", EVENTS))
    return f.cast("zext", state, "i64")


def write_recheck(f: Function, inputs: Value, outputs: Value, events: Value) -> Value:
    """Whether an exception came of the events, as i1."""
    number = f.load("i64", Value("ptr", f"@{NUMBER}"), 8)
    before = f.block
    with f.when(f.icmp("ne", events, constant("i64", 0))):
        failed = f.external("fg_recheck", "i32", [number, inputs, outputs])
        bad = f.icmp("ne", failed, constant("i32", 0))
        asked = f.block
    return f.emit("i1", f"phi i1 [false, %{before.label}], [{bad.text}, %{asked.label}]")
