"""Matching a tree against a structure, with errors that name the first difference."""

from collections.abc import Callable
from typing import Any

from funcgrad.tree.keys import path_string
from funcgrad.tree.node_types import LeafType, MappingNode
from funcgrad.tree.nodes import Node, Structure, positions
from funcgrad.tree.registry import kind_of
from funcgrad.tree.static import same


class _Mismatch(Exception):
    """Travels up from the difference and collects the path on its way."""

    def __init__(self, text: str):
        super().__init__(text)
        self.path: list[Any] = []


def values_at_positions(root: Structure, tree: Any, what: str) -> list[Any]:
    """The subtree of `tree` at every leaf position of a structure, ties included."""
    values: list[Any] = []

    def visit(part: Structure, value: Any) -> None:
        if isinstance(part, Node):
            _each_child(part, value, visit)
        else:
            values.append(value)

    _run(visit, root, tree, what)
    return values


def prefix_values(
    root: Structure, prefix: Any, is_leaf: Callable[[Any], bool] | None, what: str
) -> list[Any]:
    """The leaf of `prefix` above every leaf position of a structure, ties included."""
    values: list[Any] = []

    def visit(part: Structure, value: Any) -> None:
        if kind_of(type(value)).is_leaf or (is_leaf is not None and is_leaf(value)):
            values.extend([value] * len(positions(part)))
        elif isinstance(part, Node):
            _each_child(part, value, visit)
        else:
            raise _Mismatch(f"expected one value for a leaf, got {describe(value)}")

    _run(visit, root, prefix, what)
    return values


def _run(visit: Callable[[Structure, Any], None], root: Structure, tree: Any, what: str) -> None:
    try:
        visit(root, tree)
    except _Mismatch as mismatch:
        path = path_string(tuple(reversed(mismatch.path))) or "the root"
        raise ValueError(f"{what}: at {path}: {mismatch}") from None


def _each_child(node: Node, value: Any, visit: Callable[[Structure, Any], None]) -> None:
    for index, child in enumerate(_matching_children(node, value)):
        try:
            visit(node.children[index], child)
        except _Mismatch as mismatch:
            mismatch.path.append(node.keys[index])
            raise


def _matching_children(node: Node, value: Any) -> tuple[Any, ...]:
    """The children of `value`, which must be the same container as `node`."""
    kind = node.kind
    if type(value) is not kind.cls:
        raise _Mismatch(f"expected {node.describe()}, got {describe(value)}")
    children, aux, _ = kind.split(value)
    is_same_data = same(aux, node.aux)
    if is_same_data and len(children) == len(node.children):
        return children
    text = f"expected {node.describe()}, got {kind.describe(aux, len(children))}"
    if isinstance(kind, MappingNode) and not same(kind.names(node.aux), kind.names(aux)):
        text += _key_difference(kind.names(node.aux), kind.names(aux))
    elif not is_same_data:
        text += f"; static data differ: expected {node.aux!r}, got {aux!r}"
    raise _Mismatch(text)


def _key_difference(expected: tuple[Any, ...], found: tuple[Any, ...]) -> str:
    missing = [repr(key) for key in expected if key not in found]
    unexpected = [repr(key) for key in found if key not in expected]
    notes = [f"missing {', '.join(missing)}"] if missing else []
    notes += [f"unexpected {', '.join(unexpected)}"] if unexpected else []
    return "; " + "; ".join(notes or ["their order or types differ"])


def describe(value: Any) -> str:
    """A value in a few words, for error messages."""
    kind = kind_of(type(value))
    if not isinstance(kind, LeafType):
        children, aux, _ = kind.split(value)
        return kind.describe(aux, len(children))
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if isinstance(shape, tuple) and dtype is not None:
        return f"{dtype}[{','.join(map(str, shape))}]"
    text = repr(value)
    return f"{type(value).__name__} {text}".strip() if len(text) <= 40 else type(value).__name__
