"""The methods and properties of ndarray on traced values: each is a function of this namespace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad import errors
from funcgrad.ir import source
from funcgrad.ir.conversions import cupy_fix
from funcgrad.ir.devices import Device, as_device, device_of_new_arrays, place_of
from funcgrad.ir.tracer import Tracer, rebind
from funcgrad.ir.types import is_complex
from funcgrad.numpy import (
    accumulations,
    diagonals,
    elementwise,
    indexing,
    products,
    rearranging,
    reductions,
    searching,
    shape as shapes,
    sorting,
    statistics,
)
from funcgrad.numpy.creation import filled
from funcgrad.numpy.register import copy_of
from funcgrad.ops.at import At
from funcgrad.ops.cast import convert
from funcgrad.ops.complex import conjugate, make_complex
from funcgrad.ops.operands import shape_of
from funcgrad.ops.operators import fit_output


def sizes(name: str, arguments: tuple) -> Any:
    """`x.reshape(2, 3)` and `x.reshape((2, 3))` mean the same."""
    if len(arguments) == 1 and not hasattr(arguments[0], "__index__"):
        return arguments[0]
    if not arguments and name == "reshape":
        raise TypeError("reshape() takes the new shape: x.reshape(2, 3) or x.reshape((2, 3)).")
    return arguments


def reshape(self: Tracer, *shape: Any, order: str = "C", copy: bool | None = None) -> Any:
    return shapes.reshape(self, sizes("reshape", shape), order, copy=copy)


def transpose(self: Tracer, *axes: Any) -> Any:
    wanted = sizes("transpose", axes)
    return shapes.transpose(self, wanted if wanted not in ((), None) else None)


def astype(
    self: Tracer,
    dtype: Any,
    order: str = "K",
    casting: Any = "unsafe",
    subok: bool = True,
    copy: bool = True,
) -> Any:
    del order, subok
    dtype = np.dtype(dtype)
    if not np.can_cast(self.dtype, dtype, casting):
        raise TypeError(
            f"Cannot cast array data from {self.dtype!r} to {dtype!r} according to the rule '{casting}'."
        )
    out = convert(self, dtype)
    return copy_of(out) if copy and out is self else out


def flatten(self: Tracer, order: str = "C") -> Any:
    return shapes.reshape(self, -1, order, copy=True)


def clip(self: Tracer, min: Any = None, max: Any = None, out: Any = None, **options: Any) -> Any:
    return elementwise.clip(self, min, max, out, **options)


def sort(
    self: Tracer, axis: int = -1, kind: Any = None, order: Any = None, *, stable: Any = None
) -> None:
    rebind(self, sorting.sort(self, axis, kind, order, stable=stable))


def partition(self: Tracer, kth: Any, axis: int = -1, kind: Any = None, order: Any = None) -> None:
    rebind(self, sorting.partition(self, kth, axis, kind, order))


def fill(self: Tracer, value: Any) -> None:
    if shape_of(value):
        raise ValueError("fill() takes one value. Use x[...] = values for an array.")
    rebind(self, filled(self.shape, value, self.dtype))


def copy(self: Tracer, order: str = "C") -> Any:
    del order
    return self.new_copy()


def copied_for_module(self: Tracer, memo: Any = None) -> Any:
    del memo
    return self.new_copy()


def swapaxes(self: Tracer, axis1: int, axis2: int) -> Any:
    return shapes.swapaxes(self, axis1, axis2)


def conjugated(self: Tracer) -> Any:
    return conjugate(self) if is_complex(self.dtype) else self


def compress(self: Tracer, condition: Any, axis: int | None = None, out: Any = None) -> Any:
    return indexing.compress(condition, self, axis, out)


def dot(self: Tracer, b: Any, out: Any = None) -> Any:
    return products.dot(self, b, out)


def searchsorted(self: Tracer, v: Any, side: str = "left", sorter: Any = None) -> Any:
    return searching.searchsorted(self, v, side, sorter)


def to_device(self: Any, device: Any, /, *, stream: Any = None) -> Any:
    if stream is not None or as_device(device) != device_of(self):
        raise ValueError(
            f"A traced value is on device {self.device!r}, and cannot move to {device!r}."
        )
    return self


def device_of(self: Any) -> Device:
    return place_of(self) or device_of_new_arrays()


def with_dtype(function: Callable[..., Any]) -> Callable[..., Any]:
    """A method that CuPy's function of the same name calls with `dtype`, which NumPy's has not."""

    def method(self: Tracer, *args: Any, dtype: Any = None, **options: Any) -> Any:
        out = function(self, *args, **options)
        return out if dtype is None else out.astype(dtype)

    return method


def set_real(self: Any, value: Any) -> None:
    new = fit_output("real", value_array(value), self.shape, self.real.dtype, "unsafe")
    rebind(self, make_complex(new, self.imag) if is_complex(self.dtype) else new)


def set_imag(self: Any, value: Any) -> None:
    if not is_complex(self.dtype):
        raise TypeError("array does not have imaginary part to set")
    new = fit_output("imag", value_array(value), self.shape, self.imag.dtype, "unsafe")
    rebind(self, make_complex(self.real, new))


def value_array(value: Any) -> Any:
    return value if hasattr(value, "dtype") else np.asarray(value)


def refusal(name: str, fix: str) -> Callable[..., Any]:
    """A method or property that needs the memory of an array."""

    def refuse(self: Tracer, *args: Any, **options: Any) -> Any:
        raise errors.TracerArrayConversionError(
            errors.compose(
                f"{name} needs the memory of an array, but got {self!r}.",
                where=source.where(),
                why="A traced value has no memory yet.",
                fix=cupy_fix(source.cupy_call()) or fix,
                page="tracer-array",
            )
        )

    return refuse


METHODS: dict[str, Callable[..., Any]] = {
    "reshape": reshape, "transpose": transpose, "astype": astype, "flatten": flatten, "clip": clip,
    "sort": sort, "partition": partition, "fill": fill, "copy": copy, "__copy__": copy,
    "__deepcopy__": copied_for_module, "swapaxes": swapaxes, "conj": conjugated,
    "conjugate": conjugated, "compress": compress, "dot": dot, "searchsorted": searchsorted,
    "to_device": to_device, "sum": reductions.sum, "prod": reductions.prod, "max": reductions.max,
    "min": reductions.min, "any": reductions.any_, "all": reductions.all_, "mean": reductions.mean,
    "var": statistics.var, "std": statistics.std, "cumsum": accumulations.cumsum,
    "cumprod": accumulations.cumprod, "argmax": with_dtype(searching.argmax),
    "argmin": with_dtype(searching.argmin),
    "argsort": sorting.argsort, "argpartition": sorting.argpartition, "nonzero": searching.nonzero,
    "ravel": shapes.ravel, "squeeze": shapes.squeeze, "round": elementwise.round,
    "take": indexing.take, "put": indexing.put, "choose": indexing.choose,
    "repeat": rearranging.repeat, "diagonal": diagonals.diagonal, "trace": diagonals.trace,
    "view": refusal("view()", "x.astype(dtype)                    # converts the values\n"
                    "funcgrad.lax.bitcast_convert_type(x, dtype)    # keeps the bits"),
    "get": refusal("get()", "funcgrad.device_get(x)    # of the result, outside of the traced function"),
    "byteswap": refusal("byteswap()", "x.astype(dtype)"),
    "tobytes": refusal("tobytes()", "return the value from the traced function first"),
    "tofile": refusal("tofile()", "return the value from the traced function first"),
    "resize": refusal("resize()", "x = np.resize(x, shape)"),
}  # fmt: skip
PROPERTIES: dict[str, Any] = {
    "T": property(lambda self: shapes.transpose(self)),
    "mT": property(lambda self: shapes.matrix_transpose(self)),
    "real": property(lambda self: elementwise.real(self), set_real),
    "imag": property(lambda self: elementwise.imag(self), set_imag),
    "flat": property(shapes.flat_view),
    "at": property(lambda self: At(self)),
    "device": property(lambda self: str(device_of(self))),
    "strides": property(refusal("strides", "x.shape and x.dtype are known")),
    "data": property(refusal("data", "return the value from the traced function first")),
    "flags": property(refusal("flags", "return the value from the traced function first")),
    "base": property(lambda self: None),
}


def install() -> None:
    """Give every Tracer the methods and properties of ndarray."""
    for name, method in {**METHODS, **PROPERTIES}.items():
        setattr(Tracer, name, method)


install()
