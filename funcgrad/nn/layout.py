"""What is fixed about one module: which fields are children, and the values of all others.

A `Layout` is the static data of a module in a tree.  Equal layouts are one object, so that
checking a known structure is a pointer comparison.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import WeakValueDictionary

from funcgrad.tree.static import equal_keys, strict_key

_MUTABLE = (list, dict, set)
_layouts: WeakValueDictionary[Any, Layout] = WeakValueDictionary()


class Layout:
    """The class, the field names and the static field values of a module.

    Attributes:
        cls: the module's class.
        fields: names of all fields, in the order they are printed.
        children: names of the fields that hold arrays or modules.
        static: the other fields.
        frozen: names of children that were frozen.
        constants: names of children that get no gradient: frozen ones and buffers.
        is_snapshot: whether a static value is a list, dict or set: modules get copies of it, and are
            looked at anew each time.
    """

    __slots__ = (
        "__weakref__",
        "children",
        "cls",
        "constants",
        "fields",
        "frozen",
        "is_snapshot",
        "key",
        "static",
    )

    def __init__(
        self,
        cls: type,
        fields: tuple[str, ...],
        children: tuple[str, ...],
        static: dict[str, Any],
        frozen: tuple[str, ...] = (),
    ) -> None:
        self.cls = cls
        self.fields = fields
        self.children = children
        self.frozen = frozen
        buffers = [name for name in children if is_buffer(cls, name)]
        self.constants = tuple(dict.fromkeys([*buffers, *frozen]))
        self.is_snapshot = any(map(_is_mutable, static.values()))
        self.static = _copied(static) if self.is_snapshot else static
        names = tuple(static)
        self.key = (cls, fields, children, names, tuple(map(_frozen, static.values())), frozen)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Layout) and equal_keys(self.key, other.key))

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        shown = [f"{name}={value!r:.60}" for name, value in self.static.items()]
        return ", ".join([*shown, f"frozen: {', '.join(self.frozen)}"] if self.frozen else shown)

    def __reduce__(self) -> Any:
        return make_layout, (self.cls, self.fields, self.children, self.static, self.frozen)

    def __deepcopy__(self, memo: Any) -> Layout:
        del memo
        return self


def make_layout(
    cls: type,
    fields: tuple[str, ...],
    children: tuple[str, ...],
    static: Mapping[str, Any],
    frozen: tuple[str, ...] = (),
) -> Layout:
    """The layout with these parts; the same object for equal parts."""
    layout = Layout(cls, fields, children, dict(static), frozen)
    try:
        return _layouts.setdefault(layout.key, layout)
    except TypeError:  # a static value without a hash; jit will say so if it is used there
        return layout


def build(layout: Layout, children: tuple[Any, ...]) -> Any:
    """A module from its children, without calling `__init__`."""
    module = object.__new__(layout.cls)
    attributes = module.__dict__
    attributes.update(_copied(layout.static) if layout.is_snapshot else layout.static)
    attributes.update(zip(layout.children, children, strict=True))
    attributes["_template" if layout.is_snapshot else "_layout"] = layout
    return module


def is_buffer(cls: Any, name: str) -> bool:
    """Whether a class declares a field as `field(buffer=True)`."""
    declared = cls.__dataclass_fields__.get(name)
    return declared is not None and declared.metadata.get("buffer", False)


def _is_mutable(value: Any) -> bool:
    if type(value) is tuple:
        return any(map(_is_mutable, value))
    return type(value) in _MUTABLE


def _copied(value: Any) -> Any:
    """The value with its own lists, dicts and sets."""
    if type(value) in (list, tuple):
        return type(value)(map(_copied, value))
    if type(value) is dict:
        return {key: _copied(item) for key, item in value.items()}
    return set(value) if type(value) is set else value


def _frozen(value: Any) -> Any:
    """A stand-in like `strict_key` that can be hashed although lists, dicts and sets are inside."""
    cls = type(value)
    if cls in (list, tuple):
        return (cls, *map(_frozen, value))
    if cls is dict:
        items = ((strict_key(key), _frozen(item)) for key, item in value.items())
        return (cls, frozenset(items))
    if cls is set:
        return (cls, frozenset(map(strict_key, value)))
    return strict_key(value)
