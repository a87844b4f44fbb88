"""Key paths: which step leads from a node to a child, and how a path is spelled."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class DictKey:
    """The child of a mapping under `key`."""

    key: Any

    def __str__(self) -> str:
        return f"[{self.key!r}]"


@dataclass(frozen=True, slots=True)
class SequenceKey:
    """The child of a list or tuple at index `idx`."""

    idx: int

    def __str__(self) -> str:
        return f"[{self.idx}]"


@dataclass(frozen=True, slots=True)
class GetAttrKey:
    """The child that is the attribute `name`."""

    name: str

    def __str__(self) -> str:
        return f".{self.name}"


@dataclass(frozen=True, slots=True)
class FlattenedIndexKey:
    """Child number `key` of a registered class that gives its children no names."""

    key: int

    def __str__(self) -> str:
        return f"[<flat index {self.key}>]"


KeyPath = tuple[Any, ...]


def keystr(keys: KeyPath, *, simple: bool = False, separator: str = "") -> str:
    """Spell a key path.

    Args:
        keys: the path, as `tree.leaves_with_path` gives it.
        simple: leave out brackets and quotes.
        separator: text between two keys.

    >>> keystr((DictKey("w"), SequenceKey(0)))
    "['w'][0]"
    >>> keystr((DictKey("w"), SequenceKey(0)), simple=True, separator=".")
    'w.0'
    """
    return separator.join(_bare(key) if simple else str(key) for key in keys)


def path_string(keys: KeyPath) -> str:
    """Spell a key path the one way it appears in errors, filters and files.

    >>> path_string((GetAttrKey("layers"), SequenceKey(0), GetAttrKey("weight")))
    'layers.0.weight'
    """
    return keystr(keys, simple=True, separator=".")


def _bare(key: Any) -> str:
    match key:
        case DictKey(key=value) | SequenceKey(idx=value) | FlattenedIndexKey(key=value):
            return str(value)
        case GetAttrKey(name=name):
            return name
        case _:
            return str(key)
