"""What norms of channels share: a scale and a shift for each channel, and running averages of statistics."""

from __future__ import annotations

from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad.nn.context import current_state
from funcgrad.nn.module import Module, field
from funcgrad.transforms.stop_gradient import stop_gradient


class ChannelNorm(Module):
    """A norm that may scale and shift each channel."""

    weight: Any
    bias: Any

    def set_affine(self, channels: Any, wanted: bool, dtype: Any) -> None:
        """The first scale and shift, or none."""
        self.weight = fnp.ones((channels,), dtype) if wanted else None
        self.bias = fnp.zeros((channels,), dtype) if wanted else None

    def scaled(self, x: Any, axis: int) -> Any:
        """Each channel scaled and shifted."""
        along = (-1, *(1,) * (x.ndim - axis - 1))
        if self.weight is not None:
            x = x * fnp.reshape(self.weight, along)
        return x if self.bias is None else x + fnp.reshape(self.bias, along)


class RunningNorm(ChannelNorm):
    """A norm that may use averages over the batches of training."""

    running_mean: Any = field(buffer=True)
    running_var: Any = field(buffer=True)
    num_batches_tracked: Any = field(buffer=True)

    def set_running(self, channels: int, wanted: bool, dtype: Any) -> None:
        """The first averages, or none."""
        self.running_mean = fnp.zeros((channels,), dtype) if wanted else None
        self.running_var = fnp.ones((channels,), dtype) if wanted else None
        self.num_batches_tracked = fnp.zeros((), np.int64) if wanted else None

    def running_statistics(self) -> tuple[Any, Any]:
        """The averages as constants: mean and variance."""
        found = current_state(self, "running_mean"), current_state(self, "running_var")
        return stop_gradient(found[0]), stop_gradient(found[1])

    def followed(self, kept: Any, mean: Any, variance: Any) -> dict[str, Any]:
        """The averages after one more batch; `kept` is the weight of the old ones."""
        new = {}
        for name, found in (("running_mean", mean), ("running_var", variance)):
            old = current_state(self, name)
            batch = stop_gradient(found).astype(old.dtype)
            new[name] = (kept * old + (1 - kept) * batch).astype(old.dtype)
        return new
