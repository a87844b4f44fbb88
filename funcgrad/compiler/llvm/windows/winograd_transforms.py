"""The transforms of Winograd's convolution as functions of the library: loops over squares and vectors of channels."""

from __future__ import annotations

import itertools

import numpy as np

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.kernels.registers import register_type
from funcgrad.compiler.llvm.strided import at, index, repeat
from funcgrad.compiler.llvm.types import Value, vector
from funcgrad.compiler.llvm.windows.winograd_maps import (
    FILTER,
    INPUT,
    OUTPUT,
    PRODUCTS,
    SIDE,
    Matrix,
    Square,
    sandwich,
    turned,
)

# Squares of x, of results and of w become 16 vectors, one for each product, ...
SPREADING: dict[str, Matrix] = {"x": INPUT, "y": turned(OUTPUT), "w": FILTER}
# ... and 16 vectors become squares of y, or of the gradient by w.
GATHERING: dict[str, Matrix] = {"to_y": OUTPUT, "to_w": turned(FILTER)}

# Where four rows begin, and the distances of their columns; where the vectors go, and how far apart; how many squares,
# bytes of channels, and the distances of squares in what is read and what is written.
SPREAD_PARAMETERS = ("ptr", "ptr", "ptr", "ptr", "i64", "ptr", "i64", "i64", "i64", "i64", "i64")
# Where the vectors lie, and how far apart; how many such sets are added, and how far apart; where the square goes, and
# the distances of its rows and columns; how many squares, bytes, distances as above; the sum of what is not finite.
GATHER_PARAMETERS = ("ptr", "i64", "i64", "i64", "ptr", *("i64",) * 6, "ptr")


def transform_name(kind: str, dtype: np.dtype, lanes: int) -> str:
    return f"fg_convolution.winograd.{kind}.{dtype.name}.{lanes}"


def parameters(text: str) -> tuple[str, ...]:
    return SPREAD_PARAMETERS if text.split(".")[0] in SPREADING else GATHER_PARAMETERS


def write_transform(f: Function, text: str) -> None:
    """The body of the function for the last parts of a name."""
    kind, dtype, lanes = text.split(".")
    type = vector(int(lanes), register_type(np.dtype(dtype)))
    step = int(lanes) * np.dtype(dtype).itemsize
    if kind in SPREADING:
        _spread(f, SPREADING[kind], type, step)
    else:
        _gather(f, GATHERING[kind], type, step)


def _spread(f: Function, matrix: Matrix, type: str, step: int) -> None:
    *rows, column, to, product, count, size, source_step, to_step = f.arguments
    side = len(matrix[0])
    with (
        repeat(f, index(0), count) as square,
        f.loop(index(0), size, step) as part,
    ):
        distance = f.op("add", f.op("mul", square.index, source_step), part.index)
        starts = [f.gep(row, distance) for row in rows[:side]]
        values = [_line(f, start, column, side, type, step) for start in starts]
        target = f.gep(at(f, to, (square.index, to_step)), part.index)
        for value in itertools.chain(*sandwich(f, matrix, values)):
            f.store(value, target, step)
            target = f.gep(target, product)


def _line(
    f: Function, address: Value, distance: Value, count: int, type: str, align: int
) -> list[Value]:
    values = []
    for _ in range(count):
        values.append(f.load(type, address, align))
        address = f.gep(address, distance)
    return values


def _gather(f: Function, matrix: Matrix, type: str, step: int) -> None:
    source, product, parts, part_step, to, row, column = f.arguments[:7]
    count, size, source_step, to_step, doubt = f.arguments[7:]
    with (
        repeat(f, index(0), count) as square,
        f.loop(index(0), size, step) as part,
    ):
        start = f.gep(at(f, source, (square.index, source_step)), part.index)
        first = _line(f, start, product, PRODUCTS, type, step)
        values = _added(f, first, start, product, parts, part_step, step)
        results = sandwich(f, matrix, values)
        _watch(f, doubt, results, step)
        target = f.gep(at(f, to, (square.index, to_step)), part.index)
        for line in results:
            address = target
            for value in line:
                f.store(value, address, step)
                address = f.gep(address, column)
            target = f.gep(target, row)


def _added(
    f: Function,
    first: list[Value],
    start: Value,
    product: Value,
    parts: Value,
    part_step: Value,
    align: int,
) -> Square:
    """All parts, added in order: the first one and those that follow."""
    before, add, after = f.block, f.new_block("add"), f.new_block("added")
    type = first[0].type
    f.branch_if(f.icmp("sgt", parts, index(1)), add, after)
    f.block = add
    with f.loop(index(1), parts) as loop:
        totals = [f.carry(loop, value) for value in first]
        base = at(f, start, (loop.index, part_step))
        sums = [
            f.update(loop, total, f.op("fadd", total, value))
            for total, value in zip(
                totals, _line(f, base, product, PRODUCTS, type, align), strict=True
            )
        ]
    end = f.block
    f.branch(after)
    f.block = after
    f.blocks.remove(after)
    f.blocks.append(after)
    found = [
        f.emit(type, f"phi {type} [{a.text}, %{before.label}], [{b.text}, %{end.label}]")
        for a, b in zip(first, sums, strict=True)
    ]
    return [found[SIDE * i : SIDE * i + SIDE] for i in range(SIDE)]


def _watch(f: Function, doubt: Value, values: Square, align: int) -> None:
    """Add what is not 0 if a value is infinite or NaN."""
    first, *others = itertools.chain(*values)
    for value in others:
        first = f.op("fadd", first, value)
    found = f.op("fadd", f.load(first.type, doubt, align), f.op("fsub", first, first))
    f.store(found, doubt, align)
