"""Convolutions with JAX's arguments: strides, padding, dilation, groups, and any order of axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcgrad.lax.dimension_numbers import ConvDimensionNumbers, conv_dimension_numbers
from funcgrad.ops.cast import convert
from funcgrad.ops.convolution import Labels, convolve, turned
from funcgrad.ops.operands import shape_of
from funcgrad.ops.products import promoted_arrays
from funcgrad.ops.reduce import accumulator
from funcgrad.ops.shape import reshape, transpose
from funcgrad.ops.sliding import Sliding, check_factors, check_padding, with_padding


def conv_general_dilated(
    lhs: Any,
    rhs: Any,
    window_strides: Sequence[int],
    padding: Any,
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    feature_group_count: int = 1,
    batch_group_count: int = 1,
) -> Any:
    """Convolution as in neural networks: sums of products over channels and a sliding window.

    Args:
        lhs: array (examples, channels, ...), whose other axes, any number of them, are slid over.
        rhs: weights (output channels, channels / feature_group_count, ...); they are not turned around.
        window_strides: steps between places of the window, one int per axis slid over.
        padding: "VALID", "SAME", "SAME_LOWER", or a pair (before, after) per axis; negative ones crop.
        lhs_dilation: `d - 1` zeros are put between neighbours of `lhs`.
        rhs_dilation: the distance between elements of the window.
        dimension_numbers: another order of axes, such as `("NHWC", "HWIO", "NHWC")`.
        feature_group_count: channels come in so many groups, and each output channel sees its own group.
        batch_group_count: the same for examples.

    Returns:
        array (examples, output channels, ...) in the order of `dimension_numbers`. Half precision is added
        up in float32.

    Raises:
        ValueError: if shapes, or the lengths of other arguments, do not fit.

    Example:
        >>> import numpy as np
        >>> conv_general_dilated(np.arange(4.0)[None, None], np.ones((1, 1, 2)), (1,), "VALID")
        array([[[1., 3., 5.]]])
    """
    lhs, rhs = promoted_arrays(lhs, rhs)
    wide = accumulator(lhs.dtype)
    dtype = lhs.dtype if lhs.dtype.isnative else wide
    lhs, rhs = convert(lhs, wide), convert(rhs, wide)
    numbers = conv_dimension_numbers(shape_of(lhs), shape_of(rhs), dimension_numbers)
    check_channels(shape_of(lhs), shape_of(rhs), numbers, feature_group_count, batch_group_count)
    lengths = [shape_of(lhs)[i] for i in numbers.lhs_spec[2:]]
    sizes = [shape_of(rhs)[i] for i in numbers.rhs_spec[2:]]
    window = windows(lengths, sizes, window_strides, padding, lhs_dilation, rhs_dilation)
    labels = (
        named(numbers.lhs_spec, "nc"),
        named(numbers.rhs_spec, "oc"),
        named(numbers.out_spec, "no"),
    )
    groups = feature_group_count * batch_group_count
    if groups == 1:
        return convert(convolve(lhs, rhs, labels, window), dtype)
    split = "c" if feature_group_count > 1 else "n"
    return convert(in_groups(lhs, rhs, labels, window, split, groups), dtype)


def windows(
    lengths: Sequence[int],
    sizes: Sequence[int],
    strides: Sequence[int],
    padding: Any,
    lhs_dilation: Sequence[int] | None,
    rhs_dilation: Sequence[int] | None,
) -> tuple[Sliding, ...]:
    """The windows of a convolution, from its arguments."""
    name, rank = "conv", len(lengths)
    if any(n == 0 for n in sizes):
        raise ValueError(
            f"[conv] the window has shape {tuple(sizes)}, but needs at least 1 element"
        )
    steps = check_factors(name, "window_strides", strides, rank)
    spacings = check_factors(name, "lhs_dilation", lhs_dilation, rank)
    dilations = check_factors(name, "rhs_dilation", rhs_dilation, rank)
    padding = check_padding(name, padding, rank)
    if isinstance(padding, str) and set(spacings) - {1}:
        raise ValueError(
            f'[conv] padding = "{padding}" has no meaning with lhs_dilation = {spacings}. '
            "Give a pair (before, after) per axis, or use lax.conv_transpose."
        )
    bare = [
        Sliding(n, stride=s, spacing=b, dilation=d)
        for n, s, b, d in zip(sizes, steps, spacings, dilations, strict=True)
    ]
    return with_padding(bare, lengths, padding)


def check_channels(
    lhs: tuple, rhs: tuple, numbers: ConvDimensionNumbers, features: int, examples: int
) -> None:
    """Raise where channels or groups do not fit."""
    count, channels = (lhs[i] for i in numbers.lhs_spec[:2])
    outputs, inputs = (rhs[i] for i in numbers.rhs_spec[:2])
    shapes = f"the operands have shapes {lhs} and {rhs}"
    if features < 1 or examples < 1 or (features > 1 and examples > 1):
        raise ValueError(
            f"[conv] feature_group_count = {features} and batch_group_count = {examples}, but one of them "
            "must be 1 and the other at least 1."
        )
    if channels != inputs * features:
        raise ValueError(
            f"[conv] {shapes}: {channels} channels come in, but the weights take {inputs} "
            f"in each of {features} groups. Use weights with {channels // features} input channels (axis "
            f"{numbers.rhs_spec[1]}), or name the axes by dimension_numbers."
        )
    for label, groups, length in (
        ("feature_group_count", features, outputs),
        ("batch_group_count", examples, outputs),
        ("batch_group_count", examples, count),
    ):
        if length % groups:
            what = "output channels" if length is outputs else "examples"
            raise ValueError(
                f"[conv] {shapes}: {length} {what} cannot be split into {label} = {groups} equal groups."
            )


def named(spec: Sequence[int], plain: str) -> str:
    """Labels of axes: the letters `plain` for the first two positions in `spec`, then digits."""
    names = [*plain, *map(str, range(len(spec) - 2))]
    return "".join(name for _, name in sorted(zip(spec, names, strict=True)))


def in_groups(
    lhs: Any, rhs: Any, labels: Labels, window: tuple[Sliding, ...], split: str, groups: int
) -> Any:
    """A convolution whose output channels, and axis `split` of `lhs`, come in groups."""
    lhs = split_axis(lhs, labels[0].index(split), groups)
    rhs = split_axis(rhs, labels[1].index("o"), groups)
    grouped = (
        labels[0].replace(split, "g" + split),
        labels[1].replace("o", "go"),
        labels[2].replace("o", "go"),
    )
    out = convolve(lhs, rhs, grouped, window)
    shape, axis = shape_of(out), grouped[2].index("g")
    return reshape(out, (*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :]))


def split_axis(x: Any, axis: int, groups: int) -> Any:
    """`x` with one axis split into groups and what is in them."""
    shape = shape_of(x)
    return reshape(x, (*shape[:axis], groups, shape[axis] // groups, *shape[axis + 1 :]))


def conv(lhs: Any, rhs: Any, window_strides: Sequence[int], padding: Any) -> Any:
    """Convolution of `lhs` (examples, channels, ...) with weights (output channels, channels, ...).

    Example:
        >>> import numpy as np
        >>> conv(np.ones((1, 3, 8, 8)), np.ones((4, 3, 2, 2)), (2, 2), "VALID").shape
        (1, 4, 4, 4)
    """
    return conv_general_dilated(lhs, rhs, window_strides, padding)


def conv_with_general_padding(
    lhs: Any,
    rhs: Any,
    window_strides: Sequence[int],
    padding: Any,
    lhs_dilation: Sequence[int] | None,
    rhs_dilation: Sequence[int] | None,
) -> Any:
    """`conv_general_dilated` without groups and with the axes in its usual order."""
    return conv_general_dilated(lhs, rhs, window_strides, padding, lhs_dilation, rhs_dilation)


def conv_transpose(
    lhs: Any,
    rhs: Any,
    strides: Sequence[int],
    padding: Any,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    transpose_kernel: bool = False,
) -> Any:
    """The transpose of a strided convolution, for upsampling: `strides - 1` zeros go between elements of `lhs`.

    Args:
        lhs: array; by default the channels are its last axis.
        rhs: weights, by default (..., channels, output channels).
        strides: factors by which the axes grow, one int each.
        padding: "SAME" (length * stride), "VALID" (all places that touch an element), or a pair of ints per
            axis that pads the spaced array.
        rhs_dilation: the distance between elements of the window.
        dimension_numbers: as in `conv_general_dilated`; None for `("NHWC", "HWIO", "NHWC")` and its like.
        transpose_kernel: whether `rhs` is the weights of the convolution whose transpose this is.

    Example:
        >>> import numpy as np
        >>> conv_transpose(np.ones((1, 2, 1)), np.ones((2, 1, 1)), (2,), "SAME")[0, :, 0]
        array([1., 1., 1., 1.])
    """
    lhs, rhs = promoted_arrays(lhs, rhs)
    rank = len(shape_of(lhs)) - 2
    if dimension_numbers is None:
        last = (0, rank + 1, *range(1, rank + 1))
        dimension_numbers = ConvDimensionNumbers(last, (rank + 1, rank, *range(rank)), last)
    numbers = conv_dimension_numbers(shape_of(lhs), shape_of(rhs), dimension_numbers)
    strides = check_factors("conv_transpose", "strides", strides, rank)
    dilations = check_factors("conv_transpose", "rhs_dilation", rhs_dilation, rank)
    padding = check_padding("conv_transpose", padding, rank)
    if isinstance(padding, str):
        sizes = [shape_of(rhs)[i] for i in numbers.rhs_spec[2:]]
        extents = [(n - 1) * d + 1 for n, d in zip(sizes, dilations, strict=True)]
        padding = [transposed_padding(n, s, padding) for n, s in zip(extents, strides, strict=True)]
    if transpose_kernel:
        rhs = turned(rhs, named(numbers.rhs_spec, "oc"))
        order = list(range(rank + 2))
        first, second = numbers.rhs_spec[:2]
        order[first], order[second] = second, first
        rhs = transpose(rhs, order)
    return conv_general_dilated(
        lhs, rhs, (1,) * rank, padding, strides, dilations, dimension_numbers
    )


def transposed_padding(extent: int, stride: int, padding: str) -> tuple[int, int]:
    """The padding of a spaced array, so that the result is as long as the padding's name says."""
    if padding == "VALID":
        before, total = extent - 1, extent + stride - 2 + max(extent - stride, 0)
    else:
        total = extent + stride - 2
        before = extent - 1 if stride > extent - 1 else -(-total // 2)
    return before, total - before
