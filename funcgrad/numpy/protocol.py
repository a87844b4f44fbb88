"""How NumPy, the array API and CuPy hand their calls to traced values.

NumPy's ufuncs arrive in `__array_ufunc__`, its other functions in `__array_function__`; CuPy's kernels arrive
by their names. What has no counterpart raises TypeError: nothing ever falls back to object arrays.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad import errors
from funcgrad.ir import source
from funcgrad.ir.tracer import FUNCTIONS, UFUNC_METHODS, UFUNCS, Tracer
from funcgrad.numpy import ufunc_methods  # noqa: F401 (fills UFUNC_METHODS)
from funcgrad.numpy.ufunc import call_ufunc, new_value
from funcgrad.ops.operators import is_operand

KNOWN_TYPES = (np.ndarray, Tracer)
# CuPy names some kernels differently from the ufuncs they stand for.
CUPY_KERNELS: Any = {"copy": "positive"}
CUPY_REDUCTIONS: Any = {
    "cupy_sum": "add", "cupy_sum_keep_dtype": "add", "cupy_prod": "multiply", "cupy_max": "maximum",
    "cupy_min": "minimum", "cupy_any": "logical_or", "cupy_all": "logical_and",
}  # fmt: skip


@functools.cache
def is_known(kind: type) -> bool:
    """Whether an array class may stand beside traced values."""
    return issubclass(kind, KNOWN_TYPES) or kind.__module__.startswith("cupy")


def array_ufunc(self: Tracer, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
    """NumPy's hook for ufuncs and their methods."""
    if not all(map(is_operand, inputs)):
        return NotImplemented
    if method == "__call__":
        function = UFUNCS.get(ufunc)
        if function is not None and not options:
            return new_value(function(*inputs), inputs)
        return call_ufunc(ufunc, inputs, options, sys._getframe(1))
    return UFUNC_METHODS[method](ufunc, *inputs, **options)


def array_function(self: Tracer, func: Any, types: Any, args: tuple, kwargs: dict) -> Any:
    """NumPy's hook for functions that are no ufuncs, and for `like=`."""
    if not all(map(is_known, types)):
        return NotImplemented
    function = FUNCTIONS.get(func)
    if function is None:
        raise TypeError(
            errors.compose(
                f"{func.__module__}.{func.__name__} has no counterpart for traced values.",
                where=source.where(),
                why="It would need its own derivative and batch rule.",
                fix="compose it from functions of funcgrad.numpy, or call it with\n"
                "funcgrad.pure_callback(function, funcgrad.ShapeDtypeStruct(shape, dtype), x)",
                page="no-counterpart",
            )
        )
    return function(*args, **kwargs)


def array_namespace(self: Tracer, *, api_version: str | None = None) -> Any:
    """The array API's way to find the functions for an array."""
    del api_version
    return sys.modules["funcgrad.numpy"]


def cupy_elementwise(self: Tracer, kernel: Any, *args: Any, **options: Any) -> Any:
    """CuPy's hook for elementwise kernels: the NumPy ufunc of the same name is meant."""
    name = kernel.name.removeprefix("cupy_")
    ufunc = getattr(np, CUPY_KERNELS.get(name, name), None)
    if isinstance(ufunc, np.ufunc):
        return call_ufunc(ufunc, args[: ufunc.nin], cupy_options(ufunc, args, options))
    if ufunc in FUNCTIONS:
        return FUNCTIONS[ufunc](*args, **options)
    raise unknown_kernel(kernel)


def cupy_options(ufunc: Any, args: tuple, options: dict) -> dict:
    outs = args[ufunc.nin :]
    return {**options, "out": outs} if outs else options


def cupy_reduction(
    self: Tracer, kernel: Any, axis: Any, dtype: Any, out: Any, keepdims: bool
) -> Any:
    """CuPy's hook for reduction kernels."""
    name = CUPY_REDUCTIONS.get(kernel.name)
    if name is None:
        raise unknown_kernel(kernel)
    return UFUNC_METHODS["reduce"](getattr(np, name), self, axis, dtype, out, keepdims)


def unknown_kernel(kernel: Any) -> TypeError:
    return TypeError(
        errors.compose(
            f"The CuPy kernel {kernel.name!r} has no counterpart for traced values.",
            where=source.where(),
            fix="np.function(x) or funcgrad.numpy.function(x) instead of cupy.function(x)\n"
            "funcgrad.custom_vjp for kernels of your own",
            page="no-counterpart",
        )
    )


HOOKS: dict[str, Callable[..., Any]] = {
    "__array_ufunc__": array_ufunc,
    "__array_function__": array_function,
    "__array_namespace__": array_namespace,
    "__cupy_override_elementwise_kernel__": cupy_elementwise,
    "__cupy_override_reduction_kernel__": cupy_reduction,
}


def install() -> None:
    """Give every Tracer the hooks of NumPy and CuPy."""
    for name, hook in HOOKS.items():
        setattr(Tracer, name, hook)


install()
