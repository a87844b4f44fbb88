"""Rows of the elementwise primitives: arithmetic, powers, exponentials, trigonometry, extrema."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special

from funcgrad.ops import (
    arithmetic,
    compare,
    exponential,
    extrema,
    floats,
    hyperbolic,
    integer,
    power,
    rounding,
    rules,
    select,
    sinc,
    trigonometry,
)
from tests.ops.case import (
    COMPLEX,
    EVERY,
    FLOAT,
    INTEGER,
    NUMERIC,
    REAL,
    Builder,
    Case,
    bools,
    distinct,
    integers,
    uniform,
)

ANALYTIC = ("float64", "complex128")
SCIPY = ("float16", "float32", "float64", "int32", "int64")


def unary(function: Callable, low: float, high: float, **settings: Any) -> Case:
    """A row for a function of one array, compared with the NumPy function of that name."""
    return elementwise(function, uniform(low, high), **settings)


def binary(function: Callable, low: float, high: float, **settings: Any) -> Case:
    """A row for a function of two arrays, one of which is broadcast."""
    return elementwise(function, uniform(low, high), uniform(low, high, (3,)), **settings)


def elementwise(function: Callable, *inputs: Builder, **settings: Any) -> Case:
    name = settings.pop("primitive", function.__name__)
    reference = settings.pop("reference", getattr(np, name, None))
    return Case(name, function, inputs, reference=reference, elementwise=True, **settings)


def analytic(function: Callable, low: float, high: float, **settings: Any) -> Case:
    """A row for a function that is differentiable in the complex plane too."""
    return unary(function, low, high, dtypes=NUMERIC, smooth=ANALYTIC, **settings)


def predicate(function: Callable, count: int, **settings: Any) -> Case:
    builders = [uniform(-3, 3), uniform(-3, 3, (3,))][:count]
    return elementwise(function, *builders, **{"dtypes": EVERY, "argnums": (), **settings})


ARITHMETIC = [
    binary(arithmetic.add, -2, 2, dtypes=EVERY, smooth=ANALYTIC),
    binary(arithmetic.subtract, -2, 2, dtypes=NUMERIC, smooth=ANALYTIC),
    binary(arithmetic.multiply, -2, 2, dtypes=EVERY, smooth=ANALYTIC),
    binary(arithmetic.divide, 0.5, 2, dtypes=NUMERIC, smooth=ANALYTIC),
    unary(arithmetic.negative, -2, 2, dtypes=NUMERIC, smooth=ANALYTIC),
    binary(
        arithmetic.MASKED_MULTIPLY.apply,
        0.5,
        2,
        primitive="masked_multiply",
        reference=np.multiply,
        smooth=ANALYTIC,
    ),
    binary(rules.ratio, 0.5, 2, primitive="quiet_divide", reference=np.divide, smooth=ANALYTIC),
    binary(rules.product, -2, 2, primitive="quiet", reference=np.multiply, smooth=ANALYTIC),
    elementwise(
        select.select,
        bools(),
        uniform(-2, 2),
        uniform(-2, 2, (3,)),
        reference=np.where,
        dtypes=EVERY,
        smooth=ANALYTIC,
    ),
]

EXPONENTIALS = [
    analytic(exponential.exp, -2, 2),
    analytic(exponential.exp2, -2, 2),
    analytic(exponential.expm1, -2, 2),
    analytic(exponential.log, 0.5, 3),
    analytic(exponential.log2, 0.5, 3),
    analytic(exponential.log10, 0.5, 3),
    analytic(exponential.log1p, 0.5, 3),
    binary(exponential.logaddexp, -2, 2, dtypes=(*REAL, *INTEGER)),
    binary(exponential.logaddexp2, -2, 2, dtypes=(*REAL, *INTEGER)),
    unary(
        exponential.sigmoid,
        -3,
        3,
        primitive="logistic",
        reference=scipy.special.expit,
        dtypes=("float32", "float64", "int64"),
        smooth=ANALYTIC,
    ),
]

POWERS = [
    analytic(power.sqrt, 0.5, 3),
    unary(power.cbrt, -3, -0.5, dtypes=(*REAL, *INTEGER)),
    unary(power.square, -3, 3, dtypes=NUMERIC, smooth=ANALYTIC),
    unary(power.reciprocal, 0.5, 3, dtypes=NUMERIC, smooth=ANALYTIC),
    binary(power.power, 0.5, 3, dtypes=NUMERIC, smooth=ANALYTIC),
]

TRIGONOMETRY = [
    analytic(trigonometry.sin, -2, 2),
    analytic(trigonometry.cos, -2, 2),
    analytic(trigonometry.tan, -1, 1),
    analytic(trigonometry.arcsin, -0.9, 0.9),
    analytic(trigonometry.arccos, -0.9, 0.9),
    analytic(trigonometry.arctan, -0.9, 0.9),
    analytic(hyperbolic.sinh, -2, 2),
    analytic(hyperbolic.cosh, -2, 2),
    analytic(hyperbolic.tanh, -1, 1),
    analytic(hyperbolic.arcsinh, -0.9, 0.9),
    analytic(hyperbolic.arccosh, 1.1, 3),
    unary(hyperbolic.arctanh, -0.9, 0.9, dtypes=(*REAL, *COMPLEX), smooth=ANALYTIC),
    binary(trigonometry.hypot, 0.5, 2, dtypes=(*REAL, *INTEGER)),
    binary(trigonometry.arctan2, -2, -0.5, dtypes=(*REAL, *INTEGER)),
    unary(trigonometry.deg2rad, -90, 90, dtypes=(*REAL, *INTEGER)),
    unary(trigonometry.rad2deg, -2, 2, dtypes=(*REAL, *INTEGER)),
    unary(sinc.sinc, -2, 2, dtypes=(*FLOAT, *COMPLEX, *INTEGER), smooth=ANALYTIC),
    unary(
        lambda x: sinc.SPHERICAL_QUOTIENT(x, order=2),
        -6,
        6,
        primitive="spherical_quotient",
        reference=lambda x: (scipy.special.spherical_jn(2, x) / x**2).astype(x.dtype),
        dtypes=("float64",),
        smooth=ANALYTIC,
        tolerance=1e5,
    ),
]

REPRESENTATION = [
    unary(floats.absolute, 0.5, 2, dtypes=EVERY, smooth=ANALYTIC),
    unary(floats.absolute, -2, -0.5, label="negative", dtypes=NUMERIC, smooth=ANALYTIC),
    unary(floats.sign, 0.5, 2, dtypes=NUMERIC, smooth=ANALYTIC),
    binary(floats.copysign, -2, 2, dtypes=(*REAL, *INTEGER)),
    elementwise(floats.nextafter, uniform(1, 2), uniform(1, 2, (3,)), argnums=(0,), dtypes=REAL),
    elementwise(
        floats.ldexp,
        uniform(-2, 2),
        integers(-3, 3, (3,), np.int32),
        dtypes=("float16", "float32", "float64", "int16", "int64"),
    ),
    unary(floats.frexp, 1.1, 1.9, dtypes=REAL),
]

ROUNDING = [
    unary(rounding.floor, -2, 2, dtypes=(*REAL, *INTEGER), argnums=()),
    unary(rounding.ceil, -2, 2, dtypes=(*REAL, *INTEGER), argnums=()),
    unary(rounding.trunc, -2, 2, dtypes=(*REAL, *INTEGER), argnums=()),
    unary(rounding.rint, -2, 2, dtypes=NUMERIC, argnums=()),
    binary(rounding.floor_divide, 1, 3, dtypes=(*REAL, *INTEGER), argnums=()),
    elementwise(
        rounding.remainder, uniform(4.1, 4.9), uniform(1.1, 1.3, (3,)), dtypes=(*REAL, *INTEGER)
    ),
    elementwise(
        rounding.fmod, uniform(-4.9, -4.1), uniform(1.1, 1.3, (3,)), dtypes=("float32", "float64")
    ),
]

EXTREMA = [
    elementwise(
        function, distinct(-3, 3), distinct(-2.5, 2.7, (3,)), dtypes=(*REAL, "int32", "uint8")
    )
    for function in (extrema.maximum, extrema.minimum, extrema.fmax, extrema.fmin)
] + [
    elementwise(
        extrema.clip,
        distinct(-3, 3),
        uniform(-1.4, -1.2, (3,)),
        uniform(1.3, 1.4, ()),
        dtypes=(*FLOAT, "int64"),
    ),
    unary(
        extrema.relu, -2, 2, reference=lambda x: np.maximum(x, x.dtype.type(0)), dtypes=NUMERIC[:4]
    ),
    elementwise(extrema.heaviside, distinct(-3, 3.5), uniform(0, 1, (3,)), dtypes=REAL),
]

PREDICATES = [
    predicate(function, 2)
    for function in (
        compare.equal,
        compare.not_equal,
        compare.less,
        compare.less_equal,
        compare.greater,
        compare.greater_equal,
        compare.logical_and,
        compare.logical_or,
        compare.logical_xor,
    )
] + [
    predicate(compare.isnan, 1),
    predicate(compare.isinf, 1),
    predicate(compare.isfinite, 1),
    predicate(compare.logical_not, 1),
    predicate(compare.signbit, 1, dtypes=REAL),
]

INTEGERS = [
    elementwise(
        function,
        uniform(1, 60),
        uniform(1, 5, (3,)),
        dtypes=(*INTEGER, *extra),
        argnums=(),
    )
    for function, extra in (
        (integer.bitwise_and, ("bool",)),
        (integer.bitwise_or, ("bool",)),
        (integer.bitwise_xor, ("bool",)),
        (integer.left_shift, ()),
        (integer.right_shift, ()),
        (integer.gcd, ()),
        (integer.lcm, ()),
    )
] + [
    unary(integer.invert, -9, 9, dtypes=(*INTEGER, "bool"), argnums=()),
    unary(integer.bitwise_count, -9, 9, dtypes=INTEGER, argnums=()),
]

CASES = [
    *ARITHMETIC,
    *EXPONENTIALS,
    *POWERS,
    *TRIGONOMETRY,
    *REPRESENTATION,
    *ROUNDING,
    *EXTREMA,
    *PREDICATES,
    *INTEGERS,
]
