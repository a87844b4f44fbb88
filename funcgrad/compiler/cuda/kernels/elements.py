"""One element at a time, as C text: what the `scalar` rules of elementwise primitives talk to.

Has the methods of `llvm/kernels/elements.py`. Every operation of half precision rounds its result, as NumPy's does.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from funcgrad.compiler.cuda.kernels import functions
from funcgrad.compiler.cuda.kernels.scalars import (
    Unsupported,
    convert,
    from_memory,
    is_half,
    number,
    register_type,
    rounded,
    sections,
    to_memory,
    wrapping_type,
)
from funcgrad.compiler.cuda.kernels.text import Block, Names
from funcgrad.ir.types import BOOL, real_dtype

COMPARISONS = {
    "equal": "==",
    "not_equal": "!=",
    "less": "<",
    "less_equal": "<=",
    "greater": ">",
    "greater_equal": ">=",
}
LOGICAL = {"logical_and": "&&", "logical_or": "||", "logical_xor": "!="}
BITWISE = {"bitwise_and": "&", "bitwise_or": "|", "bitwise_xor": "^"}
ARITHMETIC = {"add": "+", "subtract": "-", "multiply": "*"}
UINT8 = np.dtype(np.uint8)
MAX_FACTORS = 100  # NumPy multiplies for whole powers of complex numbers below this one


class Element:
    """A value with its dtype; `dtype` None is a Python number that adopts the dtype of what it meets.

    `number` is the number that a constant stands for.
    """

    __slots__ = ("dtype", "number", "text")

    def __init__(self, dtype: Any, text: Any, number: Any = None) -> None:
        self.dtype = dtype
        self.text = text
        self.number = number


class Elements:
    """Computes with elements: adds a line to a block for each operation.

    Args:
        block: where the lines go.
        names: new names of variables.
        used: the sections of the prelude that the lines need, added to.
        result: the dtype of constants in a rule that has only constant operands.
    """

    def __init__(self, block: Block, names: Names, used: set[str], result: np.dtype) -> None:
        self.block = block
        self.names = names
        self.used = used
        self.result = result

    # --- operands ---

    def constant(self, value: Any) -> Element:
        return Element(None, value)

    def number(self, dtype: np.dtype, value: Any) -> Element:
        return Element(dtype, number(dtype, value), value)

    def same(self, *xs: Element) -> list[Element]:
        """The operands in one dtype."""
        dtype = next((x.dtype for x in xs if x.dtype is not None), self.result)
        return [self.number(dtype, x.text) if x.dtype is None else x for x in xs]

    def let(self, dtype: np.dtype, text: str) -> Element:
        """A value under a name of its own."""
        self.used |= sections(dtype)
        name = self.names()
        self.block.add(f"const {register_type(dtype)} {name} = {text};")
        return Element(dtype, name)

    def rounded(self, dtype: np.dtype, text: str) -> Element:
        """A result, rounded to half precision if that is its dtype."""
        return self.let(dtype, rounded(dtype, text) if is_half(dtype) else text)

    # --- arithmetic ---

    def arithmetic(self, name: str, x: Element, y: Element) -> Element:
        x, y = self.same(x, y)
        dtype, sign = x.dtype, ARITHMETIC[name]
        if dtype == BOOL:
            sign = {"add": "||", "multiply": "&&"}.get(name)
            if sign is None:
                raise Unsupported(name)
            return self.let(dtype, f"{x.text} {sign} {y.text}")
        if dtype.kind == "c":
            return self.complex(name, x, y)
        if dtype.kind in "iu":
            wide = wrapping_type(dtype)
            return self.let(
                dtype, f"({register_type(dtype)})(({wide}){x.text} {sign} ({wide}){y.text})"
            )
        return self.rounded(dtype, f"{x.text} {sign} {y.text}")

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
        return self.rounded(x.dtype, f"{x.text} / {y.text}")

    def negative(self, x: Element) -> Element:
        (x,) = self.same(x)
        if x.dtype == BOOL:
            raise Unsupported("negative")
        if x.dtype.kind in "iu":
            return self.let(
                x.dtype, f"({register_type(x.dtype)})(0 - ({wrapping_type(x.dtype)}){x.text})"
            )
        return (
            self.complex("negative", x) if x.dtype.kind == "c" else self.let(x.dtype, f"-{x.text}")
        )

    def equal(self, x: Element, y: Element) -> Element:
        return self.compare("equal", x, y)

    def compare(self, name: str, x: Element, y: Element) -> Element:
        x, y = self.same(x, y)
        if x.dtype.kind == "c":
            return self.complex(name, x, y)
        return self.let(BOOL, f"{x.text} {COMPARISONS[name]} {y.text}")

    def select(self, condition: Element, x: Element, y: Element) -> Element:
        x, y = self.same(x, y)
        return self.let(x.dtype, f"{self.truth(condition).text} ? {x.text} : {y.text}")

    def truth(self, x: Element) -> Element:
        """Whether an element is not zero."""
        if x.dtype is None:
            return self.number(BOOL, bool(x.text))
        return x if x.dtype == BOOL else self.compare("not_equal", x, self.constant(0))

    # --- named functions ---

    def math(self, name: str, *xs: Element) -> Element:
        """The elementwise primitive of this name."""
        if name in ARITHMETIC:
            return self.arithmetic(name, *xs)
        if name in COMPARISONS:
            return self.compare(name, *xs)
        if name in LOGICAL:
            a, b = (self.truth(x) for x in xs)
            return self.let(BOOL, f"{a.text} {LOGICAL[name]} {b.text}")
        if name == "logical_not":
            return self.let(BOOL, f"!{self.truth(xs[0]).text}")
        values = self.same(*xs)
        dtype = values[0].dtype
        if name == "power":
            return self.power(*values)
        if dtype.kind == "c" or name == "complex":
            return self.complex(name, *values)
        if dtype.kind in "iub":
            return self.integer(name, *values)
        return self.floating(name, *values)

    def power(self, x: Element, y: Element) -> Element:
        kind, number = x.dtype.kind, y.number
        if kind == "c":
            if number is not None and not number.imag and number.real in range(1, MAX_FACTORS):
                self.used.add("complex")
                return self.let(x.dtype, f"fg_whole_power({x.text}, {int(number.real)})")
            return self.complex("power", x, y)
        if number in (1, 2, 3, 4) and kind != "b":
            return self.small_power(x, int(number))
        return self.integer("power", x, y) if kind in "iub" else self.floating("power", x, y)

    def small_power(self, x: Element, exponent: int) -> Element:
        """By multiplication: within 2 ulp, and right for every special value."""
        square = self.multiply(x, x) if exponent > 1 else x
        return self.multiply(square, x if exponent == 3 else square) if exponent > 2 else square

    def integer(self, name: str, *xs: Element) -> Element:
        """A function of integers or booleans."""
        dtype, texts = xs[0].dtype, [x.text for x in xs]
        if name in functions.UNCHANGED:
            return xs[0]
        if name in functions.CONSTANT_TESTS:
            return self.let(BOOL, functions.CONSTANT_TESTS[name])
        if name in functions.EXTREMES:
            a, b = texts
            return self.let(dtype, f"{a} {functions.EXTREMES[name]} {b} ? {a} : {b}")
        if name in BITWISE:
            return self.let(
                dtype, f"({register_type(dtype)})({texts[0]} {BITWISE[name]} {texts[1]})"
            )
        if name == "square":
            return self.arithmetic("multiply", xs[0], xs[0])
        if name == "invert":
            sign = "!" if dtype == BOOL else "~"
            return self.let(dtype, f"({register_type(dtype)}){sign}{texts[0]}")
        if name == "absolute" and dtype.kind in "bu":
            return xs[0]
        self.used.add("integers")
        if name == "bitwise_count" and dtype != BOOL:
            return self.let(UINT8, f"fg_bitwise_count({texts[0]})")
        function = functions.INTEGERS.get(name)
        if function is None or dtype == BOOL:
            raise Unsupported(name)
        return self.let(dtype, f"{function}({', '.join(texts)})")

    def complex(self, name: str, *xs: Element) -> Element:
        """A function with a complex argument or result."""
        dtype, texts = xs[0].dtype, ", ".join(str(x.text) for x in xs)
        self.used.add("complex")
        if name == "complex":
            result = np.result_type(dtype, np.complex64)
            return self.let(result, f"{register_type(result)}{{{texts}}}")
        if name in ("real", "imag"):
            return self.let(real_dtype(dtype), f"{texts}.{'re' if name == 'real' else 'im'}")
        if name == "absolute":
            return self.let(real_dtype(dtype), f"fg_absolute({texts})")
        if name in functions.COMPLEX_TESTS:
            return self.let(BOOL, f"{functions.COMPLEX_TESTS[name]}({texts})")
        function = functions.COMPLEX.get(name)
        if function is None:
            function = functions.COMPLEX_MATH.get(name)
            self.used.add("complex_math")
        if function is None:
            raise Unsupported(name)
        return self.let(dtype, f"{function}({texts})")

    def floating(self, name: str, *xs: Element) -> Element:
        """A function of floats; of half precision as float, rounded."""
        if name in ("conjugate", "real"):
            return xs[0]
        dtype, texts = xs[0].dtype, ", ".join(str(x.text) for x in xs)
        self.used.add(functions.FLOAT_SECTIONS.get(name, "floats"))
        if name in functions.FLOAT_TESTS:
            return self.let(BOOL, f"{functions.FLOAT_TESTS[name]}({texts})")
        function = functions.FLOATS.get(name)
        if function is None or (name == "nextafter" and is_half(dtype)):
            raise Unsupported(name)  # the float next to a half is none
        return self.rounded(dtype, f"{function}({texts})")

    # --- changes of representation ---

    def convert(self, x: Element, dtype: np.dtype) -> Element:
        if x.dtype is None:
            return self.number(dtype, x.text)
        if x.dtype == dtype:
            return x
        self.used |= sections(dtype, x.dtype)
        return self.let(dtype, convert(x.text, x.dtype, dtype))

    def bitcast(self, x: Element, dtype: np.dtype) -> Element:
        (x,) = self.same(x)
        raw = to_memory(x.dtype, x.text)
        if is_half(x.dtype) or is_half(dtype):
            wanted = "unsigned short" if is_half(dtype) else register_type(dtype)
            return self.let(dtype, from_memory(dtype, f"fg_bits<{wanted}>({raw})"))
        return self.let(dtype, f"fg_bits<{register_type(dtype)}>({raw})")

    def threefry(self, key: Element, counter: Element) -> Element:
        """Threefry2x32 with 20 rounds (Salmon et al. 2011) on the two halves of 64-bit words."""
        key, counter = self.same(key, counter)
        self.used.add("threefry")
        return self.let(counter.dtype, f"fg_threefry({key.text}, {counter.text})")


def apply(
    elements: Elements, primitive: Any, params: dict, operands: list[Element], result: np.dtype
) -> Element:
    """One element of the result of an elementwise primitive."""
    elements.result = next((x.dtype for x in operands if x.dtype is not None), result)
    out = primitive.scalar(elements, *operands, **params)
    return elements.number(result, out.text) if out.dtype is None else out


@functools.cache
def _supports(
    primitive: Any, dtypes: tuple, numbers: tuple, params: tuple, result: np.dtype
) -> bool:
    elements = Elements(Block(), Names(), set(), dtypes[0])
    try:
        for dtype in (*dtypes, result):
            register_type(dtype)
        operands = [Element(d, "x", number) for d, number in zip(dtypes, numbers, strict=True)]
        out = primitive.scalar(elements, *operands, **dict(params))
    except Unsupported:
        return False
    return out.dtype is None or out.dtype == result


def fits(number: Any, dtype: np.dtype) -> bool:
    """Whether a dtype can hold a constant."""
    if type(number) is not int or dtype.kind not in "iu":
        return True
    limits = np.iinfo(dtype)
    return limits.min <= number <= limits.max


def supports(primitive: Any, dtypes: tuple, numbers: tuple, params: dict, result: np.dtype) -> bool:
    """Whether an elementwise primitive on these dtypes has CUDA C with this result.

    `numbers` holds the operands that are constants, which may make a difference for powers.
    """
    if not all(map(fits, numbers, dtypes)):
        return False  # NumPy has an error for it
    if primitive.name not in ("power", "quiet_power"):
        numbers = (None,) * len(dtypes)
    try:
        return _supports(primitive, dtypes, numbers, tuple(sorted(params.items())), result)
    except TypeError:  # params that cannot be hashed, or a rule for other emitters
        return False
