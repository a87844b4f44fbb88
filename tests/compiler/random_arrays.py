"""Arrays for random programs: dtypes, shapes, fillings and layouts; and making any array fit an operation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

import funcgrad as fg

DTYPES = {
    "float32": 12, "float64": 8, "float16": 3, "bfloat16": 3, "int32": 3, "int64": 3, "int8": 2, "int16": 1,
    "uint8": 2, "uint16": 1, "uint32": 2, "uint64": 1, "bool": 3, "complex64": 2, "complex128": 2,
}  # fmt: skip
FILLINGS = ("whole", "normal", "special", "wide", "positive")
SPECIAL = (0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-310, -3e-42, 1e38, 65504.0, 0.5, 2.5)
LAYOUTS = ("plain", "reversed", "transposed", "spread", "misaligned", "read-only", "big-endian")


class Choices:
    """Small decisions that are read off one number, so that they shrink together to the first options."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self, *options: Any) -> Any:
        self.number, place = divmod(self.number, len(options))
        return options[place]

    def below(self, end: int) -> int:
        self.number, found = divmod(self.number, max(end, 1))
        return found


@dataclass(frozen=True)
class Input:
    """An argument; `layout` is the way it lies in memory."""

    dtype: str
    shape: tuple[int, ...]
    filling: str = "whole"
    layout: str = "plain"

    def array(self, seed: int = 0) -> np.ndarray:
        return laid_out(filled(self, np.random.default_rng(seed)), self.layout)


# --- inputs ---


def filled(given: Input, rng: np.random.Generator) -> np.ndarray:
    dtype = np.dtype(given.dtype)
    if dtype == np.bool_:
        return rng.random(given.shape) < 0.5
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        if given.filling in ("special", "wide"):
            found = rng.integers(limits.min, limits.max, given.shape, dtype, endpoint=True)
            edges = rng.choice(np.array([limits.min, limits.max, 0, 1], dtype), given.shape)
            return np.where(rng.random(given.shape) < 0.3, edges, found).astype(dtype)
        return rng.integers(0 if dtype.kind == "u" else -4, 9, given.shape).astype(dtype)
    if dtype.kind == "c":
        part = Input(f"float{dtype.itemsize * 4}", given.shape, given.filling)
        found = np.empty(given.shape, dtype)
        found.real, found.imag = filled(part, rng), filled(part, rng)
        return found
    with np.errstate(all="ignore"):
        return floats(given, rng).astype(dtype)


def floats(given: Input, rng: np.random.Generator) -> np.ndarray:
    shape, normal = given.shape, rng.standard_normal(given.shape)
    if given.filling == "whole":
        return rng.integers(-4, 5, shape).astype(np.float64)
    if given.filling == "special":
        return np.where(rng.random(shape) < 0.5, rng.choice(SPECIAL, shape), normal)
    if given.filling == "wide":
        return normal * 10.0 ** rng.integers(-40, 38, shape)
    return np.abs(normal) + 0.1 if given.filling == "positive" else normal


def laid_out(x: np.ndarray, layout: str) -> np.ndarray:
    """An equal array in another place of memory."""
    if layout == "reversed":
        turned = (slice(None, None, -1),) * x.ndim
        return np.array(x[turned])[turned]
    if layout == "transposed":
        return np.array(x.T, order="C").T
    if layout == "spread":
        room = np.zeros(tuple(2 * n for n in x.shape), x.dtype)
        room[(slice(None, None, 2),) * x.ndim] = x
        return room[(slice(None, None, 2),) * x.ndim]
    if layout == "misaligned":
        room = np.zeros(x.nbytes + 1, np.uint8)
        found = room[1:].view(x.dtype).reshape(x.shape)
        found[...] = x
        return found
    if layout == "big-endian" and x.dtype.type is not ml_dtypes.bfloat16:
        return x.astype(x.dtype.newbyteorder(">"))
    found = np.array(x)
    found.flags.writeable = layout != "read-only"
    return found


# --- fitting values to operations ---


def kind(x: Any) -> str:
    return "f" if x.dtype == ml_dtypes.bfloat16 else x.dtype.kind


def limited(x: Any, limit: int) -> Any:
    while x.size > limit:
        axis = int(np.argmax(x.shape))
        x = x[(slice(None),) * axis + (slice(x.shape[axis] // 2),)]
    return x


def as_kind(x: Any, kinds: str) -> Any:
    """The value in a dtype of one of these kinds."""
    if kind(x) in kinds:
        return x
    dtype = {"f": np.float32, "i": np.int32, "b": np.bool_, "c": np.complex64}[kinds[0]]
    return x > 0 if kinds[0] == "b" else convert(x, dtype)


def convert(x: Any, dtype: Any) -> Any:
    if kind(x) == "c" and np.dtype(dtype).kind != "c":
        x = np.real(x)
    return x.astype(dtype)


def as_shape(x: Any, shape: Sequence[int]) -> Any:
    """As many of the elements as the shape has, with zeros behind them."""
    if tuple(x.shape) == tuple(shape):
        return x
    size, flat = int(np.prod(shape)), np.ravel(x)
    if flat.shape[0] < size:
        zeros = fg.numpy.zeros(size - flat.shape[0], x.dtype)
        return np.reshape(np.concatenate([flat, zeros]), shape)
    return np.reshape(flat[:size], shape)


def as_rank(x: Any, least: int, most: int) -> Any:
    while x.ndim < least:
        x = x[None]
    while x.ndim > most:
        x = np.reshape(x, (-1, *x.shape[2:])) if x.size else as_shape(x, x.shape[1:])
    return x


def paired(choose: Choices, x: Any, y: Any) -> tuple[Any, Any]:
    """Two values that broadcast."""
    try:
        np.broadcast_shapes(x.shape, y.shape)
        return x, y
    except ValueError:
        column = (*x.shape[:-1], 1)
        return x, as_shape(y, choose(x.shape, x.shape[-1:], column, ()))


def an_axis(choose: Choices, x: Any) -> int:
    return choose.below(x.ndim) - choose(0, x.ndim)


def some_axes(choose: Choices, x: Any) -> Any:
    return choose(
        None, -1, 0, tuple(range(0, x.ndim, 2)), tuple(range(1, x.ndim)), an_axis(choose, x)
    )
