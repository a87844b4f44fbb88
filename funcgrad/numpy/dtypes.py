"""Dtypes, constants and the questions NumPy answers about them."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from funcgrad.ir.tracer import Tracer
from funcgrad.ir.types import kind
from funcgrad.numpy.register import numpy_function
from funcgrad.ops.operands import operand_key

bool_ = np.bool_
int8, int16, int32, int64 = np.int8, np.int16, np.int32, np.int64
uint8, uint16, uint32, uint64 = np.uint8, np.uint16, np.uint32, np.uint64
float16, float32, float64 = np.float16, np.float32, np.float64
bfloat16 = ml_dtypes.bfloat16
complex64, complex128 = np.complex64, np.complex128
int_, uint, intp, uintp = np.int_, np.uint, np.intp, np.uintp
half, single, double, csingle, cdouble = np.half, np.single, np.double, np.csingle, np.cdouble
dtype = np.dtype
number, generic, ndarray = np.number, np.generic, np.ndarray
integer, signedinteger, unsignedinteger = np.integer, np.signedinteger, np.unsignedinteger
inexact, floating, complexfloating = np.inexact, np.floating, np.complexfloating
pi, e, inf, nan, newaxis, euler_gamma = np.pi, np.e, np.inf, np.nan, np.newaxis, np.euler_gamma

mgrid, ogrid, s_, index_exp = np.mgrid, np.ogrid, np.s_, np.index_exp
from_dlpack, frombuffer, fromiter = np.from_dlpack, np.frombuffer, np.fromiter

DEFAULT_DTYPES = {
    bool: np.dtype(np.bool_),
    int: np.dtype(np.int64),
    float: np.dtype(np.float32),
    complex: np.dtype(np.complex64),
}


def dtype_behind(value: Any) -> Any:
    """The dtype of an array or tracer; anything else names a dtype itself, as np.float32 does."""
    return value if isinstance(value, type) else getattr(value, "dtype", value)


def finfo(dtype: Any) -> Any:
    """Limits of a floating dtype: eps, max, min, tiny, ...

    Args:
        dtype: a floating or complex dtype, or an array or tracer that has one.
    """
    return ml_dtypes.finfo(dtype_behind(dtype))


def iinfo(dtype: Any) -> Any:
    """Limits of an integer dtype: min, max, bits."""
    return np.iinfo(dtype_behind(dtype))


def known_dtype(value: Any) -> Any:
    """What promotion sees of an operand: its dtype, or a Python scalar that stands for a weak one."""
    key = operand_key(value) if isinstance(value, Tracer) else value
    key = key[0] if isinstance(key, tuple) else key
    # A class stands for a weak scalar; a dtype would be equal to it by NumPy's `==`.
    return key(0) if isinstance(key, type) and isinstance(value, Tracer) else key


@numpy_function(np.result_type)
def result_type(*arrays_and_dtypes: Any) -> np.dtype:
    """The dtype that NumPy's promotion gives these arrays, Python scalars and dtypes.

    Example:
        >>> import funcgrad.numpy as fnp
        >>> fnp.result_type(fnp.float32, 1.0)
        dtype('float32')
    """
    return np.result_type(*map(known_dtype, arrays_and_dtypes))


@numpy_function(np.can_cast)
def can_cast(from_: Any, to: Any, casting: Any = "safe") -> bool:
    """Whether values of one dtype may become another under a casting rule."""
    return np.can_cast(dtype_behind(from_), to, casting)


def promote_types(type1: Any, type2: Any) -> np.dtype:
    """The smallest dtype that both can be cast to."""
    return np.promote_types(type1, type2)


def issubdtype(arg1: Any, arg2: Any) -> bool:
    """Whether a dtype belongs to a kind, such as `np.floating`; bfloat16 counts as floating."""
    if arg2 in (np.floating, np.inexact, np.number) and isinstance(arg1, type | np.dtype):
        try:
            return kind(np.dtype(arg1)) == "f" or np.issubdtype(arg1, arg2)
        except TypeError:
            return np.issubdtype(arg1, arg2)
    return np.issubdtype(arg1, arg2)


def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether a dtype is of a kind ("bool", "integral", "real floating", ...) or one of several."""
    if np.dtype(dtype) == bfloat16:
        kinds = kind if isinstance(kind, tuple) else (kind,)
        return any(k in ("real floating", "numeric", bfloat16) for k in kinds)
    return np.isdtype(np.dtype(dtype), kind)


@numpy_function(np.common_type)
def common_type(*arrays: Any) -> type:
    """The floating type that all arrays can be converted to."""
    return np.common_type(*[np.empty(0, array.dtype) for array in arrays])


@numpy_function(np.iscomplexobj)
def iscomplexobj(x: Any) -> bool:
    """Whether the dtype is complex."""
    return np.result_type(known_dtype(x)).kind == "c"


@numpy_function(np.isrealobj)
def isrealobj(x: Any) -> bool:
    """Whether the dtype is not complex."""
    return not iscomplexobj(x)


def isscalar(element: Any) -> bool:
    """Whether the argument is a Python or NumPy scalar."""
    return np.isscalar(element)


# The class has no public name.
class NamespaceInfo(type(np.__array_namespace_info__())):  # type: ignore[misc]
    """What the array API asks a namespace about itself."""

    def default_dtypes(self, *, device: Any = None) -> dict[str, Any]:
        """The dtypes of creation functions."""
        return {
            **super().default_dtypes(device=device),
            "real floating": DEFAULT_DTYPES[float],
            "complex floating": DEFAULT_DTYPES[complex],
        }


__array_api_version__ = "2024.12"


def __array_namespace_info__() -> NamespaceInfo:
    """Devices, dtypes and capabilities, as the array API defines them."""
    return NamespaceInfo()
