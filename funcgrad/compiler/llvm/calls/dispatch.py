"""The native dispatcher: from a Python call to the returned arrays without Python code, for calls that are known.

CPython enters `enter` through the entry point of a callable object (`callable.py`). It tries the plans of that object,
last used first; when none fits, the class's `__call__` does everything.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.compiler.llvm.builder import Module
from funcgrad.compiler.llvm.calls import callable as native_callable, cpython, donated
from funcgrad.compiler.llvm.calls.call_plan import Op, Plan
from funcgrad.compiler.llvm.calls.dispatch_donation import Donations, write_note
from funcgrad.compiler.llvm.calls.dispatch_frame import NOT_THIS_CALL, NULL, Table, number
from funcgrad.compiler.llvm.instructions import Block
from funcgrad.compiler.llvm.loading.load import Loaded, load
from funcgrad.compiler.llvm.runtime import runtime, system
from funcgrad.compiler.llvm.types import Value
from funcgrad.tree.static import same

# What `Calls` keeps in memory: itself, the portable `__call__`, the shared table, and the plans behind their number.
OWNER, PORTABLE, TABLE, COUNT, PLANS = range(5)
MAX_PLANS = 256  # each that does not fit takes some nanoseconds, `__call__` some ten microseconds


class Shared:
    """What all plans share, in memory.

    Args:
        watched: while it has elements, `is_idle` is asked before each call.
        is_idle: whether native code may handle calls in this thread now.
    """

    def __init__(self, watched: list[Any], is_idle: Callable[[], bool]) -> None:
        self.objects = {
            Table.TRUE: True,
            Table.ARRAY_TYPE: np.ndarray,
            Table.INT_TYPE: int,
            Table.BOOL_TYPE: bool,
            Table.EXCEPTION_TYPE: Exception,
            Table.SAME: same,
            Table.WATCHED: watched,
            Table.IS_IDLE: is_idle,
        }
        words = {entry: id(value) for entry, value in self.objects.items()}
        words[Table.TUPLE_ITEMS] = cpython.tuple_items()
        words[Table.DONATIONS] = donated.record.ctypes.data
        self.words = np.array([words[entry] for entry in Table], np.uint64)
        self.code = code()


class Calls:
    """The plans of one callable object. Native code holds a reference to it while it uses them."""

    __slots__ = ("__weakref__", "plans", "portable", "shared", "words")

    def __init__(self, plans: Sequence[Plan], portable: Callable[..., Any], shared: Shared) -> None:
        self.plans, self.portable, self.shared = plans, portable, shared
        addresses = [plan.memory.ctypes.data for plan in plans]
        table = shared.words.ctypes.data
        words = [id(self), id(portable), table, len(plans), *addresses]
        self.words = np.array(words, np.uint64)


def install(target: Any, plans: Sequence[Plan], shared: Shared) -> Calls | None:
    """Let calls of `target` try these plans first.

    Args:
        target: an instance of a subclass of `NativeCallable` that was given to `let_enter_natively`.
        plans: most recent first; none to leave everything to `__call__`.
        shared: what they share.

    Returns:
        What `target` must keep alive until the next `install`.
    """
    if not plans:
        target._entry_point = target._calls_address = 0
        return None
    calls = Calls(plans, type(target).__call__, shared)
    target._calls_address = calls.words.ctypes.data
    target._entry_point = shared.code.address("enter")
    return calls


@functools.cache
def code() -> Loaded:
    """The machine code of the dispatcher."""
    runtime.ensure()
    for name, address in cpython.functions().items():
        system.add_symbol(name, address)
    return load(text(), passes=("sroa", "simplify_cfg"), level=1)


def text() -> str:
    """The dispatcher as LLVM assembly."""
    module = Module()
    write_note(module)
    _Machine(module).write_instructions()
    _Entry(module)
    return module.text()


class _Machine(Donations):
    """The function that follows a plan."""

    def write_instructions(self) -> None:
        f = self.f
        unknown = f.new_block("unknown")
        cases = []
        for op in Op:
            f.block = f.new_block(op.name.lower())
            cases.append(f"i64 {int(op)}, label %{f.block.label}")
            getattr(self, f"op_{op.name.lower()}")()
        f.block = self.next
        chosen = self.operand(0)
        f.block.terminator = f"switch {chosen}, label %{unknown.label} [{' '.join(cases)}]"


class _Entry:
    """Writes `PyObject *enter(target, arguments, count, names)`, a `vectorcallfunc` of CPython."""

    def __init__(self, module: Module) -> None:
        self.f = f = module.function("enter", "ptr", ["ptr", "ptr", "i64", "ptr"])
        self.target, self.arguments, self.given, self.names = f.arguments
        self.calls = self.word(self.target, native_callable.CALLS // 8)
        self.owner = self.word(self.calls, OWNER)
        self.table = self.word(self.calls, TABLE)
        self.failed, self.portable = f.new_block("failed"), f.new_block("portable")
        f.external("Py_IncRef", "void", [self.owner])
        watched = self.word(self.table, Table.WATCHED)
        with f.when(f.icmp("ne", f.load("i64", f.gep(watched, cpython.SIZE), 8), number(0))):
            self.ask()
        self.search()
        f.branch(self.portable)
        f.block = self.portable
        self.call_portable()
        f.block = self.failed
        self.leave(NULL)

    def word(self, base: Value, index: int, type: str = "ptr") -> Value:
        return self.f.load(type, self.f.gep(base, index, "i64"), 8)

    def go_on_if(self, condition: Value, otherwise: Block) -> None:
        on = self.f.new_block("on")
        self.f.branch_if(condition, on, otherwise)
        self.f.block = on

    def leave(self, result: Value) -> None:
        self.f.external("Py_DecRef", "void", [self.owner])
        self.f.ret(result)

    def ask(self) -> None:
        """Go on only if this thread may make native calls now."""
        f = self.f
        answer = f.external("PyObject_CallNoArgs", "ptr", [self.word(self.table, Table.IS_IDLE)])
        self.go_on_if(f.icmp("ne", answer, NULL), self.failed)
        f.external("Py_DecRef", "void", [answer])
        self.go_on_if(f.icmp("eq", answer, self.word(self.table, Table.TRUE)), self.portable)

    def search(self) -> None:
        """Try the plans. One that fits is tried earlier the next time."""
        f = self.f
        count = f.op("and", self.given, number(sys.maxsize))  # the sign is a flag
        plans, moved = f.gep(self.calls, PLANS, "i64"), f.new_block("moved")
        found = f.alloca("ptr", align=8)
        with f.loop(number(0), self.word(self.calls, COUNT, "i64")) as loop:
            place = f.gep(plans, loop.index, "i64")
            call = [self.arguments, count, self.names, self.table]
            result = f.call("follow", "ptr", [f.load("ptr", place, 8), *call])
            f.store(result, found, 8)
            go_on, fits = f.new_block("go_on"), f.new_block("fits")
            f.branch_if(f.icmp("eq", result, NOT_THIS_CALL), go_on, fits)
            f.block = fits
            with f.when(f.icmp("ne", loop.index, number(0))):
                self.swap(place, f.gep(place, -1, "i64"))
            f.branch(moved)
            f.block = go_on
        with f.at(moved):
            self.leave(f.load("ptr", found, 8))

    def swap(self, first: Value, second: Value) -> None:
        """In whatever order threads do this, no plan is lost: they hold the interpreter lock."""
        f = self.f
        a, b = f.load("ptr", first, 8), f.load("ptr", second, 8)
        f.store(b, first, 8)
        f.store(a, second, 8)

    def call_portable(self) -> None:
        """`type(target).__call__(target, ...)`."""
        f = self.f
        method = f.external("PyMethod_New", "ptr", [self.word(self.calls, PORTABLE), self.target])
        self.go_on_if(f.icmp("ne", method, NULL), self.failed)
        arguments = [method, self.arguments, self.given, self.names]
        result = f.external("PyObject_Vectorcall", "ptr", arguments)
        f.external("Py_DecRef", "void", [method])
        self.leave(result)
