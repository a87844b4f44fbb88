"""Loops whose lengths only the running program knows, inside of other loops and branches; and random ones."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np

import funcgrad as fg
from funcgrad import lax

Function = Callable[..., Any]


def newton(a):
    """The square root of a number."""
    return lax.while_loop(lambda s: np.abs(s * s - a) > 1e-10, lambda s: 0.5 * (s + a / s), a)


def in_cond(a):
    return lax.cond(a > 1, newton, lambda a: a * a, a)


def in_scan(a):
    def body(c, x):
        c = newton(c + x)
        return c, c * x

    c, ys = lax.scan(body, a, np.arange(1.0, 11.0))
    return c + np.sum(ys)


def in_scan_over_an_array(x):
    def body(c, y):
        c = lax.while_loop(lambda d: np.sum(d) < 3.3, lambda d: d * 1.7 + y, c * 0.2)
        return c, np.sin(c)

    c, ys = lax.scan(body, x, np.linspace(0.1, 0.5, 4), reverse=True)
    return np.sum(c) + np.sum(ys)


def in_while(a):
    advance = lambda s: (s[0] + 1.0, newton(s[1] + s[0]))
    return lax.while_loop(lambda s: s[0] < 7.0, advance, (0.0, a))[1]


def in_while_in_while(a):
    advance = lambda s: (s[0] + 1, in_while(s[1]) * a)
    return lax.while_loop(lambda s: s[0] < 3, advance, (0, a))[1]


def in_switch_in_scan(a):
    branches = [newton, lambda c: c * c * 0.1 + 1, lambda c: newton(c + 2.0)]
    c, ys = lax.scan(lambda c, i: (lax.switch(i % 3, branches, c), c), a, np.arange(9))
    return c + np.sum(ys)


def in_scan_in_while_in_scan(a):
    def middle(state, x):
        step = lambda v, y: (np.sin(newton(v + 2.0)) * y + x, v)
        return state[0] + 1, lax.scan(step, state[1], np.array([0.5, 0.7, 1.1]))[0]

    def body(c, x):
        return lax.while_loop(lambda s: s[0] < 3, lambda s: middle(s, x), (0, c))[1], c

    return lax.scan(body, a, np.array([0.1, 0.2, 0.3, 0.4]))[0]


def in_cond_in_while(a):
    def body(state):
        t, y = state
        y = lax.cond(y > 1.5, lambda y: newton(y) * 0.9, lambda y: y * 1.5, y)
        return t + 1, y

    return lax.while_loop(lambda s: s[0] < 9, body, (0, a))[1]


def conjugate_gradients(b):
    """Time steps, each of which solves a system of equations."""
    grid = np.arange(5.0)
    matrix = np.exp(-np.abs(grid[:, None] - grid)) + 2 * np.eye(5)

    def improve(state):
        x, r, rr, p = state
        moved = matrix @ p
        step = rr / np.sum(p * moved)
        x, r = x + step * p, r - step * moved
        following = np.sum(r * r)
        return x, r, following, r + (following / rr) * p

    def solve(x, t):
        r = x + t * b - matrix @ x
        start = (x, r, np.sum(r * r), r)
        return lax.while_loop(lambda s: s[2] > 1e-12, improve, start)[0], None

    return np.sum(lax.scan(solve, b, np.linspace(0.1, 1.0, 4))[0] ** 2)


def adaptive_steps(y):
    """A differential equation with steps that are taken or made smaller."""
    slope = lambda t, y: -y + np.sin(t) * np.arange(1.0, 4.0)

    def body(state):
        t, y, h = state
        first = slope(t, y)
        second = slope(t + h, y + h * first)
        is_good = np.max(np.abs(h * (second - first))) < 1e-2
        taken = lambda: (t + h, y + h * (first + second) / 2, h * 1.2)
        return lax.cond(is_good, taken, lambda: (t, y, h * 0.5))

    return np.sum(lax.while_loop(lambda s: s[0] < 1.0, body, (0.0, y, 1.0))[1] ** 2)


def fixed_inside_a_loop(a):
    """The inner loop is the same in each iteration: its stacks are constants of the loop."""
    return lax.scan(lambda c, y: (np.sin(c * newton(a)) + y, None), a, np.linspace(0.1, 0.5, 5))[0]


def until_it_is_large(a):
    """How often both loops run differs from example to example."""
    step = lambda y: np.sin(newton(a) * y) + newton(y) * 0.1 + y + 1.1
    return lax.while_loop(lambda y: y < 12.0, step, a)


def checkpointed(a):
    return lax.scan(lambda c, y: (fg.checkpoint(newton)(c + y), None), a, np.arange(3.0))[0]


X = np.array([0.5, 1.0, 1.5])
NESTINGS: dict[str, tuple[Function, Any]] = {
    f.__name__: (f, x)
    for x, functions in (
        (
            4.3,
            (
                in_cond, in_scan, in_while, in_while_in_while, in_switch_in_scan,
                in_scan_in_while_in_scan, in_cond_in_while, fixed_inside_a_loop, checkpointed, until_it_is_large,
            ),
        ),
        (X, (in_scan_over_an_array, adaptive_steps)),
        (np.linspace(1.0, 2.0, 5), (conjugate_gradients,)),
    )
    for f in functions
}  # fmt: skip


def examples(x: Any) -> Any:
    """Three arguments that take other branches and other numbers of iterations."""
    return np.stack([x, x * 1.4, x * 0.2])


def example_by_example(f: Function) -> Function:
    return lambda x: fg.vmap(f)(examples(x))


DERIVATIVES: dict[str, Callable[[Function], Function]] = {
    "grad": fg.grad,
    "jvp of grad": lambda f: lambda x: fg.jvp(fg.grad(f), (x,), (np.ones_like(x),))[1],
    "grad of grad": lambda f: fg.grad(lambda x: np.sum(fg.grad(f)(x) ** 2)),
    "vmap of grad": lambda f: example_by_example(fg.grad(f)),
    "grad of vmap": lambda f: fg.grad(lambda x: np.sum(example_by_example(f)(x))),
    "vmap of grad of grad": lambda f: example_by_example(
        fg.grad(lambda x: np.sum(np.sin(fg.grad(f)(x))))
    ),
    "vmap of vmap of grad": lambda f: example_by_example(example_by_example(fg.grad(f))),
}


# --- random ones ---

LEAVES: tuple[Function, ...] = (
    lambda x, w: np.sin(x) + w,
    lambda x, w: np.tanh(x * w) + 0.3,
    lambda x, w: x * 0.5 + np.cos(w * x),
    lambda x, w: np.exp(-x * x) + w * x * 0.1,
)


class Nesting:
    """A random function `(x, w) -> x` of loops and branches, some levels deep."""

    def __init__(self, choose: random.Random, depth: int) -> None:
        self.depth = depth
        self.leaf = choose.choice(LEAVES)
        if depth:
            self.kind = choose.choice([self.scan, self.turns, self.time, self.cond, self.switch])
            self.first = Nesting(choose, depth - 1)
            self.second = Nesting(choose, choose.randrange(depth))
            self.limit = choose.choice([0.4, 0.9, 1.5, 2.5])
            self.count = choose.choice([0, 1, 2, 3, 4])
            self.flag = choose.random() < 0.5

    def __call__(self, x: Any, w: Any) -> Any:
        return self.kind(x, w) if self.depth else self.leaf(x, w)

    def scan(self, x: Any, w: Any) -> Any:
        def body(c, y):
            return self.first(c, w * y), self.second(c, w) if self.flag else c

        xs = np.linspace(0.2, 1.0, self.count)
        c, ys = lax.scan(body, x, xs, reverse=self.limit < 1)
        return c + 0.1 * np.sum(ys, axis=0)

    def turns(self, x: Any, w: Any) -> Any:
        going = lambda s: (np.sum(np.abs(s[1])) < 3 * self.limit) & (s[0] < self.count)
        advance = lambda s: (s[0] + 1, self.first(s[1], w) * 1.2 + 0.2)
        return lax.while_loop(going, advance, (0, x))[1]

    def time(self, x: Any, w: Any) -> Any:
        def body(state):
            k, y, t = state
            return k + 1, self.second(y, w), t + np.sum(self.first(y, w + t * 0.1)) * 0.1

        going = lambda s: (s[0] < 3) & (s[2] < self.limit)
        _, y, t = lax.while_loop(going, body, (0, x, np.sum(x) * 0.0))
        return y + t

    def cond(self, x: Any, w: Any) -> Any:
        other = lambda x: self.second(x, w * 0.5)
        return lax.cond(np.sum(x) > self.limit, lambda x: self.first(x, w), other, x)

    def switch(self, x: Any, w: Any) -> Any:
        number = np.floor(np.abs(np.sum(x)) * 3).astype(np.int64) % 3
        branches = [lambda x: self.first(x, w), lambda x: self.second(x, w), lambda x: x * 0.7]
        return lax.switch(number, branches, x)


def random_nesting(seed: int) -> tuple[Function, Any]:
    """A function of one argument to one number, and the argument."""
    choose = random.Random(seed)
    nesting = Nesting(choose, 3)
    x = choose.choice([X, 1.1])
    return lambda x: np.sum(np.sin(nesting(x, 0.2 + 0.5 * x))), x
