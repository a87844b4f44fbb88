"""Choosing between arrays, element by element."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.numpy.register import is_plain, numpy_function
from funcgrad.numpy.searching import nonzero
from funcgrad.ops import select as ops
from funcgrad.ops.cast import convert
from funcgrad.ops.compare import (
    logical_and,
    logical_not,
)
from funcgrad.ops.create import full
from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.ops.sequences import as_array


@numpy_function(np.where)
def numpy_where(condition: Any, x: Any = None, y: Any = None, /) -> Any:
    """`np.where`: choose elements, or find those that hold."""
    return where(condition, x, y)


def where(
    condition: Any,
    x: Any = None,
    y: Any = None,
    /,
    *,
    size: int | None = None,
    fill_value: Any = None,
) -> Any:
    """`x` where `condition` holds, else `y`; with one argument the positions where it holds.

    The branch that is not taken contributes exactly zero to a derivative.

    Args:
        condition: boolean array.
        x, y: arrays; all three broadcast.
        size, fill_value: with one argument, as in `nonzero`.

    Example:
        >>> import funcgrad.numpy as fnp
        >>> fnp.where(fnp.arange(4) > 1, 1.0, 0.0)
        array([0., 0., 1., 1.])
    """
    if x is not None and y is not None and is_plain(condition, x, y):
        return np.where(condition, x, y)
    if x is None and y is None:
        return nonzero(condition, size=size, fill_value=fill_value)
    if x is None or y is None:
        raise ValueError("[where] give both x and y, or neither.")
    return ops.select(condition, as_choice(x), as_choice(y))


def as_choice(value: Any) -> Any:
    """Lists become arrays; numbers stay weak."""
    return as_array(value) if isinstance(value, list | tuple) else value


@numpy_function(np.select)
def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Any:
    """For each element the choice of the first condition that holds, else `default`."""
    if len(condlist) != len(choicelist) or not condlist:
        raise ValueError(
            f"[select] got {len(condlist)} conditions and {len(choicelist)} choices; it needs one choice "
            "per condition, at least one."
        )
    dtypes = [c if isinstance(c, int | float | complex) else as_array(c).dtype for c in choicelist]
    dtypes.append(
        default if isinstance(default, int | float | complex) else as_array(default).dtype
    )
    dtype = np.result_type(*dtypes)
    out = convert(as_array(default), dtype)
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        out = ops.select(condition, convert(as_array(choice), dtype), out)
    return out


@numpy_function(np.piecewise)
def piecewise(x: Any, condlist: Any, funclist: Sequence[Any], *args: Any, **options: Any) -> Any:
    """For each element the function whose condition holds; the last such wins.

    Args:
        x: array.
        condlist: boolean arrays of the shape of `x`.
        funclist: functions (or numbers), one per condition and optionally one for the rest. Each sees the
            whole of `x`; what it computes where its condition does not hold is not used.
        args, options: handed to the functions.
    """
    x = as_array(x)
    if not isinstance(condlist, list | tuple) or ndim_of(condlist[0]) < ndim_of(x):
        condlist = [condlist]
    conditions = [as_array(c) for c in condlist]
    if len(funclist) == len(conditions) + 1:
        none = logical_not(conditions[0])
        for condition in conditions[1:]:
            none = logical_and(none, logical_not(condition))
        conditions.append(none)
    if len(funclist) != len(conditions):
        raise ValueError(
            f"[piecewise] got {len(conditions)} conditions and {len(funclist)} functions; it needs one "
            "function per condition, and at most one more."
        )
    out = full(shape_of(x), 0, x.dtype)
    for condition, function in zip(conditions, funclist, strict=True):
        value = function(x, *args, **options) if callable(function) else function
        out = ops.select(condition, convert(as_array(value), x.dtype), out)
    return out
