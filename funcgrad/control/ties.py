"""Trees in which one array occurs several times, in loops and branches: it is carried once and stays one array.

Where the body makes different values of its occurrences, every position is carried by itself.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from funcgrad import tree


class Untied(Exception):
    """A body does not keep the ties of its argument."""


class Shared:
    """A tree as the tuple of its different leaves."""

    __slots__ = ("leaves", "treedef")

    def __init__(self, value: Any) -> None:
        leaves, self.treedef = tree.flatten(value)
        self.leaves = tuple(leaves)

    @property
    def has_ties(self) -> bool:
        return self.treedef.has_ties

    def restore(self, leaves: Sequence[Any]) -> Any:
        return self.treedef.unflatten(list(leaves))

    def again(self, value: Any) -> tuple:
        """The leaves of a tree that must have the same structure and the same ties."""
        leaves, treedef = tree.flatten(value)
        if treedef != self.treedef:
            raise Untied
        return tuple(leaves)

    def reading(self, fun: Callable[..., Any]) -> Callable[..., Any]:
        """`fun` as a function of the leaves."""
        return functools.wraps(fun)(lambda leaves: fun(self.restore(leaves)))

    def updating(self, fun: Callable[..., Any]) -> Callable[..., Any]:
        """`fun: tree -> tree` as a function from leaves to leaves."""
        return functools.wraps(fun)(lambda leaves: self.again(fun(self.restore(leaves))))

    def scanning(self, fun: Callable[..., Any]) -> Callable[..., Any]:
        """`fun: (tree, x) -> (tree, y)` as a function from (leaves, x) to (leaves, y)."""

        @functools.wraps(fun)
        def body(leaves: Any, x: Any) -> tuple[Any, Any]:
            result = fun(self.restore(leaves), x)
            if not isinstance(result, tuple) or len(result) != 2:
                raise Untied
            return self.again(result[0]), result[1]

        return body


class SharedBranches:
    """Branches as functions of the leaves of their operands, that return the leaves of their results."""

    def __init__(self, operands: Sequence[Any]) -> None:
        self.operands = [Shared(operand) for operand in operands]
        self.results: list[Shared] = []

    @property
    def has_ties(self) -> bool:
        return any(operand.has_ties for operand in self.operands)

    def reading(self, branch: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(branch)
        def run(*groups: Any) -> tuple:
            args = [s.restore(group) for s, group in zip(self.operands, groups, strict=True)]
            result = Shared(branch(*args))
            self.results.append(result)
            if result.treedef != self.results[0].treedef:
                raise Untied
            return result.leaves

        return run

    def restore(self, leaves: Sequence[Any]) -> Any:
        return self.results[0].restore(leaves)


# What a body may raise because its ties were kept; it is then recorded again with every position by itself,
# and errors of its own come a second time, with the paths of the whole tree.
RETRY = (Untied, TypeError)
