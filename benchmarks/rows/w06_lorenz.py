"""W6: a differential equation of three numbers, by the method of Runge and Kutta in a loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.row import Row, float32

# So small a step that the equation does not become chaotic within the time of the row.
TIME_STEP = 1e-5


def velocity(state: Any) -> tuple:
    x, y, z = state
    return 10.0 * (y - x), x * (28.0 - z) - y, x * y - (8 / 3) * z


def runge_kutta(velocity: Any, state: Any) -> tuple:
    """The state one time step later."""
    h = TIME_STEP

    def moved(slope: Any, time: float) -> tuple:
        return tuple(s + time * v for s, v in zip(state, slope, strict=True))

    k1 = velocity(state)
    k2 = velocity(moved(k1, h / 2))
    k3 = velocity(moved(k2, h / 2))
    k4 = velocity(moved(k3, h))
    slopes = zip(k1, k2, k3, k4, strict=True)
    return moved([(a + 2 * b + 2 * c + d) / 6 for a, b, c, d in slopes], h)


def with_tangents(values: Any) -> tuple:
    """The velocity of a state, and of three states that are infinitely close to it."""
    x, y, z = state = values[:3]
    dx, dy, dz = values[3:]
    tangents = 10.0 * (dy - dx), dx * (28.0 - z) - x * dz - dy, dx * y + x * dy - (8 / 3) * dz
    return (*velocity(state), *tangents)


@dataclass(frozen=True)
class Solve(Row):
    """Lorenz equation, Runge-Kutta by scan, 1e5 steps."""

    steps: int = 100_000
    unroll: int = 8  # what suits JAX best; without it JAX is a fifth slower

    tiny = {"steps": 20}
    goal = 1.2
    tolerance = 1e-4
    leaves_out = ("torch", "torch_compile", "autograd", "numpy")

    def data(self, rng: np.random.Generator) -> tuple:
        return (tuple(float32(x) for x in rng.normal(size=3)),)

    def reference(self, start: Any) -> Any:
        state = tuple(map(float, start))
        for _ in range(self.steps):
            state = runge_kutta(velocity, state)
        return tuple(np.asarray(x) for x in state)

    def final(self, scan: Any, start: Any) -> Any:
        def step(state: Any, _: None) -> tuple:
            return runge_kutta(velocity, state), None

        return scan(step, start, None, self.steps, unroll=self.unroll)[0]

    def funcgrad(self, start: Any) -> Any:
        import funcgrad as fg

        solve = fg.jit(lambda start: self.final(fg.lax.scan, start))
        return lambda: solve(start)

    def jax(self, start: Any) -> Any:
        import jax

        solve = jax.jit(lambda start: self.final(jax.lax.scan, start))
        return lambda: solve(start)


@dataclass(frozen=True)
class SolveFast(Solve):
    """The same with `fast_math`: sums of products rounded once, as JAX does without being asked."""

    counts = False  # what users get by default is what counts

    def funcgrad(self, start: Any) -> Any:
        import funcgrad as fg

        solve = fg.jit(lambda start: self.final(fg.lax.scan, start), fast_math=True)
        return lambda: solve(start)


@dataclass(frozen=True)
class Differentiate(Solve):
    """Lorenz equation, gradient through 1e4 steps."""

    steps: int = 10_000
    unroll: int = 1  # here more makes JAX slower

    def reference(self, start: Any) -> Any:
        """The derivative of a Runge-Kutta step is a Runge-Kutta step of the equation's derivative."""
        values = (*map(float, start), *np.eye(3))
        for _ in range(self.steps):
            values = runge_kutta(with_tangents, values)
        return tuple(2 * sum(x * dx for x, dx in zip(values[:3], values[3:], strict=True)))

    def loss(self, scan: Any, start: Any) -> Any:
        x, y, z = self.final(scan, start)
        return x * x + y * y + z * z

    def funcgrad(self, start: Any) -> Any:
        import funcgrad as fg

        gradient = fg.jit(fg.grad(lambda start: self.loss(fg.lax.scan, start)))
        return lambda: gradient(start)

    def jax(self, start: Any) -> Any:
        import jax

        gradient = jax.jit(jax.grad(lambda start: self.loss(jax.lax.scan, start)))
        return lambda: gradient(start)
