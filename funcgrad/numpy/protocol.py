"""How NumPy, the array API and CuPy hand their calls to traced values.

NumPy's ufuncs arrive in `__array_ufunc__`, its other functions in `__array_function__`; CuPy's kernels arrive
by their names. What has no counterpart raises TypeError: nothing ever falls back to object arrays.
"""

from __future__ import annotations

import functools
import importlib
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
# CuPy names some kernels differently from the functions they stand for.
CUPY_PREFIXES = ("cupyx_scipy_special_", "cupyx_scipy_", "cupy_")
CUPY_KERNELS: Any = {"copy": "positive"}
CUPY_REDUCTIONS: Any = {
    "cupy_sum": np.sum, "cupy_sum_keep_dtype": np.sum, "cupy_prod": np.prod,
    "cupy_prod_keep_dtype": np.prod, "cupy_max": np.max, "cupy_min": np.min, "cupy_any": np.any,
    "cupy_all": np.all, "cupy_argmax": np.argmax, "cupy_argmin": np.argmin, "cupy_mean": np.mean,
    "cupy_count_nonzero": np.count_nonzero, "cupy_nansum": np.nansum, "cupy_nanprod": np.nanprod,
    "cupy_nanmax": np.nanmax, "cupy_nanmin": np.nanmin, "cupy_nanargmax": np.nanargmax,
    "cupy_nanargmin": np.nanargmin,
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
    if type(kernel).__name__ == "ElementwiseKernel":
        # Imported when there is a kernel of the user.
        primitives = importlib.import_module("funcgrad.transforms.user_primitives")
        return primitives.primitive_of(kernel)(*args, **options)
    ufunc = numpy_function_of(kernel.name)
    if isinstance(ufunc, np.ufunc):
        return call_ufunc(ufunc, args[: ufunc.nin], cupy_options(ufunc, args, options))
    if ufunc in FUNCTIONS:
        return FUNCTIONS[ufunc](*args, **options)
    raise unknown_kernel(kernel)


def numpy_function_of(kernel: str) -> Any:
    """The function of NumPy or SciPy that a kernel of CuPy stands for; None if there is none."""
    prefix = next((prefix for prefix in CUPY_PREFIXES if kernel.startswith(prefix)), "")
    name = kernel.removeprefix(prefix)
    found = getattr(np, CUPY_KERNELS.get(name, name), None)
    if found is not None or not prefix:
        return found
    from scipy import special

    return getattr(special, name, None)


def cupy_options(ufunc: Any, args: tuple, options: dict) -> dict:
    outs = args[ufunc.nin :]
    return {**options, "out": outs} if outs else options


def cupy_reduction(
    self: Tracer, kernel: Any, axis: Any, dtype: Any, out: Any, keepdims: bool
) -> Any:
    """CuPy's hook for reduction kernels."""
    function = FUNCTIONS.get(CUPY_REDUCTIONS.get(kernel.name))
    if function is None or out is not None:
        raise unknown_kernel(kernel)
    result = function(self, axis=axis, keepdims=keepdims)
    return result if dtype is None else result.astype(dtype)


def unknown_kernel(kernel: Any) -> TypeError:
    return TypeError(
        errors.compose(
            f"The CuPy kernel {kernel.name!r} has no counterpart for traced values.",
            where=source.where(),
            fix="np.function(x) or funcgrad.numpy.function(x) instead of cupy.function(x)\n"
            "funcgrad.primitive(kernel, out_shape=..., vjp=...) for kernels of your own",
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
