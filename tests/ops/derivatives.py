"""Checks that the derivatives of any function must pass: forward mode, reverse mode, higher orders."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.transforms.forward import jvp
from funcgrad.transforms.grad import vjp


def as_list(value: Any) -> list:
    return list(value) if isinstance(value, list | tuple) else [value]


def random_like(value: Any, rng: np.random.Generator) -> Any:
    value = np.asarray(value)
    noise = rng.normal(size=value.shape)
    if value.dtype.kind == "c":
        noise = noise + 1j * rng.normal(size=value.shape)
    return noise.astype(value.dtype)


def pairing(cotangents: Sequence, tangents: Sequence) -> float:
    """Real part of the sum of products: what forward and reverse mode must agree on."""
    pairs = zip(cotangents, tangents, strict=True)
    return sum(np.sum(ct * t).real for ct, t in pairs if ct is not None and t is not None)


def central_difference(fun: Callable, args: Sequence, directions: Sequence, step: float) -> list:
    ahead = fun(*[x + step * t for x, t in zip(args, directions, strict=True)])
    behind = fun(*[x - step * t for x, t in zip(args, directions, strict=True)])
    return [(a - b) / (2 * step) for a, b in zip(ahead, behind, strict=True)]


def check_derivatives(
    fun: Callable, *args: Any, order: int = 2, step: float = 1e-5, tolerance: float = 1e-6
) -> None:
    """Compare jvp with central differences and vjp with jvp, for `fun` and for its own derivatives."""
    rng = np.random.default_rng(7)
    listed = lambda *xs: as_list(fun(*xs))
    directions = [random_like(x, rng) for x in args]
    outs, tangents = jvp(listed, tuple(args), tuple(directions))
    for out, plain in zip(outs, listed(*args), strict=True):
        np.testing.assert_allclose(out, plain, rtol=1e-9, atol=1e-12)
    expected = central_difference(listed, args, directions, step)
    for tangent, difference in zip(tangents, expected, strict=True):
        np.testing.assert_allclose(tangent, difference, rtol=tolerance, atol=tolerance)

    cotangents = [random_like(out, rng) for out in outs]
    pulled = vjp(listed, *args)[1](cotangents)
    for cotangent, x in zip(pulled, args, strict=True):
        assert np.asarray(cotangent).dtype == x.dtype and np.shape(cotangent) == np.shape(x)
    np.testing.assert_allclose(
        pairing(cotangents, tangents), pairing(pulled, directions), rtol=1e-8, atol=1e-9
    )
    if order > 1:
        backward = lambda *xs: list(vjp(listed, *xs)[1](cotangents))
        forward = lambda *xs: jvp(listed, xs, tuple(directions))[1]
        for derivative in (backward, forward):
            check_derivatives(
                derivative, *args, order=order - 1, step=step, tolerance=10 * tolerance
            )
