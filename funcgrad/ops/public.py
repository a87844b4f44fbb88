"""Public functions of elementwise primitives, with docstrings made from those of the classes.

The docstring of a primitive holds the summary, the source where there is one, and an example; what
is the same for every function (promotion, broadcasting, result) is written here once.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.ir.types import PYTHON_SCALARS
from funcgrad.ops.cast import convert
from funcgrad.ops.families import Elementwise
from funcgrad.ops.operands import array_function, as_operand, operand_key, ufunc_inputs

# The public function for each ufunc of SciPy, by name: SciPy need not be imported to know it.
FUNCTION_OF_UFUNC: dict[str, Callable[..., Any]] = {}

RESULTS = {
    "same": "in the dtype that NumPy promotes the arguments to.",
    "bool": "of dtype bool.",
    "real": "in the dtype of the real part of the promoted arguments.",
}


def unary(primitive: Elementwise, name: str = "") -> Callable[[Any], Any]:
    """The public function of a primitive with one operand."""

    def function(x: Any, /) -> Any:
        return primitive.apply(x)

    return document(function, primitive, name or primitive.name, "x")


def binary(primitive: Elementwise) -> Callable[[Any, Any], Any]:
    """The public function of a primitive with two operands."""

    def function(x: Any, y: Any, /) -> Any:
        return primitive.apply(x, y)

    return document(function, primitive, primitive.name, "x, y")


def document(
    function: Callable[..., Any], primitive: Elementwise, name: str, operands: str
) -> Callable[..., Any]:
    """Name and docstring for the public function of a primitive."""
    text = inspect.getdoc(type(primitive)) or ""
    summary, _, example = text.partition("Example:\n")
    several = "," in operands
    kind = "arrays or numbers, broadcast against each other." if several else "array or number."
    shape = "the broadcast shape" if several else "the shape of `x`"
    function.__doc__ = (
        f"{summary.rstrip()}\n\nArgs:\n    {operands}: {kind}\n\n"
        f"Returns:\n    An array of {shape}, {RESULTS[primitive.result]}\n\nExample:\n{example}"
    )
    function.__name__ = function.__qualname__ = name
    function.__module__ = type(primitive).__module__
    if ":" in primitive.ufunc:
        FUNCTION_OF_UFUNC[primitive.ufunc] = function
    return function


def promote_as(ufunc: str, *args: Any) -> list[Any]:
    """Operands converted to the dtypes that this NumPy or SciPy ufunc would read."""
    operands = [as_operand(arg) for arg in args]
    keys = tuple([operand_key(x) for x in operands])
    dtypes = ufunc_inputs(ufunc, array_function(np, ufunc), keys)
    return [convert(x, dtype) for x, dtype in zip(operands, dtypes, strict=True)]


def dtype_of_number(value: Any) -> np.dtype | None:
    """The dtype of an array, tracer or NumPy scalar; None for Python scalars and lists."""
    return None if type(value) in PYTHON_SCALARS else getattr(value, "dtype", None)
