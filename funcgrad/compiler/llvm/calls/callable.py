"""Callable objects with room for a native entry point, by which CPython calls them without Python code."""

from __future__ import annotations

import ctypes
from typing import Any

from funcgrad.compiler.llvm.calls import cpython

# Fields of an instance, and the constants of CPython's stable ABI that describe them.
ENTRY_POINT, CALLS = 16, 24
_BASIC_SIZE = 32
_UNSIGNED_64, _SIGNED_SIZE, _READ_ONLY = 18, 19, 1
_TP_MEMBERS, _BASE_TYPE, _HAVE_VECTORCALL = 72, 1 << 10, 1 << 11
_TYPE_FLAGS = 168  # where a type keeps its flags


class PortableCallable:
    """The base class where native entry points are not known to work."""

    _entry_point = _calls_address = 0


class _Member(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("type", ctypes.c_int),
        ("offset", ctypes.c_ssize_t),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


class _Slot(ctypes.Structure):
    _fields_ = (("slot", ctypes.c_int), ("value", ctypes.c_void_p))


class _Specification(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("basicsize", ctypes.c_int),
        ("itemsize", ctypes.c_int),
        ("flags", ctypes.c_uint),
        ("slots", ctypes.POINTER(_Slot)),
    )


_MEMBERS = (_Member * 4)(
    _Member(b"__vectorcalloffset__", _SIGNED_SIZE, ENTRY_POINT, _READ_ONLY, None),
    _Member(b"_entry_point", _UNSIGNED_64, ENTRY_POINT, 0, None),
    _Member(b"_calls_address", _UNSIGNED_64, CALLS, 0, None),
)


def _make_base() -> Any:
    """A class whose instances hold two addresses: of the native entry point, and of what it knows."""
    slots = (_Slot * 2)(_Slot(_TP_MEMBERS, ctypes.addressof(_MEMBERS)))
    name = f"{__name__}.NativeCallable".encode()
    specification = _Specification(name, _BASIC_SIZE, 0, _BASE_TYPE, slots)
    make = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p)(
        ("PyType_FromSpec", ctypes.pythonapi)
    )
    return make(ctypes.addressof(specification))


NativeCallable: Any = _make_base() if cpython.is_known_interpreter() else PortableCallable


def let_enter_natively(cls: type) -> bool:
    """Let CPython call instances of a subclass with `__call__` at their `_entry_point`, where they have one.

    CPython does not inherit this ability by itself, because the class has a `__call__`: it is up to the entry
    point to do what that does.

    Returns:
        Whether it can be done here.
    """
    if NativeCallable is PortableCallable:
        return False
    flags = ctypes.c_ulong.from_address(id(cls) + _TYPE_FLAGS)
    if flags.value != cls.__flags__:
        return False
    flags.value |= _HAVE_VECTORCALL
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(cls))
    return _enters_natively(cls)


def _enters_natively(cls: type) -> bool:
    """Whether CPython finds the entry point of an instance where it was put."""
    entry_point_of = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object)(
        ("PyVectorcall_Function", ctypes.pythonapi)
    )
    instance: Any = object.__new__(cls)
    if entry_point_of(instance) is not None:
        return False
    instance._entry_point = 4096
    found = entry_point_of(instance)
    instance._entry_point = 0
    return found == 4096
