"""Which classes are nodes of a tree, and which leaves can be shared.

Every class that is not a node is a leaf.  A leaf whose class is an *identity type* (arrays,
tracers) counts once however many positions of a tree hold it; other leaves are plain values.
"""

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from funcgrad.tree.node_types import (
    AttributeNode,
    LeafType,
    MappingNode,
    NamedTupleNode,
    NodeType,
    NoneNode,
    SequenceNode,
)

_MAX_KNOWN = 4096


_VALUE = LeafType(identity=False)
_SHARED = LeafType(identity=True)

_lock = threading.RLock()
_registered: dict[type, NodeType] = {}
_identity_bases: tuple[type, ...] = (np.ndarray,)

# What is known about each class met so far.  Generated code holds references to the two sets,
# so they are changed in place.
kinds: dict[type, NodeType | LeafType] = {}
leaf_types: set[type] = set()
shared_types: set[type] = set()


def kind_of(cls: type) -> NodeType | LeafType:
    """How trees see a class."""
    return kinds.get(cls) or _classify(cls)


def _classify(cls: type) -> NodeType | LeafType:
    with _lock:
        kind = _registered.get(cls) or _unregistered_kind(cls)
        if len(kinds) >= _MAX_KNOWN:
            _forget()
        kinds[cls] = kind
        if kind.is_leaf:
            # In this order: whoever sees a known leaf type must also see that it is shared.
            if kind.identity:
                shared_types.add(cls)
            leaf_types.add(cls)
        return kind


def _unregistered_kind(cls: type) -> NodeType | LeafType:
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return NamedTupleNode(cls)
    return _SHARED if issubclass(cls, _identity_bases) else _VALUE


def _forget() -> None:
    """Drop what was found out about classes that are not registered."""
    kinds.clear()
    leaf_types.clear()
    kinds.update(_registered)


def register(node: NodeType) -> None:
    """Add a node type; a class can be registered once."""
    if not isinstance(node.cls, type):
        raise TypeError(f"[tree] only a class can be registered, got {node.cls!r}")
    with _lock:
        if node.cls in _registered:
            raise ValueError(f"[tree] {node.cls.__qualname__} is already registered as a tree node")
        if isinstance(kinds.get(node.cls), NamedTupleNode):
            raise ValueError(
                f"[tree] {node.cls.__qualname__} was already used in a tree as a NamedTuple; "
                "register it right after its definition"
            )
        _registered[node.cls] = node
        _forget()


def add_identity_type(cls: type) -> None:
    """Let leaves of this class (and its subclasses) count once per object, as arrays do."""
    global _identity_bases
    with _lock:
        if cls not in _identity_bases:
            _identity_bases = (*_identity_bases, cls)
            _forget()


# --- public registration ---


def register_pytree_node(
    nodetype: type,
    flatten_func: Callable[[Any], tuple[Iterable[Any], Any]],
    unflatten_func: Callable[[Any, tuple[Any, ...]], Any],
    flatten_with_keys_func: Callable[[Any], tuple[Iterable[tuple[Any, Any]], Any]] | None = None,
    *,
    identity: bool = False,
) -> None:
    """Make instances of a class nodes of trees.

    Args:
        nodetype: the class; subclasses are not included.
        flatten_func: instance -> (children, aux_data).
        unflatten_func: (aux_data, children) -> instance.
        flatten_with_keys_func: instance -> ((key, child) pairs, aux_data), for named paths.
        identity: one instance met at two places of a tree is one node, and is one object
            again after `unflatten`.

    Raises:
        ValueError: the class is already registered.

    >>> class Point:
    ...     def __init__(self, x, y):
    ...         self.x, self.y = x, y
    >>> register_pytree_node(Point, lambda p: ((p.x, p.y), None), lambda _, xy: Point(*xy))
    """
    register(
        NodeType(nodetype, flatten_func, unflatten_func, flatten_with_keys_func, identity=identity)
    )


def register_attributes(
    nodetype: type,
    aux_of: Callable[[Any], Any],
    names_of: Callable[[Any], tuple[str, ...]],
    build: Callable[[Any, tuple[Any, ...]], Any],
    *,
    identity: bool = False,
    constants_of: Callable[[Any], tuple[str, ...]] = lambda aux: (),
) -> None:
    """Make a class whose children are attributes a node, with generated code reading them.

    Args:
        nodetype: the class; subclasses are not included.
        aux_of: instance -> aux data.  An `operator.attrgetter` is fastest; the same aux
            *object* on every instance of one shape makes the check a pointer comparison.
        names_of: aux data -> names of the attributes that are children, in order.
        build: (aux data, children) -> instance.
        identity: as in `register_pytree_node`.
        constants_of: aux data -> names of the attributes that derivatives treat as constant.

    >>> class Pair:
    ...     def __init__(self, left, right):
    ...         self.left, self.right = left, right
    >>> register_attributes(
    ...     Pair, lambda pair: None, lambda aux: ("left", "right"), lambda aux, c: Pair(*c)
    ... )
    """
    register(AttributeNode(nodetype, aux_of, names_of, build, identity, constants_of))


# --- the built-in containers ---


def _plain_name(name: Any) -> Any:
    """Keys such as `np.str_("a")` find the same entry as "a" and are stored as "a"."""
    if type(name) is str or not isinstance(name, str):
        return name
    text = str.__str__(name)
    return text if name == text and hash(name) == hash(text) else name


def _flatten_dict(value: dict[Any, Any]) -> tuple[list[Any], tuple[Any, ...]]:
    try:
        names = sorted(value)
    except TypeError:  # keys of unlike types have no order but their own
        names = list(value)
    return [value[name] for name in names], tuple(map(_plain_name, names))


def _flatten_ordered(value: Any) -> tuple[list[Any], tuple[Any, ...]]:
    return list(value.values()), tuple(map(_plain_name, value))


def _flatten_default(value: Any) -> tuple[list[Any], Any]:
    children, names = _flatten_dict(value)
    return children, (value.default_factory, names)


def _fill(names: tuple[Any, ...], children: tuple[Any, ...]) -> Any:
    return zip(names, children, strict=True)


register(NoneNode(type(None), lambda _: ((), None), lambda *_: None))
register(SequenceNode(tuple, lambda value: (value, None), lambda _, children: tuple(children)))
register(SequenceNode(list, lambda value: (value, None), lambda _, children: list(children)))
register(MappingNode(dict, _flatten_dict, lambda names, children: dict(_fill(names, children))))
register(
    MappingNode(
        OrderedDict, _flatten_ordered, lambda names, children: OrderedDict(_fill(names, children))
    )
)
register(
    MappingNode(
        defaultdict,
        _flatten_default,
        lambda aux, children: defaultdict(aux[0], _fill(aux[1], children)),
    )
)
