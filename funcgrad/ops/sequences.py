"""Lists and tuples as arrays, as in NumPy, also where traced values are inside."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ir.devices import is_cupy_array
from funcgrad.ir.tracer import Tracer
from funcgrad.ir.types import PYTHON_SCALARS
from funcgrad.ops.cast import convert
from funcgrad.ops.operands import RULES, as_operand, shape_of
from funcgrad.ops.pieces import stack
from funcgrad.ops.select import promote


def contains_tracer(value: Any) -> bool:
    """Whether a nested list holds a traced value, or an array on a GPU: NumPy can read neither."""
    if isinstance(value, list | tuple):
        return any(map(contains_tracer, value))
    return isinstance(value, Tracer) or is_cupy_array(value)


def from_sequence(values: Any) -> Any:
    """The array of a nested list of numbers, arrays and traced values of equal shapes."""
    if not contains_tracer(values):
        return from_numbers(values)
    items = [from_sequence(v) if isinstance(v, list | tuple) else as_operand(v) for v in values]
    items = promote(*items)
    dtype = next(item.dtype for item in items if hasattr(item, "dtype"))
    shapes = [shape_of(item) for item in items]
    if any(shape != shapes[0] for shape in shapes):
        raise ValueError(
            f"[asarray] the items of a list must have equal shapes, but got {shapes}. "
            "Use np.concatenate for arrays of different lengths."
        )
    return stack([convert(item, dtype) for item in items])


def from_numbers(values: Any) -> np.ndarray:
    """The array of a nested list without traced values; object arrays are refused."""
    array = np.asarray(values)
    if array.dtype.kind == "O":
        raise TypeError(
            f"Expected numbers in the list, but got {values!r:.60}. funcgrad computes with numeric arrays; "
            "keep other objects outside of them."
        )
    return array


def as_array(value: Any) -> Any:
    """`value` as a strong array, NumPy scalar or tracer; Python scalars get NumPy's default dtype."""
    if type(value) is np.ndarray:
        return value
    if isinstance(value, Tracer):
        return convert(value, value.dtype) if value.weak else value
    value = as_operand(value)
    return np.asarray(value)[()] if type(value) in PYTHON_SCALARS else value


RULES["asarray"] = from_sequence
