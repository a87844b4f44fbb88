"""Elements as C text: their types in memory and in registers, literals, changes of dtype, and reductions of two.

In registers numbers of half precision are floats that a half can hold, and complex numbers are `fg_complex`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.compiler.lowering.elements import Unsupported
from funcgrad.compiler.lowering.reductions import start_value
from funcgrad.ir.types import BFLOAT16, BOOL, PYTHON_SCALARS, kind, real_dtype

INTEGERS = {1: "char", 2: "short", 4: "int", 8: "long long"}
FLOATS = {4: "float", 8: "double"}


def is_half(dtype: np.dtype) -> bool:
    return dtype == np.float16 or dtype == BFLOAT16


def register_type(dtype: np.dtype) -> str:
    """The C type of one element in a register."""
    if dtype == BOOL:
        return "bool"
    if is_half(dtype):
        return "float"
    if dtype.kind in "iu":
        name = INTEGERS[dtype.itemsize]
        return f"unsigned {name}" if dtype.kind == "u" else name.replace("char", "signed char")
    if dtype.kind == "f" and dtype.itemsize in FLOATS:
        return FLOATS[dtype.itemsize]
    if dtype.kind == "c" and dtype.itemsize <= 16:
        return f"fg_complex<{register_type(real_dtype(dtype))}>"
    raise Unsupported(str(dtype))


def memory_type(dtype: np.dtype) -> str:
    """The C type of one element in memory."""
    if dtype == BOOL:
        return "unsigned char"
    return "unsigned short" if is_half(dtype) else register_type(dtype)


def wrapping_type(dtype: np.dtype) -> str:
    """The unsigned type in which integers of a dtype are added and multiplied: it wraps, and nothing promotes it."""
    return "unsigned long long" if dtype.itemsize == 8 else "unsigned"


def is_native(dtype: np.dtype) -> bool:
    """Whether elements of this dtype can be computed with."""
    try:
        register_type(dtype)
    except Unsupported:
        return False
    return True


def sections(*dtypes: np.dtype) -> frozenset[str]:
    """The parts of the prelude that elements of these dtypes need."""
    found = {"core"}
    for dtype in dtypes:
        if is_half(dtype):
            found.add("half")
        elif dtype.kind == "c":
            found.add("complex")
    return frozenset(found)


# --- memory ---


def from_memory(dtype: np.dtype, text: str) -> str:
    """An element that was read, as it is held in a register."""
    if dtype == BOOL:
        return f"({text} != 0)"
    if is_half(dtype):
        return f"fg_from_{dtype.name}({text})"
    return text


def to_memory(dtype: np.dtype, text: str) -> str:
    """A register as it is stored."""
    return f"fg_to_{dtype.name}({text})" if is_half(dtype) else text


def load(dtype: np.dtype, pointer: str, index: str) -> str:
    """Element `index` behind a pointer to the type in memory."""
    return from_memory(dtype, f"{pointer}[{index}]")


def store(dtype: np.dtype, pointer: str, index: str, value: str) -> str:
    """The statement that writes a register there."""
    return f"{pointer}[{index}] = {to_memory(dtype, value)};"


# --- literals ---


def number(dtype: np.dtype, value: Any) -> str:
    """A literal of the register type; integers wrap, halves are rounded."""
    if dtype == BOOL:
        return "true" if value else "false"
    if dtype.kind == "c":
        value, part = complex(value), register_type(real_dtype(dtype))
        return (
            f"fg_complex<{part}>{{{float_text(value.real, part)}, {float_text(value.imag, part)}}}"
        )
    if dtype.kind in "iu":
        return integer_text(int(wrapped(dtype, value)), dtype)
    with np.errstate(over="ignore"):
        rounded = np.asarray(value).astype(dtype) if dtype.itemsize < 8 else value
    return float_text(float(rounded), register_type(dtype))


def wrapped(dtype: np.dtype, value: Any) -> int:
    if type(value) in PYTHON_SCALARS and isinstance(value, int):
        width = 8 * dtype.itemsize
        value = int(value) % (1 << width)
        return value - (1 << width) if dtype.kind == "i" and value >> (width - 1) else value
    return int(np.asarray(value).astype(dtype))


def integer_text(value: int, dtype: np.dtype) -> str:
    suffix = ("u" if dtype.kind == "u" else "") + ("ll" if dtype.itemsize == 8 else "")
    if dtype.kind == "i" and value == -(1 << (8 * dtype.itemsize - 1)) and dtype.itemsize >= 4:
        return f"({value + 1}{suffix} - 1)"
    text = f"({value}{suffix})" if value < 0 else f"{value}{suffix}"
    return text if dtype.itemsize >= 4 else f"({register_type(dtype)}){text}"


def float_text(value: float, type: str) -> str:
    suffix = "f" if type == "float" else ""
    if math.isnan(value):
        return f"fg_nan<{type}>()"
    if math.isinf(value):
        return f"fg_inf<{type}>()" if value > 0 else f"(-fg_inf<{type}>())"
    text = repr(value) if value == int(value) and abs(value) < 1e15 else value.hex()
    return f"({text}{suffix})" if text[0] == "-" else text + suffix


# --- changes of dtype ---


def convert(text: str, source: np.dtype, target: np.dtype) -> str:
    """A register of one dtype in another, as `astype` does it."""
    if source == target:
        return text
    if source.kind == "c" or target.kind == "c":
        return convert_complex(text, source, target)
    wanted = register_type(target)
    if target == BOOL:
        return f"({text} != {number(source, 0)})"
    if target.kind in "iu" and kind(source) == "f":
        return f"fg_to_integer<{wanted}>({text})"
    if is_half(target) and not (source == BOOL or is_half(source) and target == source):
        return rounded(target, text, source)
    return f"({wanted})({text})"


def rounded(dtype: np.dtype, text: str, source: np.dtype | None = None) -> str:
    """A float (or another number) rounded to what a number of half precision can hold."""
    if dtype == np.float16 and source is not None and source == np.float64:
        return f"fg_round_float16({text})"  # once, not by way of float
    return f"fg_round_{dtype.name}((float)({text}))"


def convert_complex(text: str, source: np.dtype, target: np.dtype) -> str:
    """From and to complex numbers: to a real one by its real part, but True unless both parts are 0."""
    if source.kind != "c":
        part = real_dtype(target)
        return f"fg_complex<{register_type(part)}>{{{convert(text, source, part)}, 0}}"
    part = real_dtype(source)
    if target == BOOL:
        return f"({text}.re != 0 || {text}.im != 0)"
    if target.kind != "c":
        return convert(f"{text}.re", part, target)
    wanted = register_type(real_dtype(target))
    return f"fg_complex<{wanted}>{{({wanted}){text}.re, ({wanted}){text}.im}}"


# --- reductions ---

OPERATIONS = frozenset({"add", "multiply", "maximum", "minimum", "and", "or", "logaddexp"})


def start(name: str, dtype: np.dtype) -> str:
    """The start value as a literal."""
    return number(dtype, start_value(name, dtype))


def combine(name: str, dtype: np.dtype, a: str, b: str) -> str:
    """Two partial results as one. `dtype` is that of the accumulation."""
    if name not in OPERATIONS or not combines(name, dtype):
        raise Unsupported(name)
    return f"fg_{name}::of({a}, {b})"


def combines(name: str, dtype: np.dtype) -> bool:
    """Whether partial results of this dtype can be combined."""
    if name == "logaddexp":
        return kind(dtype) == "f"
    return is_native(dtype) and not (dtype.kind == "c" and name in ("and", "or"))
