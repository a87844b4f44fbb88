"""How a function of this namespace stands in for NumPy's.

Where no transformation runs, NumPy's own function is called. Inside one, the function here is, and it
composes operations that can be recorded, differentiated and batched. Both have the same meaning.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numpy as np

from funcgrad.config import config
from funcgrad.ir.devices import is_cupy_array, near, only_numpy
from funcgrad.ir.tracer import FUNCTIONS, Tracer, state
from funcgrad.tree import leaves

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def is_plain(*values: Any) -> bool:
    """Whether NumPy itself may be called for these arguments: nothing is traced, and none is on a GPU."""
    return not (state.stack or config.checks_values or has_gpu_array(values))


def has_gpu_array(values: Any) -> bool:
    """Whether a CuPy array is among the leaves of a tree. CuPy lacks some functions, and others differ from NumPy's."""
    return not only_numpy() and any(map(is_cupy_array, leaves(values)))


def numpy_function(
    *originals: Any, view: bool = False
) -> Callable[[Callable[Arguments, Result]], Callable[Arguments, Result]]:
    """Make the decorated function the meaning of NumPy functions on traced values.

    Args:
        originals: the functions of NumPy; the first one runs where nothing is traced.
        view: whether the result may share memory with the first argument.
    """
    eager = originals[0]

    def decorate(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
        traced = function if view else fresh(function)
        for original in originals:
            FUNCTIONS[original] = traced

        @functools.wraps(function)
        def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
            if state.stack or config.checks_values:
                return traced(*args, **kwargs)
            if has_gpu_array((args, kwargs)):
                with near(leaves((args, kwargs))):
                    return traced(*args, **kwargs)
            return eager(*args, **kwargs)

        return call

    return decorate


def fresh(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, but an argument that would be returned as it is gets copied, as in NumPy."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        out = function(*args, **kwargs)
        if args and out is args[0]:
            return copy_of(out)
        for arg in kwargs.values():
            if out is arg:
                return copy_of(out)
        return out

    return call


def copy_of(value: Any) -> Any:
    """The same array, sharing no memory with `value` and not following writes to it."""
    if isinstance(value, Tracer):
        return value.new_copy()
    return value.copy() if isinstance(value, np.ndarray) or is_cupy_array(value) else value
