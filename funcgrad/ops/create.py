"""Arrays from nothing: constants and ranges. Recorded under `jit` instead of being computed while tracing."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ir.devices import computed_on, device_of_new_arrays, near, only_numpy
from funcgrad.ir.primitive import Primitive
from funcgrad.ir.tracer import state
from funcgrad.ir.types import ArrayType
from funcgrad.ops.operands import RULES


class Creation(Primitive):
    """No operands, so no derivative and no batch axis."""

    kind = "index_map"

    def type_rule(self, *, shape: tuple[int, ...], dtype: np.dtype, **params: Any) -> ArrayType:
        del params
        return ArrayType(shape, dtype)

    def __call__(self, **params: Any) -> Any:
        if state.ambient is None and not only_numpy():
            return computed_on(device_of_new_arrays(), self.numpy, **params)
        return super().__call__(**params)


class Full(Creation):
    """An array filled with one Python scalar."""

    def numpy(self, xp: Any, *, shape: tuple[int, ...], value: Any, dtype: np.dtype) -> Any:
        if not shape:
            return dtype.type(value) if xp is np else xp.full((), value, dtype)
        if type(value) is int and value == 0:
            return xp.zeros(shape, dtype)  # memory from the system is zero already
        return xp.full(shape, value, dtype)

    def simplify(self, known: Any, *, shape: tuple[int, ...], value: Any, dtype: np.dtype) -> Any:
        return None if shape else known.scalar(dtype, value)

    def lower(self, emit: Any, **params: Any) -> Any:
        return emit.full(**params)


class Iota(Creation):
    """0, 1, 2, ... along `axis`."""

    def numpy(self, xp: Any, *, shape: tuple[int, ...], axis: int, dtype: np.dtype) -> Any:
        column = [1] * len(shape)
        column[axis] = shape[axis]
        return xp.broadcast_to(xp.arange(shape[axis], dtype=dtype).reshape(column), shape)

    def lower(self, emit: Any, **params: Any) -> Any:
        return emit.iota(**params)


FULL, IOTA = Full(), Iota()


def full(shape: tuple[int, ...], value: Any, dtype: Any) -> Any:
    """An array of this shape and dtype, filled with a Python scalar."""
    return FULL(shape=tuple(shape), value=value, dtype=np.dtype(dtype))


def full_beside(x: Any, shape: tuple[int, ...], value: Any, dtype: Any) -> Any:
    """`full` on the device of `x`."""
    if only_numpy():
        return full(shape, value, dtype)
    with near((x,)):
        return full(shape, value, dtype)


def iota(shape: tuple[int, ...], axis: int = 0, dtype: Any = np.int64) -> Any:
    """An array whose elements count 0, 1, 2, ... along `axis`."""
    return IOTA(shape=tuple(shape), axis=axis, dtype=np.dtype(dtype))


RULES["full"] = full
