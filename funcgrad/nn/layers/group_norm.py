"""Normalising each example by itself, with its channels: group, instance and local response normalisation."""

from __future__ import annotations

from typing import Any

import funcgrad.numpy as fnp
from funcgrad.ir.types import FLOAT32
from funcgrad.lax.windows import reduce_window
from funcgrad.nn.context import described, is_training, record_state
from funcgrad.nn.layers.channel_norm import ChannelNorm, RunningNorm
from funcgrad.nn.layers.checks import check_channels, in_dtype_of, positive, refuse
from funcgrad.nn.module import Module
from funcgrad.nn.normalization import standardize
from funcgrad.ops.arithmetic import add
from funcgrad.ops.sequences import as_array


class GroupNorm(ChannelNorm):
    """Mean 0 and variance 1 over each group of channels of each example (Wu and He, 2018).

    Args:
        groups: number of groups.
        channels: number of channels; may be left out without `channelwise_affine`.
        eps: added to the variance.
        channelwise_affine: whether to scale and shift each channel.
        dtype: of the parameters; float32 by default.

    Attributes:
        weight, bias: (channels,), or None.

    Example:
        >>> import numpy as np
        >>> GroupNorm(2, 4)(np.arange(8.0).reshape(2, 4)).round(3)
        array([[-1.,  1., -1.,  1.],
               [-1.,  1., -1.,  1.]])
    """

    groups: int
    channels: int | None
    eps: float

    def __init__(
        self,
        groups: int,
        channels: int | None = None,
        eps: float = 1e-5,
        channelwise_affine: bool = True,
        dtype: Any = None,
    ) -> None:
        positive(self, groups=groups)
        if channelwise_affine and channels is None:
            raise ValueError("[GroupNorm] channelwise_affine needs channels=.")
        if channels is not None and channels % groups:
            raise ValueError(
                f"[GroupNorm] {channels} channels cannot be split into {groups} equal groups. Use a divisor."
            )
        self.groups, self.channels, self.eps = groups, channels, eps
        self.set_affine(channels, channelwise_affine, dtype)

    def __call__(self, x: Any, *, key: Any = None) -> Any:
        """Normalise.

        Args:
            x: (examples, channels, ...). If its second axis is not as long as there are channels but its first is, it
                is one example (channels, ...).
            key: not used.

        Returns:
            An array like `x`.
        """
        del key
        x = as_array(x)
        channels = self.channels
        axis = 1
        if channels is not None and (x.ndim < 2 or x.shape[1] != channels):
            axis = 0
        if (
            x.ndim <= axis
            or x.shape[axis] != (channels or x.shape[axis])
            or x.shape[axis] % self.groups
        ):
            refuse(self, f"(examples, {channels or f'a multiple of {self.groups}'}, ...)", x)
        wide = x.astype(FLOAT32) if x.dtype.itemsize < 4 else x
        grouped = fnp.reshape(wide, (*x.shape[:axis], self.groups, -1))
        y = fnp.reshape(standardize(grouped, -1, epsilon=self.eps), x.shape).astype(x.dtype)
        return self.scaled(y, axis)


class _InstanceNorm(RunningNorm):
    """What instance norms over any number of axes share."""

    num_features: int
    eps: float
    momentum: float
    inference: bool

    rank = 0

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.9,
        affine: bool = False,
        track_running_stats: bool = False,
        dtype: Any = None,
        *,
        inference: bool = False,
    ) -> None:
        positive(self, num_features=num_features)
        self.set_affine(num_features, affine, dtype)
        self.set_running(num_features, track_running_stats, dtype)
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.inference = inference

    def __call__(self, x: Any, *, key: Any = None, inference: bool | None = None) -> Any:
        """Normalise.

        Args:
            x: (examples, channels, ...), or one example without the first axis.
            key: not used.
            inference: whether to use running averages, if there are any.

        Returns:
            An array like `x`.
        """
        del key
        x = as_array(x)
        axis = 1 if check_channels(self, x, self.num_features, self.rank) else 0
        wide = x.astype(FLOAT32) if x.dtype.itemsize < 4 else x
        axes = tuple(range(axis + 1, x.ndim))
        uses_own = self.running_mean is None or is_training(self, inference)
        if uses_own:
            y = self.by_own_statistics(wide, axes)
        else:
            along = (-1, *(1,) * self.rank)
            mean, variance = self.running_statistics()
            y = (wide - fnp.reshape(mean, along)) / fnp.sqrt(
                fnp.reshape(variance, along) + self.eps
            )
        return self.scaled(y.astype(x.dtype), axis)

    def by_own_statistics(self, x: Any, axes: tuple[int, ...]) -> Any:
        """Normalised over the axes; running averages follow."""
        count = 1
        for axis in axes:
            count *= x.shape[axis]
        if count == 1:
            raise ValueError(
                f"[{described(self)}] Expected more than 1 value per channel and example, but got "
                f"{x.dtype}{list(x.shape)}: the variance of one value is 0."
            )
        mean = fnp.mean(x, axis=axes, keepdims=True)
        variance = fnp.mean(fnp.square(x - mean), axis=axes, keepdims=True)
        if self.running_mean is not None:
            others = tuple(i for i in range(x.ndim) if i != axes[0] - 1)
            unbiased = variance * (count / (count - 1))
            batch = [fnp.mean(found, axis=others) for found in (mean, unbiased)]
            # PyTorch does not count batches here either.
            record_state(self, **self.followed(self.momentum, *batch))
        return (x - mean) / fnp.sqrt(variance + self.eps)


class InstanceNorm1d(_InstanceNorm):
    """Mean 0 and variance 1 of each channel of each example, over its length (Ulyanov et al., 2016).

    Args:
        num_features: number of channels.
        eps: added to the variance.
        momentum: weight of the old running average; one minus PyTorch's momentum.
        affine: whether to scale and shift each channel.
        track_running_stats: whether inference uses running averages of training instead of each example's own.
        dtype: of the parameters; float32 by default.
        inference: whether running averages are used in training as well.

    Attributes:
        weight, bias: (num_features,), or None.

    Example:
        >>> import numpy as np
        >>> InstanceNorm1d(1)(np.array([[[1.0, 3.0]]])).round(3)
        array([[[-1.,  1.]]])
    """

    rank = 1


class InstanceNorm2d(_InstanceNorm):
    """Mean 0 and variance 1 of each channel of each image. Arguments as for `InstanceNorm1d`."""

    rank = 2


class InstanceNorm3d(_InstanceNorm):
    """Mean 0 and variance 1 of each channel of each volume. Arguments as for `InstanceNorm1d`."""

    rank = 3


class LocalResponseNorm(Module):
    """Each element divided by a power of the mean square over neighbouring channels (Krizhevsky et al., 2012).

    `x / (k + alpha * mean of x**2 over size channels) ** beta`.

    Args:
        size: number of neighbouring channels.
        alpha, beta, k: as in the formula.

    Example:
        >>> import numpy as np
        >>> LocalResponseNorm(1, alpha=1.0, beta=1.0, k=0.0)(np.array([[2.0, 4.0]]))
        array([[0.5 , 0.25]])
    """

    size: int
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0

    def __post_init__(self) -> None:
        positive(self, size=self.size)

    def __call__(self, x: Any, *, key: Any = None) -> Any:
        """Normalise (examples, channels, ...); `key` is not used."""
        del key
        x = as_array(x)
        if x.ndim < 2:
            refuse(self, "(examples, channels, ...)", x)
        after = (self.size - 1) // 2
        pairs = [(0, 0), (self.size - 1 - after, after)] + [(0, 0)] * (x.ndim - 2)
        window = (1, self.size, *(1,) * (x.ndim - 2))
        total = reduce_window(fnp.square(x), 0, add, window, None, pairs)
        return in_dtype_of(x, x / (self.k + self.alpha * total / self.size) ** self.beta)
