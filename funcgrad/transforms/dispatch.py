"""The fast ways into a compiled function, for calls that are known: native plans, or generated Python.

Both leave everything that they do not recognise to the slow path of `jit`, which stays the truth.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.ir.devices import CPU, is_cupy_array, several_devices
from funcgrad.transforms.donation import is_owner
from funcgrad.transforms.guards import Guard
from funcgrad.transforms.signature import Signature, has_state, object_state
from funcgrad.tree import flatten
from funcgrad.tree.treedef import PyTreeDef

WORTHWHILE = 2  # a call of a signature that is worth making a fast way for
MAX_WAYS = (
    4  # per signature: keywords in another order, static values that are equal but not the same
)
MAX_PORTABLE = 4  # of generated Python, per function

Dispatch = Callable[[tuple, dict], list[Any] | None]


class FastCalls:
    """The known calls of one jitted function, the last ones first."""

    def __init__(self) -> None:
        self.portable: list[tuple[Dispatch, Any]] = []
        self.plans: list[tuple[Any, Any]] = []  # of `native_calls.make_plan`
        self.native: Any = None

    def learn(
        self, jitted: Any, signature: Signature, args: tuple, kwargs: dict, entry: Any
    ) -> None:
        """Note a call that no fast way recognised. Donated arrays are a matter of native code."""
        entry.calls += 1
        if not all(is_owner(array) for array in signature.donated):
            return
        if entry.calls < WORTHWHILE or entry.ways >= MAX_WAYS:
            return
        entry.ways += 1
        plan = native_calls().make_plan(jitted, signature, args, kwargs, entry)
        if plan is not None:
            self.plans = [(plan, entry), *self.plans][: native_calls().MAX_PLANS]
            self._install(jitted)
            return
        if signature.donated and entry.device == CPU:
            return
        dispatch = portable_dispatch(jitted, signature, args, kwargs, entry)
        if dispatch is not None:
            self.portable = [(dispatch, entry), *self.portable][:MAX_PORTABLE]

    def forget(self, jitted: Any, entry: Any) -> None:
        """Drop what was learned about an entry that is no longer valid."""
        self.portable = [known for known in self.portable if known[1] is not entry]
        self.plans = [known for known in self.plans if known[1] is not entry]
        self._install(jitted)

    def clear(self, jitted: Any) -> None:
        self.portable, self.plans = [], []
        self._install(jitted)

    def _install(self, jitted: Any) -> None:
        if self.plans or self.native is not None:
            plans = [plan for plan, _ in self.plans]
            self.native = native_calls().install(jitted, plans)


def native_calls() -> Any:
    """The module of native plans, imported by the first call that is worth one."""
    return importlib.import_module("funcgrad.transforms.native_calls")


def portable_dispatch(
    jitted: Any, signature: Signature, args: tuple, kwargs: dict, entry: Any
) -> Dispatch | None:
    """Generated Python for calls like this one, if they are simple enough."""
    flats = [flat for flat in signature.flats if flat is not None]
    if jitted.static or jitted.owner_state() or len(flats) < len(signature.flats):
        return None
    if any(flat.treedef.has_ties for flat in flats):
        return None
    leaves, treedef = tree.flatten((args, kwargs), tie=False)
    owners, dynamic = [], []
    for number, flat in enumerate(flats):
        places = set(flat.places)
        owners += [number] * len(flat.leaves)
        dynamic += [i in places for i in range(len(flat.leaves))]
    if len(owners) != len(leaves):
        return None
    return make_dispatch(treedef, leaves, owners, dynamic, entry.guards, entry.captured)


def make_dispatch(
    treedef: PyTreeDef,
    leaves: Sequence[Any],
    owners: Sequence[int],
    is_dynamic: Sequence[bool],
    guards: Sequence[Guard],
    captured: Sequence[Any],
) -> Dispatch | None:
    """Code from (args, kwargs) to the list of array leaves, or None where the signature differs.

    Args:
        treedef: structure of (args, kwargs), without ties.
        leaves: an example call.
        owners: per leaf, the number of the argument it belongs to.
        is_dynamic: per leaf, whether it is traced.
        guards: outside values that must not have changed.
        captured: arrays read by reference, whose types must not have changed.
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
    for i, array in enumerate(captured):
        lines.append(f"    if {_leaf_test(f'c{i}', f'_c{i}', array, True, constants)}: return None")
        constants[f"c{i}"] = array
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
    name: str, i: int | str, leaf: Any, dynamic: bool, constants: dict[str, Any]
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
    if is_cupy_array(leaf):
        test = f"type({name}) is not t{i} or {name}.dtype is not d{i} or {name}.shape != n{i}"
        place = f" or {name}.data.device_id != {leaf.data.device_id}"
        return test + place if several_devices() else test
    if isinstance(leaf, np.generic):
        return f"type({name}) is not t{i}"
    return None


def _tie_tests(names: list[str], leaves: Sequence[Any], owners: Sequence[int]) -> list[str]:
    """Arrays of one argument must be different objects; a tied model has another compiled program."""
    groups: dict[int, list[str]] = {}
    for name, leaf, owner in zip(names, leaves, owners, strict=True):
        if isinstance(leaf, np.ndarray) or is_cupy_array(leaf):
            groups.setdefault(owner, []).append(name)
    return [
        f"len({{{', '.join(f'id({name})' for name in group)}}}) != {len(group)}"
        for group in groups.values()
        if len(group) > 1
    ]
