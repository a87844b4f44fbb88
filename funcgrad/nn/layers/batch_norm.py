"""Normalising each channel over the examples of a batch: `BatchNorm` and `BatchNorm1d` to `BatchNorm3d`."""

from __future__ import annotations

import math
import warnings
from typing import Any

import funcgrad.numpy as fnp
from funcgrad.ir.types import FLOAT32
from funcgrad.nn.context import current_state, described, is_training, record_state
from funcgrad.nn.layers.channel_norm import RunningNorm
from funcgrad.nn.layers.checks import check_channels, positive, refuse
from funcgrad.ops.sequences import as_array
from funcgrad.transforms.collectives import axes_size, pmean


class BatchNorm(RunningNorm):
    """Mean 0 and variance 1 per channel over all examples, then scaled and shifted (Ioffe and Szegedy, 2015).

    In `model.apply(x, train=True)` the statistics are those of the batch, and running averages of them go into the
    model that is returned. In inference the running averages are used.

    Args:
        input_size: number of channels.
        axis_name: for one example per call inside `vmap(..., axis_name=...)`: the axis or axes to average over.
        eps: added to the variance.
        channelwise_affine: whether to scale and shift.
        momentum: weight of the old running average, `running = momentum * running + (1 - momentum) * batch`: one minus
            PyTorch's momentum. None averages over all batches equally.
        inference: whether running averages are used in training as well.
        dtype: of the parameters; float32 by default.
        track_running_stats: whether there are running averages; without them batch statistics are always used.

    Attributes:
        weight, bias: (input_size,), or None.
        running_mean, running_var: (input_size,), buffers. The variance is the unbiased one.
        num_batches_tracked: int64 number, a buffer.

    Example:
        >>> import numpy as np
        >>> layer = BatchNorm(2)
        >>> y, layer = layer.apply(np.array([[0.0, 5.0], [2.0, 5.0]]), train=True)
        >>> y.round(3), layer.running_mean
        (array([[-1.,  0.],
               [ 1.,  0.]]), array([0.01, 0.05], dtype=float32))
    """

    input_size: int
    axis_name: Any
    eps: float
    momentum: float | None
    inference: bool

    def __init__(
        self,
        input_size: int,
        axis_name: Any = None,
        eps: float = 1e-5,
        channelwise_affine: bool = True,
        momentum: float | None = 0.99,
        inference: bool = False,
        dtype: Any = None,
        *,
        track_running_stats: bool = True,
    ) -> None:
        positive(self, input_size=input_size)
        _check_momentum(type(self).__name__, momentum)
        self.set_affine(input_size, channelwise_affine, dtype)
        self.set_running(input_size, track_running_stats, dtype)
        self.input_size = input_size
        self.axis_name = axis_name
        self.eps = eps
        self.momentum = momentum
        self.inference = inference

    def channel_axis(self, x: Any) -> int:
        """Where the channels are; raises for arrays that do not fit."""
        axis = 0 if self.axis_name is not None or x.ndim == 1 else 1
        if x.ndim == 0 or x.shape[axis] != self.input_size:
            refuse(
                self, f"(examples, {self.input_size}, ...)", x, "The channels are the second axis."
            )
        return axis

    def __call__(self, x: Any, *, key: Any = None, inference: bool | None = None) -> Any:
        """Normalise.

        Args:
            x: (examples, channels, ...), with `axis_name` (channels, ...).
            key: not used.
            inference: whether to use the running averages; by default as the call of the model says.

        Returns:
            An array like `x`.

        Raises:
            ValueError: a batch in training has only one value per channel.
        """
        del key
        x = as_array(x)
        axis = self.channel_axis(x)
        wide = x.astype(FLOAT32) if x.dtype.itemsize < 4 else x
        if is_training(self, inference) or self.running_mean is None:
            mean, variance = self.batch_statistics(wide, axis)
        else:
            mean, variance = self.running_statistics()
        along = tuple(self.input_size if i == axis else 1 for i in range(x.ndim))
        scale = 1 / fnp.sqrt(variance + self.eps)
        if self.weight is not None:
            scale = scale * self.weight
        y = (wide - fnp.reshape(mean, along)) * fnp.reshape(scale, along)
        if self.bias is not None:
            y = y + fnp.reshape(self.bias, along)
        return y if wide is x else y.astype(x.dtype)

    def batch_statistics(self, x: Any, axis: int) -> tuple[Any, Any]:
        """Mean and variance of the channels of a batch; the running averages are updated."""
        axes = tuple(i for i in range(x.ndim) if i != axis)
        count = math.prod(x.shape[i] for i in axes)
        if self.axis_name is not None:
            count *= axes_size(self.axis_name)
        if count == 1 and self.running_mean is not None:
            raise ValueError(
                f"[{described(self)}] Expected more than 1 value per channel when training, but got "
                f"{x.dtype}{list(x.shape)}: the variance of one value is 0. Use larger batches, or "
                "funcgrad.nn.inference_mode(layer)."
            )

        def over_batch(values: Any) -> Any:
            found = fnp.mean(values, axis=axes)
            return found if self.axis_name is None else pmean(found, self.axis_name)

        along = tuple(self.input_size if i == axis else 1 for i in range(x.ndim))
        mean = over_batch(x)
        variance = over_batch(fnp.square(x - fnp.reshape(mean, along)))
        if self.running_mean is not None:
            self.update(mean, variance * (count / max(count - 1, 1)))
        return mean, variance

    def update(self, mean: Any, variance: Any) -> None:
        """Let the running averages follow a batch."""
        batches = current_state(self, "num_batches_tracked") + 1
        if self.momentum is None:
            kept: Any = 1 - 1 / batches.astype(self.running_mean.dtype)
        else:
            kept = self.momentum
        record_state(self, num_batches_tracked=batches, **self.followed(kept, mean, variance))


class _RankedBatchNorm(BatchNorm):
    """`BatchNorm` for arrays of a known number of axes."""

    rank = 0

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.99,
        affine: bool = True,
        track_running_stats: bool = True,
        dtype: Any = None,
        *,
        axis_name: Any = None,
        inference: bool = False,
    ) -> None:
        super().__init__(
            num_features,
            axis_name,
            eps,
            affine,
            momentum,
            inference,
            dtype,
            track_running_stats=track_running_stats,
        )

    def channel_axis(self, x: Any) -> int:
        return 1 if check_channels(self, x, self.input_size, self.rank) else 0


class BatchNorm1d(_RankedBatchNorm):
    """`BatchNorm` of (examples, channels) or (examples, channels, length).

    Args:
        num_features: number of channels.
        eps, momentum, axis_name, inference, dtype: as for `BatchNorm`; PyTorch's momentum is one minus this one.
        affine: whether to scale and shift.
        track_running_stats: whether there are running averages.

    Example:
        >>> import numpy as np
        >>> y, layer = BatchNorm1d(3).apply(np.eye(3, dtype=np.float32), train=True)
        >>> bool(abs(y.mean(0)).max() < 1e-6)
        True
    """

    rank = 1

    def channel_axis(self, x: Any) -> int:
        if x.ndim in (1, 2) and x.shape[-1] == self.input_size:
            return x.ndim - 1
        if x.ndim != 3 or x.shape[1] != self.input_size:
            refuse(
                self, f"(examples, {self.input_size}) or (examples, {self.input_size}, length)", x
            )
        return 1


class BatchNorm2d(_RankedBatchNorm):
    """`BatchNorm` of images (examples, channels, height, width). Arguments as for `BatchNorm1d`."""

    rank = 2


class BatchNorm3d(_RankedBatchNorm):
    """`BatchNorm` of (examples, channels, depth, height, width). Arguments as for `BatchNorm1d`."""

    rank = 3


def _check_momentum(name: str, momentum: float | None) -> None:
    if momentum is None:
        return
    if not 0 <= momentum <= 1:
        raise ValueError(f"[{name}] momentum is a weight from 0 to 1, but got {momentum!r}.")
    if 0 < momentum < 0.5:
        warnings.warn(
            f"[{name}] momentum={momentum} forgets most of the running averages at each batch. It is the weight of "
            f"the old average, one minus PyTorch's: write momentum={1 - momentum:g} for PyTorch's {momentum}.",
            stacklevel=4,
        )
