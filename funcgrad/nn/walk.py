"""Modules inside a tree: finding them with their paths, and rebuilding the tree with others in their places."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from funcgrad import tree
from funcgrad.nn.layout import Layout, build
from funcgrad.tree.registry import kind_of


def is_module(value: Any) -> bool:
    """Whether a value is a `Module`."""
    attributes = getattr(value, "__dict__", None)
    if attributes is None:
        return False
    return isinstance(attributes.get("_layout") or attributes.get("_template"), Layout)


def is_leaf(value: Any) -> bool:
    """Whether trees see a value as a leaf: a fast way past most fields."""
    return kind_of(type(value)).is_leaf


def children_of(module: Any) -> Iterator[tuple[str, Any]]:
    """The modules and leaves directly inside a module or container, each with its path from there."""
    if not is_module(module):
        for path, leaf in tree.leaves_with_path(module, is_leaf=is_module):
            yield tree.path_string(path), leaf
        return
    for name in module._layout.children:
        value = getattr(module, name)
        if is_leaf(value):
            yield name, value
            continue
        for path, leaf in tree.leaves_with_path(value, is_leaf=is_module):
            yield join(name, tree.path_string(path)), leaf


def named_modules(model: Any) -> Iterator[tuple[str, Any]]:
    """Every module of a tree with its path, parents first; a shared one at its first place.

    Example:
        >>> from funcgrad import nn
        >>> model = nn.Sequential([nn.Linear(2, 3, key=0), nn.relu])
        >>> [(path, type(module).__name__) for path, module in named_modules(model)]
        [('', 'Sequential'), ('layers.0', 'Linear')]
    """
    seen: set[int] = set()

    def visit(path: str, value: Any) -> Iterator[tuple[str, Any]]:
        if is_module(value):
            if id(value) in seen:
                return
            seen.add(id(value))
            yield path, value
        for step, child in children_of(value):
            if is_module(child):
                yield from visit(join(path, step), child)

    yield from visit("", model)


def path_of(model: Any, module: Any) -> str | None:
    """The path of a module inside a tree; None if it is not there."""
    return next((path for path, found in named_modules(model) if found is module), None)


def join(path: str, step: str) -> str:
    """Two parts of a path as one."""
    return f"{path}.{step}" if path and step else path or step


def map_modules(function: Callable[[Any, Any], Any], model: Any) -> Any:
    """The tree with `function(rebuilt, original)` in the place of each module, innermost first.

    `rebuilt` is the module with new children, and `original` the one of `model`. Shared modules are visited once and
    stay shared; what does not change is the same object as before.
    """
    done: dict[int, Any] = {}

    def visit(value: Any) -> Any:
        if is_module(value):
            if id(value) not in done:
                done[id(value)] = function(with_children(value, visit), value)
            return done[id(value)]
        if is_leaf(value):
            return value
        leaves, treedef = tree.flatten(value, is_leaf=is_module)
        new = [visit(leaf) if is_module(leaf) else leaf for leaf in leaves]
        if all(a is b for a, b in zip(leaves, new, strict=True)):
            return value
        return treedef.unflatten(new)

    return visit(model)


def with_arrays(module: Any, values: dict[str, Any]) -> Any:
    """A module with other arrays in some fields that held arrays before."""
    layout = module._layout
    if any(name not in layout.children for name in values):
        return module.replace(**values)
    new = [values[n] if n in values else getattr(module, n) for n in layout.children]
    return build(layout, tuple(new))


def with_children(module: Any, function: Callable[[Any], Any]) -> Any:
    """A module with `function(value)` as the value of each field that is a child."""
    layout = module._layout
    old = [getattr(module, name) for name in layout.children]
    new = [function(value) for value in old]
    if all(a is b for a, b in zip(old, new, strict=True)):
        return module
    return build(layout, tuple(new))
