"""The larger and the smaller of two numbers, and functions with a corner at 0."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.ir.tracer import type_of
from funcgrad.ir.types import kind
from funcgrad.ops.compare import (
    equal,
    greater,
    greater_equal,
    isnan,
    less,
    less_equal,
    logical_and,
    logical_or,
)
from funcgrad.ops.families import Elementwise
from funcgrad.ops.identities import is_constant
from funcgrad.ops.public import binary, unary
from funcgrad.ops.rules import cast_like
from funcgrad.ops.select import SELECT, promote, select


def share(out: Any, x: Any, y: Any, wins: Callable[[Any, Any], Any]) -> Any:
    """1 where `x` is chosen, 0 where `y` is, and 1/2 where they are equal."""
    return select(equal(x, y), 0.5, cast_like(out, wins(x, y)))


def without_bound(known: Any, x: Any, y: Any, bound: float) -> Any:
    """The operand that is left if the other one is it again or this bound; None if there is no such."""
    if x is y or is_constant(known, y, bound, x):
        return x
    return y if is_constant(known, x, bound, y) else None


class Maximum(Elementwise):
    """The larger of two elements, NaN if one is NaN. Equal elements share the derivative.

    Example:
        >>> maximum(2.0, 3.0)
        np.float64(3.0)
    """

    ufunc = "maximum"

    def simplify(self, known: Any, x: Any, y: Any) -> Any:
        return without_bound(known, x, y, -math.inf)

    def partials(self, out: Any, x: Any, y: Any) -> tuple:
        return lambda: share(out, x, y, greater), lambda: share(out, y, x, greater)


class Minimum(Elementwise):
    """The smaller of two elements, NaN if one is NaN. Equal elements share the derivative.

    Example:
        >>> minimum(2.0, 3.0)
        np.float64(2.0)
    """

    ufunc = "minimum"

    def simplify(self, known: Any, x: Any, y: Any) -> Any:
        return without_bound(known, x, y, math.inf)

    def partials(self, out: Any, x: Any, y: Any) -> tuple:
        return lambda: share(out, x, y, less), lambda: share(out, y, x, less)


class Fmax(Elementwise):
    """The larger of two elements, ignoring NaN. Equal elements share the derivative.

    Example:
        >>> fmax(2.0, float("nan"))
        np.float64(2.0)
    """

    ufunc = "fmax"

    def partials(self, out: Any, x: Any, y: Any) -> tuple:
        return lambda: share(out, x, y, exceeds), lambda: share(out, y, x, exceeds)


class Fmin(Elementwise):
    """The smaller of two elements, ignoring NaN. Equal elements share the derivative.

    Example:
        >>> fmin(2.0, float("nan"))
        np.float64(2.0)
    """

    ufunc = "fmin"

    def partials(self, out: Any, x: Any, y: Any) -> tuple:
        return lambda: share(out, x, y, falls_short), lambda: share(out, y, x, falls_short)


def exceeds(x: Any, y: Any) -> Any:
    """Whether `x > y`, or `y` is NaN."""
    return logical_or(greater(x, y), isnan(y))


def falls_short(x: Any, y: Any) -> Any:
    """Whether `x < y`, or `y` is NaN."""
    return logical_or(less(x, y), isnan(y))


class Clip(Elementwise):
    """`x` limited to `low` and then to `high`. On the bounds the derivative is that of `x`."""

    def numpy(self, xp: Any, x: Any, low: Any, high: Any) -> Any:
        out = xp.clip(x, low, high)
        given = [value.dtype for value in (x, low, high) if hasattr(value, "dtype")]
        return out.astype(given[0], copy=False) if given else out  # NumPy widens bfloat16

    def partials(self, out: Any, x: Any, low: Any, high: Any) -> tuple:
        def inside() -> Any:
            return logical_and(greater_equal(x, low), less_equal(x, high))

        def below() -> Any:
            return logical_and(less(x, low), less_equal(low, high))

        def above() -> Any:
            return logical_or(greater(x, high), greater(low, high))

        return tuple([lambda mask=mask: cast_like(out, mask()) for mask in (inside, below, above)])

    def scalar(self, emit: Any, x: Any, low: Any, high: Any) -> Any:
        # NumPy keeps 0 and -0 between bounds that are numbers, and takes equal elements of bounds that are arrays.
        if is_finite(low.number) and is_finite(high.number):
            raised = emit.select(emit.compare("less", x, low), low, x)
            return emit.select(emit.compare("greater", raised, high), high, raised)
        return emit.math("minimum", emit.math("maximum", x, low), high)


def is_finite(number: Any) -> bool:
    """Whether this is a number, none of the infinities that stand for no bound."""
    return number is not None and bool(np.isfinite(number))


class Heaviside(Elementwise):
    """0 where `x < 0`, 1 where `x > 0`, and `y` where `x = 0`.

    Example:
        >>> heaviside(0.0, 0.5)
        np.float64(0.5)
    """

    ufunc = "heaviside"

    def partials(self, out: Any, x: Any, y: Any) -> tuple:
        del y
        return None, lambda: cast_like(out, equal(x, 0))


class Relu(Elementwise):
    """`x` where it is positive, else 0. Its derivative at 0 is 0.

    Example:
        >>> relu(-2.0)
        np.float64(0.0)
    """

    ufunc = "positive"  # for its dtypes

    def numpy(self, xp: Any, x: Any) -> Any:
        return xp.maximum(x, 0)

    def jvp(self, primals: Any, tangents: Any) -> tuple[Any, Any]:
        (tangent,) = tangents
        out = self(*primals)
        return out, None if tangent is None else SELECT(greater(out, 0), tangent, 0)

    def vjp(self, primals: Any, active: Any) -> tuple[Any, Any]:
        del active
        out = self(*primals)
        return out, lambda cotangent: [SELECT(greater(out, 0), cotangent, 0)]

    def scalar(self, emit: Any, x: Any) -> Any:
        return emit.math("maximum", x, emit.constant(0))


MAXIMUM, MINIMUM, FMAX, FMIN = Maximum(), Minimum(), Fmax(), Fmin()
CLIP, HEAVISIDE, RELU = Clip(), Heaviside(), Relu()

maximum, minimum, fmax, fmin = map(binary, (MAXIMUM, MINIMUM, FMAX, FMIN))
heaviside, relu = binary(HEAVISIDE), unary(RELU)


def clip(x: Any, min: Any = None, max: Any = None) -> Any:
    """Limit each element to the closed interval from `min` to `max`.

    Args:
        x: array or number.
        min, max: arrays or numbers, broadcast against `x`; None for no bound. `max` wins.

    Returns:
        An array of the broadcast shape, in the dtype that NumPy promotes the arguments to.

    Example:
        >>> clip(3.0, 0.0, 1.0)
        np.float64(1.0)
    """
    if min is None and max is None:
        return promote(x)[0]
    if min is None or max is None:
        bound, without = (min, float("inf")) if max is None else (max, -float("inf"))
        x, bound = promote(x, bound)
        if not any(kind(type_of(value).dtype) == "f" for value in (x, bound)):
            return maximum(x, bound) if max is None else minimum(x, bound)
        if not type_of(x).weak:
            without = np.asarray(without, type_of(x).dtype)  # a Python float would widen bfloat16
        min, max = (bound, without) if max is None else (without, bound)
    return CLIP(*promote(x, min, max))
