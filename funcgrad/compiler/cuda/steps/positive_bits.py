"""One bit for each element of an array: whether it lets a gradient through, as the library of products reads it.

Bit `j % 8` of byte `j // 8` of a row belongs to column `j`. These bits are ours rather than those that the library can
write beside its own relu: they are exactly the test that was traced, also at 0 and for NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.compiler.cuda.kernels.scalars import load, memory_type, sections
from funcgrad.compiler.cuda.program import LaunchWriter
from funcgrad.compiler.cuda.steps.activations import FLOATS
from funcgrad.compiler.cuda.steps.text import blocks_for, each, index_type, kernel
from funcgrad.compiler.lowering.graph import Node, Result, Step
from funcgrad.ir.types import ArrayType

ROW_BITS = 128  # rows of bits are multiples of that many
# What the comparison of an element with 0 says about its bit.
TESTS = {"less_equal": "!({} <= 0)", "greater": "{} > 0"}


def takes(operands: Sequence[Node], params: dict[str, Any]) -> bool:
    """Whether an array can be compared with 0 in this way."""
    return operands[0].dtype.name in FLOATS and params["test"] in TESTS


def row_bits(columns: int) -> int:
    """Bits from one row to the next."""
    return -(-columns // ROW_BITS) * ROW_BITS


def positive_bits(source: Node, columns: int, test: str) -> Step:
    """The step that makes the bits.

    Args:
        source: an array in memory, with rows of so many columns.
        test: the primitive that compares its elements with 0: "less_equal" for those whose bits are not set,
            "greater" for those whose bits are.
    """
    rows, bits = source.type.size // columns, row_bits(columns)
    type = ArrayType((rows, bits // 8), np.dtype(np.uint8))
    step = Step("positive_bits", (source,), [type], {"columns": columns, "test": test}, None)
    step.results = [Result(step, 0)]
    step.number = step.results[0].number = source.number
    return step


def write(writer: LaunchWriter, step: Step) -> None:
    """Add the kernel of such a step."""
    (source,), ((rows, width),) = step.operands, [type.shape for type in step.types]
    out = writer.result(step, 0)
    assert out is not None
    columns, dtype = step.params["columns"], source.dtype
    type = index_type(rows * max(columns, 8 * width))
    test = TESTS[step.params["test"]].format(load(dtype, "row", "j"))
    body = f"""    const {memory_type(dtype)} *row = x + ({type})(i / {width}) * {columns};
    unsigned bits = 0;
    for (int k = 0, j = i % {width} * 8; k < 8 && j < {columns}; k++, j++)
      bits |= (unsigned)({test}) << k;
    out[i] = bits;
"""
    pointers = (f"const {memory_type(dtype)}* x", "unsigned char* out")
    count = rows * width
    source_text = each(count, body)
    launched = kernel(
        "positive_bits", pointers, source_text, blocks_for(count), prelude=sections(dtype)
    )
    writer.launch(launched, writer.operand(source), out)
