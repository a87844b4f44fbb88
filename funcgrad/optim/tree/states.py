"""Values in the nested state of an optimizer, found and changed by name."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from funcgrad import tree as pytree
from funcgrad.tree.classes import register_pytree_node_class

Filter = Callable[[str, Any], bool] | None


def get_all_with_path(tree: Any, key: str, filtering: Filter = None) -> list[tuple[str, Any]]:
    """All values of a name in a state, each with its path.

    Args:
        tree: the state: nested tuples, NamedTuples, lists and dicts.
        key: a field of a NamedTuple, a key of a dict, or the name of a NamedTuple class.
        filtering: (path, value) -> whether it counts; a path is text such as `0.inner_state.count`.

    Example:
        >>> from funcgrad import optim
        >>> get_all_with_path(optim.adam(0.1).init(1.0), "count")
        [('0.count', np.int64(0))]
    """
    found = _found(tree, key, "")
    return [(path, value) for path, value in found if filtering is None or filtering(path, value)]


def get(tree: Any, key: str, default: Any = None, filtering: Filter = None) -> Any:
    """The value of a name in a state, such as `get(state, "learning_rate")`.

    Args:
        tree, key, filtering: as for `get_all_with_path`.
        default: the result where there is none.

    Raises:
        KeyError: there are several; names their paths.

    Example:
        >>> from funcgrad import optim
        >>> state = optim.inject_hyperparams(optim.sgd)(learning_rate=0.1).init(1.0)
        >>> float(get(state, "learning_rate"))
        0.1
    """
    found = get_all_with_path(tree, key, filtering)
    if len(found) > 1:
        raise KeyError(
            f"[get] {key!r} is at {[path for path, _ in found]}. Choose one: filtering=lambda path, value: ..."
        )
    return found[0][1] if found else default


def set(tree: Any, filtering: Filter = None, /, **kwargs: Any) -> Any:
    """A copy of a state with other values, such as `set(state, learning_rate=0.01)`.

    Args:
        tree, filtering: as for `get_all_with_path`.
        **kwargs: name -> value, which goes to every place of this name.

    Raises:
        KeyError: there is no such name.

    Example:
        >>> from funcgrad import optim
        >>> state = optim.inject_hyperparams(optim.sgd)(learning_rate=0.1).init(1.0)
        >>> float(get(set(state, learning_rate=0.01), "learning_rate"))
        0.01
    """
    for key in kwargs:
        if not get_all_with_path(tree, key, filtering):
            raise KeyError(
                f"[set] there is no {key!r} in the state. It has {sorted(_names(tree))}."
            )
    return _replaced(tree, kwargs, filtering, "")


def map_params(
    initable: Any,
    f: Callable[..., Any],
    state: Any,
    /,
    *rest: Any,
    transform_non_params: Callable[[Any], Any] | None = None,
    is_leaf: Callable[[Any], bool] | None = None,
) -> Any:
    """Apply a function to the parts of a state that look like the parameters, such as moments.

    Args:
        initable: the optimizer, or its `init`.
        f: (leaf of the part, leaves of `rest`) -> new leaf.
        state: the state.
        *rest: trees like the parameters.
        transform_non_params: applied to all other leaves.
        is_leaf: where true, a value is a leaf of the parts.

    Example:
        >>> from funcgrad import optim
        >>> import numpy as np
        >>> optimizer = optim.trace(0.9)
        >>> map_params(optimizer, lambda m: m + 1, optimizer.init({"w": np.zeros(2)}))
        TraceState(trace={'w': array([1., 1.])})
    """
    init = getattr(initable, "init", initable)
    outline = init(_Marker(0.0))

    def visit(sign: Any, value: Any) -> Any:
        if isinstance(sign, _Marker):
            return pytree.map(f, value, *rest, is_leaf=is_leaf)
        return value if transform_non_params is None else transform_non_params(value)

    return _mapped_along(visit, outline, state)


@register_pytree_node_class
class _Marker:
    """A tree of one number that stands for the parameters: it marks what `init` makes in their image."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def tree_flatten(self) -> tuple[tuple, None]:
        return (self.value,), None

    @classmethod
    def tree_unflatten(cls, aux: None, children: tuple) -> _Marker:
        del aux
        return cls(*children)


def _children(node: Any) -> list[tuple[str, Any]] | None:
    """The parts of a container by name, None for anything else."""
    if hasattr(node, "_fields"):
        return [(field, getattr(node, field)) for field in node._fields]
    if isinstance(node, dict):
        return [(str(key), value) for key, value in node.items()]
    if isinstance(node, list | tuple):
        return [(str(place), value) for place, value in enumerate(node)]
    return None


def _found(node: Any, key: str, path: str) -> Iterator[tuple[str, Any]]:
    if hasattr(node, "_fields") and type(node).__name__ == key:
        yield path, node
    for name, child in _children(node) or ():
        inner = f"{path}.{name}" if path else name
        if name == key and not isinstance(node, list):
            yield inner, child
        yield from _found(child, key, inner)


def _names(node: Any) -> builtins.set[str]:
    """The names in a state that can be asked for."""
    found = {name for name, _ in _children(node) or () if not name.isdigit()}
    return found.union(*(_names(child) for _, child in _children(node) or ()))


def _replaced(node: Any, new: dict[str, Any], filtering: Filter, path: str) -> Any:
    def is_meant(name: str, where: str, value: Any) -> bool:
        return name in new and (filtering is None or filtering(where, value))

    children = _children(node)
    if children is None:
        return node
    if hasattr(node, "_fields") and is_meant(type(node).__name__, path, node):
        return new[type(node).__name__]
    parts = []
    for name, child in children:
        inner = f"{path}.{name}" if path else name
        if is_meant(name, inner, child):
            parts.append(_like(child, new[name]))
        else:
            parts.append(_replaced(child, new, filtering, inner))
    return _rebuilt(node, parts)


def _like(old: Any, new: Any) -> Any:
    """A Python number in the dtype of the number it replaces, so that a compiled step fits."""
    is_number = type(new) in (int, float, bool) and isinstance(old, np.generic | np.ndarray)
    return np.asarray(new, old.dtype)[()] if is_number else new


def _rebuilt(node: Any, parts: list[Any]) -> Any:
    if hasattr(node, "_fields"):
        return type(node)(*parts)
    if isinstance(node, dict):
        return type(node)(zip(node, parts, strict=True))
    return type(node)(parts)


def _mapped_along(visit: Callable[[Any, Any], Any], outline: Any, state: Any) -> Any:
    children = None if isinstance(outline, _Marker) else _children(outline)
    if children is None:
        return visit(outline, state)
    pairs = zip(children, _children(state) or (), strict=True)
    return _rebuilt(state, [_mapped_along(visit, sign, part) for (_, sign), (_, part) in pairs])
