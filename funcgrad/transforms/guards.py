"""What a compiled function assumed about the world outside its arguments: globals and closure cells.

A number or string read from a global is a constant of the compiled code, a helper function was inlined, and an
array was captured by reference. Each call checks that the names still mean the same objects, so that rebinding
a name is seen, as in plain Python.
"""

from __future__ import annotations

import dis
from collections.abc import Sequence
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.tree.static import same

CONTAINERS = (dict, list, tuple)
SCALARS = (int, float, complex, bool, str, type(None), np.generic)


class Guard:
    """One name outside the function, and what it meant while the function was traced."""

    __slots__ = ("captured", "cell", "name", "namespace", "value")

    def __init__(
        self,
        name: str,
        value: Any,
        namespace: dict,
        cell: CellType | None,
        captured: frozenset[int],
    ) -> None:
        self.name = name
        self.value = value
        self.namespace = namespace
        self.cell = cell
        self.captured = captured

    def now(self) -> Any:
        """What the name means; the guard itself where it means nothing any more."""
        if self.cell is not None:
            return self if _is_empty(self.cell) else self.cell.cell_contents
        return self.namespace.get(self.name, self)

    def holds(self) -> bool:
        now = self.now()
        if now is not self.value and not (isinstance(now, SCALARS) and same(now, self.value)):
            return False
        if not self.captured:
            return True
        return self.captured <= {id(leaf) for leaf in tree.leaves(now)}


def collect_guards(fun: Any, captured: Sequence[Any]) -> list[Guard]:
    """Guards for a function and the plain functions of its module that it calls.

    Args:
        fun: what was traced.
        captured: the arrays that the trace captured; those inside containers are guarded one by one.
    """
    arrays = frozenset(id(array) for array in captured)
    guards: dict[tuple, Guard] = {}
    pending, seen = [fun], set()
    while pending:
        function = pending.pop()
        function = getattr(function, "__func__", function)
        if not isinstance(function, FunctionType) or function in seen:
            continue
        seen.add(function)
        for name, value, cell in _outside_values(function):
            inside = frozenset()
            if isinstance(value, CONTAINERS):
                inside = arrays & {id(leaf) for leaf in tree.leaves(value)}
            namespace = function.__globals__
            guards[id(cell or namespace), name] = Guard(name, value, namespace, cell, inside)
            if isinstance(value, FunctionType) and value.__globals__ is namespace:
                pending.append(value)
    return list(guards.values())


def _outside_values(function: FunctionType) -> list[tuple[str, Any, CellType | None]]:
    """Names that a function reads from globals and cells, but for modules and names that it writes."""
    read, written = _global_names(function.__code__)
    found: list[tuple[str, Any, CellType | None]] = []
    for name in read - written:
        if name in function.__globals__:
            found.append((name, function.__globals__[name], None))
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        if name not in written and not _is_empty(cell):
            found.append((name, cell.cell_contents, cell))
    return [entry for entry in found if not isinstance(entry[1], ModuleType)]


def _is_empty(cell: CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return True
    return False


READ = frozenset({"LOAD_GLOBAL", "LOAD_NAME"})
# Counters and the like: a function that writes a name does not depend on what it was.
WRITTEN = frozenset({"STORE_GLOBAL", "STORE_DEREF", "STORE_NAME"})


def _global_names(code: CodeType) -> tuple[set[str], set[str]]:
    """The names that code reads from outside, and those that it writes, with the functions inside it."""
    read, written = set(), set()
    for instruction in dis.get_instructions(code):
        if instruction.opname in READ:
            read.add(instruction.argval)
        elif instruction.opname in WRITTEN:
            written.add(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            inner_read, inner_written = _global_names(constant)
            read |= inner_read
            written |= inner_written
    return read, written
