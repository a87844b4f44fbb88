"""The table of primitives as rows that run anywhere: a function, and arrays for it. Values, derivatives, batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import funcgrad as fg
from funcgrad.ir.types import is_inexact
from tests.ops.case import Case
from tests.ops.cases import CASES
from tests.ops.derivatives import as_list


@dataclass(frozen=True)
class Row:
    """A function of arrays, and arguments for it.

    Attributes:
        tolerance: relative error allowed against the same function on NumPy arrays, in units of resolution.
    """

    name: str
    function: Callable[..., Any]
    arguments: tuple[np.ndarray, ...]
    tolerance: float


def values(case: Case, dtype: Any) -> Row:
    """What an operation gives. The functions of C and of NumPy may differ by a few units."""
    arguments = tuple(case.arguments(dtype))
    tolerance = max(128.0, 16 * case.tolerance)
    return Row(f"{case}-{np.dtype(dtype)}", lambda *xs: case.call(*xs), arguments, tolerance)


def derivatives(case: Case, dtype: Any) -> Row:
    """Its results, pullback and tangent at a point."""
    arguments = case.arguments(dtype)
    argnums = range(len(arguments)) if case.argnums is None else case.argnums
    places = [i for i in argnums if is_inexact(arguments[i].dtype)]

    def function(*given: Any) -> list[Any]:
        def moving(*xs: Any) -> Any:
            full = list(given)
            for place, x in zip(places, xs, strict=True):
                full[place] = x
            return case.call(*full)

        xs = [given[i] for i in places]
        out, pull = fg.vjp(moving, *xs)
        _, tangent = fg.jvp(moving, tuple(xs), tuple(xs))
        return [*as_list(out), *pull(out), *as_list(tangent)]

    return Row(f"{case}-{np.dtype(dtype)}-derivatives", function, tuple(arguments), 1e5)


def batched(case: Case) -> Row:
    """Two examples at once."""
    pairs = zip(case.arguments(case.dtypes[0]), case.arguments(case.dtypes[0], 1), strict=True)
    arguments = tuple([np.stack(pair) for pair in pairs])
    return Row(f"{case}-batched", fg.vmap(lambda *xs: case.call(*xs)), arguments, 1e5)


def value_rows() -> Iterator[Row]:
    for case in CASES:
        for dtype in case.dtypes:
            yield values(case, dtype)


def derivative_rows() -> Iterator[Row]:
    for case in CASES:
        if case.argnums != () and case.inputs:
            for dtype in case.smooth:
                yield derivatives(case, dtype)


def batched_rows() -> Iterator[Row]:
    for case in CASES:
        if case.batched and case.inputs:
            yield batched(case)
