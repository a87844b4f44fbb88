"""The orthogonal factor of matrices by Newton-Schulz iterations, which need products only (Bernstein, 2024)."""

from __future__ import annotations

from typing import Any

import numpy as np

STANDARD = (3.4445, -4.7750, 2.0315)
# One row per step, of Ahn et al., "Dion", 2025.
DION = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)
PRESETS = {"standard": STANDARD, "dion": DION}


def orthogonalized(
    x: Any, coefficients: Any, steps: int, preconditioning: str = "frobenius", eps: float = 1e-8
) -> Any:
    """About the orthogonal factor of a stack of matrices, by a Newton-Schulz iteration of degree 5.

    Args:
        x: (..., m, n).
        coefficients: three numbers, or three for each step.
        steps: how many.
        preconditioning: how the singular values are first brought below 1: "frobenius" or "spectral" norm,
            "aol" (a scale per row) or "schatten" (the norm of x x^T).
        eps: added to norms.
    """
    is_tall = x.shape[-2] > x.shape[-1]
    x = np.swapaxes(x, -1, -2) if is_tall else x
    if preconditioning == "frobenius":
        x = x / (np.sqrt(np.sum(abs(x) ** 2, axis=(-2, -1), keepdims=True)) + eps)
    elif preconditioning == "spectral":
        largest = np.max(np.linalg.svd(x, compute_uv=False), axis=-1)
        x = x / (largest[..., None, None] + eps)
    rows = np.broadcast_to(np.asarray(coefficients), (steps, 3)).tolist()
    for number, (a, b, c) in enumerate(rows):
        square = x @ np.conj(np.swapaxes(x, -1, -2))
        if number == 0 and preconditioning in ("aol", "schatten"):
            factor = _row_scale(square, preconditioning, eps)
            x, square = x * factor, square * factor * np.swapaxes(factor, -1, -2)
        x = a * x + (b * square + c * (square @ square)) @ x
    return np.swapaxes(x, -1, -2) if is_tall else x


def _row_scale(square: Any, preconditioning: str, eps: float) -> Any:
    if preconditioning == "aol":
        size = np.sum(np.abs(square), axis=-1, keepdims=True)
    else:
        size = np.sqrt(np.sum(np.abs(square) ** 2, axis=(-2, -1), keepdims=True))
    return 1 / np.sqrt(np.maximum(size, eps))


def coefficient_table(ns_coeffs: Any, steps: int) -> np.ndarray:
    """Three numbers for each step, from three for all or from those of the last steps."""
    table = np.asarray(ns_coeffs, np.float64)
    if table.ndim > 2 or table.shape[-1] != 3:
        raise ValueError(f"[muon] ns_coeffs must have shape (3,) or (n, 3), but got {table.shape}.")
    if table.ndim == 2:
        if table.shape[0] > steps:
            table = table[-steps:]
        if table.shape[0] != steps:
            raise ValueError(
                f"[muon] {steps} steps need as many rows of coefficients, but got {len(table)}."
            )
    return table
