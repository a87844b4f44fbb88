"""Keys: plain uint32 arrays of shape (2,), made from seeds and from other keys.

Nothing here has a hidden state. A key is used once; `split` makes new ones from it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.ir.devices import device_of_array, new_arrays_on, only_numpy
from funcgrad.ir.tracer import Tracer, state, type_of
from funcgrad.ops.cast import convert
from funcgrad.ops.create import iota
from funcgrad.ops.integer import bitwise_and, bitwise_or, left_shift, right_shift
from funcgrad.ops.operands import as_operand, ndim_of, shape_of
from funcgrad.ops.pieces import STATIC_SLICE, stack
from funcgrad.ops.random_bits import WORD, bitcast, threefry2x32
from funcgrad.ops.sequences import as_array
from funcgrad.ops.shape import reshape
from funcgrad.random.reuse import note_use

UINT32, UINT64, INT64 = np.dtype(np.uint32), np.dtype(np.uint64), np.dtype(np.int64)


def key(seed: Any, *, impl: str | None = None) -> Any:
    """A random key from a seed.

    Args:
        seed: integer, or integer array of shape (); its 64 bits become the two words of the key.
        impl: None or "threefry2x32", the only generator.

    Returns:
        uint32 array of shape (2,).

    Raises:
        TypeError: the seed is no integer.

    Example:
        >>> import funcgrad as fg
        >>> fg.random.key(7)
        array([0, 7], dtype=uint32)
    """
    if impl not in (None, "threefry2x32"):
        raise ValueError(f"[key] impl={impl!r} is not known; the only one is 'threefry2x32'.")
    if isinstance(seed, bool | np.bool_) or not is_integer_scalar(seed):
        raise TypeError(f"[key] the seed must be an integer, but got {describe(seed)}. Use key(0).")
    if not isinstance(seed, Tracer):
        seed = check_seed(int(seed))
        return np.array([seed >> 32, seed & WORD], UINT32)
    return from_words(bitcast(convert(seed, INT64), UINT64))


PRNGKey = key


def key_data(keys: Any) -> Any:
    """The words of a key or of an array of keys. Keys are plain arrays here, so this is `keys` itself."""
    return as_keys("key_data", keys)


def wrap_key_data(key_bits_array: Any, *, impl: str | None = None) -> Any:
    """A key, or an array of keys, from the words that `key_data` returns."""
    del impl
    return as_keys("wrap_key_data", key_bits_array)


def split(key: Any, num: int | tuple[int, ...] = 2) -> Any:
    """New keys from a key, independent of each other.

    Args:
        key: key or seed; it should not be used again.
        num: how many, or the shape of the array of keys.

    Returns:
        uint32 array of shape (num, 2), or (*num, 2).

    Example:
        >>> import funcgrad as fg
        >>> key, subkey = fg.random.split(fg.random.key(0))
        >>> subkey
        array([ 928981903, 3453687069], dtype=uint32)
    """
    return split_key(as_key(key, "split"), as_shape("split", num))


def split_key(key: Any, shape: tuple[int, ...] = (2,)) -> Any:
    """`split` of a checked key."""
    return from_words(threefry2x32(to_word(key), counters_beside(key, shape)))


def fold_in(key: Any, data: Any) -> Any:
    """A new key from a key and an integer, such as the number of a step or a layer.

    Args:
        key: key or seed. It may be folded with several integers, but not be split as well: the keys of a
            split are those of the integers 0, 1, 2, ...
        data: integer, or integer array of shape ().

    Returns:
        uint32 array of shape (2,).

    Example:
        >>> import funcgrad as fg
        >>> fg.random.fold_in(fg.random.key(0), 1)
        array([ 928981903, 3453687069], dtype=uint32)
    """
    if not is_integer_scalar(data):
        raise TypeError(
            f"[fold_in] data must be an integer, but got {describe(data)}. Use a step number, or "
            "vmap for an array of them."
        )
    if isinstance(data, Tracer):
        counter = bitcast(convert(data, INT64), UINT64)
    else:
        counter = np.uint64(check_seed(int(data)))
    return from_words(threefry2x32(to_word(as_key_array("fold_in", key)), counter))


# --- what the sampling functions share ---


def as_key(key: Any, name: str) -> Any:
    """The key of a sampling function: checked, made from a seed if it is one, and noted as used."""
    key = as_key_array(name, key)
    note_use(key, name)
    return key


def as_key_array(name: str, key_or_seed: Any) -> Any:
    """A key as an array; seeds become keys."""
    found = as_keys(name, key_or_seed)
    if ndim_of(found) != 1:
        raise ValueError(
            f"[{name}] takes one key, but got an array of {math.prod(shape_of(found)[:-1])} keys of shape "
            f"{shape_of(found)}. Use keys[i], or funcgrad.vmap for all of them."
        )
    return found


def as_keys(name: str, keys_or_seed: Any) -> Any:
    """One key or several as an array; a seed becomes a key."""
    if is_integer_scalar(keys_or_seed):
        return key(keys_or_seed)
    try:
        found = as_operand(keys_or_seed)
    except TypeError:  # a string, a Generator: what it is says the error below
        found = keys_or_seed
    if not hasattr(found, "dtype") or found.dtype != UINT32 or shape_of(found)[-1:] != (2,):
        raise TypeError(
            f"[{name}] a random key is a seed or a uint32 array of shape (2,), but got {describe(found)}. "
            "Use funcgrad.random.key(seed) as the first argument."
        )
    return found


def is_integer_scalar(value: Any) -> bool:
    if isinstance(value, int | np.integer):
        return True
    dtype = getattr(value, "dtype", None)
    return dtype is not None and dtype.kind in "iu" and shape_of(value) == ()


def check_seed(seed: int) -> int:
    """The 64 bits of a seed."""
    if not -(1 << 63) <= seed < 1 << 64:
        raise OverflowError(f"[key] the seed {seed} does not fit into 64 bits.")
    return seed & ((1 << 64) - 1)


def describe(value: Any) -> str:
    if hasattr(value, "dtype"):
        return f"an array {type_of(value)}"
    return f"{type(value).__name__}: {value!r:.40}"


def to_word(key: Any) -> Any:
    """The two words of a key as one of 64 bits."""
    key = as_array(key)
    high, low = (convert(STATIC_SLICE(key, spec=(i,)), UINT64) for i in (0, 1))
    return bitwise_or(left_shift(high, 32), low)


def from_words(words: Any) -> Any:
    """The 32-bit halves of 64-bit words, in a new last axis."""
    halves = [convert(right_shift(words, 32), UINT32), convert(bitwise_and(words, WORD), UINT32)]
    return stack(halves, ndim_of(words))


def counters(shape: tuple[int, ...]) -> Any:
    """0, 1, 2, ... as 64-bit words in this shape."""
    return reshape(iota((math.prod(shape),), 0, UINT64), shape)


def counters_beside(key: Any, shape: tuple[int, ...]) -> Any:
    """`counters` on the device of a key, so that keys made from it stay there."""
    if only_numpy() or state.ambient is not None:
        return counters(shape)
    with new_arrays_on(device_of_array(key)):
        return counters(shape)


def as_shape(name: str, shape: Any) -> tuple[int, ...]:
    """A tuple of lengths from an int or a sequence of ints."""
    lengths = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    whole = all(hasattr(n, "__index__") and getattr(n, "ndim", 0) == 0 for n in lengths)
    if not whole or any(n.__index__() < 0 for n in lengths):
        raise TypeError(
            f"[{name}] a shape is a tuple of integers that are not negative, but got {shape!r}."
        )
    return tuple(n.__index__() for n in lengths)
