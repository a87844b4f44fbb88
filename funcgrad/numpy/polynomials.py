"""Polynomials as vectors of coefficients, the highest power first."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ir.types import is_inexact
from funcgrad.numpy.calculus import convolve
from funcgrad.numpy.joining import concatenate, stack
from funcgrad.numpy.register import numpy_function
from funcgrad.numpy.shape import atleast_1d
from funcgrad.ops.arithmetic import add, divide, multiply, subtract
from funcgrad.ops.cast import convert
from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.ops.products import promoted_arrays
from funcgrad.ops.sequences import as_array


@numpy_function(np.polyval)
def polyval(p: Any, x: Any) -> Any:
    """The value of a polynomial at each element of `x`.

    Args:
        p: vector of coefficients, the highest power first.
        x: array.

    Example:
        >>> import funcgrad.numpy as fnp
        >>> int(fnp.polyval([3, 0, 1], 5))
        76
    """
    p, x = as_array(p), as_array(x)
    value = multiply(x, np.zeros((), p.dtype))
    for i in range(shape_of(p)[0]):
        value = add(multiply(value, x), p[i])
    return value


def aligned(a1: Any, a2: Any) -> list[Any]:
    """Coefficient vectors of one length, zeros put in front."""
    vectors = promoted_arrays(atleast_1d(a1), atleast_1d(a2))
    length = max(shape_of(v)[0] for v in vectors)
    return [concatenate([np.zeros(length - shape_of(v)[0], v.dtype), v]) for v in vectors]


@numpy_function(np.polyadd)
def polyadd(a1: Any, a2: Any) -> Any:
    """The sum of two polynomials."""
    return add(*aligned(a1, a2))


@numpy_function(np.polysub)
def polysub(a1: Any, a2: Any) -> Any:
    """The difference of two polynomials."""
    return subtract(*aligned(a1, a2))


@numpy_function(np.polymul)
def polymul(a1: Any, a2: Any) -> Any:
    """The product of two polynomials. Leading zeros stay, because traced values cannot decide a shape."""
    return convolve(a1, a2)


@numpy_function(np.polyder)
def polyder(p: Any, m: int = 1) -> Any:
    """The `m`-th derivative of a polynomial."""
    p = as_array(p)
    for _ in range(check_order("polyder", m)):
        p = multiply(p[:-1], np.arange(shape_of(p)[0] - 1, 0, -1))
    return p


@numpy_function(np.polyint)
def polyint(p: Any, m: int = 1, k: Any = None) -> Any:
    """The `m`-th antiderivative of a polynomial, with integration constants `k` (zeros by default)."""
    p = as_array(p)
    constants = np.zeros(m) if k is None else atleast_1d(k)
    if shape_of(constants) == (1,):
        constants = constants[np.zeros(m, np.int64)]
    if shape_of(constants)[0] < m:
        raise ValueError(
            f"[polyint] k has {shape_of(constants)[0]} constants, but m = {m} are needed."
        )
    for i in range(check_order("polyint", m)):
        p = divide(p, np.arange(shape_of(p)[0], 0, -1))
        p = concatenate([p, constants[i : i + 1]])
    return p


def check_order(name: str, m: int) -> int:
    if m < 0:
        raise ValueError(f"[{name}] m = {m}, but an order is at least 0.")
    return m


@numpy_function(np.vander)
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """Powers of the elements of a vector, one row per element.

    Args:
        x: vector.
        N: how many powers; as many as elements by default.
        increasing: whether powers go up from 0.
    """
    x = as_array(x)
    if ndim_of(x) != 1:
        raise ValueError(f"[vander] needs a vector, but got shape {shape_of(x)}.")
    count = shape_of(x)[0] if N is None else N
    x = convert(x, np.promote_types(x.dtype, np.int64))
    powers = [convert(np.ones(shape_of(x)), x.dtype)]
    for _ in range(1, count):
        powers.append(multiply(powers[-1], x))
    powers = powers[:count] if increasing else powers[:count][::-1]
    return stack(powers, 1) if powers else np.zeros((shape_of(x)[0], 0), x.dtype)


@numpy_function(np.poly)
def poly(seq_of_zeros: Any) -> Any:
    """The coefficients of the polynomial with these roots."""
    roots = atleast_1d(seq_of_zeros)
    if ndim_of(roots) != 1:
        raise ValueError("[poly] of a matrix needs its eigenvalues: poly(np.linalg.eigvals(a)).")
    (roots,) = promoted_arrays(roots if is_inexact(roots.dtype) else convert(roots, np.float64))
    out = np.ones(1, roots.dtype)
    for i in range(shape_of(roots)[0]):
        out = convolve(out, stack([np.ones((), roots.dtype), -roots[i]]))
    return out
