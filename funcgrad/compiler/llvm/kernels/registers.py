"""How elements are held: the types of registers and memory, the way from one to the other, changes of dtype.

In registers booleans are i1, complex numbers are pairs of floats, and half precision numbers are floats that a half
can hold.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.types import (
    Value,
    constant,
    element_of,
    lanes_of,
    pair_of,
    vector,
    with_element,
)
from funcgrad.compiler.lowering.elements import Unsupported
from funcgrad.ir.types import BFLOAT16, PYTHON_SCALARS, real_dtype


def is_half(dtype: np.dtype) -> bool:
    return dtype.itemsize == 2 and dtype.kind not in "iu"


def register_type(dtype: np.dtype) -> str:
    """The LLVM type of one element in a register."""
    if dtype == np.bool_:
        return "i1"
    if dtype.kind == "c" and dtype.itemsize <= 16:
        return pair_of(register_type(real_dtype(dtype)))
    if dtype.kind in "iu":
        return f"i{dtype.itemsize * 8}"
    if is_half(dtype):
        if dtype == BFLOAT16 or dtype == np.float16:
            return "float"
    elif dtype.kind == "f" and dtype.itemsize in (4, 8):
        return "float" if dtype.itemsize == 4 else "double"
    raise Unsupported(str(dtype))


def memory_type(dtype: np.dtype) -> str:
    """The LLVM type of one element in memory; of complex numbers an integer of their size."""
    if dtype == np.bool_:
        return "i8"
    if dtype == np.float16:
        return "half"
    if dtype.kind == "c":
        return f"i{dtype.itemsize * 8}"
    return "i16" if dtype == BFLOAT16 else register_type(dtype)


def register_bytes(dtype: np.dtype) -> int:
    """The size of one element in a register, of a complex one in each of two."""
    return 4 if is_half(dtype) else dtype.itemsize // (2 if dtype.kind == "c" else 1)


def alignment(dtype: np.dtype) -> int:
    """What memory of this dtype is aligned to; for a complex number that is one of its parts."""
    return dtype.itemsize // 2 if dtype.kind == "c" else dtype.itemsize


def is_native(dtype: np.dtype) -> bool:
    """Whether elements of this dtype can be computed with."""
    try:
        register_type(dtype)
    except Unsupported:
        return False
    return True


def as_python(dtype: np.dtype, value: Any) -> Any:
    """A number as LLVM text shall hold it: rounded to half precision, wrapped to the width of an integer."""
    if is_half(dtype):
        return float(np.asarray(value).astype(dtype))
    if dtype.kind in "iu" and not (type(value) in PYTHON_SCALARS and isinstance(value, int)):
        return int(np.asarray(value).astype(dtype))
    return value


def round_half(f: Function, dtype: np.dtype, value: Value) -> Value:
    """A float rounded to what a number of half precision can hold."""
    return from_memory(f, dtype, to_memory(f, dtype, value))


def from_memory(f: Function, dtype: np.dtype, raw: Value) -> Value:
    """A loaded element as it is held in a register."""
    if dtype == np.bool_:
        return f.icmp("ne", raw, constant(raw.type, 0))
    if dtype.kind == "c":
        return separate(f, dtype, raw)
    if dtype == np.float16:
        return f.cast("fpext", raw, with_element(raw.type, "float"))
    if dtype == BFLOAT16:
        wide = f.cast("zext", raw, with_element(raw.type, "i32"))
        bits = f.op("shl", wide, constant(wide.type, 16))
        return f.cast("bitcast", bits, with_element(raw.type, "float"))
    return raw


def to_memory(f: Function, dtype: np.dtype, value: Value) -> Value:
    """A register as it is stored."""
    if dtype == np.bool_:
        return f.cast("zext", value, with_element(value.type, "i8"))
    if dtype.kind == "c":
        return interleave(f, dtype, value)
    if dtype == np.float16:
        return f.cast("fptrunc", value, with_element(value.type, "half"))
    if dtype == BFLOAT16:
        return to_bfloat(f, value)
    return value


def separate(f: Function, dtype: np.dtype, raw: Value) -> Value:
    """Complex numbers from memory: real and imaginary parts lie there in turn."""
    lanes = lanes_of(raw.type)
    part = register_type(real_dtype(dtype))
    both = f.cast("bitcast", raw, vector(2 * max(1, lanes), part))
    if not lanes:
        return f.pair(f.extract(both, 0), f.extract(both, 1))
    return f.pair(*[f.shuffle(both, both, range(i, 2 * lanes, 2)) for i in range(2)])


def interleave(f: Function, dtype: np.dtype, value: Value) -> Value:
    real, imag = f.parts(value)
    lanes = lanes_of(value.type)
    if lanes:
        order = [i + half for i in range(lanes) for half in (0, lanes)]
        both = f.shuffle(real, imag, order)
    else:
        empty = Value(vector(2, real.type), "poison")
        both = f.insert(f.insert(empty, real, 0), imag, 1)
    return f.cast("bitcast", both, vector(lanes, memory_type(dtype)))


def to_bfloat(f: Function, value: Value) -> Value:
    """The upper 16 bits, rounded to nearest even; the instruction for it would flush denormals."""
    wide = with_element(value.type, "i32")
    bits = f.cast("bitcast", value, wide)
    odd = f.op("and", f.op("lshr", bits, constant(wide, 16)), constant(wide, 1))
    rounded = f.op("add", f.op("add", bits, odd), constant(wide, 0x7FFF))
    is_nan = f.fcmp("uno", value, value)
    quiet = f.op("or", bits, constant(wide, 0x400000))
    chosen = f.select(is_nan, quiet, rounded)
    upper = f.op("lshr", chosen, constant(wide, 16))
    return f.cast("trunc", upper, with_element(value.type, "i16"))


def convert_value(f: Function, value: Value, source: np.dtype, target: np.dtype) -> Value:
    """A register of one dtype in another, as `astype` does it."""
    if source == target:
        return value
    if source.kind == "c" or target.kind == "c":
        return convert_complex(f, value, source, target)
    wanted = with_element(value.type, register_type(target))
    from_integer, to_integer = source.kind in "iub", target.kind in "iu"
    if target == np.bool_:
        zero = constant(value.type, 0)
        return f.icmp("ne", value, zero) if from_integer else f.fcmp("une", value, zero)
    if from_integer and to_integer:
        return resize_integer(f, value, source, wanted)
    if from_integer:
        return round_to(
            f, target, f.cast("sitofp" if source.kind == "i" else "uitofp", value, wanted)
        )
    if to_integer:
        return float_to_integer(f, value, target, wanted)
    if element_of(value.type) == "double" and target == np.float16:
        return round_half(f, target, narrowed_to_odd(f, value))
    return round_to(f, target, resize_float(f, value, wanted))


def convert_complex(f: Function, value: Value, source: np.dtype, target: np.dtype) -> Value:
    """From and to complex numbers: to a real one by its real part, but True unless both parts are 0."""
    if source.kind != "c":
        real = convert_value(f, value, source, real_dtype(target))
        return f.pair(real, constant(real.type, 0))
    real, imag = f.parts(value)
    part = real_dtype(source)
    if target == np.bool_:
        tests = [convert_value(f, x, part, target) for x in (real, imag)]
        return f.op("or", *tests)
    if target.kind != "c":
        return convert_value(f, real, part, target)
    return f.pair(*[convert_value(f, x, part, real_dtype(target)) for x in (real, imag)])


def round_to(f: Function, dtype: np.dtype, value: Value) -> Value:
    return round_half(f, dtype, value) if is_half(dtype) else value


def resize_float(f: Function, value: Value, wanted: str) -> Value:
    if value.type == wanted:
        return value
    return f.cast("fpext" if element_of(wanted) == "double" else "fptrunc", value, wanted)


def narrowed_to_odd(f: Function, value: Value) -> Value:
    """A double as the float below it in size, with the last bit set if it is another number.

    Then rounding to half precision gives what rounding once would. (Boldo and Melquiond, "Emulation of FMA and
    correctly rounded sums: proved algorithms using rounding to odd", 2008.)
    """
    narrow = f.cast("fptrunc", value, with_element(value.type, "float"))
    again = f.cast("fpext", narrow, value.type)
    sizes = [f.intrinsic("llvm.fabs", value.type, [x]) for x in (again, value)]
    bits = f.cast("bitcast", narrow, with_element(value.type, "i32"))
    too_large, differs = f.fcmp("ogt", *sizes), f.fcmp("one", *sizes)
    below = f.op("sub", bits, f.cast("zext", too_large, bits.type))
    odd = f.op("or", below, f.cast("zext", differs, bits.type))
    return f.cast("bitcast", odd, narrow.type)


def resize_integer(f: Function, value: Value, source: np.dtype, wanted: str) -> Value:
    have, want = int(element_of(value.type)[1:]), int(element_of(wanted)[1:])
    if have == want:
        return value
    grow = "sext" if source.kind == "i" else "zext"
    return f.cast("trunc" if want < have else grow, value, wanted)


def float_to_integer(f: Function, value: Value, target: np.dtype, wanted: str) -> Value:
    """C's truncation. What is out of range gives what NumPy gives on x86: the least int, through 32 bits if narrow."""
    if target.kind == "u" and target.itemsize == 8:
        return unsigned_64(f, value, wanted)
    through = "i64" if target.itemsize == 8 or (target.kind, target.itemsize) == ("u", 4) else "i32"
    wide = with_element(value.type, through)
    converted = guarded_truncation(f, value, wide)
    return converted if wide == wanted else f.cast("trunc", converted, wanted)


def guarded_truncation(f: Function, value: Value, wide: str) -> Value:
    bits = int(element_of(wide)[1:])
    limit = constant(value.type, 2.0 ** (bits - 1))
    low = constant(value.type, -(2.0 ** (bits - 1)))
    fits = f.op("and", f.fcmp("olt", value, limit), f.fcmp("oge", value, low))
    safe = f.select(fits, value, constant(value.type, 0.0))
    return f.select(fits, f.cast("fptosi", safe, wide), constant(wide, -(2 ** (bits - 1))))


def unsigned_64(f: Function, value: Value, wanted: str) -> Value:
    """Below 2**63 as signed; from there on less 2**63 with the top bit set."""
    half = constant(value.type, 2.0**63)
    is_high = f.fcmp("oge", value, half)
    low = guarded_truncation(f, value, wanted)
    high = guarded_truncation(f, f.op("fsub", value, half), wanted)
    return f.select(is_high, f.op("xor", high, constant(wanted, -(2**63))), low)
