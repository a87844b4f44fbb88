"""Random bits, and the distributions that come straight from them."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from funcgrad.ir.types import kind
from funcgrad.ops.arithmetic import add, multiply, subtract
from funcgrad.ops.cast import convert
from funcgrad.ops.compare import equal, greater
from funcgrad.ops.extrema import maximum
from funcgrad.ops.integer import bitwise_and, bitwise_or, bitwise_xor, right_shift
from funcgrad.ops.operands import broadcast_shapes, shape_of
from funcgrad.ops.pieces import STATIC_SLICE
from funcgrad.ops.random_bits import WORD, bitcast, threefry2x32
from funcgrad.ops.rounding import remainder
from funcgrad.ops.select import select
from funcgrad.ops.sequences import as_array
from funcgrad.ops.shape import broadcast_to
from funcgrad.random.keys import as_key, as_shape, counters, split_key, to_word

FLOAT32 = np.dtype(np.float32)


def bits(key: Any, shape: Any = (), dtype: Any = None) -> Any:
    """Uniformly distributed random bits.

    Args:
        key: key or seed.
        shape: of the result.
        dtype: uint8, uint16, uint32 (the default) or uint64.

    Returns:
        Array of unsigned integers.

    Example:
        >>> import funcgrad as fg
        >>> fg.random.bits(fg.random.key(0), (2,))
        array([4070199207, 4202968722], dtype=uint32)
    """
    dtype = np.dtype(np.uint32 if dtype is None else dtype)
    if dtype.kind != "u":
        raise TypeError(
            f"[bits] dtype must be an unsigned integer, but got {dtype}. Use np.uint32."
        )
    return random_bits(as_key(key, "bits"), as_shape("bits", shape), dtype)


def random_bits(key: Any, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    """`bits` of a checked key."""
    words = threefry2x32(to_word(key), counters(shape))
    if dtype.itemsize == 8:
        return words
    folded = bitwise_xor(right_shift(words, 32), bitwise_and(words, WORD))
    return convert(folded, dtype)


def uniform(
    key: Any, shape: Any = (), dtype: Any = None, minval: Any = 0.0, maxval: Any = 1.0
) -> Any:
    """Uniformly distributed numbers in [minval, maxval).

    Args:
        key: key or seed.
        shape: of the result.
        dtype: floating dtype, float32 by default.
        minval, maxval: bounds that broadcast to `shape`; derivatives flow through them.

    Returns:
        Array of this shape and dtype.

    Example:
        >>> import funcgrad as fg
        >>> fg.random.uniform(fg.random.key(0), (2,))
        array([0.947667 , 0.9785799], dtype=float32)
    """
    dtype, shape = floating_dtype("uniform", dtype), as_shape("uniform", shape)
    return uniform_between(as_key(key, "uniform"), shape, dtype, minval, maxval)


def uniform_between(
    key: Any, shape: tuple[int, ...], dtype: np.dtype, minval: Any, maxval: Any
) -> Any:
    """`uniform` of checked arguments."""
    unit = unit_interval(key, shape, dtype)
    if type(minval) is float and minval == 0.0 and type(maxval) is float and maxval == 1.0:
        return unit
    low, high = (parameter("uniform", bound, shape, dtype) for bound in (minval, maxval))
    return maximum(low, add(multiply(unit, subtract(high, low)), low))


def unit_interval(key: Any, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    """Uniform in [0, 1): random bits become the mantissa of numbers in [1, 2)."""
    mantissa = ml_dtypes.finfo(dtype).nmant
    # For fewer than 8 bits of mantissa one byte per number is enough.
    width = 8 if mantissa < 8 else 8 * dtype.itemsize
    integer = np.dtype(f"u{dtype.itemsize}")
    drawn = right_shift(random_bits(key, shape, np.dtype(f"u{width // 8}")), width - mantissa)
    one = int(np.ones((), dtype).view(integer))
    number = bitcast(bitwise_or(convert(drawn, integer), one), dtype)
    return subtract(number, np.ones((), dtype)[()])


def parameter(name: str, value: Any, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    """A parameter of a distribution in the dtype and shape of the result."""
    value = convert(as_array(value), dtype)
    if broadcast_shapes(name, [shape_of(value), shape]) != shape:
        raise ValueError(
            f"[{name}] a parameter of shape {shape_of(value)} does not broadcast to shape={shape}. "
            "Give the full shape of the result."
        )
    return broadcast_to(value, shape)


def as_dtype(name: str, dtype: Any) -> np.dtype:
    """A dtype; float32 for None."""
    if isinstance(dtype, int):
        raise TypeError(
            f"[{name}] dtype must be a dtype, but got {dtype}. Write the lengths of all axes as one shape: (2, 3)."
        )
    return FLOAT32 if dtype is None else np.dtype(dtype)


def floating_dtype(name: str, dtype: Any) -> np.dtype:
    dtype = as_dtype(name, dtype)
    if kind(dtype) != "f":
        raise TypeError(f"[{name}] dtype must be floating, but got {dtype}. Use np.float32.")
    return dtype


def randint(key: Any, shape: Any, minval: Any, maxval: Any, dtype: Any = None) -> Any:
    """Uniformly distributed integers from `minval` to `maxval - 1`.

    Args:
        key: key or seed.
        shape: of the result.
        minval, maxval: integers or integer arrays that broadcast to `shape`; where maxval <= minval the
            result is minval.
        dtype: integer dtype, int64 by default.

    Returns:
        Array of this shape and dtype.

    Example:
        >>> import funcgrad as fg
        >>> fg.random.randint(fg.random.key(0), (4,), 0, 10)
        array([5, 1, 5, 7])
    """
    shape = as_shape("randint", shape)
    return integers_between(as_key(key, "randint"), shape, minval, maxval, dtype)


def integers_between(
    key: Any, shape: tuple[int, ...], minval: Any, maxval: Any, dtype: Any = None
) -> Any:
    """`randint` of a checked key: two draws per number, so that the bias is below 2**-64."""
    dtype = np.dtype(np.int64 if dtype is None else dtype)
    if dtype.kind not in "iu":
        raise TypeError(f"[randint] dtype must be an integer dtype, but got {dtype}. Use np.int64.")
    # Small integers are drawn with 32 bits, as there are more of them than results.
    wide = np.dtype(f"{dtype.kind}{max(dtype.itemsize, 4)}")
    unsigned = np.dtype(f"u{wide.itemsize}")
    # The upper bound itself may lie one past the largest integer.
    reaches_top = type(maxval) is int and maxval == np.iinfo(wide).max + 1
    low = integer_bound(minval, shape, dtype, wide)
    high = integer_bound(maxval - 1 if reaches_top else maxval, shape, dtype, wide)
    distance = subtract(bitcast(high, unsigned), bitcast(low, unsigned))
    span = add(distance, 1) if reaches_top else select(greater(high, low), distance, 1)
    pair = split_key(key)
    upper, lower = (
        random_bits(STATIC_SLICE(pair, spec=(i, (0, 2, 1))), shape, unsigned) for i in (0, 1)
    )
    return convert(add(low, bitcast(offset_below(span, upper, lower), wide)), dtype)


def offset_below(span: Any, upper: Any, lower: Any) -> Any:
    """The number with these two digits modulo `span`; a span of 0 stands for all integers."""
    everything = equal(span, 0)
    span = select(everything, 1, span)
    base = remainder(np.full((), 1 << 4 * span.dtype.itemsize, span.dtype)[()], span)
    base = remainder(multiply(base, base), span)
    digits = add(multiply(remainder(upper, span), base), remainder(lower, span))
    return select(everything, lower, remainder(digits, span))


def integer_bound(value: Any, shape: tuple[int, ...], dtype: np.dtype, wide: np.dtype) -> Any:
    """A bound of `randint` in the shape of the result, and in the dtype that it is computed in."""
    found = as_array(value)
    if found.dtype.kind not in "iu":
        raise TypeError(
            f"[randint] minval and maxval must be integers, but got dtype {found.dtype}. "
            "Use int(x), x.astype(int), or uniform."
        )
    limits = np.iinfo(dtype)
    if type(value) is int and not limits.min <= value <= limits.max + 1:
        raise OverflowError(
            f"[randint] the bound {value} does not fit into dtype {dtype}. Give a wider dtype."
        )
    return parameter("randint", found, shape, wide)
