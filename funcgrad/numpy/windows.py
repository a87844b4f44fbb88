"""Windows for spectral analysis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

FLOAT32 = np.dtype(np.float32)


def window(original: Callable[..., Any], shape: str) -> Callable[..., Any]:
    """A window of NumPy, in float32."""

    def function(M: int, *shape_parameters: float) -> np.ndarray:
        return original(M, *shape_parameters).astype(FLOAT32)

    function.__name__ = function.__qualname__ = original.__name__
    function.__doc__ = (
        f"A window of `M` float32 numbers in the form of {shape}; see `np.{original.__name__}`."
    )
    return function


bartlett = window(np.bartlett, "a triangle")
blackman = window(np.blackman, "three cosines")
hamming = window(np.hamming, "a raised cosine on a pedestal")
hanning = window(np.hanning, "a raised cosine")
kaiser = window(np.kaiser, "a Bessel function, whose second argument is `beta`")
