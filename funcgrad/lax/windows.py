"""Reductions over sliding windows with JAX's arguments, and padding with space between elements."""

from __future__ import annotations

import builtins
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.ir.tracer import Tracer
from funcgrad.ir.types import BOOL, FLOAT64
from funcgrad.ops.arithmetic import add
from funcgrad.ops.cast import convert
from funcgrad.ops.create import full
from funcgrad.ops.extrema import maximum, minimum
from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.ops.pieces import STATIC_SLICE
from funcgrad.ops.reduce import accumulator
from funcgrad.ops.select import select
from funcgrad.ops.sequences import as_array
from funcgrad.ops.shape import broadcast_to
from funcgrad.ops.sliding import Sliding, Window, check_factors, check_padding, with_padding
from funcgrad.ops.update import static_slice, update_slice
from funcgrad.ops.windows import WINDOW_MAX, WINDOW_MIN, WINDOW_SUM, elements

PRIMITIVES = {add: WINDOW_SUM, maximum: WINDOW_MAX, minimum: WINDOW_MIN}
# Other names of the same functions.
SAME_AS = {
    np.add: add,
    operator.add: add,
    np.maximum: maximum,
    builtins.max: maximum,
    np.minimum: minimum,
    builtins.min: minimum,
}


def reduce_window(
    operand: Any,
    init_value: Any,
    computation: Callable[[Any, Any], Any],
    window_dimensions: Sequence[int],
    window_strides: Sequence[int] | None = None,
    padding: Any = "VALID",
    base_dilation: Sequence[int] | None = None,
    window_dilation: Sequence[int] | None = None,
) -> Any:
    """Combine the elements of windows that slide over all axes of an array: pooling.

    Args:
        operand: array.
        init_value: what the combination starts from: for a maximum -inf, for example. Elements outside of the
            array are left out.
        computation: associative function of two arrays: `lax.add`, `lax.max`, `lax.min`, `lax.mul`, `np.add` and
            its like, or any other that works element by element.
        window_dimensions: the shape of the window, one int per axis of `operand`.
        window_strides: steps between places of the window.
        padding: "VALID", "SAME", "SAME_LOWER", or a pair (before, after) per axis; negative ones crop.
        base_dilation: the distance between elements of `operand`; what is put between them is left out, too.
        window_dilation: the distance between elements of the window.

    Returns:
        array with one element per place of the window. Where elements are equally large, the derivative of a
        maximum goes to the first, as in JAX and PyTorch. Half precision is added up in float32.

    Raises:
        ValueError: if the lengths of the arguments do not fit.

    Example:
        >>> import numpy as np
        >>> reduce_window(np.array([1.0, 4.0, 3.0, 2.0]), -np.inf, max, (2,), (2,))
        array([4., 3.])
    """
    operand = as_array(operand)
    wide = accumulator(operand.dtype)
    dtype = operand.dtype if operand.dtype.isnative else wide
    operand = convert(operand, wide)
    name, shape = "reduce_window", shape_of(operand)
    sizes = check_factors(name, "window_dimensions", window_dimensions, len(shape))
    strides = check_factors(name, "window_strides", window_strides, len(shape))
    spacings = check_factors(name, "base_dilation", base_dilation, len(shape))
    dilations = check_factors(name, "window_dilation", window_dilation, len(shape))
    bare = [
        Sliding(*fields)
        for fields in zip(
            sizes, strides, *[(0,) * len(shape)] * 2, spacings, dilations, strict=True
        )
    ]
    window = with_padding(bare, shape, check_padding(name, padding, len(shape)))
    computation = SAME_AS.get(computation, computation)
    primitive = PRIMITIVES.get(computation)
    if primitive is None:
        return convert(combined(operand, init_value, computation, window), dtype)
    out = primitive(operand, window=window)
    neutral = (primitive.neutral(operand.dtype), primitive.neutral(FLOAT64))
    if not is_one_of(init_value, neutral):
        out = computation(init_value, out)
    return convert(out, dtype)


def is_one_of(value: Any, numbers: tuple) -> bool:
    return not isinstance(value, Tracer) and any(np.all(value == number) for number in numbers)


def combined(x: Any, init: Any, computation: Callable[[Any, Any], Any], window: Window) -> Any:
    """Windows reduced by any function: one call for each element of the window."""
    places = tuple(w.places(n) for w, n in zip(window, shape_of(x), strict=True))
    config = [(w.low, w.high, w.spacing - 1) for w in window]
    padded = pad(x, init, config)
    inside = pad(full(shape_of(x), True, BOOL), False, config)
    out = broadcast_to(convert(as_array(init), x.dtype), places)
    for index in elements(window, places):
        spec = tuple((s.start, s.stop, s.step) for s in index)
        following = computation(out, STATIC_SLICE(padded, spec=spec))
        if all(w.is_unpadded for w in window):
            out = following
        else:
            out = select(STATIC_SLICE(inside, spec=spec), following, out)
    return out


def pad(operand: Any, padding_value: Any, padding_config: Sequence[tuple[int, int, int]]) -> Any:
    """`operand` with elements `padding_value` around it and between its elements.

    Args:
        operand: array.
        padding_value: number.
        padding_config: (before, after, between) for each axis; the first two may be negative, which crops.

    Example:
        >>> import numpy as np
        >>> pad(np.array([1.0, 2.0, 3.0]), 0.0, [(1, -1, 1)])
        array([0., 1., 0., 2., 0.])
    """
    x = as_array(operand)
    if len(padding_config) != ndim_of(x):
        raise ValueError(
            f"[pad] padding_config = {padding_config}, but the operand has shape {shape_of(x)}. Give "
            "(before, after, between) for each axis."
        )
    window = [Sliding(1, 1, low, high, between + 1) for low, high, between in padding_config]
    pairs = list(zip(window, shape_of(x), strict=True))
    kept = [w.kept(n) for w, n in pairs]
    source = tuple((s.start, s.stop, 1) for s, _ in kept)
    target = tuple((s.start, s.stop, s.step or 1) for _, s in kept)
    lengths = [max(w.padded(n), 0) for w, n in pairs]
    empty = broadcast_to(convert(as_array(padding_value), x.dtype), lengths)
    return update_slice(empty, static_slice(x, source), target)
