"""Where vectors run in convolutions with few output channels in a group: along places or along terms."""

from __future__ import annotations

from collections.abc import Sequence

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.kernels.lane_access import MOST_APART
from funcgrad.compiler.llvm.kernels.registers import register_type
from funcgrad.compiler.llvm.strided import index
from funcgrad.compiler.llvm.target import host
from funcgrad.compiler.llvm.types import Value
from funcgrad.compiler.llvm.windows.conv_copy import place
from funcgrad.compiler.llvm.windows.conv_tasks import (
    TaskWriter,
)
from funcgrad.compiler.lowering.conv_spec import ConvSpec, Part, total

# Sums at a time: enough to hide the latency of additions.
SUMS = 8
# Shorter axes leave too many lanes of a vector empty.
LEAST_LENGTH = 6


def has_few_columns(spec: ConvSpec, part: Part) -> bool:
    """Whether vectors of output channels would be mostly empty."""
    lanes = host().vector_bytes // spec.dtype.itemsize
    return total(part.columns) <= max(lanes // 4, 1)


def has_few_rows(part: Part) -> bool:
    """Whether making panels of w would take longer than the products with them."""
    return total(part.rows) <= 2 * SUMS


def runs_along_places(part: Part) -> bool:
    """Whether neighbouring places see elements of x that are near each other."""
    length, step, _ = part.rows[-1] if part.rows else (1, 0, 0)
    return length >= LEAST_LENGTH and 1 <= step <= MOST_APART


def runs_along_terms(part: Part) -> bool:
    """Whether neighbouring terms lie near each other in x and side by side in w."""
    length, step, w_step = part.terms[-1] if part.terms else (1, 0, 0)
    return length >= LEAST_LENGTH and 1 <= step <= MOST_APART and w_step == 1


class LanesWriter:
    """What both share.

    Args:
        writer: of the tasks.
        spec, part: what is computed, from the padded x; the part has at most one column axis.
        number: of the part.
    """

    def __init__(self, writer: TaskWriter, spec: ConvSpec, part: Part, number: int) -> None:
        self.writer = writer
        self.part = part
        self.number = number
        self.dtype = spec.dtype
        self.size = spec.dtype.itemsize
        self.element = register_type(spec.dtype)
        column = part.columns[-1] if part.columns else (1, 0, 0)
        self.columns, self.w_column, self.out_column = column

    def at(self, f: Function, base: Value, offset: Value) -> Value:
        return f.gep(base, f.op("mul", offset, index(self.size)))

    def starts(
        self, f: Function, bases: Sequence[Value], number: Value, axes: Sequence[tuple[int, ...]]
    ) -> list[Value]:
        """Where x, w and out begin for a place along some axes."""
        offsets = place(f, number, axes, 1, 2, 3)
        return [self.at(f, base, offset) for base, offset in zip(bases, offsets, strict=True)]
