"""Counter-based random bits: threefry2x32 as an elementwise operation, and bits read as other dtypes.

Because every element depends only on the key and its own counter, bits can be made inside a fused loop, in any
order and on any device, always the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ir.types import ArrayType
from funcgrad.ops.families import Elementwise

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA
WORD = 0xFFFFFFFF
CHUNK = 1 << 15
FEW = 6


class Threefry(Elementwise):
    """A random permutation of 64-bit counters, chosen by a 64-bit key: threefry2x32 with 20 rounds.

    Keys and counters hold two 32-bit words each, the first in the high half.

    Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011.
    """

    ufunc = "bitwise_xor"
    differentiable = False
    keeps_inputs = False

    def numpy(self, xp: Any, key: Any, counter: Any) -> Any:
        if xp.ndim(key):
            key, counter = xp.broadcast_arrays(key, counter)
        if xp is not np:
            return threefry_arrays(xp, key, counter)
        if counter.size <= FEW:
            pairs = np.broadcast(key, counter)
            words = [threefry_words(int(k), int(c)) for k, c in pairs]
            return np.array(words, np.uint64).reshape(counter.shape)[()]
        return threefry_chunks(np.asarray(key), counter)

    def scalar(self, emit: Any, key: Any, counter: Any) -> Any:
        return emit.threefry(key, counter)


def key_schedule(key: Any) -> tuple[Any, Any, Any]:
    """The three 32-bit words that are added between the rounds."""
    first, second = key >> 32, key & WORD
    return first, second, first ^ second ^ PARITY


def threefry_words(key: int, counter: int) -> int:
    """Threefry of one counter in Python integers: for a few elements faster than arrays."""
    schedule = key_schedule(key)
    a = ((counter >> 32) + schedule[0]) & WORD
    b = ((counter & WORD) + schedule[1]) & WORD
    for group in range(5):
        for r in ROTATIONS[group % 2]:
            a = (a + b) & WORD
            b = (((b << r) & WORD) | (b >> (32 - r))) ^ a
        a = (a + schedule[(group + 1) % 3]) & WORD
        b = (b + schedule[(group + 2) % 3] + group + 1) & WORD
    return a << 32 | b


def threefry_arrays(xp: Any, key: Any, counter: Any) -> Any:
    """Threefry of an array of counters, with one key or a key per counter."""
    schedule = [word.astype(np.uint32) for word in key_schedule(key)]
    a = (counter >> 32).astype(np.uint32) + schedule[0]
    b = (counter & WORD).astype(np.uint32) + schedule[1]
    high = xp.empty_like(b)
    for group in range(5):
        for r in ROTATIONS[group % 2]:
            xp.add(a, b, out=a)
            xp.right_shift(b, 32 - r, out=high)
            xp.left_shift(b, r, out=b)
            xp.bitwise_or(b, high, out=b)
            xp.bitwise_xor(b, a, out=b)
        xp.add(a, schedule[(group + 1) % 3], out=a)
        xp.add(b, schedule[(group + 2) % 3] + np.uint32(group + 1), out=b)
    return a.astype(np.uint64) << 32 | b


def threefry_chunks(key: np.ndarray, counter: np.ndarray) -> np.ndarray:
    """`threefry_arrays` in pieces that stay in the cache."""
    flat = np.ascontiguousarray(counter).reshape(-1)
    keys = key.reshape(-1)
    out = np.empty(flat.shape, np.uint64)
    with np.errstate(over="ignore"):
        for start in range(0, flat.size, CHUNK):
            piece = slice(start, start + CHUNK)
            part = keys if keys.size == 1 else keys[piece]
            out[piece] = threefry_arrays(np, part, flat[piece])
    return out.reshape(counter.shape)


class Bitcast(Elementwise):
    """The bits of each element read as another dtype of the same size."""

    differentiable = False
    keeps_inputs = False

    def type_rule(self, x: ArrayType, *, dtype: np.dtype) -> ArrayType:
        return ArrayType(x.shape, dtype)

    def numpy(self, xp: Any, x: Any, *, dtype: np.dtype) -> Any:
        del xp
        return x.astype(x.dtype.newbyteorder("="), copy=False).view(dtype)

    def scalar(self, emit: Any, x: Any, *, dtype: np.dtype) -> Any:
        return emit.bitcast(x, dtype)


THREEFRY, BITCAST = Threefry(), Bitcast()


def threefry2x32(key: Any, counter: Any) -> Any:
    """Random 64-bit words for 64-bit counters under a 64-bit key, all of dtype uint64, with broadcasting."""
    return THREEFRY(key, counter)


def bitcast(x: Any, dtype: Any) -> Any:
    """The bits of `x` read as `dtype`, which must have the same size."""
    dtype = np.dtype(dtype)
    if x.dtype.itemsize != dtype.itemsize:
        raise ValueError(
            f"[bitcast] dtype {dtype} has {dtype.itemsize} bytes per element, but x of dtype {x.dtype} has "
            f"{x.dtype.itemsize}. Use x.astype({dtype.name!r}) to convert values."
        )
    return x if x.dtype == dtype else BITCAST(x, dtype=dtype)
