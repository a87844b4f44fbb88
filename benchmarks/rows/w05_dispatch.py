"""W5: what a call costs when there is almost nothing to compute."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from benchmarks.row import Row, float32


def add_one(x: Any) -> Any:
    return x + 1


def add_one_to_each(arrays: Any) -> Any:
    return {name: x + 1 for name, x in arrays.items()}


@dataclass(frozen=True)
class OneArray(Row):
    """dispatch: jit(x + 1) on 3 elements."""

    size: int = 3

    goal = 8.0
    leaves_out = ("autograd",)
    function = staticmethod(add_one)

    def data(self, rng: np.random.Generator) -> tuple:
        return (float32(rng.normal(size=self.size)),)

    def reference(self, argument: Any) -> Any:
        return self.function(argument)

    def numpy(self, argument: Any) -> Any:
        return partial(self.function, argument)

    def funcgrad(self, argument: Any) -> Any:
        import funcgrad as fg

        return partial(fg.jit(self.function), argument)

    def jax(self, argument: Any) -> Any:
        import jax

        return partial(jax.jit(self.function), argument)

    def torch(self, compile: Any, argument: Any) -> Any:
        return partial(compile(self.function), argument)


@dataclass(frozen=True)
class ManyArrays(OneArray):
    """dispatch: the same on a dict of 50 arrays."""

    count: int = 50

    tiny = {"count": 3}
    function = staticmethod(add_one_to_each)

    def data(self, rng: np.random.Generator) -> tuple:
        names = [f"layers.{i}.weight" for i in range(self.count)]
        return ({name: float32(rng.normal(size=self.size)) for name in names},)
