"""Notation for inlined math: a `Number` writes the instruction of each operator into the function being built."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.target import host
from funcgrad.compiler.llvm.types import Value, constant, element_of, lanes_of, with_element


@dataclass(frozen=True)
class Format:
    """An IEEE format: its fraction bits, the bias of its exponent, the integer of its width."""

    fraction: int
    bias: int
    integer: str
    width: int

    @property
    def smallest_normal(self) -> float:
        return math.ldexp(1.0, 1 - self.bias)

    @property
    def rounder(self) -> float:
        """Adding it rounds to an integer, which then stands in the low bits of the sum."""
        return 1.5 * 2.0**self.fraction


FORMATS = {"float": Format(23, 127, "i32", 32), "double": Format(52, 1023, "i64", 64)}


class Number:
    """A scalar or vector of floats, integers or conditions, with Python's operators.

    Integers are signed (`>>` keeps the sign); comparisons with NaN are false; Python numbers become constants.
    """

    __slots__ = ("function", "value")

    def __init__(self, function: Function, value: Value) -> None:
        self.function = function
        self.value = value

    @property
    def type(self) -> str:
        return self.value.type

    @property
    def element(self) -> str:
        return element_of(self.type)

    @property
    def lanes(self) -> int:
        return lanes_of(self.type)

    @property
    def format(self) -> Format:
        return FORMATS[self.element]

    @property
    def is_double(self) -> bool:
        return self.element == "double"

    @property
    def is_float(self) -> bool:
        return self.element in FORMATS

    def constant(self, value: Any) -> Number:
        """A Python number in the type of this one."""
        return Number(self.function, constant(self.type, value))

    def lift(self, value: Any) -> Number:
        return value if isinstance(value, Number) else self.constant(value)

    def op(self, name: str, other: Any) -> Number:
        return Number(self.function, self.function.op(name, self.value, self.lift(other).value))

    def arithmetic(self, name: str, other: Any) -> Number:
        return self.op("f" + name if self.is_float else name, other)

    def intrinsic(self, name: str, *others: Any) -> Number:
        values = [self.value, *[self.lift(other).value for other in others]]
        return Number(self.function, self.function.intrinsic(name, self.type, values))

    # --- arithmetic ---

    def __add__(self, other: Any) -> Number:
        return self.arithmetic("add", other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Number:
        return self.arithmetic("sub", other)

    def __rsub__(self, other: Any) -> Number:
        return self.lift(other).arithmetic("sub", self)

    def __mul__(self, other: Any) -> Number:
        return self.arithmetic("mul", other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Number:
        return self.op("fdiv", other)

    def __rtruediv__(self, other: Any) -> Number:
        return self.lift(other).op("fdiv", self)

    def __neg__(self) -> Number:
        if self.is_float:
            return Number(self.function, self.function.fneg(self.value))
        return self.constant(0) - self

    def __abs__(self) -> Number:
        return self.intrinsic("llvm.fabs")

    # --- bits ---

    def __and__(self, other: Any) -> Number:
        return self.op("and", other)

    def __or__(self, other: Any) -> Number:
        return self.op("or", other)

    def __xor__(self, other: Any) -> Number:
        return self.op("xor", other)

    def __invert__(self) -> Number:
        return self.op("xor", 1 if self.element == "i1" else -1)

    def __lshift__(self, count: Any) -> Number:
        return self.op("shl", count)

    def __rshift__(self, count: Any) -> Number:
        return self.op("ashr", count)

    def cast(self, name: str, element: str) -> Number:
        type = with_element(self.type, element)
        return Number(self.function, self.function.cast(name, self.value, type))

    @property
    def bits(self) -> Number:
        """The bits of a float as an integer."""
        return self.cast("bitcast", self.format.integer)

    def as_float(self) -> Number:
        """The float with the bits of this integer."""
        return self.cast("bitcast", "float" if self.element == "i32" else "double")

    def to_float(self) -> Number:
        """The value of this integer as a float of its width."""
        return self.cast("sitofp", "float" if self.element == "i32" else "double")

    def widen(self) -> Number:
        """From float to double."""
        return self.cast("fpext", "double")

    def narrow(self) -> Number:
        """From double to float."""
        return self.cast("fptrunc", "float")

    # --- lanes ---

    def part(self, half: int) -> Number:
        """The lower (0) or upper (1) half of the lanes."""
        count = self.lanes // 2
        lanes = range(half * count, (half + 1) * count)
        return Number(self.function, self.function.shuffle(self.value, self.value, lanes))

    def join(self, upper: Number) -> Number:
        """The lanes of this one, then those of another."""
        lanes = range(2 * self.lanes)
        return Number(self.function, self.function.shuffle(self.value, upper.value, lanes))

    # --- comparisons ---

    def compare(self, predicate: str, other: Any) -> Number:
        other = self.lift(other).value
        if self.is_float:
            return Number(self.function, self.function.fcmp("o" + predicate, self.value, other))
        signed = predicate if predicate in ("eq", "ne") else "s" + predicate
        return Number(self.function, self.function.icmp(signed, self.value, other))

    def __lt__(self, other: Any) -> Number:
        return self.compare("lt", other)

    def __le__(self, other: Any) -> Number:
        return self.compare("le", other)

    def __gt__(self, other: Any) -> Number:
        return self.compare("gt", other)

    def __ge__(self, other: Any) -> Number:
        return self.compare("ge", other)

    def equals(self, other: Any) -> Number:
        return self.compare("eq", other)

    def is_nan(self) -> Number:
        return Number(self.function, self.function.fcmp("uno", self.value, self.value))

    def is_any(self) -> Number:
        """Whether a condition holds in any lane: one i1."""
        if not self.lanes:
            return self
        mask = Number(self.function, self.function.cast("bitcast", self.value, f"i{self.lanes}"))
        return Number(self.function, self.function.icmp("ne", mask.value, mask.constant(0).value))


Formula = Callable[..., Number]


def native(formula: Formula) -> Callable[..., Value]:
    """A formula on Numbers as a writer of instructions on Values."""

    @functools.wraps(formula)
    def write(function: Function, *values: Value) -> Value:
        return formula(*[Number(function, value) for value in values]).value

    return write


def select(condition: Number, yes: Any, no: Any) -> Number:
    """`yes` where the condition holds, else `no`; at least one of them is a Number."""
    yes = yes if isinstance(yes, Number) else no.constant(yes)
    no = yes.lift(no)
    function = condition.function
    return Number(function, function.select(condition.value, yes.value, no.value))


@functools.cache
def features() -> tuple[bool, bool]:
    """Whether the CPU has fused multiply-add, and AVX-512."""
    target = host()
    has_fma = "+fma" in target.features.split(",")
    return has_fma or target.triple.startswith(("aarch64", "arm64")), target.has_masks


def has_fma() -> bool:
    """Whether the CPU multiplies and adds with one rounding."""
    return features()[0]


def has_avx512() -> bool:
    """Whether the CPU has AVX-512 instructions for exponents and scaling."""
    return features()[1]


def fma(a: Any, b: Any, c: Any) -> Number:
    """`a * b + c`, rounded once where the CPU can."""
    known = next(x for x in (a, b, c) if isinstance(x, Number))
    a, b, c = known.lift(a), known.lift(b), known.lift(c)
    return a.intrinsic("llvm.fma", b, c) if has_fma() else a * b + c


def polynomial(x: Number, coefficients: Any) -> Number:
    """Horner's rule; coefficients by power, lowest first, or per format in a dict."""
    if isinstance(coefficients, dict):
        coefficients = coefficients[x.element]
    total: Any = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        total = fma(total, x, coefficient)
    return total


def sqrt(x: Number) -> Number:
    return x.intrinsic("llvm.sqrt")


def rint(x: Number) -> Number:
    return x.intrinsic("llvm.rint")


def copysign(x: Number, sign: Number) -> Number:
    return x.intrinsic("llvm.copysign", sign)


def at_most(x: Number, bound: Any) -> Number:
    """The smaller of both; NaN stays NaN."""
    return select(x > bound, bound, x)


def at_least(x: Number, bound: Any) -> Number:
    """The larger of both; NaN stays NaN."""
    return select(x < bound, bound, x)
