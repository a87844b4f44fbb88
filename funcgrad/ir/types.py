"""Array types: the shape and dtype of every value in a Program, and NumPy 2 promotion.

A *weak* type is that of a Python scalar: it adopts the dtype of the array it meets (NEP 50). A dimension
of None is known only at run time; only stacked residuals of a `while_loop` have one.
"""

from __future__ import annotations

import functools
from typing import Any

import ml_dtypes
import numpy as np

Shape = tuple[Any, ...]

SHORT_NAMES = {"bool": "bool"}
PYTHON_SCALARS = (bool, int, float, complex)
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
FLOAT32 = np.dtype(np.float32)
FLOAT64 = np.dtype(np.float64)
INT64 = np.dtype(np.int64)
BOOL = np.dtype(np.bool_)
COMPLEX128 = np.dtype(np.complex128)
WEAK_TYPES: dict[str, type] = {"i": int, "f": float, "c": complex, "b": bool}  # by kind of dtype
SCALAR_DTYPES = {bool: BOOL, int: INT64, float: FLOAT64, complex: COMPLEX128}


class ArrayType:
    """Shape, dtype and weakness of an array value.

    Example:
        >>> import numpy as np
        >>> ArrayType((3, 4), np.float32)
        float32[3,4]
    """

    __slots__ = ("dtype", "shape", "weak")

    def __init__(self, shape: Shape, dtype: Any, weak: bool = False) -> None:
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)
        self.weak = weak

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        size = 1
        for length in self.shape:
            size *= length
        return size

    def update(self, shape: Shape | None = None, dtype: Any = None) -> ArrayType:
        """The same type with another shape or dtype; the result is never weak."""
        return ArrayType(
            self.shape if shape is None else shape, self.dtype if dtype is None else dtype
        )

    def strong(self) -> ArrayType:
        return ArrayType(self.shape, self.dtype) if self.weak else self

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ArrayType):
            return NotImplemented
        return self.shape == other.shape and self.dtype == other.dtype and self.weak == other.weak

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype, self.weak))

    def __repr__(self) -> str:
        lengths = ",".join("?" if length is None else str(length) for length in self.shape)
        return f"{'weak ' if self.weak else ''}{dtype_name(self.dtype)}[{lengths}]"


@functools.cache
def dtype_name(dtype: np.dtype) -> str:
    """What NumPy works out anew each time."""
    return dtype.name


@functools.cache
def kind(dtype: np.dtype) -> str:
    """'b', 'i', 'u', 'f' or 'c'; the small float types of ml_dtypes count as 'f'."""
    if dtype.kind in "biufc":
        return dtype.kind
    try:
        ml_dtypes.finfo(dtype)
    except ValueError:
        raise TypeError(
            f"funcgrad computes with numeric and bool arrays, but got dtype {dtype}. "
            "Convert it with x.astype(float), or keep it outside the traced function."
        ) from None
    return "f"


@functools.cache
def is_inexact(dtype: np.dtype) -> bool:
    """Whether values of this dtype have derivatives (floating or complex)."""
    return kind(dtype) in "fc"


def is_complex(dtype: np.dtype) -> bool:
    return dtype.kind == "c"


def real_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype of the real part."""
    return np.dtype(f"f{dtype.itemsize // 2}") if dtype.kind == "c" else dtype


def dtype_of(value: Any) -> np.dtype:
    """The dtype of an array, a type, or a Python scalar."""
    dtype = getattr(value, "dtype", None)
    return SCALAR_DTYPES[type(value)] if dtype is None else dtype


def scalar_type(value: Any) -> ArrayType:
    """The type of a Python scalar. `bool` is strong, as in NumPy."""
    return ArrayType((), SCALAR_DTYPES[type(value)], weak=type(value) is not bool)


class ShapeDtypeStruct:
    """A shape and a dtype standing in for an array, as in `eval_shape`.

    Args:
        shape: tuple of ints.
        dtype: anything `np.dtype` accepts.

    Example:
        >>> import numpy as np
        >>> ShapeDtypeStruct((2, 3), np.float32)
        ShapeDtypeStruct(shape=(2, 3), dtype=float32)
    """

    __slots__ = ("dtype", "shape")

    def __init__(self, shape: Shape, dtype: Any) -> None:
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return ArrayType(self.shape, self.dtype).size

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ShapeDtypeStruct):
            return NotImplemented
        return self.shape == other.shape and self.dtype == other.dtype

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype))

    def __repr__(self) -> str:
        return f"ShapeDtypeStruct(shape={self.shape}, dtype={self.dtype.name})"
