"""One element at a time, as C text."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from funcgrad.compiler.cuda.kernels import functions
from funcgrad.compiler.cuda.kernels.scalars import (
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


class Elements(ElementWriter):
    """Adds a line to a block for each operation.

    Args:
        block: where the lines go.
        names: new names of variables.
        used: the sections of the prelude that the lines need, added to.
        result: the dtype of constants in a rule that has only constant operands.
    """

    def __init__(self, block: Block, names: Names, used: set[str], result: np.dtype) -> None:
        super().__init__(result)
        self.block = block
        self.names = names
        self.used = used

    # --- operands ---

    def number(self, dtype: np.dtype, value: Any) -> Element:
        return Element(dtype, number(dtype, value), value)

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
            return self.let(dtype, f"{x.value} {sign} {y.value}")
        if dtype.kind == "c":
            return self.complex(name, x, y)
        if dtype.kind in "iu":
            wide = wrapping_type(dtype)
            return self.let(
                dtype, f"({register_type(dtype)})(({wide}){x.value} {sign} ({wide}){y.value})"
            )
        return self.rounded(dtype, f"{x.value} {sign} {y.value}")

    def divide(self, x: Element, y: Element) -> Element:
        x, y = self.same(x, y)
        if x.dtype.kind in "iub":
            raise Unsupported("divide")
        if x.dtype.kind == "c":
            return self.complex("divide", x, y)
        return self.rounded(x.dtype, f"{x.value} / {y.value}")

    def negative(self, x: Element) -> Element:
        (x,) = self.same(x)
        if x.dtype == BOOL:
            raise Unsupported("negative")
        if x.dtype.kind in "iu":
            return self.let(
                x.dtype, f"({register_type(x.dtype)})(0 - ({wrapping_type(x.dtype)}){x.value})"
            )
        return (
            self.complex("negative", x) if x.dtype.kind == "c" else self.let(x.dtype, f"-{x.value}")
        )

    def compare(self, name: str, x: Element, y: Element) -> Element:
        x, y = self.same(x, y)
        if x.dtype.kind == "c":
            return self.complex(name, x, y)
        return self.let(BOOL, f"{x.value} {COMPARISONS[name]} {y.value}")

    def select(self, condition: Element, x: Element, y: Element) -> Element:
        x, y = self.same(x, y)
        return self.let(x.dtype, f"{self.truth(condition).value} ? {x.value} : {y.value}")

    def logical(self, name: str, *xs: Element) -> Element:
        if name == "logical_not":
            return self.let(BOOL, f"!{xs[0].value}")
        return self.let(BOOL, f"{xs[0].value} {LOGICAL[name]} {xs[1].value}")

    # --- named functions ---

    def power(self, x: Element, y: Element) -> Element:
        kind, number = x.dtype.kind, y.number
        if kind == "c":
            if number is not None and not number.imag and number.real in range(1, MAX_FACTORS):
                self.used.add("complex")
                return self.let(x.dtype, f"fg_whole_power({x.value}, {int(number.real)})")
            return self.complex("power", x, y)
        if number in (1, 2, 3, 4) and kind != "b":
            return self.small_power(x, int(number))
        return self.integer("power", x, y) if kind in "iub" else self.floating("power", x, y)

    def integer(self, name: str, *xs: Element) -> Element:
        dtype, texts = xs[0].dtype, [x.value for x in xs]
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
        dtype, texts = xs[0].dtype, ", ".join(str(x.value) for x in xs)
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
        """Of half precision as float, rounded."""
        if name in ("conjugate", "real"):
            return xs[0]
        dtype, texts = xs[0].dtype, ", ".join(str(x.value) for x in xs)
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
            return self.number(dtype, x.value)
        if x.dtype == dtype:
            return x
        self.used |= sections(dtype, x.dtype)
        return self.let(dtype, convert(x.value, x.dtype, dtype))

    def bitcast(self, x: Element, dtype: np.dtype) -> Element:
        (x,) = self.same(x)
        raw = to_memory(x.dtype, x.value)
        if is_half(x.dtype) or is_half(dtype):
            wanted = "unsigned short" if is_half(dtype) else register_type(dtype)
            return self.let(dtype, from_memory(dtype, f"fg_bits<{wanted}>({raw})"))
        return self.let(dtype, f"fg_bits<{register_type(dtype)}>({raw})")

    def threefry(self, key: Element, counter: Element) -> Element:
        """Threefry2x32 with 20 rounds (Salmon et al. 2011) on the two halves of 64-bit words."""
        key, counter = self.same(key, counter)
        self.used.add("threefry")
        return self.let(counter.dtype, f"fg_threefry({key.value}, {counter.value})")


def apply(
    elements: Elements, primitive: Any, params: dict, operands: list[Element], result: np.dtype
) -> Element:
    """One element of the result of an elementwise primitive."""
    elements.result = computing_dtype(operands, result)
    out = primitive.scalar(elements, *operands, **params)
    return elements.number(result, out.value) if out.dtype is None else out


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
    return has_code(_supports, primitive, dtypes, numbers, params, result)
