"""What a reduction over sliding windows computes, or a choice of their elements."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from funcgrad.ops.sliding import Window


@dataclass(frozen=True)
class WindowSpec:
    """Windows of an array in C order.

    Attributes:
        what: "add", "maximum" or "minimum" of windows; the position of the "largest" or "smallest" element of each;
            "take" elements at positions, or "put" them there, adding.
        dtype: of the elements.
        shape: of the array that the windows slide over.
        window: a `Sliding` for each axis.
    """

    what: str
    dtype: np.dtype
    shape: tuple[int, ...]
    window: Window

    @property
    def places(self) -> tuple[int, ...]:
        return tuple(w.places(n) for w, n in zip(self.window, self.shape, strict=True))

    @property
    def elements(self) -> int:
        return math.prod(w.size for w in self.window)
