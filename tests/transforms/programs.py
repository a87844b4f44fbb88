"""Random small programs, as hypothesis draws them and shrinks them.

A program is a list of steps; each step computes a new value from earlier ones. `run` evaluates it with the
functions a user would write, and `run_plain` with NumPy and Python loops alone: that is its meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
from hypothesis import strategies as st

from funcgrad import lax

MATRIX = np.array([[0.4, -0.3, 0.2], [0.1, 0.5, -0.6], [-0.2, 0.3, 0.7]])
FACTORS = np.array([0.9, -0.4, 0.6])


# --- control flow in plain Python ---


def plain_scan(f, init, xs, reverse=False):
    carry, ys = init, []
    for x in xs[::-1] if reverse else xs:
        carry, y = f(carry, x)
        ys.append(y)
    return carry, np.stack(ys[::-1] if reverse else ys)


def plain_cond(predicate, true_fun, false_fun, *operands):
    return true_fun(*operands) if predicate else false_fun(*operands)


def plain_while(condition, body, state):
    while condition(state):
        state = body(state)
    return state


def plain_fori(lower, upper, body, state):
    for i in range(lower, upper):
        state = body(i, state)
    return state


PLAIN = SimpleNamespace(
    scan=plain_scan,
    cond=plain_cond,
    while_loop=plain_while,
    fori_loop=plain_fori,
    switch=lambda i, branches, *xs: branches[min(max(int(i), 0), len(branches) - 1)](*xs),
    map=lambda f, xs: np.stack([f(x) for x in xs]),
)


# --- steps ---

UNARY = {
    "sin": np.sin,
    "tanh": np.tanh,
    "exp": lambda x: np.exp(-x * x),
    "sqrt": lambda x: np.sqrt(1.0 + x * x),
    "divide": lambda x: 1.0 / (1.5 + np.cos(x)),
    "power": lambda x: x**3 * 0.1,
    "negative": lambda x: -x,
    "scaled": lambda x: 2 * x / 3,
    "sum": np.sum,
    "mean": lambda x: np.mean(x, axis=-1) if x.ndim else x,
    "sum of rows": lambda x: np.sum(x, axis=0, keepdims=True) if x.ndim else x,
    "prod": np.prod,
    "cumsum": lambda x: np.cumsum(x, axis=-1) if x.ndim else x,
    "logsumexp": lambda x: np.log(np.sum(np.exp(np.sin(x)))),
    "transpose": lambda x: x.T,
    "ravel": lambda x: np.ravel(x)[:4],
    "reverse": lambda x: x[::-1] if x.ndim else x,
    "slice": lambda x: x[..., 1:] if x.ndim and x.shape[-1] > 1 else x,
    "gather": lambda x: x[np.array([0, -1, 0])] if x.ndim and x.shape[0] else x,
    "new axis": lambda x: x[..., None] if x.ndim < 2 else x,
    "where": lambda x: np.where(x > 0.3, np.sin(x), x * x),
    "masked log": lambda x: np.where(x > 0.5, np.log(np.where(x > 0.5, x, 1.0)), 0.0),
    "maximum": lambda x: np.maximum(x, 0.2),
    "clip": lambda x: np.clip(x, -0.7, 0.7),
    "abs": lambda x: np.abs(x - 0.1),
    "max": lambda x: np.max(x) if x.size else np.sum(x),
    "sort": lambda x: np.sort(x, axis=-1) if x.ndim else x,
    "counted": lambda x: x * np.sum(x > 0.0),
    "in place": lambda x: written(x),
}  # fmt: skip
BINARY = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - 0.5 * y,
    "multiply": lambda x, y: x * y,
    "divide": lambda x, y: x / (1.0 + y * y),
    "arctan2": lambda x, y: np.arctan2(x, 2.0 + np.cos(y)),
    "where": lambda x, y: np.where(y > 0.1, x, y),
}  # fmt: skip
JOINS = {
    "outer": lambda x, y: np.multiply.outer(np.ravel(x)[:3], np.ravel(y)[:2]),
    "concatenate": lambda x, y: np.concatenate([np.ravel(x)[:2], np.ravel(y)[:2]]),
    "stack": lambda x, y: np.stack([np.sum(x), np.sum(y), np.sum(x) * 0.5]),
    "einsum": lambda x, y: np.einsum("i,j->ji", as_vector(x), as_vector(y)),
    "product": lambda x, y: (MATRIX * as_vector(x)) @ as_vector(y),
}  # fmt: skip


def written(x):
    """x with its first element replaced and its last ones scaled, by writes in place."""
    if not x.ndim or not x.shape[0]:
        return x
    y = x * 1.0
    y[0] = np.sum(x) * 0.3
    y[1:] *= 0.5
    return y


def fitted(x, y):
    """Two values that broadcast."""
    try:
        np.broadcast_shapes(x.shape, y.shape)
    except ValueError:
        return x, 0.3 * np.sum(y)
    return x, y


def as_vector(x):
    """Three numbers made of any value."""
    flat = np.ravel(x)
    return np.concatenate([flat[:3], np.zeros(3)])[:3] if flat.shape[0] < 3 else flat[:3]


VECTOR = {
    "matmul": lambda control, x, y: np.tanh(MATRIX @ x) + y,
    "scan": lambda control, x, y: control.scan(
        lambda c, z: (np.sin(c) * z + 0.1, c * x[0]), y, FACTORS
    )[0],
    "scan over": lambda control, x, y: control.scan(
        lambda c, z: (np.tanh(c + z * y), np.sum(c) * z), y, x
    )[1],
    "reversed scan": lambda control, x, y: control.scan(
        lambda c, z: (c * 0.5 + z, c * z), np.sum(y), x, reverse=True
    )[1],
    "cond": lambda control, x, y: control.cond(
        np.sum(x) > 0.2, lambda a, b: np.sin(a) * b, lambda a, b: a - 0.3 * b, x, y
    ),
    "cond closure": lambda control, x, y: control.cond(y[0] > 0.0, lambda: x * y, lambda: np.cos(x)),
    "switch": lambda control, x, y: control.switch(
        np.sum(x > 0.0), [lambda z: z, np.sin, lambda z: z * y], x
    ),
    "while": lambda control, x, y: control.while_loop(
        lambda c: np.sum(c * c) < 3.0, lambda c: c * 1.4 + np.where(c > 0, 0.2, -0.2), x + y
    ),
    "counted while": lambda control, x, y: control.while_loop(
        lambda c: c[0] < 2 + np.sum(y > 0), lambda c: (c[0] + 1, np.sin(c[1]) + y), (0, x)
    )[1],
    "fori": lambda control, x, y: control.fori_loop(0, 3, lambda i, c: np.cos(c) * x + 0.1 * i, y),
    "map": lambda control, x, y: control.map(lambda z: np.sin(z) * np.sum(y), x),
    "nested": lambda control, x, y: control.scan(
        lambda c, z: (
            control.cond(z > 0.0, lambda c: control.scan(
                lambda d, w: (d * w + c, d[0]), c, FACTORS)[0] * 0.5, lambda c: c * z, c), c[1]
        ), x, y
    )[0],
}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One line of a program: an operation on earlier values, by number."""

    table: str
    name: str
    operands: tuple[int, ...]


def apply(step: Step, values: list, control):
    operands = [values[i % len(values)] for i in step.operands]
    if step.table == "unary":
        return UNARY[step.name](*operands)
    if step.table == "binary":
        return BINARY[step.name](*fitted(*operands))
    if step.table == "join":
        return JOINS[step.name](*operands)
    return VECTOR[step.name](control, *map(as_vector, operands))


def evaluate(steps, x, control):
    values = [np.sin(x) * 1.0, np.sum(x) * 0.5]
    for step in steps:
        out = apply(step, values, control)
        values.append(out if out.ndim <= 2 else np.sum(out, axis=0))
    total = sum(np.sum(np.sin(value)) for value in values)
    return as_vector(values[-1]) * x + total


def run(steps, x):
    """The program as a user writes it; `x` may be traced."""
    return evaluate(steps, x, lax)


def run_plain(steps, x):
    """The program in NumPy and Python alone."""
    return evaluate(steps, x, PLAIN)


def step_strategy():
    index = st.integers(0, 6)
    pair = st.tuples(index, index)
    return st.one_of(
        st.builds(Step, st.just("unary"), st.sampled_from(sorted(UNARY)), st.tuples(index)),
        st.builds(Step, st.just("binary"), st.sampled_from(sorted(BINARY)), pair),
        st.builds(Step, st.just("join"), st.sampled_from(sorted(JOINS)), pair),
        st.builds(Step, st.just("vector"), st.sampled_from(sorted(VECTOR)), pair),
    )


programs = st.lists(step_strategy(), min_size=1, max_size=5)
# Away from ties, and from the round numbers at which the operations above have kinks.
OFFSETS = np.array([0.000731, 0.000269, 0.000517])
points = st.lists(st.integers(-1500, 1500), min_size=3, max_size=3).map(
    lambda numbers: np.array(numbers) / 1000 + OFFSETS
)
