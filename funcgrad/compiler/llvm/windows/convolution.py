"""Convolutions in native code: for each the name of a function that computes it, by the fastest of several ways.

Most run through the loops of `conv_driver`, large ones with windows of 3 by 3 elements by Winograd's way, and those
with few output channels in a group along other axes. The gradients are convolutions, too: in that by w the examples
are summed, and w is a large window.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from funcgrad.compiler.llvm.builder import Function, Module
from funcgrad.compiler.llvm.loading import libraries
from funcgrad.compiler.llvm.loading.libraries import CONVOLUTION
from funcgrad.compiler.llvm.strided import index, repeat
from funcgrad.compiler.llvm.types import Value
from funcgrad.compiler.llvm.windows.conv_copy import fill, pad_lines, place
from funcgrad.compiler.llvm.windows.conv_driver import PARAMETERS
from funcgrad.compiler.llvm.windows.conv_lanes import (
    has_few_columns,
    has_few_rows,
    runs_along_places,
    runs_along_terms,
)
from funcgrad.compiler.llvm.windows.conv_places import AlongPlaces
from funcgrad.compiler.llvm.windows.conv_table import conv_table, fits, with_one_column_axis
from funcgrad.compiler.llvm.windows.conv_tasks import LEAST_BYTES, TaskWriter, share
from funcgrad.compiler.llvm.windows.conv_terms import AlongTerms
from funcgrad.compiler.llvm.windows.winograd import write_winograd
from funcgrad.compiler.llvm.windows.winograd_layout import pays
from funcgrad.compiler.lowering.conv_spec import ConvSpec, Part, total

libraries.register()


def supports(spec: ConvSpec) -> bool:
    """Whether there is native code for it."""
    return spec.dtype.name in ("float32", "float64", "int32", "int64") and fits(spec)


def conv(module: Module, spec: ConvSpec) -> str:
    """The name of a function `void (ptr x, ptr w, ptr out)` that computes a convolution, by several threads if large.

    Its result does not depend on the number of threads. Ctrl-C ends it early: poll after large ones.

    Args:
        module: gets the function, once for each spec.
        spec: the convolution, which must be one that `supports`.
    """
    name = "fg_conv_" + hashlib.sha256(repr(spec).encode()).hexdigest()[:20]
    if not module.defines(name):
        f = module.function(name, "void", ["ptr"] * 3, "internal")
        parts = parts_of(spec)
        if pays(spec):
            direct = conv(module, replace(spec, planes=None))
            write_winograd(module, name, spec, f, direct)
        elif parts and all(runs_along_lanes(spec, part) for part in parts):
            LanesConvolution(module, name, spec).write(f, parts)
        elif parts:
            module.declare(direct_name(spec), "void", PARAMETERS)
            table = conv_table(module, f"{name}_table", spec, parts)
            f.call(direct_name(spec), "void", [table, *f.arguments])
        f.ret()
    return name


def direct_name(spec: ConvSpec) -> str:
    """The function of the library that reads tables."""
    return f"{CONVOLUTION}direct.{spec.dtype.itemsize}"


def parts_of(spec: ConvSpec) -> list[Part]:
    """The parts with something to compute."""
    parts = map(with_one_column_axis, spec.parts)
    return [p for p in parts if total(p.groups) and total(p.rows) and total(p.columns)]


def runs_along_lanes(spec: ConvSpec, part: Part) -> bool:
    """Whether vectors run along places or terms, because there are few output channels or few rows."""
    if not total(part.terms):
        return True
    few = has_few_columns(spec, part)
    return (few and runs_along_places(part)) or (
        (few or has_few_rows(part)) and runs_along_terms(part)
    )


class LanesConvolution(TaskWriter):
    """Writes the function of a convolution with few output channels in a group."""

    def __init__(self, module: Module, name: str, spec: ConvSpec) -> None:
        super().__init__(module, name)
        self.spec = spec
        self.size = spec.dtype.itemsize

    def write(self, f: Function, parts: list[Part]) -> None:
        x, w, out = f.arguments
        if self.spec.is_padded:
            x = self.padded(f, x)
        for number, part in enumerate(parts):
            operands = [
                f.gep(base, start * self.size)
                for base, start in zip((x, w, out), part.starts, strict=True)
            ]
            if not total(part.terms):
                self.zeros(f, part, operands[2])
            elif has_few_columns(self.spec, part) and runs_along_places(part):
                AlongPlaces(self, self.spec, part, number).write(f, operands)
            else:
                AlongTerms(self, self.spec, part, number).write(f, operands)
        if self.spec.is_padded:
            f.external("fg_free", "void", [x])

    def padded(self, f: Function, x: Value) -> Value:
        """x with zeros around it."""
        *outer, length = self.spec.padded_shape
        lines = total([(n,) for n in outer])
        size = lines * length * self.size
        padded = f.external("fg_allocate", "ptr", [index(max(size, 1))])
        chunks = max(size // LEAST_BYTES, 1)
        g, chunk, values = self.task("pad", ["ptr", "ptr"])
        pad_lines(g, self.spec, values[0], values[1], *share(g, chunk, lines, chunks))
        g.ret()
        self.parallel(f, g, [x, padded], index(chunks))
        return padded

    def zeros(self, f: Function, part: Part, out: Value) -> None:
        """No element of the window meets x: sums of nothing."""
        axes = (*part.groups, *((n, 0, 0, s) for n, _, s in (*part.rows, *part.columns)))
        with repeat(f, index(0), index(total(axes))) as loop:
            (offset,) = place(f, loop.index, axes, 3)
            fill(f, f.gep(out, f.op("mul", offset, index(self.size))), self.size)
