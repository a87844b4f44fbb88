"""The same answer by every road: eager, compiled, batched, forward, and mixtures of these."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import funcgrad as fg


def twice(value: Any) -> np.ndarray:
    """A batch of two equal examples."""
    return np.stack([np.asarray(value)] * 2)


def second(results: Any) -> tuple:
    """The second example of each batched result."""
    return tuple(result[1] for result in results)


def values(fun: Callable, *args: Any) -> Iterator[tuple[str, Any]]:
    """The value of `fun`, with the name of the road that led to it."""
    arrays = tuple(np.asarray(arg)[()] for arg in args)
    stacked = tuple(map(twice, arrays))
    yield "eager", fun(*arrays)
    yield "jit", fg.jit(fun)(*arrays)
    yield "vmap", fg.vmap(fun)(*stacked)[1]
    yield "jit(vmap)", fg.jit(fg.vmap(fun))(*stacked)[1]
    yield "jvp", fg.jvp(fun, arrays, (None,) * len(arrays))[0]


def gradients(fun: Callable, *args: Any) -> Iterator[tuple[str, tuple]]:
    """Derivatives of a scalar function with respect to all arguments."""
    every = tuple(range(len(args)))
    arrays = tuple(np.asarray(arg)[()] for arg in args)
    stacked = tuple(map(twice, arrays))
    slope = fg.grad(fun, every)
    yield "eager", slope(*arrays)
    yield "jit(grad)", fg.jit(slope)(*arrays)
    yield "grad(jit)", fg.grad(fg.jit(fun), every)(*arrays)
    yield "vmap(grad)", second(fg.vmap(slope)(*stacked))
    yield "jit(vmap(grad))", second(fg.jit(fg.vmap(slope))(*stacked))
    total = lambda *xs: np.sum(fg.vmap(fun)(*xs))
    yield "grad(vmap)", second(fg.grad(total, every)(*stacked))
    if not any(np.iscomplexobj(array) for array in arrays):
        forward = [fg.jacfwd(fun, i) for i in every]
        yield "forward", tuple(slope(*arrays) for slope in forward)
        yield "jit(forward)", tuple(fg.jit(slope)(*arrays) for slope in forward)


def check_value(fun: Callable, *args: Any, expected: Any, rtol: float = 1e-12) -> None:
    for road, found in values(fun, *args):
        np.testing.assert_allclose(found, expected, rtol=rtol, err_msg=road)


def check_gradients(fun: Callable, *args: Any, expected: tuple, rtol: float = 1e-12) -> None:
    """`expected` has one gradient per argument."""
    for road, found in gradients(fun, *args):
        for gradient, arg, wanted in zip(found, args, expected, strict=True):
            assert np.shape(gradient) == np.shape(arg), road
            assert gradient.dtype == np.asarray(arg).dtype or "forward" in road, road
            np.testing.assert_allclose(gradient, wanted, rtol=rtol, atol=1e-14, err_msg=road)


def check_gradient(fun: Callable, x: Any, expected: Any, rtol: float = 1e-12) -> None:
    """For a function of one argument."""
    check_gradients(fun, x, expected=(expected,), rtol=rtol)
