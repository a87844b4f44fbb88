"""Products of matrices by the array module, in the precision that `default_matmul_precision` asks for."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from funcgrad.config import config

FLOAT32 = np.dtype(np.float32)
# CuPy's names for what the operands of float32 products may be rounded to.
COMPUTE_TYPES = {"tensorfloat32": "COMPUTE_TYPE_TF32", "bfloat16": "COMPUTE_TYPE_BF16"}


def matrix_product(xp: Any, x: Any, y: Any) -> Any:
    """`xp.matmul(x, y)`. The CPU, and all dtypes but float32, know one precision only."""
    name = COMPUTE_TYPES.get(config.default_matmul_precision)
    if name is None or xp is np or x.dtype != FLOAT32:
        return xp.matmul(x, y)
    settings = importlib.import_module("cupy._core._routines_linalg")
    saved = settings.get_compute_type(FLOAT32)
    settings.set_compute_type(FLOAT32, getattr(settings, name))
    try:
        return xp.matmul(x, y)
    finally:
        settings.set_compute_type(FLOAT32, saved)
