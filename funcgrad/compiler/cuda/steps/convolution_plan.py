"""Convolutions that a library has: images of one batch axis and one channel axis, and the gradients by the weights."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from funcgrad.compiler.lowering.graph import Step
from funcgrad.compiler.lowering.index import strides_of
from funcgrad.config import config
from funcgrad.ops.convolution import roles

DTYPES = ("float16", "bfloat16", "float32")


@dataclass(frozen=True)
class TensorLayout:
    """Lengths and element strides of the axes of a tensor: batch, channels, then the axes that are slid over; those of
    weights: output channels, input channels, elements of the window."""

    lengths: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class ConvolutionPlan:
    """`y = convolution of x by w`, or the sum over examples that is its gradient by `w` for a given `y`.

    Attributes:
        result: "y" or "w".
        dtype: of all tensors.
        precision: in which float32 is multiplied: "highest", "tensorfloat32" or "bfloat16".
        x, w, y: layouts.
        before, after: zeros around each axis of `x` that is slid over.
        stride, dilation: of the window, along each of them.
    """

    result: str
    dtype: np.dtype
    precision: str
    x: TensorLayout
    w: TensorLayout
    y: TensorLayout
    before: tuple[int, ...]
    after: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]


def convolution_plan(step: Step) -> ConvolutionPlan | None:
    """The plan of a step; None if it is nothing that a library has."""
    labels, window = step.params["labels"], step.params["window"]
    group, free_x, free_w, summed, slid = roles(labels)
    dtype = step.types[0].dtype
    is_plain = not group and len(free_x) == len(free_w) == len(summed) == 1
    if not is_plain or len(slid) not in (2, 3) or dtype.name not in DTYPES:
        return None
    if any(s.spacing != 1 or s.low < 0 or s.high < 0 for s in window):
        return None
    shapes = [*[node.shape for node in step.operands], step.types[0].shape]
    if any(0 in shape for shape in shapes):
        return None
    x, other, out = (
        dict(zip(side, zip(shape, strides_of(shape), strict=True), strict=True))
        for side, shape in zip(labels, shapes, strict=True)
    )
    places = math.prod(out[axis][0] for axis in slid)
    padding = tuple([s.low for s in window]), tuple([s.high for s in window])
    strides, dilations = tuple([s.stride for s in window]), tuple([s.dilation for s in window])
    common = (dtype, config.default_matmul_precision)
    if math.prod(s.size for s in window) <= places:
        layouts = (
            layout(x, free_x + summed + slid),
            layout(other, free_w + summed + slid),
            layout(out, free_x + free_w + slid),
        )
        return ConvolutionPlan("y", *common, *layouts, *padding, strides, dilations)
    # The window is the gradient of all places, and slides to each element of the weights.
    layouts = (
        layout(x, summed + free_x + slid),
        layout(out, free_w + free_x + slid),
        layout(other, summed + free_w + slid),
    )
    return ConvolutionPlan("w", *common, *layouts, *padding, dilations, strides)


def layout(axes: dict[str, tuple[int, int]], names: str) -> TensorLayout:
    """The layout of a tensor whose axes have these names."""
    lengths, strides = zip(*[axes[name] for name in names], strict=True)
    return TensorLayout(lengths, strides)
