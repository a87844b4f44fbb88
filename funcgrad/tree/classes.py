"""Registration by decorator: node classes, dataclasses, static classes, and `Partial`."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from funcgrad.tree.node_types import NodeType
from funcgrad.tree.registry import register, register_attributes, register_pytree_node

Class = TypeVar("Class", bound=type)


def register_pytree_with_keys(
    nodetype: type,
    flatten_with_keys: Callable[[Any], tuple[Iterable[tuple[Any, Any]], Any]],
    unflatten_func: Callable[[Any, tuple[Any, ...]], Any],
    flatten_func: Callable[[Any], tuple[Iterable[Any], Any]] | None = None,
) -> None:
    """Like `register_pytree_node`, for a class that names its children.

    Args:
        nodetype: the class.
        flatten_with_keys: instance -> ((key, child) pairs, aux_data).
        unflatten_func: (aux_data, children) -> instance.
        flatten_func: instance -> (children, aux_data), when there is a cheaper way.
    """

    def without_keys(value: Any) -> tuple[list[Any], Any]:
        pairs, aux = flatten_with_keys(value)
        return [child for _, child in pairs], aux

    register_pytree_node(nodetype, flatten_func or without_keys, unflatten_func, flatten_with_keys)


def register_pytree_node_class(cls: Class) -> Class:
    """Class decorator: a node through its methods `tree_flatten` and `tree_unflatten`."""
    node: Any = cls
    register_pytree_node(cls, lambda value: value.tree_flatten(), node.tree_unflatten)
    return cls


def register_pytree_with_keys_class(cls: Class) -> Class:
    """Class decorator: a node through `tree_flatten_with_keys` and `tree_unflatten`."""
    node: Any = cls
    flatten = getattr(cls, "tree_flatten", None)
    register_pytree_with_keys(
        cls,
        lambda value: value.tree_flatten_with_keys(),
        node.tree_unflatten,
        None if flatten is None else lambda value: value.tree_flatten(),
    )
    return cls


def register_dataclass(
    nodetype: Class,
    data_fields: Sequence[str] | None = None,
    meta_fields: Sequence[str] | None = None,
    drop_fields: Sequence[str] = (),
) -> Class:
    """Make a dataclass a node.

    Args:
        nodetype: the class; its constructor takes the fields as keywords.
        data_fields: fields that are children.  By default all fields that do not say
            `field(metadata=dict(static=True))`.
        meta_fields: fields that are static data.
        drop_fields: fields that are left to their defaults.

    Returns:
        The class, so that this can be a decorator.

    Raises:
        ValueError: the field lists do not cover the class, or overlap.

    >>> @register_dataclass
    ... @dataclasses.dataclass
    ... class State:
    ...     x: float
    ...     name: str = dataclasses.field(default="", metadata=dict(static=True))
    """
    if (data_fields is None) != (meta_fields is None):
        raise ValueError("[register_dataclass] give both data_fields and meta_fields, or neither")
    if data_fields is None or meta_fields is None:
        data_fields, meta_fields = _fields_by_metadata(nodetype, drop_fields)
    data, meta = tuple(data_fields), tuple(meta_fields)
    _check_fields(nodetype, data, meta, tuple(drop_fields))

    def aux_of(value: Any) -> tuple[Any, ...]:
        return tuple([getattr(value, name) for name in meta])

    def build(aux: tuple[Any, ...], children: tuple[Any, ...]) -> Any:
        fields = dict(zip(data, children, strict=True))
        return nodetype(**fields, **dict(zip(meta, aux, strict=True)))

    register_attributes(nodetype, aux_of, lambda aux: data, build)
    return nodetype


def _fields_by_metadata(cls: type, drop: Sequence[str]) -> tuple[list[str], list[str]]:
    if not dataclasses.is_dataclass(cls):
        raise ValueError(
            f"[register_dataclass] {cls.__qualname__} is not a dataclass: give data_fields and "
            "meta_fields"
        )
    fields = [field for field in dataclasses.fields(cls) if field.init and field.name not in drop]
    static = [field.name for field in fields if field.metadata.get("static", False)]
    return [field.name for field in fields if field.name not in static], static


def _check_fields(
    cls: type, data: tuple[str, ...], meta: tuple[str, ...], drop: tuple[str, ...]
) -> None:
    given = (*data, *meta)
    twice = sorted({name for name in given if given.count(name) > 1})
    if twice:
        raise ValueError(f"[register_dataclass] {cls.__qualname__}: named twice: {twice}")
    if not dataclasses.is_dataclass(cls):
        return
    names = {field.name for field in dataclasses.fields(cls) if field.init}
    missing, unknown = sorted(names - {*given, *drop}), sorted({*given} - names)
    if missing:
        raise ValueError(
            f"[register_dataclass] {cls.__qualname__}: fields {missing} are neither data nor "
            "meta; add them, or name them in drop_fields"
        )
    if unknown:
        raise ValueError(
            f"[register_dataclass] {cls.__qualname__} has no init fields {unknown}; it has "
            f"{sorted(names)}"
        )


def register_static(cls: Class) -> Class:
    """Class decorator: instances are nodes without leaves, compared by `==`.

    >>> @register_static
    ... @dataclasses.dataclass(frozen=True)
    ... class Mode:
    ...     name: str
    """
    register(NodeType(cls, lambda value: ((), value), lambda value, children: value))
    return cls


class Partial(functools.partial):
    """`functools.partial` as a tree: the arguments are children, the function is static.

    >>> from funcgrad import tree
    >>> tree.map(lambda x: x * 2, Partial(pow, 3))(2)
    36
    """

    def __new__(cls, func: Callable[..., Any], /, *args: Any, **keywords: Any) -> "Partial":
        # functools.partial would merge a partial inside; its arguments must stay static.
        if isinstance(func, functools.partial) and not isinstance(func, Partial):
            func = func.__call__
        return super().__new__(cls, func, *args, **keywords)


register_pytree_node(
    Partial,
    lambda partial: ((partial.args, partial.keywords), partial.func),
    lambda func, children: Partial(func, *children[0], **children[1]),
)
