"""What a convolution computes, as a product of matrices whose elements lie at sums of strides in a padded array."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from funcgrad.ops.convolution import Labels, roles
from funcgrad.ops.sliding import Sliding, Window

# An extent, then a stride for each of the arrays that the axis belongs to, in elements.
Axes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Part:
    """`out[g, r, c] = sum over t of x[g, r, t] * w[g, c, t]`, where each index runs over several axes.

    Attributes:
        groups: axes with strides of x, w and out.
        rows: axes with strides of x and out: examples and places of the window.
        columns: axes with strides of w and out: output channels.
        terms: axes with strides of x and w: channels and elements of the window.
        starts: of x, w and out.
    """

    groups: Axes
    rows: Axes
    columns: Axes
    terms: Axes
    starts: tuple[int, int, int]


class PlaneAxis(NamedTuple):
    """An axis that a window of three elements slides over, step by step.

    Attributes:
        x_length, y_length: of the axis, and the number of places.
        low: zeros before x; less than 0 if elements are left out.
        x_step, y_step, w_step: strides.
    """

    x_length: int
    y_length: int
    low: int
    x_step: int
    y_step: int
    w_step: int


@dataclass(frozen=True)
class Planes:
    """`y[n, o, i, j] = sum over c, k, l of x[n, c, i + k, j + l] * w[o, c, k, l]` for windows of 3 by 3 elements.

    Or, if `sums_examples`, the gradient by w for a given y.

    Attributes:
        examples: axes with strides of x and y.
        channels: length, strides of x and w.
        outputs: length, strides of y and w.
        axes: the two that are slid over.
        sums_examples: whether w is what is computed.
    """

    examples: Axes
    channels: tuple[int, int, int]
    outputs: tuple[int, int, int]
    axes: tuple[PlaneAxis, PlaneAxis]
    sums_examples: bool


@dataclass(frozen=True)
class ConvSpec:
    """A convolution of arrays in memory.

    Attributes:
        dtype: of operands and result.
        shape: of x.
        strides: of x, in elements.
        padding: zeros before and after each axis of x.
        parts: what is computed from the padded x. There are several if x has space between its elements: then
            neighbouring places see different elements of the window.
        out_size: how many elements the result has.
        planes: the same, if it is a convolution of planes with windows of 3 by 3 elements.
    """

    dtype: np.dtype
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    parts: tuple[Part, ...]
    out_size: int
    planes: Planes | None = None

    @property
    def products(self) -> int:
        """How many numbers are multiplied."""
        return sum(
            total((*part.groups, *part.rows, *part.columns, *part.terms)) for part in self.parts
        )

    @property
    def is_padded(self) -> bool:
        return any(low or high for low, high in self.padding)

    @property
    def padded_size(self) -> int:
        return math.prod(self.padded_shape)

    @property
    def padded_shape(self) -> tuple[int, ...]:
        return tuple(
            n + low + high for n, (low, high) in zip(self.shape, self.padding, strict=True)
        )


@dataclass(frozen=True)
class Phase:
    """Along one axis: the places `first_place + i * place_step` see the elements `first_element + j * element_step` of
    the window, at `start + i * stride + j * dilation` of x."""

    places: int
    first_place: int
    place_step: int
    elements: int
    first_element: int
    element_step: int
    start: int
    stride: int
    dilation: int


def phases(sliding: Sliding, length: int) -> list[Phase]:
    """The places of a window, sorted by the elements that meet x and not the space between its elements."""
    space, places = sliding.spacing, sliding.places(length)
    place_step = space // math.gcd(sliding.stride, space)
    element_step = space // math.gcd(sliding.dilation, space)
    found = []
    for t in range(min(place_step, places)):
        at = t * sliding.stride - sliding.low
        fits = [k for k in range(element_step) if (at + k * sliding.dilation) % space == 0]
        first = fits[0] if fits else 0
        found.append(
            Phase(
                places=-(-(places - t) // place_step),
                first_place=t,
                place_step=place_step,
                elements=max(-(-(sliding.size - first) // element_step), 0) if fits else 0,
                first_element=first,
                element_step=element_step,
                start=(at + first * sliding.dilation) // space,
                stride=place_step * sliding.stride // space,
                dilation=element_step * sliding.dilation // space,
            )
        )
    return found


@functools.cache
def conv_spec(
    dtype: np.dtype,
    labels: Labels,
    window: Window,
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    x_strides: tuple[int, ...] | None = None,
    w_strides: tuple[int, ...] | None = None,
    out_strides: tuple[int, ...] | None = None,
) -> ConvSpec:
    """The spec of the primitive `convolve` with these params; without strides arrays are C-contiguous."""
    lengths = dict(zip(labels[1] + labels[0], (*w_shape, *x_shape), strict=True))
    slid = [(str(i), s, phases(s, lengths[str(i)])) for i, s in enumerate(window)]
    out_lengths = lengths | {a: s.places(lengths[a]) for a, s, _ in slid}
    out_shape = [out_lengths[a] for a in labels[2]]
    padding = padding_of(labels[0], slid, lengths)
    padded = [n + low + high for n, (low, high) in zip(x_shape, padding, strict=True)]
    given = x_strides or contiguous(x_shape)
    w_strides = w_strides or contiguous(w_shape)
    out_strides = out_strides or contiguous(out_shape)
    is_padded = any(low or high for low, high in padding)
    strides = (
        dict(zip(labels[0], contiguous(padded) if is_padded else given, strict=True)),
        dict(zip(labels[1], w_strides, strict=True)),
        dict(zip(labels[2], out_strides, strict=True)),
    )
    low = {a: before for a, (before, _) in zip(labels[0], padding, strict=True)}
    inner = dict(zip(labels[0] + labels[1], (*x_shape, *w_shape), strict=True))
    parts = tuple(
        part_of(labels, inner, low, strides, chosen)
        for chosen in itertools.product(*([(a, p) for p in ps] for a, _, ps in slid))
    )
    sides = (
        dict(zip(labels[0], zip(x_shape, given, strict=True), strict=True)),
        dict(zip(labels[1], zip(w_shape, w_strides, strict=True), strict=True)),
        dict(zip(labels[2], zip(out_shape, out_strides, strict=True), strict=True)),
    )
    planes = planes_of(labels, window, sides)
    return ConvSpec(dtype, x_shape, tuple(given), padding, parts, math.prod(out_shape), planes)


def planes_of(labels: Labels, window: Window, sides: tuple[dict, dict, dict]) -> Planes | None:
    """The convolution as one of planes, if it is one or the gradient of one."""
    group, free_x, free_w, summed, slid = roles(labels)
    steps_by_one = all((s.stride, s.spacing, s.dilation) == (1, 1, 1) for s in window)
    if len(slid) != 2 or group or len(free_w) != 1 or not steps_by_one:
        return None
    x, w, out = sides
    sums_examples = any(w[a][0] != 3 for a in slid)
    if sums_examples:
        # The result takes the part of the weights, and the window that of the result.
        w, out, free_x, summed = out, w, summed, free_x
    if len(summed) != 1 or any(w[a][0] != 3 for a in slid):
        return None
    axes = [
        PlaneAxis(x[a][0], out[a][0], s.low, x[a][1], out[a][1], w[a][1])
        for a, s in zip(slid, window, strict=True)
    ]
    return Planes(
        merged([(x[a][0], x[a][1], out[a][1]) for a in free_x], by=0),
        (x[summed][0], x[summed][1], w[summed][1]),
        (out[free_w][0], out[free_w][1], w[free_w][1]),
        (axes[0], axes[1]),
        sums_examples,
    )


def total(axes: Sequence[tuple[int, ...]]) -> int:
    """How many elements there are along several axes."""
    return math.prod(axis[0] for axis in axes)


def contiguous(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides of a C-contiguous array, in elements."""
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))


def padding_of(labels: str, slid: list, lengths: dict[str, int]) -> tuple[tuple[int, int], ...]:
    """How many zeros each axis of x needs so that no phase reaches outside."""
    needed: dict[str, tuple[int, int]] = dict.fromkeys(labels, (0, 0))
    for a, _, found in slid:
        used = [p for p in found if p.places and p.elements]
        ends = [p.start + (p.places - 1) * p.stride + (p.elements - 1) * p.dilation for p in used]
        low = max([0, *(-p.start for p in used)])
        high = max([0, *(end - lengths[a] + 1 for end in ends)])
        needed[a] = (low, high)
    return tuple(needed[a] for a in labels)


def part_of(labels: Labels, lengths: dict, low: dict, strides: tuple, chosen: tuple) -> Part:
    """The part for one phase per axis."""
    x, w, out = strides
    group, free_x, free_w, summed, _ = roles(labels)
    rows = [(lengths[a], x[a], out[a]) for a in free_x]
    terms = [(lengths[a], x[a], w[a]) for a in summed]
    starts = [0, 0, 0]
    for a, p in chosen:
        rows.append((p.places, p.stride * x[a], p.place_step * out[a]))
        terms.append((p.elements, p.dilation * x[a], p.element_step * w[a]))
        starts[0] += (p.start + low[a]) * x[a]
        starts[1] += p.first_element * w[a]
        starts[2] += p.first_place * out[a]
    return Part(
        merged([(lengths[a], x[a], w[a], out[a]) for a in group], by=2),
        merged(rows, by=1),
        merged([(lengths[a], w[a], out[a]) for a in free_w], by=1),
        merged(terms, by=0),
        (starts[0], starts[1], starts[2]),
    )


def merged(axes: list[tuple[int, ...]], by: int) -> Axes:
    """The axes in the order of their strides in one array, neighbours in one where all strides allow it."""
    return chained(sorted(axes, key=lambda axis: -abs(axis[1 + by])))


def chained(axes: Sequence[tuple[int, ...]]) -> Axes:
    """Neighbouring axes in one where all strides allow it."""
    found: list[tuple[int, ...]] = []
    for axis in axes:
        extent, *strides = axis
        if extent == 1:
            continue
        if found and extent and list(found[-1][1:]) == [s * extent for s in strides]:
            extent *= found.pop()[0]
        found.append((extent, *strides))
    return tuple(found)
