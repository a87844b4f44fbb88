"""LLVM's types and constants, as LLVM spells them.

Types are text: "float", "i64", "ptr", "<16 x float>". Complex numbers are pairs of real ones, "{float, float}", and
vectors of them pairs of vectors.
"""

from __future__ import annotations

import operator
import struct
from typing import Any


class Value:
    """An operand: an SSA name or a constant, and its type."""

    __slots__ = ("text", "type")

    def __init__(self, type: str, text: str) -> None:
        self.type = type
        self.text = text

    def __repr__(self) -> str:
        return f"{self.type} {self.text}"


def is_pair(type: str) -> bool:
    return type[0] == "{"


def pair_of(part: str) -> str:
    return f"{{{part}, {part}}}"


def part_of(type: str) -> str:
    """The type of each half of a pair."""
    return type[1 : type.index(",")]


def lanes_of(type: str) -> int:
    """The number of lanes of a vector type, 0 for a scalar."""
    if is_pair(type):
        type = part_of(type)
    return int(type[1 : type.index(" ")]) if type[0] == "<" else 0


def element_of(type: str) -> str:
    """The type of one lane."""
    if is_pair(type):
        return pair_of(element_of(part_of(type)))
    return type[type.index("x") + 2 : -1] if type[0] == "<" else type


def vector(lanes: int, element: str) -> str:
    """`<lanes x element>`; the element type itself for 0 lanes."""
    if is_pair(element):
        return pair_of(vector(lanes, part_of(element)))
    return f"<{lanes} x {element}>" if lanes else element


def with_element(type: str, element: str) -> str:
    """The type with other elements and as many lanes."""
    return vector(lanes_of(type), element)


def float_text(value: float, type: str) -> str:
    """A floating constant in LLVM's exact hexadecimal spelling."""
    if type == "float":
        try:
            value = struct.unpack("<f", struct.pack("<f", value))[0]
        except OverflowError:
            value = float("inf") if value > 0 else float("-inf")
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


def constant(type: str, value: Any) -> Value:
    """A number of a scalar or vector type (all lanes the same)."""
    if is_pair(type):
        parts = [constant(part_of(type), part) for part in (value.real, value.imag)]
        return Value(type, f"{{{parts[0]}, {parts[1]}}}")
    element = element_of(type)
    if element in ("float", "double"):
        text = float_text(float(value), element)
    elif element == "i1":
        text = "true" if value else "false"
    else:
        text = str(int(value))
    lanes = lanes_of(type)
    if lanes:
        text = "splat (" + element + " " + text + ")"
    return Value(type, text)


def zero(type: str) -> Value:
    return Value(
        type,
        "null"
        if type == "ptr"
        else "zeroinitializer"
        if type[0] in "<{" or type == "half"
        else constant(type, 0).text,
    )


def trivial(name: str, a: Value, b: Value) -> Value | None:
    """What `add`, `sub` and `mul` of i64 give without an instruction: for two constants, or 0 or 1."""
    if b.text == ("1" if name == "mul" else "0") and name in ("add", "sub", "mul"):
        return a
    if a.text == {"add": "0", "mul": "1"}.get(name):
        return b
    if name not in _EXACT or not (_is_number(a.text) and _is_number(b.text)):
        return None
    exact = _EXACT[name](int(a.text), int(b.text))
    return constant("i64", (exact + 2**63) % 2**64 - 2**63)


_EXACT = {"add": operator.add, "sub": operator.sub, "mul": operator.mul}


def _is_number(text: str) -> bool:
    return text.removeprefix("-").isdigit()


def mangled(type: str) -> str:
    """The suffix LLVM gives an intrinsic overloaded on this type: v16f32, i64, p0."""
    short = {"float": "f32", "double": "f64", "half": "f16", "bfloat": "bf16", "ptr": "p0"}
    element = element_of(type)
    lanes = lanes_of(type)
    name = short.get(element, element)
    return f"v{lanes}{name}" if lanes else name
