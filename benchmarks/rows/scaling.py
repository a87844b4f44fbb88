"""S1 to S6: the same work at sizes that grow by factors of ten."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.row import Row, float32
from benchmarks.rows.w03_elementwise import Elementwise
from benchmarks.rows.w06_lorenz import Differentiate, Solve


@dataclass(frozen=True)
class Gemm(Row):
    """Product of two square matrices."""

    size: int

    leaves_out = ("torch_compile", "autograd", "numpy")

    def data(self, rng: np.random.Generator) -> tuple:
        shape = (self.size, self.size)
        return float32(rng.normal(size=shape)), float32(rng.normal(size=shape))

    def reference(self, x: Any, y: Any) -> Any:
        return x @ y

    def funcgrad(self, x: Any, y: Any) -> Any:
        import funcgrad as fg

        multiply = fg.jit(lambda x, y: x @ y)
        return lambda: multiply(x, y)

    def jax(self, x: Any, y: Any) -> Any:
        import jax

        multiply = jax.jit(lambda x, y: x @ y)
        return lambda: multiply(x, y)


@dataclass(frozen=True)
class Chain(Row):
    """Elementwise functions one after the other, no two numbers in them the same."""

    equations: int
    size: int = 64

    tolerance = 1e-4
    leaves_out = ("torch_compile", "autograd", "numpy")

    def data(self, rng: np.random.Generator) -> tuple:
        return float32(rng.normal(size=self.size)), float32(rng.normal(size=self.size))

    def run(self, np: Any, x: Any, y: Any) -> Any:
        """Five equations a turn, in one namespace of array functions."""
        for turn in range(self.equations // 5):
            x = np.tanh(x * (0.5 + turn / self.equations) + y) - 0.1
            y = y * 0.9
        return x

    def reference(self, x: Any, y: Any) -> Any:
        return self.run(np, x, y)

    def funcgrad(self, x: Any, y: Any) -> Any:
        import funcgrad as fg

        step = fg.jit(lambda x, y: self.run(np, x, y))
        return lambda: step(x, y)

    def jax(self, x: Any, y: Any) -> Any:
        import jax

        step = jax.jit(lambda x, y: self.run(jax.numpy, x, y))
        return lambda: step(x, y)


@dataclass(frozen=True)
class Layers(Row):
    """A network of many equal layers, written out; value and gradient."""

    layers: int
    batch: int = 8
    width: int = 16

    tolerance = 1e-4
    leaves_out = ("torch_compile", "autograd", "numpy")

    def data(self, rng: np.random.Generator) -> tuple:
        shapes = [(self.width, self.width), (self.width,)]
        params = [
            [float32(rng.normal(size=shape) / 4) for shape in shapes] for _ in range(self.layers)
        ]
        return params, float32(rng.normal(size=(self.batch, self.width)))

    def loss(self, np: Any, params: Any, x: Any) -> Any:
        for weight, bias in params:
            x = x + np.tanh(np.dot(x, weight) + bias) / self.layers
        return np.mean(x * x)

    def reference(self, params: Any, x: Any) -> Any:
        tanhs, inputs = [], []
        for weight, bias in params:
            inputs.append(x)
            tanhs.append(np.tanh(x @ weight + bias))
            x = x + tanhs[-1] / self.layers
        ct, gradients = 2 * x / x.size, []
        for (weight, _), t, before in zip(params[::-1], tanhs[::-1], inputs[::-1], strict=True):
            d = ct / self.layers * (1 - t * t)
            gradients.append([before.T @ d, d.sum(0)])
            ct = ct + d @ weight.T
        return np.mean(x * x), gradients[::-1]

    def funcgrad(self, params: Any, x: Any) -> Any:
        import funcgrad as fg

        step = fg.jit(fg.value_and_grad(lambda params, x: self.loss(np, params, x)))
        return lambda: step(params, x)

    def jax(self, params: Any, x: Any) -> Any:
        import jax

        step = jax.jit(jax.value_and_grad(lambda params, x: self.loss(jax.numpy, params, x)))
        return lambda: step(params, x)


@dataclass(frozen=True)
class LongGradient(Differentiate):
    """Lorenz equation, gradient through so many steps that their rounding errors add up."""

    tolerance = 2e-3


@dataclass(frozen=True)
class Series:
    """One kind of work at growing sizes.

    Attributes:
        title: the work.
        unit: what it has more and more of.
        rows: the work with so many units.
        compiles: whether the time to compile grows with the units.
    """

    title: str
    unit: str
    rows: Mapping[int, Row]
    compiles: bool = False


SERIES = {
    "S1": Series(
        "the chain of W3, value and both gradients",
        "element",
        {n: Elementwise(n) for n in (10_000, 100_000, 1_000_000, 10_000_000)},
    ),
    "S2": Series(
        "product of square matrices",
        "multiplication",
        {n**3: Gemm(n) for n in (100, 215, 464, 1000)},
    ),
    "S3": Series(
        "the Lorenz equation of W6, by scan",
        "step",
        {n: Solve(n) for n in (100, 1000, 10_000, 100_000)},
    ),
    "S4": Series(
        "its gradient",
        "step",
        {n: LongGradient(n) for n in (100, 1000, 10_000, 100_000)},
    ),
    "S5": Series(
        "elementwise functions one after the other, on 64 elements",
        "equation",
        {n: Chain(n) for n in (10, 100, 1000, 10_000)},
        compiles=True,
    ),
    "S6": Series(
        "value and gradient of equal layers, written out",
        "layer",
        {n: Layers(n) for n in (1, 10, 100, 1000)},
        compiles=True,
    ),
}
