"""Small arrays in registers: one value per element."""

from __future__ import annotations

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.kernels.registers import alignment, from_memory, memory_type, to_memory
from funcgrad.compiler.llvm.types import Value
from funcgrad.ir.types import ArrayType

Elements = list[Value]


def load_elements(f: Function, pointer: Value, type: ArrayType) -> Elements:
    """All elements of a small array."""
    dtype = type.dtype
    return [
        from_memory(
            f,
            dtype,
            f.load(memory_type(dtype), f.gep(pointer, i * dtype.itemsize), alignment(dtype)),
        )
        for i in range(type.size)
    ]


def store_elements(f: Function, elements: Elements, pointer: Value, type: ArrayType) -> None:
    for i, element in enumerate(elements):
        f.store(
            to_memory(f, type.dtype, element),
            f.gep(pointer, i * type.dtype.itemsize),
            alignment(type.dtype),
        )
