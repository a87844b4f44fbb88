"""Convolutions and reductions over windows as steps of a program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.program import ProgramWriter
from funcgrad.compiler.llvm.steps.dots import wanted_parts
from funcgrad.compiler.llvm.types import Value, constant
from funcgrad.compiler.llvm.windows import convolution, windows
from funcgrad.compiler.llvm.windows.winograd_layout import pays
from funcgrad.compiler.lowering.conv_spec import ConvSpec, conv_spec
from funcgrad.compiler.lowering.epilogues import Fused
from funcgrad.compiler.lowering.graph import Node, Step
from funcgrad.compiler.lowering.parts import Division
from funcgrad.compiler.lowering.plan import memory_of, nbytes
from funcgrad.compiler.lowering.window_spec import WindowSpec

# Parts of convolutions with kernels: bytes that are multiplied in a cycle, and for parts with results of more than so
# many bytes, which leave the cache, the cycles of the least part.
VECTOR_BYTES = 64
OUT_BYTES = 1 << 18
LEAST_CYCLES = 30_000
COPY_SHARE = 0.01  # of the cycles: each part copies w

Operands = Sequence[Node]
Params = dict[str, Any]


def spec_of(operands: Operands, params: Params) -> ConvSpec:
    x, w = operands
    return conv_spec(x.dtype, params["labels"], params["window"], x.shape, w.shape)


def takes(operands: Operands, params: Params) -> bool:
    return convolution.supports(spec_of(operands, params))


def write(writer: ProgramWriter, step: Step) -> None:
    spec = spec_of(step.operands, step.params)
    name = convolution.conv(writer.writer.module, spec)
    call(writer, step, name, work(step, writer.plan.in_memory))


# --- convolutions in parts: of the first axis of the result, mostly the examples ---


def divisions(step: Step, in_memory: set[Node]) -> list[Division]:
    """How a convolution can be divided along the first axis of x and of the result, which w does not have."""
    x_labels, w_labels, labels = step.params["labels"]
    spec = spec_of(step.operands, step.params)
    if labels[0] != x_labels[0] or labels[0] in w_labels or not spec.products or pays(spec):
        return []
    count = step.type.shape[0]
    cycles = spec.products * spec.dtype.itemsize // VECTOR_BYTES
    near = min(cycles // LEAST_CYCLES, nbytes(step.results[0]) // OUT_BYTES)
    wanted = wanted_parts(cycles)
    most = min(max(wanted, near), int(COPY_SHARE * cycles / step.operands[1].type.size))
    parts = max((n for n in range(1, most + 1) if count % n == 0), default=1)
    if parts < max(2, wanted // 2):
        return []
    needs = rows_of_first(step, in_memory)
    return [Division(False, count, count // parts, parts, parts, needs)]


def rows_of_first(step: Step, in_memory: set[Node]) -> Node | None:
    """The array that holds nothing but the first operand, in order."""
    x, w = (memory_of(step, operand, in_memory) for operand in step.operands)
    is_whole = x.base.type.size == step.operands[0].type.size and not x.offset
    return x.base if is_whole and x.base is not w.base else None


def operands(writer: ProgramWriter, step: Step) -> tuple[Value, Value]:
    """The addresses of the first elements of both operands."""
    x, w = step.operands
    return writer.operand(x), writer.operand(w)


def prepared(writer: ProgramWriter, unit: Fused) -> tuple[tuple[Value, Value], list[Value]]:
    """The operands as parts read them, and no memory to be freed."""
    return operands(writer, unit.step), []


def write_part(
    f: Function,
    unit: Fused,
    in_memory: set[Node],
    pointers: Sequence[Value],
    span: tuple[Value, Value],
) -> None:
    """Compute the part of some examples, of which all parts have as many."""
    del in_memory
    step = unit.step
    x, w = step.operands
    shape = (unit.size, *x.shape[1:])
    labels, window = step.params["labels"], step.params["window"]
    part = conv_spec(x.dtype, labels, window, shape, w.shape)
    sizes = nbytes(x) // unit.division.count, 0, unit.row_bytes
    places = [
        f.gep(base, f.op("mul", span[0], constant("i64", size)))
        for base, size in zip(pointers, sizes, strict=True)
    ]
    f.call(convolution.conv(f.module, part), "void", places)


def work(step: Step, in_memory: set[Node]) -> int:
    """Simple operations of a convolution."""
    del in_memory
    return spec_of(step.operands, step.params).products // 8


# --- reductions over windows ---


def window_spec(operands: Operands, params: Params) -> WindowSpec:
    x = operands[0]
    return WindowSpec(params["what"], x.dtype, params.get("shape", x.shape), params["window"])


def takes_windows(operands: Operands, params: Params) -> bool:
    return windows.supports(window_spec(operands, params))


def write_windows(writer: ProgramWriter, step: Step) -> None:
    spec = window_spec(step.operands, step.params)
    name = windows.windows(writer.writer.module, spec)
    call(writer, step, name, step.type.size * spec.elements // 8)


def call(writer: ProgramWriter, step: Step, name: str, work: int) -> None:
    """Call a function of the operands and the result."""
    out = writer.result(step, 0)
    assert out is not None
    operands = [writer.operand(node) for node in step.operands]
    writer.f.call(name, "void", [*operands, out])
    writer.writer.work += work
