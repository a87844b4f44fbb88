"""Normalising each example over its last axes: `LayerNorm` and `RMSNorm`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import funcgrad.numpy as fnp
from funcgrad.ir.types import FLOAT32
from funcgrad.nn.layers.checks import refuse
from funcgrad.nn.module import Module
from funcgrad.nn.normalization import standardize
from funcgrad.ops.sequences import as_array


class _LastAxesNorm(Module):
    """What norms over the last axes share."""

    weight: Any
    bias: Any
    shape: tuple[int, ...]
    eps: float
    use_weight: bool
    use_bias: bool

    def __init__(
        self,
        shape: int | Sequence[int],
        eps: float = 1e-5,
        use_weight: bool = True,
        use_bias: bool = True,
        dtype: Any = None,
    ) -> None:
        self.shape = (shape,) if isinstance(shape, int) else tuple(shape)
        if not all(isinstance(length, int) and length > 0 for length in self.shape):
            raise ValueError(
                f"[{type(self).__name__}] shape must be a length or a tuple of lengths, but got {shape!r:.60}."
            )
        self.eps = eps
        self.use_weight = use_weight
        self.use_bias = use_bias
        self.weight = fnp.ones(self.shape, dtype) if use_weight else None
        self.bias = fnp.zeros(self.shape, dtype) if use_bias else None

    def __call__(self, x: Any, *, key: Any = None) -> Any:
        """Normalise.

        Args:
            x: (..., *shape).
            key: not used.

        Returns:
            An array like `x`.
        """
        del key
        x = as_array(x)
        count = len(self.shape)
        if x.shape[x.ndim - count :] != self.shape or x.ndim < count:
            refuse(self, f"(..., {', '.join(map(str, self.shape))})", x)
        # Half precision is too coarse for a variance.
        wide = x.astype(FLOAT32) if x.dtype.itemsize < 4 else x
        y = self.normalized(wide, tuple(range(-count, 0))).astype(x.dtype)
        if self.weight is not None:
            y = y * self.weight
        return y if self.bias is None else y + self.bias

    def normalized(self, x: Any, axes: tuple[int, ...]) -> Any:
        """`x` before scale and shift."""
        raise NotImplementedError


class LayerNorm(_LastAxesNorm):
    """Mean 0 and variance 1 over the last axes, then scaled and shifted (Ba et al., 2016).

    Args:
        shape: lengths of the last axes, or one length.
        eps: added to the variance.
        use_weight, use_bias: whether to scale, to shift.
        dtype: of the parameters; float32 by default.

    Attributes:
        weight, bias: arrays of `shape`, or None.

    Example:
        >>> LayerNorm(2)([[1.0, 3.0], [5.0, 9.0]]).round(3)
        array([[-1.,  1.],
               [-1.,  1.]])
    """

    def normalized(self, x: Any, axes: tuple[int, ...]) -> Any:
        return standardize(x, axes, epsilon=self.eps)


class RMSNorm(_LastAxesNorm):
    """Mean square 1 over the last axes, then scaled and shifted (Zhang and Sennrich, 2019).

    Args:
        shape: lengths of the last axes, or one length.
        eps: added to the mean square.
        use_weight, use_bias: whether to scale, to shift. PyTorch's layer has no bias.
        dtype: of the parameters; float32 by default.

    Attributes:
        weight, bias: arrays of `shape`, or None.

    Example:
        >>> RMSNorm(2)([[1.0, 7.0]]).round(3)
        array([[0.2, 1.4]])
    """

    def normalized(self, x: Any, axes: tuple[int, ...]) -> Any:
        return x / fnp.sqrt(fnp.mean(fnp.square(x), axis=axes, keepdims=True) + self.eps)
