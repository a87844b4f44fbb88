"""The table of primitives as rows that run on CuPy arrays: values, derivatives, batches."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import funcgrad as fg
from funcgrad import tree
from funcgrad.compiler.executable import on_cuda
from funcgrad.config import config
from funcgrad.ir.types import is_inexact
from tests.gpu.emulator.device import emulated
from tests.gpu.emulator.memory import host, put
from tests.ops.case import Case
from tests.ops.cases import CASES
from tests.ops.derivatives import as_list
from tests.ops.test_contract import assert_same


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


# --- running many rows: all kernels are compiled together ---


def failures(rows: Sequence[Row], order: int = 0) -> list[str]:
    """What is wrong with rows on the emulated device, a line for each."""
    found: list[str] = []
    with emulated(order), fg.default_device("cuda"), config.override(check_programs=True):
        prepared = [(row, fg.jit(row.function)) for row in rows]
        ready = [(row, jitted) for row, jitted in prepared if prepare(row, jitted, found)]
        for row, jitted in ready:
            attempt(row, lambda row=row, jitted=jitted: check(row, jitted), found)
    return found


def prepare(row: Row, jitted: Any, found: list[str]) -> bool:
    """Make the launches of a row, without running them; whether that worked."""

    def compile_row() -> None:
        entry = jitted.entry(*map(put, row.arguments))
        if on_cuda(entry.program, entry.device.id) is None:
            raise NotImplementedError("no launches could be made")

    return attempt(row, compile_row, found)


def check(row: Row, jitted: Any) -> None:
    """Two calls give what NumPy gives."""
    with np.errstate(all="ignore"), fg.default_device("cpu"):
        expected = [np.asarray(out) for out in tree.leaves(row.function(*row.arguments))]
    arguments = [put(x) for x in row.arguments]
    for _ in range(2):
        assert_same([host(out) for out in tree.leaves(jitted(*arguments))], expected, row.tolerance)
    for array, before in zip(arguments, row.arguments, strict=True):
        np.testing.assert_array_equal(host(array), before)


def attempt(row: Row, work: Callable[[], None], found: list[str]) -> bool:
    """Do it; a failure becomes a line."""
    try:
        work()
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        text = " ".join(str(error).split())[:300]
        where = f"{place.filename.rsplit('/', 1)[-1]}:{place.lineno}"
        found.append(f"{row.name}: {type(error).__name__} at {where}: {text}")
        return False
    return True
