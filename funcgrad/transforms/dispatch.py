"""The fast way into a compiled function: generated code that checks one known signature.

It answers None for anything it does not recognise, so that the slow path of `jit` stays the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.transforms.guards import Guard
from funcgrad.transforms.signature import has_state, object_state
from funcgrad.tree import flatten
from funcgrad.tree.treedef import PyTreeDef


def make_dispatch(
    treedef: PyTreeDef,
    leaves: Sequence[Any],
    owners: Sequence[int],
    is_dynamic: Sequence[bool],
    guards: Sequence[Guard],
) -> Callable[[tuple, dict], list[Any] | None] | None:
    """Code from (args, kwargs) to the list of array leaves, or None where the signature differs.

    Args:
        treedef: structure of (args, kwargs), without ties.
        leaves: an example call.
        owners: per leaf, the number of the argument it belongs to.
        is_dynamic: per leaf, whether it is traced.
        guards: outside values that must not have changed.
    """
    names = [f"a{i}" for i in range(len(leaves))]
    constants: dict[str, Any] = {"flatten": flatten, "treedef": treedef, "ndarray": np.ndarray}
    lines = [
        "def dispatch(args, kwargs):",
        "    leaves, found = flatten((args, kwargs), tie=False)",
        "    if found is not treedef: return None",
    ]
    if names:
        lines.append(f"    {', '.join(names)}, = leaves")
    for i, (name, leaf, dynamic) in enumerate(zip(names, leaves, is_dynamic, strict=True)):
        test = _leaf_test(name, i, leaf, dynamic, constants)
        if test is None:
            return None
        lines.append(f"    if {test}: return None")
    lines += [f"    if {test}: return None" for test in _tie_tests(names, leaves, owners)]
    for i, guard in enumerate(guards):
        constants[f"g{i}"] = guard
        lines.append(f"    if {_guard_test(i, guard, constants)}: return None")
    dynamic_names = [name for name, dynamic in zip(names, is_dynamic, strict=True) if dynamic]
    lines.append(f"    return [{', '.join(dynamic_names)}]")
    exec("\n".join(lines), constants)
    return constants["dispatch"]


def _guard_test(i: int, guard: Guard, constants: dict[str, Any]) -> str:
    """An expression that is true where an outside name may have changed."""
    if guard.captured:
        return f"not g{i}.holds()"
    if guard.cell is not None:
        constants[f"s{i}_"], constants[f"e{i}"] = guard.cell, guard.value
        return f"s{i}_.cell_contents is not e{i} and not g{i}.holds()"
    constants[f"s{i}_"], constants[f"e{i}"] = guard.namespace, guard.value
    return f"s{i}_.get({guard.name!r}) is not e{i} and not g{i}.holds()"


def _leaf_test(
    name: str, i: int, leaf: Any, dynamic: bool, constants: dict[str, Any]
) -> str | None:
    """An expression that is true where the leaf differs from the example."""
    cls = type(leaf)
    if not dynamic:
        constants[f"s{i}"] = leaf
        if has_state(leaf):
            constants[f"o{i}"], constants["object_state"] = object_state(leaf), object_state
            return f"{name} is not s{i} or object_state({name}) != o{i}"
        return f"{name} is not s{i}"
    if cls in (float, int, bool, complex):
        return f"type({name}) is not {cls.__name__}"
    constants[f"t{i}"], constants[f"d{i}"], constants[f"n{i}"] = cls, leaf.dtype, leaf.shape
    if cls is np.ndarray:
        return f"type({name}) is not ndarray or {name}.dtype is not d{i} or {name}.shape != n{i}"
    if isinstance(leaf, np.generic):
        return f"type({name}) is not t{i}"
    return None


def _tie_tests(names: list[str], leaves: Sequence[Any], owners: Sequence[int]) -> list[str]:
    """Arrays of one argument must be different objects; a tied model has another compiled program."""
    groups: dict[int, list[str]] = {}
    for name, leaf, owner in zip(names, leaves, owners, strict=True):
        if isinstance(leaf, np.ndarray):
            groups.setdefault(owner, []).append(name)
    return [
        f"len({{{', '.join(f'id({name})' for name in group)}}}) != {len(group)}"
        for group in groups.values()
        if len(group) > 1
    ]
