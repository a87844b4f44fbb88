"""One element, or one vector of elements, at a time, as LLVM instructions."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from funcgrad.compiler.llvm.builder import Function, Module
from funcgrad.compiler.llvm.kernels import integers
from funcgrad.compiler.llvm.kernels.registers import (
    as_python,
    convert_value,
    from_memory,
    is_half,
    memory_type,
    register_type,
    round_half,
    to_memory,
)
from funcgrad.compiler.llvm.mathlib import MATH, complex_arithmetic
from funcgrad.compiler.llvm.mathlib.complex_arithmetic import native
from funcgrad.compiler.llvm.mathlib.complex_functions import COMPLEX_MATH
from funcgrad.compiler.llvm.types import Value, constant, element_of, is_pair, vector, with_element
from funcgrad.compiler.lowering.elements import (
    MAX_FACTORS,
    UINT8,
    Element,
    ElementWriter,
    Unsupported,
    computing_dtype,
    has_code,
)
from funcgrad.ir.types import BOOL, real_dtype

COMPARISONS = {
    "equal": ("oeq", "eq", "eq"),
    "not_equal": ("une", "ne", "ne"),
    "less": ("olt", "slt", "ult"),
    "less_equal": ("ole", "sle", "ule"),
    "greater": ("ogt", "sgt", "ugt"),
    "greater_equal": ("oge", "sge", "uge"),
}
LOGICAL = {"logical_and": "and", "logical_or": "or", "logical_xor": "xor", "logical_not": "xor"}
BITWISE = {"bitwise_and": "and", "bitwise_or": "or", "bitwise_xor": "xor"}
ARITHMETIC = {"add": ("fadd", "add"), "subtract": ("fsub", "sub"), "multiply": ("fmul", "mul")}
EXTREMES = frozenset({"maximum", "minimum", "fmax", "fmin"})
ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA


class Elements(ElementWriter):
    """Writes into the current block of a function."""

    def __init__(self, function: Function, result: np.dtype, lanes: int = 0) -> None:
        super().__init__(result)
        self.function = function
        self.lanes = lanes

    # --- operands ---

    def number(self, dtype: np.dtype, value: Any) -> Element:
        type = vector(self.lanes, register_type(dtype))
        return Element(dtype, constant(type, as_python(dtype, value)), value)

    def rounded(self, dtype: np.dtype, value: Value) -> Element:
        """A result, rounded to half precision if that is its dtype."""
        return Element(dtype, round_half(self.function, dtype, value) if is_half(dtype) else value)

    # --- arithmetic ---

    def arithmetic(self, name: str, x: Element, y: Element) -> Element:
        x, y = self.same(x, y)
        dtype = x.dtype
        if dtype == BOOL:
            op = {"add": "or", "multiply": "and"}.get(name)
            if op is None:
                raise Unsupported(name)
            return Element(dtype, self.function.op(op, x.value, y.value))
        if dtype.kind == "c":
            return self.complex(name, x, y)
        floating, whole = ARITHMETIC[name]
        if dtype.kind in "iu":
            return Element(dtype, self.function.op(whole, x.value, y.value))
        return self.rounded(dtype, self.function.arithmetic(floating, x.value, y.value))

    def divide(self, x: Element, y: Element) -> Element:
        x, y = self.same(x, y)
        if x.dtype.kind in "iub":
            raise Unsupported("divide")
        if x.dtype.kind == "c":
            return self.complex("divide", x, y)
        return self.rounded(x.dtype, self.function.arithmetic("fdiv", x.value, y.value))

    def negative(self, x: Element) -> Element:
        (x,) = self.same(x)
        if x.dtype == BOOL:
            raise Unsupported("negative")
        if x.dtype.kind in "iu":
            zero = constant(x.value.type, 0)
            return Element(x.dtype, self.function.op("sub", zero, x.value))
        if x.dtype.kind == "c":
            return self.complex("negative", x)
        return Element(x.dtype, self.function.fneg(x.value))

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

    def logical(self, name: str, *xs: Element) -> Element:
        x = xs[0].value
        other = constant(x.type, 1) if name == "logical_not" else xs[1].value
        return Element(BOOL, self.function.op(LOGICAL[name], x, other))

    # --- named functions ---

    def power(self, x: Element, y: Element) -> Element:
        f, kind, number = self.function, x.dtype.kind, y.number
        if kind == "c":
            if number is None or number.imag or number.real not in range(1, MAX_FACTORS):
                raise Unsupported("power")
            function = native(lambda z: complex_arithmetic.whole_power(z, int(number.real)))
            return Element(x.dtype, function(f, x.value))
        if number in (1, 2, 3, 4):
            return self.small_power(x, int(number))
        if kind in "iu" and number is not None and number >= 0:
            return Element(x.dtype, integers.whole_power(f, x.value, int(number)))
        return self.integer("power", x, y) if kind in "iub" else self.floating("power", x, y)

    def integer(self, name: str, *xs: Element) -> Element:
        dtype = xs[0].dtype
        if name in BITWISE:
            return Element(dtype, self.function.op(BITWISE[name], xs[0].value, xs[1].value))
        rule = integers.INTEGERS.get(name)
        if rule is None:
            raise Unsupported(name)
        out = rule(self.function, dtype, *[x.value for x in xs])
        if element_of(out.type) == "i1":
            return Element(BOOL, out)
        return Element(UINT8 if name == "bitwise_count" else dtype, out)

    def complex(self, name: str, *xs: Element) -> Element:
        function = COMPLEX_MATH.get(name)
        if function is None:
            raise Unsupported(name)
        out = function(self.function, *[x.value for x in xs])
        dtype = xs[0].dtype
        if is_pair(out.type):
            return Element(np.result_type(dtype, np.complex64), out)
        return Element(BOOL if element_of(out.type) == "i1" else real_dtype(dtype), out)

    def floating(self, name: str, *xs: Element) -> Element:
        if name in ("conjugate", "real"):
            return xs[0]
        function = MATH.get(name)
        if function is None or (name == "nextafter" and is_half(xs[0].dtype)):
            raise Unsupported(name)  # the float next to a half is none
        if xs[0].dtype == np.float16 and name in EXTREMES:
            xs = xs[
                ::-1
            ]  # of 0 and -0 NumPy takes the first for float16, the second for other floats
        out = function(self.function, *[x.value for x in xs])
        if element_of(out.type) == "i1":
            return Element(BOOL, out)
        return self.rounded(xs[0].dtype, out)

    def logistic(self, x: Element) -> Element:
        (x,) = self.same(x)
        return super().logistic(x) if x.dtype.kind == "c" else self.floating("logistic", x)

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


def apply(
    function: Function,
    primitive: Any,
    params: dict,
    operands: list[Element],
    result: np.dtype,
    lanes: int,
) -> Value:
    """One element (or vector) of the result of an elementwise primitive."""
    elements = Elements(function, computing_dtype(operands, result), lanes)
    out = primitive.scalar(elements, *operands, **params)
    if out.dtype is None:
        out = elements.number(result, out.value)
    return out.value


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
    if primitive.name in integers.DIVISIONS and dtypes[1].kind in "iu" and numbers[1] == 0:
        return False  # NumPy warns
    return has_code(_supports, primitive, dtypes, numbers, params, result)
