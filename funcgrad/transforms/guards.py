"""What a compiled function assumed about the world outside its arguments: globals and closure cells.

A number or string read from a global is a constant of the compiled code, and an array is captured by identity.
Both are checked at every call, so that rebinding a name is seen, as in plain Python.
"""

from __future__ import annotations

from types import CellType, CodeType, FunctionType
from typing import Any

import numpy as np

from funcgrad.tree.static import same

GUARDED = (int, float, complex, bool, str, type(None), np.ndarray, np.generic)


class Guard:
    """One name and the value it had while the function was traced."""

    __slots__ = ("cell", "name", "namespace", "value")

    def __init__(
        self, name: str, value: Any, namespace: dict | None, cell: CellType | None
    ) -> None:
        self.name = name
        self.value = value
        self.namespace = namespace
        self.cell = cell

    def current(self) -> Any:
        if self.cell is not None:
            return self.cell.cell_contents
        return self.namespace.get(self.name, self)  # type: ignore[union-attr]

    def holds(self) -> bool:
        now = self.current()
        if now is self.value:
            return True
        if isinstance(self.value, np.ndarray) or isinstance(now, np.ndarray):
            return False
        return same(now, self.value)


def collect_guards(fun: Any) -> list[Guard]:
    """Guards for a function and the plain functions of the same module that it calls."""
    guards: dict[tuple, Guard] = {}
    pending, seen = [fun], set()
    while pending:
        function = pending.pop()
        function = getattr(function, "__func__", function)
        if not isinstance(function, FunctionType) or function in seen:
            continue
        seen.add(function)
        pending.extend(_guard_function(function, guards))
    return list(guards.values())


def _guard_function(function: FunctionType, guards: dict[tuple, Guard]) -> list[Any]:
    called = []
    namespace = function.__globals__
    for name in _global_names(function.__code__):
        value = namespace.get(name, guards)
        if isinstance(value, GUARDED):
            guards[id(namespace), name] = Guard(name, value, namespace, None)
        elif isinstance(value, FunctionType) and value.__globals__ is namespace:
            called.append(value)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            value = cell.cell_contents
        except ValueError:
            continue
        if isinstance(value, GUARDED):
            guards[id(cell), name] = Guard(name, value, None, cell)
        elif isinstance(value, FunctionType) and value.__globals__ is namespace:
            called.append(value)
    return called


def _global_names(code: CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _global_names(constant)
    return names
