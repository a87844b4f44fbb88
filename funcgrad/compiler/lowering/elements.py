"""One element at a time: what the `scalar` rules of elementwise primitives talk to, as far as all emitters agree.

Every operation of half precision rounds its result, as NumPy's does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.ir.types import BOOL

ARITHMETIC = frozenset({"add", "subtract", "multiply"})
COMPARISONS = frozenset({"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"})
LOGICAL = frozenset({"logical_and", "logical_or", "logical_xor", "logical_not"})
UINT8 = np.dtype(np.uint8)
MAX_FACTORS = 100  # NumPy multiplies for whole powers of complex numbers below this one


class Unsupported(Exception):
    """An emitter has no code for an operation: an answer, not an error. It becomes a library step."""


class Element:
    """A value with its dtype; `dtype` None is a Python number that adopts the dtype of what it meets.

    Attributes:
        value: what the emitter calls the value, or the Python number.
        number: the number that a constant stands for.
    """

    __slots__ = ("dtype", "number", "value")

    def __init__(self, dtype: Any, value: Any, number: Any = None) -> None:
        self.dtype = dtype
        self.value = value
        self.number = number


class ElementWriter(ABC):
    """Computes with elements. An emitter adds how each kind of operation is written.

    Args:
        result: the dtype of constants in a rule that has only constant operands.
    """

    def __init__(self, result: np.dtype) -> None:
        self.result = result

    # --- operands ---

    def constant(self, value: Any) -> Element:
        return Element(None, value)

    @abstractmethod
    def number(self, dtype: np.dtype, value: Any) -> Element:
        """A constant of this dtype."""

    def same(self, *xs: Element) -> list[Element]:
        """The operands in one dtype."""
        dtype = next((x.dtype for x in xs if x.dtype is not None), self.result)
        return [self.number(dtype, x.value) if x.dtype is None else x for x in xs]

    def truth(self, x: Element) -> Element:
        """Whether an element is not zero."""
        if x.dtype is None:
            return self.number(BOOL, bool(x.value))
        return x if x.dtype == BOOL else self.compare("not_equal", x, self.constant(0))

    # --- what every emitter writes in its own way ---

    @abstractmethod
    def arithmetic(self, name: str, x: Element, y: Element) -> Element: ...

    @abstractmethod
    def divide(self, x: Element, y: Element) -> Element: ...

    @abstractmethod
    def negative(self, x: Element) -> Element: ...

    @abstractmethod
    def select(self, condition: Element, x: Element, y: Element) -> Element: ...

    @abstractmethod
    def compare(self, name: str, x: Element, y: Element) -> Element: ...

    @abstractmethod
    def logical(self, name: str, *xs: Element) -> Element:
        """A logical operation on booleans."""

    @abstractmethod
    def power(self, x: Element, y: Element) -> Element: ...

    @abstractmethod
    def integer(self, name: str, *xs: Element) -> Element:
        """A function of integers or booleans."""

    @abstractmethod
    def complex(self, name: str, *xs: Element) -> Element:
        """A function with a complex argument or result."""

    @abstractmethod
    def floating(self, name: str, *xs: Element) -> Element:
        """A function of floats."""

    # --- named functions ---

    def add(self, x: Element, y: Element) -> Element:
        return self.arithmetic("add", x, y)

    def subtract(self, x: Element, y: Element) -> Element:
        return self.arithmetic("subtract", x, y)

    def multiply(self, x: Element, y: Element) -> Element:
        return self.arithmetic("multiply", x, y)

    def equal(self, x: Element, y: Element) -> Element:
        return self.compare("equal", x, y)

    def math(self, name: str, *xs: Element) -> Element:
        """The elementwise primitive of this name."""
        if name in ARITHMETIC:
            return self.arithmetic(name, *xs)
        if name in COMPARISONS:
            return self.compare(name, *xs)
        if name in LOGICAL:
            return self.logical(name, *[self.truth(x) for x in xs])
        values = self.same(*xs)
        if name == "power":
            return self.power(*values)
        kind = values[0].dtype.kind
        if kind == "c" or name == "complex":
            return self.complex(name, *values)
        return self.integer(name, *values) if kind in "iub" else self.floating(name, *values)

    def logistic(self, x: Element) -> Element:
        """The sigmoid, without overflow; an emitter may have a better way."""
        one = self.constant(1)
        tail = self.math("exp", self.negative(self.math("absolute", x)))
        positive = self.compare("greater_equal", x, self.constant(0))
        return self.divide(self.select(positive, one, tail), self.add(one, tail))

    def small_power(self, x: Element, exponent: int) -> Element:
        """By multiplication: within 2 ulp, and right for every special value."""
        square = self.multiply(x, x) if exponent > 1 else x
        return self.multiply(square, x if exponent == 3 else square) if exponent > 2 else square


# Whether an emitter has a rule for a primitive on these dtypes and known numbers, with params and a result.
Probe = Callable[[Any, tuple, tuple, tuple, np.dtype], bool]


def has_code(
    probe: Probe, primitive: Any, dtypes: tuple, numbers: tuple, params: dict, result: np.dtype
) -> bool:
    """Ask a probe, which remembers its answers: numbers make a difference only for powers."""
    if primitive.name not in ("power", "quiet_power"):
        numbers = (None,) * len(dtypes)
    try:
        return probe(primitive, dtypes, numbers, tuple(sorted(params.items())), result)
    except TypeError:  # params that cannot be hashed, or a rule for other emitters
        return False


def computing_dtype(operands: list[Element], result: np.dtype) -> np.dtype:
    """The dtype of constants in a rule."""
    return next((x.dtype for x in operands if x.dtype is not None), result)
