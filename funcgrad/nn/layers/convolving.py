"""What convolutions and their transposes share: channels in groups, windows, weights and biases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import funcgrad.numpy as fnp
from funcgrad import random
from funcgrad.nn.initializers import Initializer, for_layer, symmetric_uniform
from funcgrad.nn.layers.checks import per_axis, positive
from funcgrad.nn.module import Module


class Convolving(Module):
    """A layer with a window over the last `rank` axes."""

    weight: Any
    bias: Any
    in_channels: int
    out_channels: int
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Any
    dilation: tuple[int, ...]
    groups: int

    rank = 0

    def set_window(
        self,
        channels: tuple[int, int],
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int],
        dilation: int | Sequence[int],
        groups: int,
    ) -> None:
        """Check and set the fields."""
        inputs, outputs = channels
        positive(self, in_channels=inputs, out_channels=outputs, groups=groups)
        if inputs % groups or outputs % groups:
            raise ValueError(
                f"[{type(self).__name__}] {inputs} input and {outputs} output channels cannot be split into "
                f"groups={groups} equal groups. Use a divisor of both."
            )
        self.in_channels, self.out_channels, self.groups = inputs, outputs, groups
        self.kernel_size = per_axis(self, "kernel_size", kernel_size, self.rank)
        self.stride = per_axis(self, "stride", stride, self.rank)
        self.dilation = per_axis(self, "dilation", dilation, self.rank)

    def set_parameters(
        self,
        channels: tuple[int, int],
        in_axis: int,
        use_bias: bool,
        dtype: Any,
        key: Any,
        inits: tuple[Initializer | None, Initializer | None],
    ) -> None:
        """The first weight, whose axes begin with these lengths, and the first bias."""
        weight_key, bias_key = random.split(key)
        shape = (*channels, *self.kernel_size)
        usual = symmetric_uniform(1 / math.sqrt(math.prod(shape[1:])))
        weight_init, bias_init = (init or usual for init in inits)
        self.weight = for_layer(weight_init, in_axis, 1 - in_axis)(weight_key, shape, dtype)
        self.bias = bias_init(bias_key, (self.out_channels,), dtype) if use_bias else None

    def shifted(self, y: Any) -> Any:
        """(examples, channels, ...) plus the bias."""
        if self.bias is None:
            return y
        return y + fnp.reshape(self.bias, (-1, *(1,) * self.rank))
