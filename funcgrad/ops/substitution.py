"""Elimination and substitution for many small systems at once: loops over rows, each step on whole stacks."""

from __future__ import annotations

from typing import Any

import numpy as np


def eliminate(xp: Any, a: Any) -> tuple[Any, Any]:
    """LU factorization with partial pivoting.

    Args:
        xp: the array module.
        a: shape (count, n, n).

    Returns:
        `l` below the diagonal and `u` in one matrix, and for each row the one that it changed places with.
    """
    lu, n = xp.array(a), a.shape[-1]
    every = xp.arange(len(a))
    pivots = xp.empty(a.shape[:-1], np.int32)
    with np.errstate(all="ignore"):
        for k in range(n):
            column = lu[:, k:, k]
            chosen = k + (abs(column.real) + abs(column.imag)).argmax(-1)
            pivots[:, k] = chosen
            exchange(lu, every, k, chosen)
            divisor = lu[:, k, k, None]
            factors = lu[:, k + 1 :, k] / xp.where(divisor == 0, 1, divisor)
            lu[:, k + 1 :, k] = factors
            lu[:, k + 1 :, k + 1 :] -= factors[:, :, None] * lu[:, None, k, k + 1 :]
    return lu, pivots


def exchange(rows: Any, every: Any, k: int, chosen: Any) -> None:
    """Let row `k` of each matrix change places with the chosen one."""
    first, second = rows[:, k].copy(), rows[every, chosen]
    rows[every, chosen] = first
    rows[:, k] = second


def exchange_all(xp: Any, b: Any, pivots: Any, is_backward: bool) -> Any:
    """The rows of each matrix in the order that a factorization has made, or back in their own.

    Args:
        xp: the array module.
        b: shape (count, n, k).
        pivots: shape (count, n), from `eliminate`.
        is_backward: whether to undo it.
    """
    rows, n = xp.array(b), b.shape[-2]
    every = xp.arange(len(b))
    for k in range(n)[::-1] if is_backward else range(n):
        exchange(rows, every, k, pivots[:, k])
    return rows


def substitute(xp: Any, a: Any, b: Any, lower: bool, unit_diagonal: bool) -> Any:
    """Solutions of triangular systems, row by row.

    Args:
        xp: the array module.
        a: shape (..., n, n), of which one triangle is read.
        b: shape (..., n, k).
        lower: which triangle.
        unit_diagonal: whether the diagonal is taken to be ones.
    """
    n = a.shape[-1]
    out = xp.empty(b.shape, b.dtype)
    with np.errstate(all="ignore"):
        for i in range(n) if lower else range(n)[::-1]:
            known = slice(0, i) if lower else slice(i + 1, n)
            row = b[..., i, :] - (a[..., i, None, known] @ out[..., known, :])[..., 0, :]
            out[..., i, :] = row if unit_diagonal else row / a[..., i, i, None]
    return out


def substitute_factors(xp: Any, lu: Any, pivots: Any, b: Any, transposed: bool) -> Any:
    """Solutions of systems whose matrices `eliminate` has factored, or of the transposed systems."""
    if not transposed:
        rows = exchange_all(xp, b, pivots, is_backward=False)
        return substitute(xp, lu, substitute(xp, lu, rows, True, True), False, False)
    turned = lu.swapaxes(-1, -2)
    rows = substitute(xp, turned, substitute(xp, turned, b, True, False), False, True)
    return exchange_all(xp, rows, pivots, is_backward=True)
