"""What a container class is to a tree: how it comes apart and back together, how it prints."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from funcgrad.tree.keys import DictKey, FlattenedIndexKey, GetAttrKey, SequenceKey


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
            return *self.split_without_keys(value), None
        pairs, aux = self._pair(self.flatten_with_keys(value))
        pairs = tuple(pairs)
        return tuple([child for _, child in pairs]), aux, tuple([key for key, _ in pairs])

    def split_without_keys(self, value: Any) -> tuple[tuple[Any, ...], Any]:
        """Return the children and the aux data."""
        children, aux = self._pair(self.flatten(value))
        return tuple(children), aux

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

    def constants(self, aux: Any) -> tuple[int, ...]:
        """Numbers of the children whose leaves derivatives treat as constant."""
        del aux
        return ()

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

    def __init__(self, cls: Any):
        self.fields: tuple[str, ...] = cls._fields
        # tuple.__new__ and not cls(...): user code in __new__ must not see placeholder leaves.
        super().__init__(
            cls, lambda value: (value, None), lambda _, children: tuple.__new__(cls, children)
        )

    def keys(self, aux: Any, count: int) -> tuple[Any, ...]:
        return tuple([GetAttrKey(name) for name in self.fields])

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
        constants_of: Callable[[Any], tuple[str, ...]],
    ):
        super().__init__(cls, self._flatten, build, identity=identity)
        self.aux_of = aux_of
        self.names_of = names_of
        self.constants_of = constants_of

    def _flatten(self, value: Any) -> tuple[tuple[Any, ...], Any]:
        aux = self.aux_of(value)
        return tuple([getattr(value, name) for name in self.names_of(aux)]), aux

    def keys(self, aux: Any, count: int) -> tuple[Any, ...]:
        return tuple([GetAttrKey(name) for name in self.names_of(aux)])

    def constants(self, aux: Any) -> tuple[int, ...]:
        found = self.constants_of(aux)
        return tuple([i for i, name in enumerate(self.names_of(aux)) if name in found])

    def describe(self, aux: Any, count: int) -> str:
        return f"{self.cls.__qualname__} with fields {list(self.names_of(aux))}"


class LeafType:
    """The kind of a class that is not a node."""

    is_leaf = True

    def __init__(self, identity: bool):
        self.identity = identity
