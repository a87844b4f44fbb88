"""Rows of the special functions, compared with SciPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special

from funcgrad.ops import bessel, bessel_j, gamma, incomplete, special
from tests.ops.case import Builder, Case, uniform

DTYPES = ("float16", "float32", "float64", "int32")
ANALYTIC = ("float64", "complex128")


def special_case(name: str, function: Callable, *inputs: Builder, **settings: Any) -> Case:
    reference = settings.pop("reference", None) or getattr(scipy.special, function.__name__)
    settings = {"dtypes": DTYPES, "elementwise": True, **settings}
    return Case(name, function, inputs, reference=reference, **settings)


def bessel_case(function: Callable) -> Case:
    return special_case("bessel_i", function, uniform(0.5, 3), label=function.__name__)


CASES = [
    special_case("erf", special.erf, uniform(-2, 2), smooth=ANALYTIC),
    special_case("erfc", special.erfc, uniform(-2, 2), smooth=ANALYTIC),
    special_case("erfinv", special.erfinv, uniform(-0.9, 0.9), dtypes=DTYPES[:3]),
    special_case("ndtr", special.ndtr, uniform(-2, 2)),
    special_case("ndtri", special.ndtri, uniform(0.1, 0.9), dtypes=DTYPES[:3]),
    special_case("log_ndtr", special.log_ndtr, uniform(-9, 3)),
    special_case(
        "hazard",
        special.HAZARD.apply,
        uniform(-9, 3),
        reference=lambda x: np.exp(-x * x / 2 - scipy.special.log_ndtr(x)) / np.sqrt(2 * np.pi),
        dtypes=("float64",),
        tolerance=1e3,
    ),
    special_case("logit", special.logit, uniform(0.1, 0.9), dtypes=DTYPES[:3]),
    special_case("xlogy", special.xlogy, uniform(0.5, 2), uniform(0.5, 2, (3,)), smooth=ANALYTIC),
    special_case("xlog1py", special.xlog1py, uniform(0.5, 2), uniform(0.5, 2, (3,))),
    special_case("gamma", gamma.gamma, uniform(0.5, 4)),
    special_case("gammaln", gamma.gammaln, uniform(0.5, 4)),
    special_case("digamma", gamma.digamma, uniform(0.5, 4)),
    special_case(
        "polygamma",
        lambda x: gamma.polygamma(2, x),
        uniform(0.5, 4),
        reference=lambda x: scipy.special.polygamma(2, x).astype(x.dtype),
        dtypes=("float32", "float64"),
        tolerance=16,
    ),
    special_case("betaln", gamma.betaln, uniform(0.5, 4), uniform(0.5, 4, (3,))),
    bessel_case(bessel.i0),
    bessel_case(bessel.i0e),
    bessel_case(bessel.i1),
    bessel_case(bessel.i1e),
    *[
        special_case("bessel_j", function, uniform(0.5, 3), label=function.__name__)
        for function in (bessel_j.j0, bessel_j.j1)
    ],
    special_case(
        "zeta",
        bessel_j.zeta,
        uniform(2, 4),
        uniform(0.5, 4, (3,)),
        argnums=(1,),
        dtypes=("float32", "float64"),
        reference=lambda x, q: scipy.special.zeta(x, q).astype(x.dtype),
    ),
    special_case("gammainc", incomplete.gammainc, uniform(0.5, 4), uniform(0.5, 4, (3,))),
    special_case("gammaincc", incomplete.gammaincc, uniform(0.5, 4), uniform(0.5, 4, (3,))),
    special_case(
        "betainc",
        incomplete.betainc,
        uniform(0.5, 4),
        uniform(0.5, 4, (3,)),
        uniform(0.1, 0.9),
        dtypes=DTYPES[:3],
    ),
]
