"""Arrays as safetensors hold them: C order, native byte order, complex128 as pairs, checksums."""

from __future__ import annotations

import hashlib
from typing import Any

import ml_dtypes
import numpy as np

from funcgrad.ir.devices import is_cupy_array

COMPLEX128 = np.dtype(np.complex128)

# What the library calls each dtype.
DTYPES = {
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype(np.uint8),
    "I8": np.dtype(np.int8),
    "U16": np.dtype(np.uint16),
    "I16": np.dtype(np.int16),
    "U32": np.dtype(np.uint32),
    "I32": np.dtype(np.int32),
    "U64": np.dtype(np.uint64),
    "I64": np.dtype(np.int64),
    "F16": np.dtype(np.float16),
    "F32": np.dtype(np.float32),
    "F64": np.dtype(np.float64),
    "C64": np.dtype(np.complex64),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
    "F8_E4M3FNUZ": np.dtype(ml_dtypes.float8_e4m3fnuz),
    "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
    "F8_E5M2FNUZ": np.dtype(ml_dtypes.float8_e5m2fnuz),
    "F8_E8M0": np.dtype(ml_dtypes.float8_e8m0fnu),
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}


def encode(value: Any, name: str) -> np.ndarray:
    """An array that the library writes correctly; complex128 becomes pairs of float64.

    The library reads the memory of an array as if it were in C order, so any other order is copied.

    Raises:
        TypeError: there is no such dtype in the format.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(
            f"[save] {name} is a masked array, and the mask would be lost. Save x.filled() or save the "
            "data and the mask as two arrays."
        )
    if is_cupy_array(value):
        value = value.get()
    array = np.asarray(value)
    array = np.asarray(array, dtype=array.dtype.newbyteorder("="), order="C")
    if array.dtype == COMPLEX128:
        return array.reshape((*array.shape, 1)).view(np.float64)
    if array.dtype not in NAMES:
        raise TypeError(
            f"[save] {name} is an array of dtype {array.dtype}; a safetensors file holds "
            f"{', '.join(dtype.name for dtype in DTYPES.values())} and complex128. Convert it first: "
            "x.astype(np.float64); text belongs in metadata."
        )
    return array


def checksum(array: np.ndarray) -> str:
    """A short hash of the bytes of an array in C order."""
    data = array.reshape(-1).view(np.uint8).data if array.size else b""
    return hashlib.blake2b(data, digest_size=16).hexdigest()
