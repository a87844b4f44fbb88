"""The kernels of reductions over sliding windows."""

from __future__ import annotations

import math

from funcgrad.compiler.cuda.kernels.scalars import (
    combine,
    load,
    memory_type,
    number,
    register_type,
    sections,
    start,
    store,
)
from funcgrad.compiler.cuda.launches import Source
from funcgrad.compiler.cuda.steps.text import blocks_for, each, index_type, kernel
from funcgrad.compiler.lowering.index import strides_of
from funcgrad.compiler.lowering.window_spec import WindowSpec
from funcgrad.ops.reduce import accumulator
from funcgrad.ops.sliding import ALONE, Sliding
from funcgrad.ops.windows import position_dtype

COMBINES = {"largest": "maximum", "smallest": "minimum"}
MOST_UNROLLED = 32  # elements of a window


class Windows:
    """The kernels for a spec.

    Neighbouring axes without a window count as one. Loops over the elements of a window go through all of them in C
    order; those outside of the array are neutral.
    """

    def __init__(self, spec: WindowSpec) -> None:
        self.spec = spec
        self.axes = merged_axes(spec)
        self.wide = accumulator(spec.dtype)
        self.shape = tuple(n for n, _ in self.axes)
        self.places = tuple(w.places(n) for n, w in self.axes)
        self.type = index_type(math.prod(self.shape), math.prod(self.places))
        self.element = memory_type(spec.dtype)
        self.position = memory_type(position_dtype(spec.window))
        self.register = register_type(self.wide)

    def source(self) -> Source:
        """The kernel, on (operands..., result)."""
        what = self.spec.what
        if what == "take":
            return self.taking()
        if what == "put":
            return self.putting()
        return self.locating() if what in COMBINES else self.reducing()

    def build(self, pointers: tuple[str, ...], body: str, count: int) -> Source:
        prelude = {*sections(self.spec.dtype), "combine"}
        name = f"window_{self.spec.what}"
        return kernel(name, pointers, each(count, body), blocks_for(count), prelude=prelude)

    # --- parts of kernels ---

    def split(self, names: str, lengths: tuple[int, ...]) -> str:
        """The place `i` along each axis."""
        lines, rest = [], "i"
        for axis in reversed(range(len(lengths))):
            part = f"{rest} % {lengths[axis]}" if axis else rest
            lines.append(f"    {self.type} {names}{axis} = {part};\n")
            rest = f"{rest} / {lengths[axis]}"
        return "".join(lines)

    def over_elements(self, body: str) -> str:
        """A loop over the elements of a window: `k0, k1, ...` along the axes, `k` in C order."""
        slid = [(axis, w) for axis, (_, w) in enumerate(self.axes) if w.size > 1]
        unroll = "#pragma unroll\n" if self.spec.elements <= MOST_UNROLLED else "#pragma unroll 1\n"
        head = [
            f"    const int k{axis} = 0;\n" for axis, (_, w) in enumerate(self.axes) if w.size <= 1
        ]
        loops = [f"{unroll}    for (int k{a} = 0; k{a} < {w.size}; k{a}++)\n" for a, w in slid]
        number = "0"
        for axis, window in slid:
            number = f"({number} * {window.size} + k{axis})"
        return "".join([*head, *loops]) + f"    {{ const int k = {number};\n{body}    }}\n"

    def at_element(self) -> str:
        """`inside` and `at`: whether element `k` of the window at the place `t` is one of the array, and which."""
        steps = strides_of(self.shape)
        lines = [f"      {self.type} at = 0; bool inside = true;\n"]
        for axis, (length, w) in enumerate(self.axes):
            if w == ALONE:
                lines.append(f"      at += t{axis} * {steps[axis]};\n")
                continue
            lines.append(
                f"      {{ {self.type} c = t{axis} * {w.stride} + k{axis} * {w.dilation} - {w.low};\n"
            )
            if w.spacing > 1:
                lines.append(f"        inside &= c % {w.spacing} == 0; c /= {w.spacing};\n")
            lines.append(f"        inside &= c >= 0 && c < {length}; at += c * {steps[axis]}; }}\n")
        return "".join(lines)

    def loaded(self, pointer: str, index: str) -> str:
        """An element in the dtype in which they are combined."""
        return load(self.spec.dtype, pointer, index)

    # --- kernels ---

    def reducing(self) -> Source:
        """The elements of each window combined."""
        what, neutral = self.spec.what, start(self.spec.what, self.spec.dtype)
        value = combine(what, self.wide, "value", self.loaded("x", "at"))
        inside = self.at_element() + f"      if (inside) value = {value};\n"
        body = self.split("t", self.places) + f"    {self.register} value = {neutral};\n"
        body += self.over_elements(inside) + f"    {store(self.spec.dtype, 'out', 'i', 'value')}\n"
        pointers = (f"const {self.element}* x", f"{self.element}* out")
        return self.build(pointers, body, math.prod(self.places))

    def locating(self) -> Source:
        """The first extremum of each window; the first NaN counts as that."""
        neutral = start(COMBINES[self.spec.what], self.spec.dtype)
        sign = ">" if self.spec.what == "largest" else "<"
        inside = f"""{self.at_element()}      {self.register} part = inside ? {self.loaded("x", "at")} : {neutral};
      if (k == 0 || part {sign} best || (part != part && best == best)) best = part, place = k;
"""
        body = (
            self.split("t", self.places) + f"    {self.register} best = {neutral}; int place = 0;\n"
        )
        body += self.over_elements(inside) + f"    out[i] = ({self.position})place;\n"
        pointers = (f"const {self.element}* x", f"{self.position}* out")
        return self.build(pointers, body, math.prod(self.places))

    def taking(self) -> Source:
        """The element at the position of each window; 0 outside of the array."""
        lines, rest = [self.split("t", self.places), "    int k = (int)positions[i];\n"], "k"
        for axis, (_, w) in reversed(list(enumerate(self.axes))):
            lines.append(f"    int k{axis} = {rest} % {w.size};\n")
            rest = f"{rest} / {w.size}"
        zero = number(self.wide, 0)
        lines.append(self.at_element())
        lines.append(f"    {self.register} value = inside ? {self.loaded('x', 'at')} : {zero};\n")
        lines.append(f"    {store(self.spec.dtype, 'out', 'i', 'value')}\n")
        pointers = (f"const {self.element}* x", f"const {self.position}* positions")
        count = math.prod(self.places)
        return self.build((*pointers, f"{self.element}* out"), "".join(lines), count)

    def putting(self) -> Source:
        """Each element of the array sums those whose position it is, in the order of the elements of the window."""
        steps = strides_of(self.places)
        lines = [f"      {self.type} at = 0; bool inside = true;\n"]
        for axis, ((_, w), places) in enumerate(zip(self.axes, self.places, strict=True)):
            if w == ALONE:
                lines.append(f"      at += t{axis} * {steps[axis]};\n")
                continue
            place = f"t{axis} * {w.spacing} + {w.low} - k{axis} * {w.dilation}"
            lines.append(f"      {{ {self.type} c = {place};\n")
            if w.stride > 1:
                lines.append(f"        inside &= c % {w.stride} == 0; c /= {w.stride};\n")
            lines.append(f"        inside &= c >= 0 && c < {places}; at += c * {steps[axis]}; }}\n")
        value = combine("add", self.wide, "value", self.loaded("x", "at"))
        inside = "".join(lines) + f"      if (inside && (int)positions[at] == k) value = {value};\n"
        body = (
            self.split("t", self.shape) + f"    {self.register} value = {number(self.wide, 0)};\n"
        )
        body += self.over_elements(inside) + f"    {store(self.spec.dtype, 'out', 'i', 'value')}\n"
        pointers = (f"const {self.element}* x", f"const {self.position}* positions")
        return self.build((*pointers, f"{self.element}* out"), body, math.prod(self.shape))


def merged_axes(spec: WindowSpec) -> list[tuple[int, Sliding]]:
    """Lengths and windows of the axes; neighbours without a window are one axis."""
    found: list[tuple[int, Sliding]] = []
    for length, window in zip(spec.shape, spec.window, strict=True):
        if found and window == ALONE and found[-1][1] == ALONE:
            length *= found.pop()[0]
        found.append((length, window))
    return found
