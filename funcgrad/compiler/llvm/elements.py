"""One element, or one vector of elements, at a time: what the `scalar` rules of elementwise primitives talk to.

In registers booleans are i1, complex numbers are pairs of floats, and half precision numbers are floats that a half
can hold: every operation rounds its result, as NumPy's does.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.compiler.llvm.builder import (
    Function,
    Module,
    Value,
    constant,
    element_of,
    is_pair,
    lanes_of,
    pair_of,
    vector,
    with_element,
)
from funcgrad.compiler.llvm.mathlib import MATH
from funcgrad.compiler.llvm.mathlib.complex_arithmetic import native, whole_power
from funcgrad.compiler.llvm.mathlib.complex_functions import COMPLEX_MATH
from funcgrad.ir.types import BFLOAT16, BOOL, PYTHON_SCALARS, real_dtype

INTEGER_WIDTHS = {"i": "i", "u": "i"}
COMPARISONS = {
    "equal": ("oeq", "eq", "eq"),
    "not_equal": ("une", "ne", "ne"),
    "less": ("olt", "slt", "ult"),
    "less_equal": ("ole", "sle", "ule"),
    "greater": ("ogt", "sgt", "ugt"),
    "greater_equal": ("oge", "sge", "uge"),
}
LOGICAL = {"logical_and": "and", "logical_or": "or", "logical_xor": "xor"}
BITWISE = {"bitwise_and": "and", "bitwise_or": "or", "bitwise_xor": "xor"}
ARITHMETIC = {"add": ("fadd", "add"), "subtract": ("fsub", "sub"), "multiply": ("fmul", "mul")}
ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA
MAX_FACTORS = 100  # NumPy multiplies for whole powers of complex numbers below this one


class Unsupported(Exception):  # noqa: N818 - an answer, not an error
    """This operation has no native form; it runs as a library step."""


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


class Element:
    """A value with its dtype; `dtype` None is a Python number that adopts the dtype of what it meets.

    `number` is the number that a constant stands for.
    """

    __slots__ = ("dtype", "number", "value")

    def __init__(self, dtype: np.dtype | None, value: Any, number: Any = None) -> None:
        self.dtype = dtype
        self.value = value
        self.number = number


class Elements:
    """Computes with elements: writes into the current block of a function."""

    def __init__(self, function: Function, result: np.dtype, lanes: int = 0) -> None:
        self.function = function
        self.result = result
        self.lanes = lanes

    # --- operands ---

    def constant(self, value: Any) -> Element:
        return Element(None, value)

    def number(self, dtype: np.dtype, value: Any) -> Element:
        type = vector(self.lanes, register_type(dtype))
        return Element(dtype, constant(type, as_python(dtype, value)), value)

    def same(self, *xs: Element) -> list[Element]:
        """The operands in one dtype and with as many lanes."""
        dtype = next((x.dtype for x in xs if x.dtype is not None), self.result)
        return [self.number(dtype, x.value) if x.dtype is None else x for x in xs]

    def rounded(self, dtype: np.dtype, value: Value) -> Element:
        """A result, rounded to half precision if that is its dtype."""
        return Element(dtype, round_half(self.function, dtype, value) if is_half(dtype) else value)

    # --- arithmetic ---

    def arithmetic(self, name: str, x: Element, y: Element) -> Element:
        x, y = self.same(x, y)
        dtype = x.dtype
        if dtype == np.bool_:
            op = {"add": "or", "multiply": "and"}.get(name)
            if op is None:
                raise Unsupported(name)
            return Element(dtype, self.function.op(op, x.value, y.value))
        if dtype.kind == "c":
            return self.complex(name, x, y)
        op = ARITHMETIC[name][dtype.kind in "iu"]
        return self.rounded(dtype, self.function.op(op, x.value, y.value))

    def add(self, x: Element, y: Element) -> Element:
        return self.arithmetic("add", x, y)

    def subtract(self, x: Element, y: Element) -> Element:
        return self.arithmetic("subtract", x, y)

    def multiply(self, x: Element, y: Element) -> Element:
        return self.arithmetic("multiply", x, y)

    def divide(self, x: Element, y: Element) -> Element:
        x, y = self.same(x, y)
        if x.dtype.kind in "iub":
            raise Unsupported("divide")
        if x.dtype.kind == "c":
            return self.complex("divide", x, y)
        return self.rounded(x.dtype, self.function.op("fdiv", x.value, y.value))

    def negative(self, x: Element) -> Element:
        (x,) = self.same(x)
        if x.dtype == np.bool_:
            raise Unsupported("negative")
        if x.dtype.kind in "iu":
            zero = constant(x.value.type, 0)
            return Element(x.dtype, self.function.op("sub", zero, x.value))
        if x.dtype.kind == "c":
            return self.complex("negative", x)
        return Element(x.dtype, self.function.fneg(x.value))

    def equal(self, x: Element, y: Element) -> Element:
        return self.compare("equal", x, y)

    def compare(self, name: str, x: Element, y: Element) -> Element:
        x, y = self.same(x, y)
        if x.dtype.kind == "c":
            return self.complex(name, x, y)
        floating, signed, unsigned = COMPARISONS[name]
        if x.value.type.endswith(("float", "double", "float>", "double>")):
            return Element(BOOL, self.function.fcmp(floating, x.value, y.value))
        predicate = signed if x.dtype.kind == "i" else unsigned
        return Element(BOOL, self.function.icmp(predicate, x.value, y.value))

    def select(self, condition: Element, x: Element, y: Element) -> Element:
        x, y = self.same(x, y)
        test = self.truth(condition)
        return Element(x.dtype, self.function.select(test.value, x.value, y.value))

    def truth(self, x: Element) -> Element:
        """Whether an element is not zero."""
        if x.dtype is None:
            return self.number(BOOL, bool(x.value))
        return x if x.dtype == np.bool_ else self.compare("not_equal", x, self.constant(0))

    # --- named functions ---

    def math(self, name: str, *xs: Element) -> Element:
        """The elementwise primitive of this name."""
        if name in ARITHMETIC:
            return self.arithmetic(name, *xs)
        if name in COMPARISONS:
            return self.compare(name, *xs)
        if name in LOGICAL:
            a, b = (self.truth(x) for x in xs)
            return Element(BOOL, self.function.op(LOGICAL[name], a.value, b.value))
        if name == "logical_not":
            x = self.truth(xs[0])
            return Element(BOOL, self.function.op("xor", x.value, constant(x.value.type, 1)))
        if name in BITWISE:
            a, b = self.same(*xs)
            return Element(a.dtype, self.function.op(BITWISE[name], a.value, b.value))
        values = self.same(*xs)
        if name == "power" and values[0].dtype.kind == "c":
            return self.complex_power(*values)
        if values[0].dtype.kind == "c":
            return self.complex(name, *values)
        if name == "complex":
            return self.complex(name, *values)
        if name == "power" and values[1].number in (1, 2, 3, 4) and values[0].dtype.kind != "b":
            return self.whole_power(values[0], int(values[1].number))
        if values[0].dtype.kind in "iub":
            from_integers = INTEGERS.get(name)
            if from_integers is None:
                raise Unsupported(name)
            return from_integers(self, *values)
        return self.floating(name, values)

    def whole_power(self, x: Element, exponent: int) -> Element:
        """A small power by multiplication: within 2 ulp, and right for every special value."""
        square = self.multiply(x, x) if exponent > 1 else x
        return self.multiply(square, x if exponent == 3 else square) if exponent > 2 else square

    def complex(self, name: str, *xs: Element) -> Element:
        """A function with a complex argument or result."""
        function = COMPLEX_MATH.get(name)
        if function is None:
            raise Unsupported(name)
        out = function(self.function, *[x.value for x in xs])
        dtype = xs[0].dtype
        if is_pair(out.type):
            return Element(np.result_type(dtype, np.complex64), out)
        return Element(BOOL if element_of(out.type) == "i1" else real_dtype(dtype), out)

    def complex_power(self, x: Element, y: Element) -> Element:
        """A whole power by multiplication, as NumPy computes it."""
        number = y.number
        if number is None or number.imag or number.real not in range(1, MAX_FACTORS):
            raise Unsupported("power")
        exponent = int(number.real)
        function = native(lambda z: whole_power(z, exponent))
        return Element(x.dtype, function(self.function, x.value))

    def floating(self, name: str, values: list[Element]) -> Element:
        function = MATH.get(name) or FLOATS.get(name)
        if function is None:
            raise Unsupported(name)
        out = function(self.function, *[x.value for x in values])
        if element_of(out.type) == "i1":
            return Element(BOOL, out)
        return self.rounded(values[0].dtype, out)

    # --- changes of representation ---

    def convert(self, x: Element, dtype: np.dtype) -> Element:
        if x.dtype is None:
            return self.number(dtype, x.value)
        return Element(dtype, convert_value(self.function, x.value, x.dtype, dtype))

    def bitcast(self, x: Element, dtype: np.dtype) -> Element:
        (x,) = self.same(x)
        stored = to_memory(self.function, x.dtype, x.value)
        raw = self.function.cast("bitcast", stored, with_element(stored.type, memory_type(dtype)))
        return Element(dtype, from_memory(self.function, dtype, raw))

    def threefry(self, key: Element, counter: Element) -> Element:
        """Threefry2x32 with 20 rounds (Salmon et al. 2011) on the two halves of 64-bit words."""
        f = self.function
        key, counter = self.same(key, counter)
        wide = counter.value.type
        narrow = with_element(wide, "i32")

        def halves(x: Value) -> tuple[Value, Value]:
            high = f.op("lshr", x, constant(wide, 32))
            return f.cast("trunc", high, narrow), f.cast("trunc", x, narrow)

        first, second = halves(key.value)
        parity = f.op("xor", f.op("xor", first, second), constant(narrow, PARITY))
        schedule = (first, second, parity)
        a, b = halves(counter.value)
        a, b = f.op("add", a, first), f.op("add", b, second)
        for number in range(5):
            for rotation in ROTATIONS[number % 2]:
                a = f.op("add", a, b)
                turned = f.intrinsic("llvm.fshl", narrow, [b, b, constant(narrow, rotation)])
                b = f.op("xor", turned, a)
            a = f.op("add", a, schedule[(number + 1) % 3])
            b = f.op("add", b, schedule[(number + 2) % 3])
            b = f.op("add", b, constant(narrow, number + 1))
        high = f.op("shl", f.cast("zext", a, wide), constant(wide, 32))
        return Element(counter.dtype, f.op("or", high, f.cast("zext", b, wide)))


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


def resize_integer(f: Function, value: Value, source: np.dtype, wanted: str) -> Value:
    have, want = int(element_of(value.type)[1:]), int(element_of(wanted)[1:])
    if have == want:
        return value
    grow = "sext" if source.kind == "i" else "zext"
    return f.cast("trunc" if want < have else grow, value, wanted)


def float_to_integer(f: Function, value: Value, target: np.dtype, wanted: str) -> Value:
    """C's truncation. What is out of range gives what NumPy gives on x86: the least int, through 64 bits if narrow."""
    if target.kind == "u" and target.itemsize == 8:
        return unsigned_64(f, value, wanted)
    through = "i64" if target.itemsize == 8 or target.kind == "u" else "i32"
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


# --- integers ---


def _minmax(greater: bool) -> Callable[..., Element]:
    def rule(elements: Elements, x: Element, y: Element) -> Element:
        if x.dtype == np.bool_:
            return Element(
                x.dtype, elements.function.op("or" if greater else "and", x.value, y.value)
            )
        name = ("s" if x.dtype.kind == "i" else "u") + ("max" if greater else "min")
        return Element(
            x.dtype, elements.function.intrinsic("llvm." + name, x.value.type, [x.value, y.value])
        )

    return rule


def _absolute(elements: Elements, x: Element) -> Element:
    if x.dtype.kind != "i":
        return x
    flag = constant("i1", 0)
    return Element(x.dtype, elements.function.intrinsic("llvm.abs", x.value.type, [x.value, flag]))


def _square(elements: Elements, x: Element) -> Element:
    return elements.multiply(x, x)


def _sign(elements: Elements, x: Element) -> Element:
    if x.dtype == np.bool_:
        raise Unsupported("sign")
    f, one = elements.function, elements.constant(1)
    zero = elements.number(x.dtype, 0)
    positive = elements.select(elements.compare("greater", x, zero), one, zero)
    if x.dtype.kind == "u":
        return positive
    minus = elements.number(x.dtype, -1)
    return Element(
        x.dtype,
        f.select(elements.compare("less", x, zero).value, minus.value, positive.value),
    )


def _invert(elements: Elements, x: Element) -> Element:
    ones = constant(x.value.type, 1 if x.dtype == np.bool_ else -1)
    return Element(x.dtype, elements.function.op("xor", x.value, ones))


def _shift(left: bool) -> Callable[..., Element]:
    def rule(elements: Elements, x: Element, y: Element) -> Element:
        """A shift by the width or more (as by a negative number) leaves no bits, or copies of the sign."""
        f, bits = elements.function, x.dtype.itemsize * 8
        if x.dtype == np.bool_:
            raise Unsupported("shift")
        signed = x.dtype.kind == "i" and not left
        top = constant(x.value.type, bits - 1)
        fits = f.icmp("ule", y.value, top)
        amount = f.select(fits, y.value, top)
        shifted = f.op("shl" if left else "ashr" if signed else "lshr", x.value, amount)
        rest = shifted if signed else f.select(fits, shifted, constant(x.value.type, 0))
        return Element(x.dtype, rest)

    return rule


def _count_bits(elements: Elements, x: Element) -> Element:
    del elements, x
    raise Unsupported("bitwise_count")  # its result has another dtype


def safe_divisor(elements: Elements, x: Element, y: Element) -> tuple[Value, Value, Value]:
    """A divisor that the CPU accepts, where it is 0, and where the quotient overflows (least / -1)."""
    f, type = elements.function, y.value.type
    is_zero = f.icmp("eq", y.value, constant(type, 0))
    bad = is_zero
    overflows = constant(with_element(type, "i1"), 0)
    if x.dtype.kind == "i":
        least = constant(type, -(2 ** (x.dtype.itemsize * 8 - 1)))
        overflows = f.op(
            "and", f.icmp("eq", x.value, least), f.icmp("eq", y.value, constant(type, -1))
        )
        bad = f.op("or", is_zero, overflows)
    return f.select(bad, constant(type, 1), y.value), is_zero, overflows


def _floor_divide(elements: Elements, x: Element, y: Element) -> Element:
    if x.dtype == np.bool_:
        raise Unsupported("floor_divide")
    f, type = elements.function, x.value.type
    divisor, is_zero, _ = safe_divisor(elements, x, y)
    zero = constant(type, 0)
    if x.dtype.kind == "u":
        return Element(x.dtype, f.select(is_zero, zero, f.op("udiv", x.value, divisor)))
    quotient = f.op("sdiv", x.value, divisor)
    rest = f.op("srem", x.value, divisor)
    differs = f.icmp("slt", f.op("xor", rest, divisor), zero)
    lower = f.op("and", differs, f.icmp("ne", rest, zero))
    floored = f.select(lower, f.op("sub", quotient, constant(type, 1)), quotient)
    return Element(x.dtype, f.select(is_zero, zero, floored))


def _remainder(elements: Elements, x: Element, y: Element) -> Element:
    if x.dtype == np.bool_:
        raise Unsupported("remainder")
    f, type = elements.function, x.value.type
    divisor, is_zero, _ = safe_divisor(elements, x, y)
    zero = constant(type, 0)
    if x.dtype.kind == "u":
        return Element(x.dtype, f.select(is_zero, zero, f.op("urem", x.value, divisor)))
    rest = f.op("srem", x.value, divisor)
    differs = f.icmp("slt", f.op("xor", rest, divisor), zero)
    moved = f.op("and", differs, f.icmp("ne", rest, zero))
    floored = f.select(moved, f.op("add", rest, divisor), rest)
    return Element(x.dtype, f.select(is_zero, zero, floored))


def _fmod(elements: Elements, x: Element, y: Element) -> Element:
    if x.dtype == np.bool_:
        raise Unsupported("fmod")
    f = elements.function
    divisor, is_zero, _ = safe_divisor(elements, x, y)
    rest = f.op("srem" if x.dtype.kind == "i" else "urem", x.value, divisor)
    return Element(x.dtype, f.select(is_zero, constant(x.value.type, 0), rest))


def _itself(elements: Elements, x: Element) -> Element:
    del elements
    return x


def _never(elements: Elements, x: Element) -> Element:
    return Element(BOOL, constant(vector(lanes_of(x.value.type), "i1"), 0))


def _always(elements: Elements, x: Element) -> Element:
    return Element(BOOL, constant(vector(lanes_of(x.value.type), "i1"), 1))


DIVISIONS = ("floor_divide", "remainder", "fmod")
INTEGERS: dict[str, Callable[..., Element]] = {
    "maximum": _minmax(True),
    "fmax": _minmax(True),
    "minimum": _minmax(False),
    "fmin": _minmax(False),
    "absolute": _absolute,
    "square": _square,
    "sign": _sign,
    "invert": _invert,
    "left_shift": _shift(True),
    "right_shift": _shift(False),
    "bitwise_count": _count_bits,
    "floor_divide": _floor_divide,
    "remainder": _remainder,
    "fmod": _fmod,
    "conjugate": _itself,
    "real": _itself,
    "isnan": _never,
    "isinf": _never,
    "isfinite": _always,
}


# --- floating numbers: what is an instruction or two (the functions proper are in mathlib) ---


def _maximum(f: Function, x: Value, y: Value) -> Value:
    """NumPy's: NaN if one is NaN."""
    wins = f.op("or", f.fcmp("oge", x, y), f.fcmp("uno", x, x))
    return f.select(wins, x, y)


def _minimum(f: Function, x: Value, y: Value) -> Value:
    wins = f.op("or", f.fcmp("ole", x, y), f.fcmp("uno", x, x))
    return f.select(wins, x, y)


def _fmax(f: Function, x: Value, y: Value) -> Value:
    wins = f.op("or", f.fcmp("oge", x, y), f.fcmp("uno", y, y))
    return f.select(wins, x, y)


def _fmin(f: Function, x: Value, y: Value) -> Value:
    wins = f.op("or", f.fcmp("ole", x, y), f.fcmp("uno", y, y))
    return f.select(wins, x, y)


def _intrinsic(name: str) -> Callable[..., Value]:
    return lambda f, *xs: f.intrinsic("llvm." + name, xs[0].type, list(xs))


def _is_nan(f: Function, x: Value) -> Value:
    return f.fcmp("uno", x, x)


def _is_inf(f: Function, x: Value) -> Value:
    return f.fcmp("oeq", f.intrinsic("llvm.fabs", x.type, [x]), constant(x.type, float("inf")))


def _is_finite(f: Function, x: Value) -> Value:
    return f.fcmp("olt", f.intrinsic("llvm.fabs", x.type, [x]), constant(x.type, float("inf")))


def _sign_bit(f: Function, x: Value) -> Value:
    type = with_element(x.type, "i32" if element_of(x.type) == "float" else "i64")
    return f.icmp("slt", f.cast("bitcast", x, type), constant(type, 0))


def _float_sign(f: Function, x: Value) -> Value:
    """-1, 0 or 1; NaN for NaN."""
    zero = constant(x.type, 0.0)
    below = f.select(f.fcmp("olt", x, zero), constant(x.type, -1.0), zero)
    found = f.select(f.fcmp("ogt", x, zero), constant(x.type, 1.0), below)
    return f.select(f.fcmp("uno", x, x), x, found)


FLOATS: dict[str, Callable[..., Value]] = {
    "maximum": _maximum,
    "minimum": _minimum,
    "fmax": _fmax,
    "fmin": _fmin,
    "absolute": _intrinsic("fabs"),
    "sqrt": _intrinsic("sqrt"),
    "floor": _intrinsic("floor"),
    "ceil": _intrinsic("ceil"),
    "trunc": _intrinsic("trunc"),
    "rint": _intrinsic("rint"),
    "copysign": _intrinsic("copysign"),
    "square": lambda f, x: f.op("fmul", x, x),
    "reciprocal": lambda f, x: f.op("fdiv", constant(x.type, 1.0), x),
    "isnan": _is_nan,
    "isinf": _is_inf,
    "isfinite": _is_finite,
    "signbit": _sign_bit,
    "sign": _float_sign,
    "conjugate": lambda f, x: x,
    "real": lambda f, x: x,
}


def apply(
    function: Function,
    primitive: Any,
    params: dict,
    operands: list[Element],
    result: np.dtype,
    lanes: int,
) -> Value:
    """One element (or vector) of the result of an elementwise primitive."""
    elements = Elements(function, computing_dtype(primitive, operands, result), lanes)
    out = primitive.scalar(elements, *operands, **params)
    if out.dtype is None:
        out = elements.number(result, out.value)
    return out.value


def computing_dtype(primitive: Any, operands: list[Element], result: np.dtype) -> np.dtype:
    """The dtype of constants in a rule that has only constant operands."""
    del primitive
    return next((x.dtype for x in operands if x.dtype is not None), result)


@functools.cache
def _supports(
    primitive: Any, dtypes: tuple, numbers: tuple, params: tuple, result: np.dtype
) -> bool:
    function = Module().function("probe", "void", [])
    try:
        operands = [
            Element(dtype, Value(register_type(dtype), "%x"), number)
            for dtype, number in zip(dtypes, numbers, strict=True)
        ]
        register_type(result)
        out = primitive.scalar(Elements(function, dtypes[0], 0), *operands, **dict(params))
    except Unsupported:
        return False
    return out.dtype is None or out.dtype == result


def fits(number: Any, dtype: np.dtype) -> bool:
    """Whether a dtype can hold a constant."""
    if type(number) not in (int, float):
        return True
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return type(number) is float or limits.min <= number <= limits.max
    if dtype.kind != "f" or not np.isfinite(number):
        return True
    return abs(number) <= np.finfo(dtype).max


def supports(primitive: Any, dtypes: tuple, numbers: tuple, params: dict, result: np.dtype) -> bool:
    """Whether an elementwise primitive on these dtypes has a native form with this result.

    `numbers` holds the operands that are constants, which may make a difference for powers.
    """
    if not all(map(fits, numbers, dtypes)):
        return False  # NumPy has an error or a warning for it
    if None not in numbers or (primitive.name == "divide" and numbers[1] == 0):
        return False  # what could be folded is; the rest has a warning, which LLVM would fold away
    if primitive.name in DIVISIONS and dtypes[1].kind in "iu" and numbers[1] in (None, 0, -1):
        return False  # NumPy warns where a divisor is zero, which no register tells
    if primitive.name not in ("power", "quiet_power"):
        numbers = (None,) * len(dtypes)
    try:
        return _supports(primitive, dtypes, numbers, tuple(sorted(params.items())), result)
    except TypeError:  # params that cannot be hashed, or a rule for other emitters
        return False
