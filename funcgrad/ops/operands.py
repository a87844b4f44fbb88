"""Operands of primitives: what is accepted, the shapes that broadcast, and the dtypes to which they are promoted."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.ir.devices import is_cupy_array
from funcgrad.ir.primitive import LinearInput
from funcgrad.ir.tracer import Tracer
from funcgrad.ir.types import BOOL, PYTHON_SCALARS, SCALAR_DTYPES

# Filled by the files that define them; the families and their rules need these few linear ops.
RULES: dict[str, Callable[..., Any]] = {}


def shape_of(value: Any) -> tuple:
    return getattr(value, "shape", ())


def ndim_of(value: Any) -> int:
    return len(getattr(value, "shape", ()))


def broadcast_shapes(name: str, shapes: Sequence[tuple]) -> tuple:
    """NumPy's broadcasting, with an error that names the operation and shows all shapes."""
    if shapes.count(shapes[0]) == len(shapes):
        return shapes[0]
    if len(shapes) == 2 and () in shapes:
        return shapes[0] or shapes[1]
    rank = max(map(len, shapes))
    result = []
    for axis in range(-rank, 0):
        lengths = {shape[axis] for shape in shapes if len(shape) >= -axis}
        lengths.discard(1)
        if len(lengths) > 1:
            shown = " and ".join(str(shape) for shape in shapes)
            raise ValueError(
                f"[{name}] shapes {shown} do not broadcast: axis {axis} has lengths "
                f"{sorted(lengths, key=str)}. Lengths must be equal or 1; use x[:, None] or "
                "np.expand_dims(x, axis) to line the axes up."
            )
        result.append(lengths.pop() if lengths else 1)
    return tuple(result)


# --- promotion ---


ARRAY_CLASSES = (np.ndarray, np.generic)


def as_operand(value: Any) -> Any:
    """An array, tracer or Python scalar; lists become arrays, everything else is refused."""
    if isinstance(value, Tracer):
        return value
    if isinstance(value, ARRAY_CLASSES) or type(value) in PYTHON_SCALARS:
        if type(value) is np.ndarray or not isinstance(value, np.ndarray):
            return value
        if isinstance(value, np.matrix | np.ma.MaskedArray):
            raise TypeError(
                f"funcgrad computes with plain arrays, but got a {type(value).__name__}. "
                "Pass np.asarray(x), or x.filled(0.0) for a masked array."
            )
        return np.asarray(value)
    if isinstance(value, list | tuple):
        return RULES["asarray"](value)
    if is_cupy_array(value):
        return value
    if hasattr(value, "__array__"):
        return np.asarray(value)
    if isinstance(value, LinearInput):
        raise TypeError(
            "[linear_transpose] the function is not linear: it multiplies values that all depend on its "
            f"arguments, one of them {value.type}. Use funcgrad.vjp(fun, x), which transposes its derivative."
        )
    raise TypeError(
        f"Expected an array or a number, but got {type(value).__name__}: {value!r:.60}. "
        "Pass an array, or mark the argument static: funcgrad.jit(fun, static_argnames=(...,))."
    )


def converted(args: Sequence[Any], dtypes: Sequence[np.dtype | None]) -> list[Any]:
    """Operands in these dtypes; None for one that stays as it is."""
    return [
        arg if dtype is None else RULES["convert"](arg, dtype)
        for arg, dtype in zip(args, dtypes, strict=True)
    ]


def operand_key(value: Any) -> Any:
    """What promotion depends on: a dtype; a Python type for a Python scalar; both for a weak tracer."""
    if isinstance(value, Tracer):
        return value.promotion
    dtype = getattr(value, "dtype", None)
    if dtype is None:
        return BOOL if type(value) is bool else type(value)
    return dtype


def ufunc_inputs(name: str, ufunc: Any, key: tuple) -> Sequence[np.dtype]:
    """The dtypes that the loop of a NumPy ufunc reads for these operands."""
    kinds = [k[0] if isinstance(k, tuple) else k for k in key]
    if all(isinstance(k, type) for k in kinds):
        kinds = [SCALAR_DTYPES[k] for k in kinds]
    kinds = [k.newbyteorder("=") if isinstance(k, np.dtype) else k for k in kinds]
    try:
        return ufunc.resolve_dtypes((*kinds, *[None] * ufunc.nout))[: len(key)]
    except TypeError as error:
        shown = ", ".join(k.__name__ if isinstance(k, type) else str(k) for k in kinds)
        raise TypeError(f"[{name}] is not defined for ({shown}): {error}") from None


def array_function(xp: Any, name: str) -> Callable[..., Any]:
    """`xp.name`, or a SciPy (CuPy: cupyx.scipy) function for a name such as "scipy.special:erf"."""
    if ":" not in name:
        return getattr(xp, name)
    module, _, attribute = name.partition(":")
    prefix = "" if xp is np else "cupyx."
    return getattr(importlib.import_module(prefix + module), attribute)
