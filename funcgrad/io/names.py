"""The names of a tree's arrays in a file: `layers.0.weight`, one spelling per place."""

from __future__ import annotations

from typing import Any

from funcgrad import tree
from funcgrad.ir.types import ShapeDtypeStruct
from funcgrad.nn.filters import is_array_like


class NamedLeaf:
    """A leaf that is saved, with the name of every place it has in the tree.

    Attributes:
        number: position among the leaves of the tree.
        value: an array, a number, or (when loading) a `ShapeDtypeStruct`.
        names: the first is the one it is saved under, the others are aliases.
    """

    __slots__ = ("names", "number", "value")

    def __init__(self, number: int, value: Any) -> None:
        self.number = number
        self.value = value
        self.names: list[str] = []


def named_leaves(leaves: list[Any], treedef: tree.PyTreeDef) -> list[NamedLeaf]:
    """The leaves that files hold: arrays and numbers. Functions and strings are left to the code.

    Raises:
        ValueError: two places have the same name.
    """
    found = {
        number: NamedLeaf(number, leaf)
        for number, leaf in enumerate(leaves)
        if is_array_like(leaf) or isinstance(leaf, ShapeDtypeStruct)
    }
    taken: set[str] = set()
    for path, number in zip(treedef.untied().paths(), treedef.positions, strict=True):
        if number in found:
            name = tree.path_string(path)
            if name in taken:
                raise ValueError(
                    f"two places of the tree have the name {name!r}: a dict key contains a dot, or keys "
                    "differ only in type (1 and '1'). Rename one of the keys."
                )
            taken.add(name)
            found[number].names.append(name)
    return list(found.values())


def nested(flat: dict[str, Any]) -> Any:
    """Nested dicts from dotted names; the value itself if its name is empty.

    Raises:
        ValueError: a name is also the beginning of another.

    >>> nested({"a.0": 1, "a.1": 2, "b": 3})
    {'a': {'0': 1, '1': 2}, 'b': 3}
    """
    if list(flat) == [""]:
        return flat[""]
    result: dict[str, Any] = {}
    branches: dict[tuple[str, ...], dict[str, Any]] = {(): result}
    for name, value in flat.items():
        *steps, last = name.split(".")
        branch = result
        for depth, step in enumerate(steps, 1):
            inner = branches.get(tuple(steps[:depth]))
            if inner is None:
                _check_free(branch, step, name)
                inner = branches[tuple(steps[:depth])] = branch[step] = {}
            branch = inner
        _check_free(branch, last, name)
        branch[last] = value
    return result


def _check_free(branch: dict[str, Any], key: str, name: str) -> None:
    if key in branch:
        raise ValueError(
            f"the name {name!r} is both a value and a group of values. Use funcgrad.load_dict(path), "
            "which returns a flat dict."
        )
