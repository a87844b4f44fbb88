"""A row of the table of primitives, and the random inputs that rows are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
FLOAT = ("float16", "float32", "float64")
REAL = (*FLOAT, BFLOAT16)
COMPLEX = ("complex64", "complex128")
INTEGER = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
NUMERIC = (*REAL, *COMPLEX, *INTEGER)
EVERY = (*NUMERIC, "bool")

SHAPE = (2, 3)
Builder = Callable[[np.random.Generator, np.dtype], np.ndarray]


def uniform(low: float, high: float, shape: tuple[int, ...] = SHAPE) -> Builder:
    """Numbers between `low` and `high` (the parts of complex ones too); integers where asked for."""

    def build(rng: np.random.Generator, dtype: np.dtype) -> np.ndarray:
        if dtype.kind == "b":
            return rng.integers(0, 2, shape).astype(bool)
        if dtype.kind in "iu":
            least = max(int(np.ceil(low)), 0 if dtype.kind == "u" else -128)
            return rng.integers(least, max(int(np.floor(high)), least + 1) + 1, shape).astype(dtype)
        values = rng.uniform(low, high, shape)
        if dtype.kind == "c":
            values = values + 1j * rng.uniform(low, high, shape)
        return values.astype(dtype)

    return build


def distinct(low: float, high: float, shape: tuple[int, ...] = SHAPE) -> Builder:
    """Numbers between `low` and `high` no two of which are close: for what sorts or compares."""

    def build(rng: np.random.Generator, dtype: np.dtype) -> np.ndarray:
        values = np.linspace(low, high, int(np.prod(shape)))
        return rng.permutation(values).reshape(shape).astype(dtype)

    return build


def integers(low: int, high: int, shape: tuple[int, ...] = SHAPE, dtype: Any = np.int64) -> Builder:
    """Integers from `low` to below `high`, of this dtype whatever dtype is asked for."""
    return lambda rng, _: rng.integers(low, high, shape).astype(dtype)


def bools(shape: tuple[int, ...] = SHAPE) -> Builder:
    return lambda rng, _: rng.integers(0, 2, shape).astype(bool)


def fixed(value: Any) -> Builder:
    """This array, in the dtype that is asked for if it is floating or complex."""
    array = np.asarray(value)
    return lambda _, dtype: array.astype(dtype) if array.dtype.kind in "fc" else array.copy()


@dataclass(frozen=True)
class Case:
    """How one primitive is tested.

    Attributes:
        primitive: its `name`.
        function: the public function, of arrays only (bind params with `params` or a lambda).
        inputs: one builder per argument.
        params: keyword arguments of `function`, and of `reference`.
        label: tells rows of the same primitive apart.
        reference: the NumPy or SciPy function with the same meaning; None where there is none.
        dtypes: dtypes for which value, shape and dtype must be those of the reference.
        argnums: arguments with a derivative (None: all that are inexact); () for none.
        smooth: dtypes in which derivatives are tested.
        elementwise: whether 0-d and size-0 arrays, and other shapes, make sense as inputs.
        batched: whether it can be batched.
        recorded: dtypes for which a Program of the function has an equation of the primitive; () for those
            that are gone once their vmap has run, None for all.
        tolerance: relative error allowed against the reference, in units of the dtype's resolution.
        slack: relative error allowed against finite differences.
    """

    primitive: str
    function: Callable[..., Any]
    inputs: tuple[Builder, ...]
    params: dict[str, Any] = field(default_factory=dict)
    label: str = ""
    reference: Callable[..., Any] | None = None
    dtypes: tuple[Any, ...] = REAL
    argnums: tuple[int, ...] | None = None
    smooth: tuple[str, ...] = ("float64",)
    elementwise: bool = False
    batched: bool = True
    recorded: tuple[Any, ...] | None = None
    tolerance: float = 4.0
    slack: float = 1e-6

    def __str__(self) -> str:
        return f"{self.primitive}-{self.label}" if self.label else self.primitive

    def arguments(self, dtype: Any, seed: int = 0) -> list[np.ndarray]:
        """Random arguments of this dtype."""
        rng = np.random.default_rng([seed, *map(ord, str(self))])
        return [build(rng, np.dtype(dtype)) for build in self.inputs]

    def call(self, *args: Any) -> Any:
        return self.function(*args, **self.params)
