"""What native code must know of CPython and NumPy: field offsets, checked on live objects, and C functions by name."""

from __future__ import annotations

import ctypes
import functools
import struct
import sys
from typing import Any

import numpy as np

from funcgrad.ir.types import BFLOAT16

# Field offsets in bytes, the same in CPython 3.11 to 3.14 with a GIL on 64-bit machines, and in NumPy 2.
TYPE = 8
SIZE = 16  # of a list or tuple
LIST_ITEMS = 24
CELL_CONTENT = 16
NUMBER = 16  # the value inside a float, complex or NumPy scalar
ARRAY_DATA, ARRAY_NDIM, ARRAY_SHAPE, ARRAY_BASE, ARRAY_DESCR, ARRAY_FLAGS = 16, 24, 32, 48, 56, 64
ARRAY_HANDLER = 88  # what frees the data of an owner
DESCR_BYTEORDER, DESCR_NUMBER = 26, 28

# Flags of an array. NumPy leaves the last one alone, and hands it on to views.
CONTIGUOUS_ALIGNED, OWNS_DATA, WRITEABLE = 0x101, 0x4, 0x400
CARRAY = CONTIGUOUS_ALIGNED | WRITEABLE
DONATED = 1 << 20

VERSIONS = ((3, 11), (3, 15))

PYTHON_FUNCTIONS = (
    *("Py_IncRef", "Py_DecRef"),
    *("PyErr_Occurred", "PyErr_Clear", "PyErr_ExceptionMatches"),
    *("PyDict_GetItemWithError", "PyDict_Size", "PyDict_Copy", "PyDict_SetItem"),
    *("PyTuple_New", "PyTuple_SetItem", "PyList_New", "PyList_SetItem", "PyType_GenericAlloc"),
    *("PyObject_GetAttr", "PyObject_RichCompareBool", "PyMethod_New"),
    *("PyObject_CallNoArgs", "PyObject_CallOneArg", "PyObject_Vectorcall"),
    *("PyLong_AsLongLongAndOverflow", "PyLong_FromLong"),
    *("PyEval_SaveThread", "PyEval_RestoreThread", "PyEval_GetFrame"),
    *("PyFrame_GetCode", "PyFrame_GetLasti"),
)
NUMPY_FUNCTIONS = {
    "PyArray_NewFromDescr": 94,
    "PyArray_Scalar": 60,
}  # their places in the API table

SCALAR_TYPES = (
    *(np.bool_, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64),
    *(np.longlong, np.ulonglong, np.float16, np.float32, np.float64, np.complex64, np.complex128),
    BFLOAT16.type,
)


@functools.cache
def is_supported() -> bool:
    """Whether native code may read and make Python objects in this process."""
    if not is_known_interpreter():
        return False
    try:
        return (
            _objects_are_as_expected()
            and tuple_items() > 0
            and all(map(_array_is_as_expected, _sample_arrays()))
            and _owners_are_as_expected()
            and all(number_inside(cls(1)) for cls in (*SCALAR_TYPES, float, complex))
            and _numpy_functions_are_as_expected()
        )
    except (AttributeError, ImportError, ValueError):
        return False


def is_known_interpreter() -> bool:
    """Whether this is a CPython whose objects are laid out as written above."""
    first, after = VERSIONS
    return (
        sys.implementation.name == "cpython"
        and first <= sys.version_info[:2] < after
        and struct.calcsize("P") == 8
        and sys.byteorder == "little"
        and object.__basicsize__ == 16  # more in builds without a GIL, or that trace references
        and np.lib.NumpyVersion(np.__version__).major == 2
    )


def word(address: int) -> int:
    """The 8 bytes at an address as an unsigned number."""
    return ctypes.c_uint64.from_address(address).value


def _objects_are_as_expected() -> bool:
    first, second = object(), object()
    items = [first, second]
    cell = (lambda: first).__closure__[0]  # pyright: ignore[reportOptionalSubscript]
    array = word(id(items) + LIST_ITEMS)
    return (
        all(word(id(x) + TYPE) == id(type(x)) for x in (first, items, cell, 1.5, np.ones(1)))
        and word(id(items) + SIZE) == word(id((1, 2)) + SIZE) == 2
        and [word(array), word(array + 8)] == [id(first), id(second)]
        and word(id(cell) + CELL_CONTENT) == id(first)
    )


@functools.cache
def tuple_items() -> int:
    """Where a tuple keeps its items (behind its cached hash since 3.14), 0 if they are not found."""
    items = (object(), object())
    for offset in (24, 32):
        if [word(id(items) + offset), word(id(items) + offset + 8)] == [*map(id, items)]:
            return offset
    return 0


def number_inside(value: Any) -> bool:
    """Whether the bytes of a number lie at `NUMBER` in its object."""
    expected = np.asarray(value).tobytes()
    return ctypes.string_at(id(value) + NUMBER, len(expected)) == expected


def _sample_arrays() -> list[np.ndarray]:
    whole = np.arange(24.0, dtype=np.float32).reshape(2, 3, 4)
    return [whole, whole.T, whole[:, ::2], np.array(2), np.zeros((0, 5), ">i4"), whole[1:]]


def _array_is_as_expected(array: np.ndarray) -> bool:
    address, dtype = id(array), array.dtype
    shape = word(address + ARRAY_SHAPE)
    return (
        word(address + ARRAY_DATA) == array.__array_interface__["data"][0]
        and word(address + ARRAY_NDIM) & 0xFFFFFFFF == array.ndim
        and [word(shape + 8 * i) for i in range(array.ndim)] == list(array.shape)
        and word(address + ARRAY_DESCR) == id(dtype)
        and word(address + ARRAY_FLAGS) & 0xFFFFFFFF == array.flags.num
        and ctypes.string_at(id(dtype) + DESCR_BYTEORDER, 1).decode() == dtype.byteorder
        and word(id(dtype) + DESCR_NUMBER) & 0xFFFFFFFF == dtype.num
    )


def _owners_are_as_expected() -> bool:
    owner = np.zeros(3)
    view = owner[1:]
    flags = ctypes.c_uint32.from_address(id(owner) + ARRAY_FLAGS)
    flags.value |= DONATED
    handler = word(id(owner) + ARRAY_HANDLER)
    return (
        [word(id(array) + ARRAY_BASE) for array in (owner, view)] == [0, id(owner)]
        and word(id(view) + ARRAY_HANDLER) == 0
        and handler > 0
        and word(handler + TYPE) == id(type(np._core._multiarray_umath._ARRAY_API))  # pyright: ignore
        and bool(owner.flags.num & owner[:2].flags.num & DONATED)
        and not (owner.copy().flags.num | (owner + 1).flags.num) & DONATED
    )


def _numpy_functions_are_as_expected() -> bool:
    table = _numpy_table()
    if word(table + 2 * 8) != id(np.ndarray):
        return False
    prototype = ctypes.PYFUNCTYPE(
        ctypes.py_object, ctypes.c_char_p, ctypes.py_object, ctypes.c_void_p
    )
    scalar = prototype(word(table + 8 * NUMPY_FUNCTIONS["PyArray_Scalar"]))
    expected = np.float32(2.5)
    found = scalar(expected.tobytes(), expected.dtype, None)
    return type(found) is np.float32 and found == expected


def _numpy_table() -> int:
    """The address of NumPy's table of C functions."""
    from_capsule = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
        ("PyCapsule_GetPointer", ctypes.pythonapi)
    )
    return from_capsule(np._core._multiarray_umath._ARRAY_API, None)  # pyright: ignore


def functions() -> dict[str, int]:
    """Addresses of the C functions that native code calls."""
    found = {
        name: ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0
        for name in PYTHON_FUNCTIONS
    }
    table = _numpy_table()
    return found | {name: word(table + 8 * place) for name, place in NUMPY_FUNCTIONS.items()}
