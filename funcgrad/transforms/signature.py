"""What a jitted function compiles for: the structure, types and static parts of a call."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import numpy as np

from funcgrad.ir.mixing import check_one_device
from funcgrad.ir.tracer import type_of
from funcgrad.transforms.arguments import (
    Flat,
)
from funcgrad.transforms.batch import named_axes
from funcgrad.tree.static import strict_key

SCALARS = (str, int, float, complex, bool, type(None), np.generic)
SHOWN = 8  # types of arrays in the text of a signature
STATELESS = (type, FunctionType, BuiltinFunctionType, ModuleType, functools.partial, np.ufunc)

ARGUMENT_FIX = "Use a tuple instead of a list, or do not make an array static."
LEAF_FIX = (
    "Pass a tuple, list or dict; or make its class a node of trees, with funcgrad.tree_util.register_dataclass or "
    "register_pytree_node."
)


def has_state(value: Any) -> bool:
    """Whether a static value is an ordinary object, whose attributes may change under the same identity."""
    cls = type(value)
    if cls.__hash__ is not object.__hash__ or isinstance(value, STATELESS):
        return False
    return hasattr(value, "__dict__") and cls.__module__.partition(".")[0] != "funcgrad"


def object_state(value: Any, seen: frozenset[int] = frozenset()) -> Any:
    """What the attributes of an object are now: numbers and strings by value, arrays by identity."""
    if id(value) in seen:
        return id(value)
    seen |= {id(value)}
    if isinstance(value, dict):
        return tuple([(strict_key(k), object_state(v, seen)) for k, v in value.items()])
    if isinstance(value, list | tuple):
        return (type(value), *[object_state(item, seen) for item in value])
    if isinstance(value, SCALARS):
        return strict_key(value)
    return (id(value), object_state(vars(value), seen)) if has_state(value) else id(value)


class StaticLeaf:
    """A non-array leaf or static argument as part of a cache key: equal by value and type.

    An object with the default identity hash also counts its attributes, so that a change is seen.
    """

    __slots__ = ("hash", "key", "value")

    def __init__(self, value: Any, what: str, fix: str = ARGUMENT_FIX) -> None:
        self.value = value
        self.key = strict_key(value)
        try:
            self.hash = hash(self.key)
        except TypeError:
            raise ValueError(
                f"[jit] {what} is static, so it must be hashable, but got {type(value).__name__}: "
                f"{value!r:.60}. {fix}"
            ) from None
        if has_state(value):
            self.key = (self.key, object_state(value))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StaticLeaf) and self.key == other.key

    def __hash__(self) -> int:
        return self.hash

    def __repr__(self) -> str:
        return f"static {self.value!r:.40}"


class Signature:
    """A call taken apart: per argument a Flat (ties count within one argument), and the cache key.

    Attributes:
        flats: per argument, None for a static one.
        gives: per argument, whether it is donated.
        donated: the arrays and numbers in those.
        device: where the arrays are.
    """

    __slots__ = (
        "arrays",
        "device",
        "donated",
        "flats",
        "gives",
        "key",
        "kwargs_names",
        "names",
        "static",
    )

    def __init__(self, jitted: Any, args: tuple, kwargs: dict) -> None:
        self.kwargs_names = tuple(sorted(kwargs))
        named = [(i, jitted.parameter(i), arg) for i, arg in enumerate(args)]
        named += [(None, name, kwargs[name]) for name in self.kwargs_names]
        self.names = [f"argument {name!r} of {jitted.name}" for _, name, _ in named]
        self.flats: list[Flat | None] = []
        self.gives = [jitted.is_donated(position, name) for position, name, _ in named]
        self.static: list[Any] = []
        self.arrays: list[Any] = []
        self.donated: list[Any] = []
        parts: list[Any] = [len(args), self.kwargs_names, named_axes(), *jitted.owner_state()]
        for (position, name, value), what, gives in zip(named, self.names, self.gives, strict=True):
            if jitted.is_static(position, name):
                self.flats.append(None)
                self.static.append(value)
                parts.append(StaticLeaf(value, what))
                continue
            flat = Flat(value, what)
            self.flats.append(flat)
            self.arrays.extend(flat.arrays)
            if gives:
                self.donated.extend(flat.arrays)
            parts.append(flat.treedef)
            arrays = iter(flat.arrays)
            dynamic = set(flat.places)
            parts.extend(
                type_of(next(arrays))
                if i in dynamic
                else StaticLeaf(leaf, f"a leaf of {name!r}", LEAF_FIX)
                for i, leaf in enumerate(flat.leaves)
            )
        self.device = check_one_device(self.arrays, self.labels, f"jit({jitted.name})")
        parts.append(self.device)
        self.key = tuple(parts)

    def donated_inputs(self, first: int) -> tuple[int, ...]:
        """The numbers of the donated arrays, if that of the first array is `first`."""
        found: list[int] = []
        for flat, gives in zip(self.flats, self.gives, strict=True):
            count = 0 if flat is None else len(flat.arrays)
            found += range(first, first + count * gives)
            first += count
        return tuple(found)

    def text(self) -> str:
        """The types of the arrays, and how often each is repeated."""
        groups = itertools.groupby([str(type_of(x)) for x in self.arrays])
        counts = [(name, len(list(group))) for name, group in groups]
        parts = [f"{count} x {name}" if count > 1 else name for name, count in counts]
        more = f", and {len(parts) - SHOWN} more" if len(parts) > SHOWN else ""
        return (", ".join(parts[:SHOWN]) or "no arrays") + more

    def labels(self) -> list[str]:
        """What each array is: "argument 'x' of loss", with its path in a tree."""
        labels = []
        for name, flat in zip(self.names, self.flats, strict=True):
            if flat is None:
                continue
            for index in range(len(flat.places)):
                path = flat.path(index)
                labels.append(f"{name} at {path}" if path else name)
        return labels

    def rebuild(self, arrays: Sequence[Any], args_count: int) -> tuple[list[Any], dict[str, Any]]:
        """Positional and keyword arguments with other arrays."""
        given, static = iter(arrays), iter(self.static)
        values = [
            next(static)
            if flat is None
            else flat.rebuild([next(given) for _ in range(len(flat.arrays))])
            for flat in self.flats
        ]
        return values[:args_count], dict(zip(self.kwargs_names, values[args_count:], strict=True))
