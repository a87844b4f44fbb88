"""Which classes are nodes of a tree, how each is taken apart, and which leaves can be shared.

Every class that is not a node is a leaf.  A leaf whose class is an *identity type* (arrays,
tracers) counts once however many positions of a tree hold it; other leaves are plain values.
"""

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from funcgrad.tree.keys import DictKey, FlattenedIndexKey, GetAttrKey, SequenceKey

_MAX_KNOWN = 4096


class NodeType:
    """How instances of one class become (children, aux) and back.

    `access` tells the code generator how to reach the children: "sequence", "mapping",
    "attributes", "none", or "call" when only `split` can tell.
    """

    is_leaf = False
    access = "call"

    def __init__(
        self,
        cls: type,
        flatten: Callable[[Any], tuple[Iterable[Any], Any]],
        unflatten: Callable[[Any, tuple[Any, ...]], Any],
        flatten_with_keys: Callable[[Any], tuple[Iterable[tuple[Any, Any]], Any]] | None = None,
        *,
        identity: bool = False,
    ):
        self.cls = cls
        self.flatten = flatten
        self.unflatten = unflatten
        self.flatten_with_keys = flatten_with_keys
        self.identity = identity

    def split(self, value: Any) -> tuple[tuple[Any, ...], Any, tuple[Any, ...] | None]:
        """Return the children, the aux data, and the keys if the class names them itself."""
        if self.flatten_with_keys is None:
            children, aux = self._pair(self.flatten(value))
            return tuple(children), aux, None
        pairs, aux = self._pair(self.flatten_with_keys(value))
        pairs = tuple(pairs)
        return tuple([child for _, child in pairs]), aux, tuple([key for key, _ in pairs])

    def _pair(self, result: Any) -> tuple[Any, Any]:
        if isinstance(result, tuple) and len(result) == 2:
            return result
        raise ValueError(
            f"[tree] the flatten function of {self.cls.__qualname__} must return "
            f"(children, aux_data), got {type(result).__name__}"
        )

    def keys(self, aux: Any, count: int) -> tuple[Any, ...]:
        """Keys of the children of a node with this aux data."""
        del aux
        return tuple([FlattenedIndexKey(index) for index in range(count)])

    def show(self, aux: Any, children: list[str]) -> str:
        """Text of a node inside the print of a `PyTreeDef`."""
        return f"CustomNode({self.cls.__name__}[{aux}], [{', '.join(children)}])"

    def describe(self, aux: Any, count: int) -> str:
        """Text of a node inside an error message."""
        del aux, count
        return self.cls.__qualname__


class NoneNode(NodeType):
    """`None`: a node without children."""

    access = "none"

    def show(self, aux: Any, children: list[str]) -> str:
        return "None"

    def describe(self, aux: Any, count: int) -> str:
        return "None"


class SequenceNode(NodeType):
    """Tuples and lists."""

    access = "sequence"

    def keys(self, aux: Any, count: int) -> tuple[Any, ...]:
        return tuple([SequenceKey(index) for index in range(count)])

    def show(self, aux: Any, children: list[str]) -> str:
        if self.cls is list:
            return f"[{', '.join(children)}]"
        return f"({', '.join(children)}{',' if len(children) == 1 else ''})"

    def describe(self, aux: Any, count: int) -> str:
        return f"{self.cls.__name__} of length {count}"


class NamedTupleNode(NodeType):
    """Tuple classes with named fields; the class itself is the aux data."""

    access = "sequence"

    def __init__(self, cls: type):
        # tuple.__new__ and not cls(...): user code in __new__ must not see placeholder leaves.
        super().__init__(
            cls, lambda value: (value, None), lambda _, children: tuple.__new__(cls, children)
        )

    def keys(self, aux: Any, count: int) -> tuple[Any, ...]:
        return tuple([GetAttrKey(name) for name in self.cls._fields])  # pyright: ignore

    def show(self, aux: Any, children: list[str]) -> str:
        return f"CustomNode(namedtuple[{self.cls.__name__}], [{', '.join(children)}])"


class MappingNode(NodeType):
    """dict, OrderedDict and defaultdict."""

    access = "mapping"

    def names(self, aux: Any) -> tuple[Any, ...]:
        """The mapping's keys in the order of the children."""
        return aux[1] if self.cls is defaultdict else aux

    def keys(self, aux: Any, count: int) -> tuple[Any, ...]:
        return tuple([DictKey(name) for name in self.names(aux)])

    def show(self, aux: Any, children: list[str]) -> str:
        if self.cls is not dict:
            return super().show(aux, children)
        items = [f"{name!r}: {child}" for name, child in zip(aux, children, strict=True)]
        return f"{{{', '.join(items)}}}"

    def describe(self, aux: Any, count: int) -> str:
        return f"{self.cls.__name__} with keys {list(self.names(aux))}"


class AttributeNode(NodeType):
    """Classes whose children are attributes; see `register_attributes`."""

    access = "attributes"

    def __init__(
        self,
        cls: type,
        aux_of: Callable[[Any], Any],
        names_of: Callable[[Any], tuple[str, ...]],
        build: Callable[[Any, tuple[Any, ...]], Any],
        identity: bool,
    ):
        super().__init__(cls, self._flatten, build, identity=identity)
        self.aux_of = aux_of
        self.names_of = names_of

    def _flatten(self, value: Any) -> tuple[tuple[Any, ...], Any]:
        aux = self.aux_of(value)
        return tuple([getattr(value, name) for name in self.names_of(aux)]), aux

    def keys(self, aux: Any, count: int) -> tuple[Any, ...]:
        return tuple([GetAttrKey(name) for name in self.names_of(aux)])

    def describe(self, aux: Any, count: int) -> str:
        return f"{self.cls.__qualname__} with fields {list(self.names_of(aux))}"


class LeafType:
    """The kind of a class that is not a node."""

    is_leaf = True

    def __init__(self, identity: bool):
        self.identity = identity


_VALUE = LeafType(identity=False)
_SHARED = LeafType(identity=True)

_lock = threading.RLock()
_registered: dict[type, NodeType] = {}
_identity_bases: tuple[type, ...] = (np.ndarray,)

# What is known about each class met so far.  Generated code holds references to the two sets,
# so they are emptied and filled but never replaced.
kinds: dict[type, NodeType | LeafType] = {}
leaf_types: set[type] = set()
shared_types: set[type] = set()


def kind_of(cls: type) -> NodeType | LeafType:
    """The kind of a class; `kinds.get(cls) or kind_of(cls)` is the fast way to ask."""
    with _lock:
        kind = _registered.get(cls) or _unregistered_kind(cls)
        if len(kinds) >= _MAX_KNOWN:
            _forget()
        kinds[cls] = kind
        if kind.is_leaf:
            leaf_types.add(cls)
            if kind.identity:
                shared_types.add(cls)
        return kind


def _unregistered_kind(cls: type) -> NodeType | LeafType:
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return NamedTupleNode(cls)
    return _SHARED if issubclass(cls, _identity_bases) else _VALUE


def _forget() -> None:
    kinds.clear()
    leaf_types.clear()
    shared_types.clear()
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
) -> None:
    """Make a class whose children are attributes a node, with generated code reading them.

    Args:
        nodetype: the class; subclasses are not included.
        aux_of: instance -> aux data.  An `operator.attrgetter` is fastest; the same aux
            *object* on every instance of one shape makes the check a pointer comparison.
        names_of: aux data -> names of the attributes that are children, in order.
        build: (aux data, children) -> instance.
        identity: as in `register_pytree_node`.

    >>> class Pair:
    ...     def __init__(self, left, right):
    ...         self.left, self.right = left, right
    >>> register_attributes(
    ...     Pair, lambda pair: None, lambda aux: ("left", "right"), lambda aux, c: Pair(*c)
    ... )
    """
    register(AttributeNode(nodetype, aux_of, names_of, build, identity))


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
