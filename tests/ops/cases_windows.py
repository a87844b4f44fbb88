"""Rows of convolutions and of reductions over sliding windows."""

from __future__ import annotations

import itertools

import numpy as np

from funcgrad.lax import conv_general_dilated, reduce_window
from funcgrad.ops.sliding import Sliding
from funcgrad.ops.windows import WINDOW_POSITION, WINDOW_PUT, WINDOW_TAKE
from tests.ops.case import COMPLEX, REAL, Case, distinct, integers, uniform


def together(*sequences):
    return zip(*sequences, strict=True)


NUMBERS = (*REAL, *COMPLEX, "int8", "int32", "uint16")


def correlate(x, w, window_strides, padding, **options):
    """The definition, one product at a time, for axes in the usual order and a padding in pairs."""
    rank = x.ndim - 2
    spacing = options.get("lhs_dilation", (1,) * rank)
    dilation = options.get("rhs_dilation", (1,) * rank)
    groups = options.get("feature_group_count", 1)
    batches = options.get("batch_group_count", 1)
    wide = np.result_type(x.dtype, np.float32) if x.dtype.itemsize == 2 else x.dtype
    if x.dtype.kind in "iu":
        wide = x.dtype
    spaced = [
        (n - 1) * b + 1 + lo + hi for n, b, (lo, hi) in together(x.shape[2:], spacing, padding)
    ]
    extents = [(n - 1) * d + 1 for n, d in together(w.shape[2:], dilation)]
    places = [(n - e) // s + 1 for n, e, s in together(spaced, extents, window_strides)]
    per_group, per_batch = len(w) // groups, len(w) // batches
    out = np.zeros((len(x) // batches, len(w), *places), wide)
    for index in np.ndindex(out.shape):
        n, o, *place = index
        for c, *ks in np.ndindex(w.shape[1:]):
            at = [
                t * s + k * d - lo
                for t, s, k, d, (lo, _) in together(place, window_strides, ks, dilation, padding)
            ]
            if all(
                a % b == 0 and 0 <= a // b < m for a, b, m in together(at, spacing, x.shape[2:])
            ):
                row = n + o // per_batch * (len(x) // batches)
                channel = c + o // per_group * w.shape[1]
                element = x[(row, channel, *(a // b for a, b in together(at, spacing)))]
                out[index] += element.astype(wide) * w[(o, c, *ks)].astype(wide)
    return out.astype(x.dtype)


def convolution(label, shape_x, shape_w, dtypes=("float32", "float64"), **params):
    rank = len(shape_x) - 2
    defaults = {"window_strides": (1,) * rank, "padding": ((0, 0),) * rank}
    return Case(
        "convolve",
        conv_general_dilated,
        (uniform(-2, 2, shape_x), uniform(-2, 2, shape_w)),
        defaults | params,
        label,
        correlate,
        dtypes,
        smooth=("float64", "complex128") if "complex128" in dtypes else ("float64",),
        tolerance=32,
    )


def slices(x, window):
    """Each element of the windows at all places, by NumPy's own padding."""
    for w in window:
        assert w.spacing == 1 and w.low >= 0 and w.high >= 0
    places = [w.places(n) for w, n in together(window, x.shape)]
    for ks in itertools.product(*(range(w.size) for w in window)):
        yield tuple(
            slice(k * w.dilation, k * w.dilation + (n - 1) * w.stride + 1, w.stride)
            for w, n, k in together(window, places, ks)
        )


def reference_position(x, window, is_largest):
    fill = -np.inf if is_largest else np.inf
    padded = np.pad(x.astype(float), [(w.low, w.high) for w in window], constant_values=fill)
    stack = np.stack([padded[index] for index in slices(x, window)])
    return (np.argmax if is_largest else np.argmin)(stack, axis=0).astype(np.uint8)


def reference_take(x, positions, window):
    padded = np.pad(x, [(w.low, w.high) for w in window])
    stack = np.stack([padded[index] for index in slices(x, window)])
    return np.take_along_axis(stack, positions[None].astype(int), axis=0)[0]


def reference_put(x, positions, window, shape):
    """The matrix of `reference_take`, transposed."""
    size = int(np.prod(shape))
    basis = np.eye(size, dtype=x.dtype).reshape(size, *shape)
    return np.array([(reference_take(e, positions, window) * x).sum() for e in basis]).reshape(
        shape
    )


def reduction(primitive, computation, neutral, build, dtypes, label="", **params):
    def reference(x, **params):
        return pooled(x, computation, neutral, **params)

    return Case(
        primitive,
        lambda x, **params: reduce_window(x, neutral, computation, **params),
        (build,),
        params,
        label,
        reference,
        dtypes,
        smooth=("float64", "complex128") if "complex128" in dtypes else ("float64",),
        tolerance=16,
    )


def pooled(x, computation, neutral, window_dimensions, window_strides, padding, **dilations):
    """Windows of a padded and spaced array, one place at a time."""
    spacing = dilations.get("base_dilation", (1,) * x.ndim)
    dilation = dilations.get("window_dilation", (1,) * x.ndim)
    wide = np.float32 if x.dtype.itemsize == 2 and x.dtype.kind not in "iu" else x.dtype
    spaced = np.full([(n - 1) * b + 1 for n, b in together(x.shape, spacing)], neutral, wide)
    spaced[tuple(slice(None, None, b) for b in spacing)] = x
    padded = np.pad(
        spaced, [(max(lo, 0), max(hi, 0)) for lo, hi in padding], constant_values=neutral
    )
    crop = [slice(max(-lo, 0), n - max(-hi, 0)) for n, (lo, hi) in together(padded.shape, padding)]
    padded = padded[tuple(crop)]
    extents = [(k - 1) * d + 1 for k, d in together(window_dimensions, dilation)]
    places = [(n - e) // s + 1 for n, e, s in together(padded.shape, extents, window_strides)]
    out = np.zeros(places, wide)
    for place in np.ndindex(*places):
        starts = [t * s for t, s in together(place, window_strides)]
        window = padded[
            tuple(slice(a, a + e, d) for a, e, d in together(starts, extents, dilation))
        ]
        out[place] = computation.reduce(window, axis=None)
    return out.astype(x.dtype)


PLAIN = {"window_dimensions": (1, 2, 2), "window_strides": (1, 2, 2), "padding": ((0, 0),) * 3}
ODD = {
    "window_dimensions": (1, 3, 2),
    "window_strides": (1, 2, 1),
    "padding": ((0, 0), (2, -1), (1, 0)),
    "base_dilation": (1, 1, 2),
    "window_dilation": (1, 2, 3),
}
# What overlapping windows with padding look like to the primitives that choose elements.
OVERLAP = (Sliding(1), Sliding(3, stride=2, low=1, high=1), Sliding(2, low=1, dilation=2))

CASES = [
    convolution("", (2, 3, 5, 4), (4, 3, 3, 2), NUMBERS),
    convolution("0d", (2, 3), (4, 3)),
    convolution("1d", (2, 3, 7), (2, 3, 3), window_strides=(2,), padding=((1, 1),)),
    convolution("3d", (1, 2, 3, 3, 4), (2, 2, 2, 1, 3), padding=((1, 0), (0, 0), (1, 1))),
    convolution(
        "strided", (2, 2, 7, 6), (3, 2, 3, 3), window_strides=(2, 3), padding=((1, 1), (0, 2))
    ),
    convolution(
        "dilated",
        (2, 2, 5, 4),
        (3, 2, 3, 2),
        window_strides=(2, 1),
        padding=((2, -1), (-1, 3)),
        lhs_dilation=(2, 3),
        rhs_dilation=(2, 2),
    ),
    convolution("groups", (2, 6, 5), (4, 3, 2), feature_group_count=2),
    convolution("depthwise", (2, 3, 4, 4), (6, 1, 3, 3), feature_group_count=3),
    convolution("batches", (4, 3, 5), (6, 3, 2), batch_group_count=2),
    reduction("window_sum", np.add, 0, uniform(-2, 2, (2, 4, 5)), NUMBERS, **PLAIN),
    reduction("window_sum", np.add, 0, uniform(-2, 2, (2, 5, 4)), ("float64",), "odd", **ODD),
    *(
        reduction(name, function, sign * np.inf, distinct(-2, 2, (2, 5, 4)), REAL, label, **params)
        for name, function, sign in (("window_max", np.maximum, -1), ("window_min", np.minimum, 1))
        for label, params in (("", PLAIN), ("odd", ODD))
    ),
    *(
        Case(
            "window_position",
            WINDOW_POSITION,
            (distinct(-2, 2, (2, 5, 4)),),
            {"window": OVERLAP, "is_largest": is_largest},
            f"largest={is_largest}",
            reference_position,
            (*REAL, "int32"),
            argnums=(),
        )
        for is_largest in (True, False)
    ),
    Case(
        "window_take",
        WINDOW_TAKE,
        (uniform(-2, 2, (2, 5, 4)), integers(0, 6, (2, 3, 3), np.uint8)),
        {"window": OVERLAP},
        reference=reference_take,
        dtypes=("float16", "float32", "float64", "complex128"),
        argnums=(0,),
        smooth=("float64", "complex128"),
    ),
    Case(
        "window_put",
        WINDOW_PUT,
        (uniform(-2, 2, (2, 3, 3)), integers(0, 6, (2, 3, 3), np.uint8)),
        {"window": OVERLAP, "shape": (2, 5, 4)},
        reference=reference_put,
        dtypes=("float16", "float32", "float64", "complex128"),
        argnums=(0,),
        smooth=("float64", "complex128"),
    ),
]
