"""Indexing with brackets: reading with views, and writing, which makes a new array."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.ir.tracer import Tracer, rebind, register_view
from funcgrad.ir.types import PYTHON_SCALARS, is_complex
from funcgrad.ops.arithmetic import add, divide, multiply
from funcgrad.ops.cast import convert
from funcgrad.ops.create import full
from funcgrad.ops.extrema import maximum, minimum
from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.ops.pieces import STATIC_SLICE
from funcgrad.ops.power import power
from funcgrad.ops.scatter import as_column, scatter
from funcgrad.ops.select import select
from funcgrad.ops.selection import Selection, select_elements
from funcgrad.ops.sequences import as_array


def getitem(x: Any, key: Any) -> Any:
    """`x[key]` with all of NumPy's indexing rules, for arrays and traced values.

    Integers, slices, None, ellipsis, integer arrays (also traced ones) and concrete boolean masks may be mixed.
    Of a traced value the result is a view where NumPy's is: a write to one is seen by the other.

    Raises:
        IndexError: for an index out of bounds, also in compiled code.
        NonConcreteBooleanIndexError: for a mask whose values are not known yet.

    Example:
        >>> import numpy as np
        >>> getitem(np.arange(6).reshape(2, 3), (slice(None), [2, 0]))
        array([[2, 0],
               [5, 3]])
    """
    x = as_array(x)
    selection = select_elements(shape_of(x), key)
    out = selection.read(x)
    if not selection.is_view or not isinstance(x, Tracer):
        return out
    return register_view(
        x, out, selection.read, lambda base, new: selection.write(replace, base, new)
    )


def setitem(x: Tracer, key: Any, value: Any) -> None:
    """`x[key] = value` for a traced value: `x`, its base and its views are rebound to new arrays."""
    rebind(x, write(x, key, value, "set"))


# --- writing ------------------------------------------------------------------------------------

# How updates are combined into elements that are named once.
COMBINE: dict[str, Callable[[Any, Any], Any]] = {
    "set": lambda x, updates: updates,
    "add": add,
    "multiply": multiply,
    "divide": divide,
    "power": power,
    "min": minimum,
    "max": maximum,
}


def combiner(name: str, unique: bool = False) -> Callable[..., Any]:
    """The `combine` argument of `Selection.write` for one of the names in `COMBINE`."""

    def combine(x: Any, *args: Any) -> Any:
        if len(args) == 1:
            return COMBINE[name](x, args[0])
        indices, updates, labels, drop = args
        if name in ("divide", "power"):
            # Of several updates for one element, all count: x / (u * v), x ** (u * v).
            ones = full(shape_of(x), 1, x.dtype)
            factor = scatter("multiply", ones, indices, updates, labels, drop, unique)
            return COMBINE[name](x, factor)
        return scatter(name, x, indices, updates, labels, drop, unique)

    return combine


replace = combiner("set")


def write(
    x: Any, key: Any, value: Any, name: str, mode: str | None = None, unique: bool = False
) -> Any:
    """`x` with `value` combined into `x[key]`, in the dtype of `x`."""
    value = cast_assigned(value, x.dtype) if name == "set" else cast_combined(name, value, x.dtype)
    mask = whole_mask(key, shape_of(x))
    if mask is not None:
        column = as_column(mask, x)
        row = drop_selected_axis(value, ndim_of(x) - ndim_of(mask))
        if row is not None:
            return select(column, COMBINE[name](x, row), x)
    selection: Selection = select_elements(shape_of(x), key, mode)
    return selection.write(combiner(name, unique), x, value)


def cast_assigned(value: Any, dtype: np.dtype) -> Any:
    """A value in the dtype of the array it is assigned to, by NumPy's rules for assignment."""
    if type(value) in PYTHON_SCALARS:
        return np.asarray(value, dtype)[()]
    value = as_array(value)
    if is_complex(value.dtype) and not is_complex(dtype):
        message = "Casting complex values to real discards the imaginary part"
        warnings.warn(message, np.exceptions.ComplexWarning, stacklevel=4)
    return convert(value, dtype)


def cast_combined(name: str, value: Any, dtype: np.dtype) -> Any:
    """A value in the dtype of the array it is combined with; refused where that would lose its kind."""
    if type(value) not in PYTHON_SCALARS:
        value = as_array(value)
    found = np.result_type(value if type(value) in PYTHON_SCALARS else value.dtype, dtype)
    if name == "divide":
        found = np.result_type(found, np.float16)
    if not np.can_cast(found, dtype, "same_kind"):
        raise TypeError(
            f"[at.{name}] cannot combine {found} values into an array of dtype {dtype}. "
            f"Convert the array first: x.astype({found.name!r})."
        )
    return np.asarray(value, dtype)[()] if type(value) in PYTHON_SCALARS else convert(value, dtype)


def whole_mask(key: Any, shape: tuple) -> Any:
    """The boolean array that is the whole key and fits the leading axes of `shape`, or None."""
    if isinstance(key, tuple) and len(key) == 1:
        key = key[0]
    if not isinstance(key, Tracer | np.ndarray) or key.dtype != np.bool_ or not key.shape:
        return None
    return key if key.shape == shape[: key.ndim] else None


def drop_selected_axis(value: Any, rank: int) -> Any:
    """`value` without its axis over the elements that a mask selects; None if they get different values."""
    shape = shape_of(value)
    if len(shape) <= rank:
        return value
    extra = len(shape) - rank
    if any(n != 1 for n in shape[:extra]):
        return None
    return STATIC_SLICE(value, spec=(*(0,) * extra, *((0, n, 1) for n in shape[extra:])))
