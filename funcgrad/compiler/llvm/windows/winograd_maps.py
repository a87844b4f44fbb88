"""The linear maps of Winograd's convolution F(2x2, 3x3), on small squares of vectors.

Two neighbouring results of a window of three elements take four multiplications instead of six:
`y = OUTPUT @ ((FILTER @ w) * (INPUT @ x))`; in two dimensions 16 instead of 36.
(A. Lavin, S. Gray, Fast Algorithms for Convolutional Neural Networks, 2016.)
"""

from __future__ import annotations

from collections.abc import Sequence

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.types import Value, constant

Matrix = tuple[tuple[float, ...], ...]
Square = list[list[Value]]

INPUT: Matrix = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
FILTER: Matrix = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))
OUTPUT: Matrix = ((1, 1, 1, 0), (0, 1, -1, -1))

# The side of a square of inputs, and of one of outputs.
SIDE, STEP = 4, 2
PRODUCTS = SIDE * SIDE


def turned(matrix: Matrix) -> Matrix:
    return tuple(zip(*matrix, strict=True))


def sandwich(f: Function, matrix: Matrix, square: Square) -> Square:
    """`matrix @ square @ matrix.T`."""
    columns = [list(column) for column in zip(*square, strict=True)]
    half = [[combination(f, row, column) for row in matrix] for column in columns]
    rows = [list(row) for row in zip(*half, strict=True)]
    return [[combination(f, row, of_half) for row in matrix] for of_half in rows]


def combination(f: Function, factors: Sequence[float], values: Sequence[Value]) -> Value:
    """The sum of values times factors, which are powers of two."""
    total = None
    for size in sorted({abs(factor) for factor in factors} - {0}, reverse=True):
        chosen = [(a, v) for a, v in zip(factors, values, strict=True) if abs(a) == size]
        chosen.sort(key=lambda pair: pair[0] < 0)
        part = chosen[0][1] if chosen[0][0] > 0 else f.fneg(chosen[0][1])
        for factor, value in chosen[1:]:
            part = f.op("fadd" if factor > 0 else "fsub", part, value)
        if size != 1:
            part = f.op("fmul", part, constant(part.type, size))
        total = part if total is None else f.op("fadd", total, part)
    assert total is not None
    return total
