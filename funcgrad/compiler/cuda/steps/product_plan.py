"""What a matrix product by the library computes, and how its operands lie: all that is known before it runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class MatrixLayout:
    """How matrices lie in memory.

    Attributes:
        is_transposed: whether columns are contiguous, rather than rows.
        leading: elements from one row (or column) to the next.
        stride: elements from one matrix of a batch to the next; 0 if all are the same one.
    """

    is_transposed: bool
    leading: int
    stride: int = 0


@dataclass(frozen=True)
class ProductPlan:
    """`d = epilogue(alpha * a @ b + beta * c)` for each matrix of a batch; `d` and `c` have contiguous rows.

    Attributes:
        dtype: of all matrices.
        precision: in which float32 is multiplied: "highest", "tensorfloat32" or "bfloat16".
        m, n, k: rows of `d`, its columns, and the length of the sums.
        batch: how many products.
        a, b, d: layouts; `c` lies as `d` does.
        alpha, beta: real numbers.
        epilogue: what the library does with the product before it writes it, as in its enumeration: "bias" (of each
            column), "relu", "relu_bias", "relu_aux_bias" (also writes a bit for each positive element), "gelu",
            "gelu_bias", "drelu" and "drelu_bgrad" (with these bits; the second also sums the rows), "bgrada" (sums the
            rows of `b`), "bgradb" (sums the columns of `a`); "default" for nothing.
        auxiliary: bits from one row of these bits to the next.
        keeps_nan: whether "relu" shall be NaN for NaN, and not 0.
    """

    dtype: np.dtype
    precision: str
    m: int
    n: int
    k: int
    batch: int
    a: MatrixLayout
    b: MatrixLayout
    d: MatrixLayout
    alpha: float = 1.0
    beta: float = 0.0
    epilogue: str = "default"
    auxiliary: int = 0
    keeps_nan: bool = True

    @property
    def is_relu(self) -> bool:
        return self.epilogue in ("relu", "relu_bias")

    @property
    def products(self) -> int:
        """How many numbers are multiplied."""
        return self.batch * self.m * self.n * self.k

    @property
    def has_vector(self) -> bool:
        """Whether there is a number for each row or column: a bias, or the sums that are its gradient."""
        return "bias" in self.epilogue or "bgrad" in self.epilogue
