"""Shapes in the place of arrays, where nothing is computed."""

from __future__ import annotations

from typing import Any

from funcgrad import tree
from funcgrad.ir.types import ShapeDtypeStruct


def as_structures(inputs: tuple) -> tuple:
    """Inputs with `ShapeDtypeStruct`s in the place of shapes."""
    return tuple(tree.map(_structure, one, is_leaf=is_shape) for one in inputs)


def is_shape(value: Any) -> bool:
    """Whether a value is a tuple of ints."""
    return isinstance(value, tuple) and all(type(n) is int for n in value)


def _structure(value: Any) -> Any:
    return ShapeDtypeStruct(value, "float32") if is_shape(value) else value
