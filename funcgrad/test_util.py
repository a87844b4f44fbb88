"""Checking derivatives against finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.device import device_get, device_of, device_put
from funcgrad.ir.types import is_complex, is_inexact
from funcgrad.transforms.forward import jvp
from funcgrad.transforms.grad import vjp

__all__ = ["check_grads", "check_jvp", "check_vjp"]

# Tolerance and step by precision: central differences lose a third of the digits to rounding.
TOLERANCES = {"float64": 1e-5, "float32": 2e-2, "complex128": 1e-5, "complex64": 2e-2}
STEPS = {"float64": 1e-5, "float32": 1e-2, "complex128": 1e-5, "complex64": 1e-2}
SEED = 0


def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    order: int,
    modes: Sequence[str] = ("fwd", "rev"),
    atol: float | None = None,
    rtol: float | None = None,
    eps: float | None = None,
) -> None:
    """Compare derivatives with finite differences in random directions.

    Args:
        f: function of trees of arrays, smooth near `args`.
        args: where to check.
        order: highest order of derivative.
        modes: 'fwd' (jvp), 'rev' (vjp), or both.
        atol, rtol: tolerances; by default 1e-5 in float64 and 2e-2 in float32.
        eps: step of the central difference.

    Raises:
        AssertionError: a derivative differs; names mode, order, leaf and both values.

    Example:
        >>> import numpy as np
        >>> from funcgrad.test_util import check_grads
        >>> check_grads(np.tanh, (np.array([0.3, -1.0]),), order=2)
    """
    unknown = [mode for mode in modes if mode not in ("fwd", "rev")]
    if unknown or order < 1:
        raise ValueError(
            f"[check_grads] modes must be 'fwd' or 'rev' and order at least 1, got {modes}, {order}."
        )
    args = tuple(args)
    if "fwd" in modes:
        check_jvp(f, args, atol, rtol, eps, f"order {order}")
    if "rev" in modes:
        check_vjp(f, args, atol, rtol, eps, f"order {order}")
    if order == 1:
        return
    tangents = _random_like(args, SEED + order)
    if "fwd" in modes:
        check_grads(lambda *xs: jvp(f, xs, tangents)[1], args, order - 1, modes, atol, rtol, eps)
    if "rev" in modes:
        cotangent = _random_like(f(*args), SEED - order)

        def pulled(*xs: Any) -> Any:
            return vjp(f, *xs)[1](cotangent)

        check_grads(pulled, args, order - 1, modes, atol, rtol, eps)


def check_jvp(
    f: Callable[..., Any],
    args: tuple,
    atol: float | None = None,
    rtol: float | None = None,
    eps: float | None = None,
    what: str = "",
) -> None:
    """Compare `jvp` with the central difference in a random direction."""
    tangents = _random_like(args, SEED)
    value, moved = jvp(f, args, tangents)
    _compare(value, f(*args), atol or 1e-6, rtol or 1e-6, f"jvp value {what}")
    _compare(moved, _difference(f, args, tangents, eps), atol, rtol, f"jvp {what}")


def check_vjp(
    f: Callable[..., Any],
    args: tuple,
    atol: float | None = None,
    rtol: float | None = None,
    eps: float | None = None,
    what: str = "",
) -> None:
    """Compare `vjp` with the central difference through an inner product with a random cotangent."""
    tangents = _random_like(args, SEED)
    value, pull = vjp(f, *args)
    _compare(value, f(*args), atol or 1e-6, rtol or 1e-6, f"vjp value {what}")
    cotangent = _random_like(value, SEED + 1)
    expected = _inner(_difference(f, args, tangents, eps), cotangent)
    _compare(_inner(pull(cotangent), tangents), expected, atol, rtol, f"vjp {what}")


def _random_like(value: Any, seed: int) -> Any:
    rng = np.random.default_rng(abs(seed))

    def leaf(given: Any) -> Any:
        x = host(given)
        if not is_inexact(x.dtype):
            return None
        sample = rng.normal(size=x.shape)
        if is_complex(x.dtype):
            sample = sample + 1j * rng.normal(size=x.shape)
        return device_put(np.asarray(sample, x.dtype), device_of(given))

    return tree.map(leaf, value)


def host(x: Any) -> np.ndarray:
    return np.asarray(device_get(x))


def _difference(f: Callable[..., Any], args: tuple, tangents: tuple, eps: float | None) -> Any:
    """Central difference of `f` along the tangents."""
    dtypes = [host(x).dtype.name for x in tree.leaves(args)]
    step = eps or max(STEPS.get(name, 1e-5) for name in dtypes)

    def moved(sign: float) -> Any:
        shift = lambda x, t: x if t is None else (x + sign * step * t).astype(t.dtype)  # noqa: E731
        return f(*tree.map(shift, args, tangents))

    high, low = moved(1.0), moved(-1.0)
    return tree.map(lambda a, b: (host(a) - host(b)) / (2 * step), high, low)


def _inner(a: Any, b: Any) -> Any:
    """Real inner product of two trees, in JAX's convention for complex cotangents."""
    terms = [
        np.sum(np.real(host(x) * host(y)))
        for x, y in zip(tree.leaves(a), tree.leaves(b), strict=True)
    ]
    return np.sum(terms) if terms else 0.0


def _compare(got: Any, expected: Any, atol: Any, rtol: Any, what: str) -> None:
    got_leaves, expected_leaves = tree.leaves(got), tree.leaves(expected)
    paths = tree.structure(got).paths()
    for path, g, e in zip(paths, got_leaves, expected_leaves, strict=True):
        g, e = host(g), host(e)
        tolerance = TOLERANCES.get(g.dtype.name, 1e-5)
        where = tree.path_string(path)
        np.testing.assert_allclose(
            g,
            e,
            atol=tolerance if atol is None else atol,
            rtol=tolerance if rtol is None else rtol,
            err_msg=f"[check_grads] {what.strip()}{' at ' + where if where else ''} differs",
        )
