"""Random programs aimed at the compiler: many dtypes and shapes, all kinds of kernels and steps, loops, derivatives.

A program is data that hypothesis draws and shrinks: inputs, steps that compute new values from earlier ones, and a
transformation of the whole. What does not fit is made to fit, and a step that NumPy refuses is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

import funcgrad as fg
from funcgrad import lax
from tests.compiler.random_arrays import (
    DTYPES,
    FILLINGS,
    LAYOUTS,
    Choices,
    Input,
    as_kind,
    as_shape,
    convert,
    kind,
    limited,
)
from tests.compiler.random_operations import (
    BINARY,
    EXACT,
    INDEXING,
    JOINS,
    MATH,
    MOVES,
    REDUCTIONS,
    THREE,
    TWO,
    UNARY,
)

SMALL, LARGE = 4096, 300_000  # elements of the largest value
LENGTHS = (1, 2, 3, 7, 17, 64, 100, 0, 1000, 1003)
SHAPES = (
    (7, 17),
    (3, 1003),
    (2, 3, 17),
    (64, 100),
    (1003,),
    (5, 1, 33),
    (2, 16, 7, 3),
    (1000, 257),
)


@dataclass(frozen=True)
class Step:
    """One line of a program: an operation on earlier values, counted from the last one."""

    name: str
    operands: tuple[int, int, int] = (0, 0, 0)
    number: int = 0
    body: tuple[Step, ...] = ()


@dataclass(frozen=True)
class RandomProgram:
    """What is computed of the inputs: the last `outputs` values, or something derived from them."""

    inputs: tuple[Input, ...]
    steps: tuple[Step, ...]
    outputs: int = 1
    transform: str = "none"
    limit: int = SMALL

    def arrays(self) -> list[np.ndarray]:
        return [given.array(seed) for seed, given in enumerate(self.inputs)]

    def function(self) -> Callable[..., Any]:
        """The program as a user writes it."""

        def run(*args):
            return tuple(run_steps(self.steps, list(args), self.limit)[-self.outputs :])

        return TRANSFORMS[self.transform](run, [given.dtype for given in self.inputs])


# --- control flow ---


def inner(body: Sequence[Step], values: Sequence[Any], limit: int) -> Any:
    """The last value of a body, in the type of the first operand, not much larger than it."""
    found, like = run_steps(body, list(values), limit)[-1], values[0]
    found = convert(as_shape(found, like.shape), like.dtype)
    return found if kind(like) != "f" else np.clip(found, -100, 100)


def scanned(step: Step, choose: Choices, x: Any, y: Any, z: Any, limit: int) -> Any:
    xs = (y if y.ndim else y[None])[: choose(5, 3, 1, 17)]
    if choose(True, False):
        x = np.ravel(x)[:1].sum(dtype=x.dtype) if choose(False, True) else limited(x, 256)

    def body(carry, element):
        found = inner(step.body, [carry, element, z], limit)
        return found, choose_of(step.number, found, carry, np.sum(found), (found, carry))

    carry, ys = lax.scan(body, x, xs, reverse=choose(False, True))
    return choose(carry, fg.tree.leaves(ys)[0])


def choose_of(number: int, *options: Any) -> Any:
    return options[number % len(options)]


def looped(step: Step, choose: Choices, x: Any, y: Any, z: Any, limit: int) -> Any:
    if choose(True, False):
        return lax.fori_loop(
            0, choose(3, 7, 0), lambda i, c: inner(step.body, [c, i + 0 * i, y], limit), x
        )
    bound = choose(2.0, 10.0)
    going = lambda state: (state[0] < 5) & ~(np.sum(as_kind(state[1], "fiu")) > bound)
    advance = lambda state: (state[0] + 1, inner(step.body, [state[1], y, z], limit))
    return lax.while_loop(going, advance, (0, x))[1]


def branched(step: Step, choose: Choices, x: Any, y: Any, z: Any, limit: int) -> Any:
    condition = np.sum(as_kind(y, "fiu")) > 1
    taken = lambda x, z: inner(step.body, [x, z], limit)
    if choose(True, False):
        return lax.cond(condition, taken, lambda x, z: x, x, z)
    return lax.switch(condition * choose(1, 2), [lambda x, z: x, taken, lambda x, z: x + x], x, z)


def transformed(step: Step, choose: Choices, x: Any, y: Any, z: Any, limit: int) -> Any:
    """A body that is differentiated or mapped inside."""
    y, z = limited(y, limit), limited(z, limit)  # what is mapped is many times as large
    run = lambda x: inner(step.body, [x, y, z], limit)
    mapped = lambda: fg.vmap(lambda x, z: inner(step.body, [x, y, z], limit), in_axes=(0, None))(
        x, z
    )
    total = lambda x: np.sum(run(x))
    return choose(
        lambda: fg.jit(run)(x),
        mapped,
        lambda: fg.grad(total)(as_kind(x, "f")),
        lambda: fg.jvp(run, (as_kind(x, "f"),), (as_kind(x, "f"),))[1],
        lambda: fg.checkpoint(run)(x),
        lambda: lax.map(run, x[:5]),
    )()


CONTROL = {"scan": scanned, "loop": looped, "branch": branched, "transform": transformed}


# --- running ---

REFUSALS = (
    TypeError, ValueError, IndexError, NotImplementedError, OverflowError, AttributeError, fg.UnexpectedTracerError,
)  # fmt: skip


def run_steps(steps: Sequence[Step], values: list[Any], limit: int) -> list[Any]:
    """The values, and those of the steps that NumPy accepts."""
    for step in steps:
        operands = [values[-1 - i % len(values)] for i in step.operands]
        try:
            values.append(limited(apply(step, operands, limit), limit))
        except REFUSALS:
            continue
    return values


def apply(step: Step, operands: list[Any], limit: int) -> Any:
    choose = Choices(step.number)
    if step.name in CONTROL:
        return CONTROL[step.name](step, choose, *operands, min(limit, SMALL))
    if step.name in UNARY:
        return UNARY[step.name](choose, operands[0])
    if step.name in TWO:
        return TWO[step.name](choose, *operands[:2])
    return THREE[step.name](choose, *operands)


# --- transformations of whole programs ---


def floating(dtypes: Sequence[str]) -> tuple[int, ...]:
    return tuple(i for i, dtype in enumerate(dtypes) if "float" in dtype)


def weighted(run: Callable) -> Callable:
    """One number that depends on all elements of the results, on each in its own way."""

    def total(*args):
        found = 0.0
        for out in run(*args):
            if kind(out) in "fc":
                weights = np.cos(fg.numpy.arange(out.size)).reshape(out.shape)
                found = found + np.sum(np.real(out) * weights.astype(np.real(out).dtype))
        return found

    return total


def differentiated(run: Callable, dtypes: Sequence[str]) -> Callable:
    return fg.value_and_grad(weighted(run), argnums=floating(dtypes)) if floating(dtypes) else run


def pushed(run: Callable, dtypes: Sequence[str]) -> Callable:
    moving = floating(dtypes)

    def along(*args):
        def varied(*moved):
            changed = list(args)
            for i, x in zip(moving, moved, strict=True):
                changed[i] = x
            return run(*changed)

        moved = tuple(args[i] for i in moving)
        return fg.jvp(varied, moved, tuple(x * 0.5 for x in moved))

    return along if moving else run


def mapped(run: Callable, dtypes: Sequence[str]) -> Callable:
    def batched(*args):
        first = fg.numpy.stack([args[0], args[0][..., ::-1] if args[0].ndim else args[0]], axis=-1)
        axes = (-1, *(None for _ in args[1:]))
        return fg.vmap(run, in_axes=axes)(first, *args[1:])

    return batched


TRANSFORMS: dict[str, Callable[[Callable, Sequence[str]], Callable]] = {
    "none": lambda run, dtypes: run,
    "grad": differentiated,
    "vmap": mapped,
    "jvp": pushed,
    "vmap of grad": lambda run, dtypes: mapped(differentiated(run, dtypes), dtypes),
    "grad of vmap": lambda run, dtypes: differentiated(lambda *a: mapped(run, dtypes)(*a), dtypes),
    "jvp of grad": lambda run, dtypes: pushed(
        lambda *a: fg.tree.leaves(differentiated(run, dtypes)(*a)), dtypes
    ),
}


# --- strategies ---


def fitting(lengths: Sequence[int], limit: int) -> tuple[int, ...]:
    """These lengths, as long as the product stays below the limit."""
    shape, size = [], 1
    for n in lengths:
        n = n if size * n <= limit else 1
        shape.append(n)
        size *= n
    return tuple(shape)


def input_strategy(limit: int):
    weighted_dtypes = [name for name, weight in DTYPES.items() for _ in range(weight)]
    shapes = st.lists(st.sampled_from(LENGTHS), max_size=4) | st.sampled_from(SHAPES)
    shapes = shapes.map(lambda lengths: fitting(lengths, limit))
    layouts = st.sampled_from(("plain",) * 4 + LAYOUTS)
    return st.builds(
        Input, st.sampled_from(weighted_dtypes), shapes, st.sampled_from(FILLINGS), layouts
    )


numbers = st.integers(0, 5) | st.integers(0, 2**40)
operands = st.tuples(*[st.integers(0, 3) | st.integers(0, 40)] * 3)
FIRST_ORDER = (*EXACT, *EXACT, *MATH, *BINARY, *BINARY, *MOVES, *JOINS, *INDEXING, *REDUCTIONS, *REDUCTIONS,
               "noise", "product", "product", "windows", "scatter", "scatter")  # fmt: skip
plain_steps = st.builds(Step, st.sampled_from(FIRST_ORDER), operands, numbers)


def control_steps(bodies):
    return st.builds(Step, st.sampled_from(sorted(CONTROL)), operands, numbers, bodies)


simple_bodies = st.lists(plain_steps, min_size=1, max_size=6).map(tuple)
bodies = st.lists(plain_steps | control_steps(simple_bodies), min_size=1, max_size=6).map(tuple)
steps = st.one_of(plain_steps, plain_steps, plain_steps, control_steps(bodies))


def program_strategy(limit: int = SMALL, most: int = 12):
    return st.builds(
        RandomProgram,
        st.lists(input_strategy(limit), min_size=1, max_size=3).map(tuple),
        st.lists(steps, min_size=1, max_size=most).map(tuple),
        st.integers(1, 4),
        st.sampled_from(("none", "none", *TRANSFORMS)),
        st.just(limit),
    )


# By what is unusual about them.
STRATEGIES = {
    "usual": program_strategy(),
    "large": program_strategy(LARGE, 8),
    "long": program_strategy(SMALL, 40),
}
