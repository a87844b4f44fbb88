"""Rows of the table of primitives, run on CuPy arrays: all kernels are compiled together."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import funcgrad as fg
from funcgrad import tree
from funcgrad.compiler.executable import on_cuda
from funcgrad.config import config
from tests.gpu.emulator.device import emulated
from tests.gpu.emulator.memory import host, put
from tests.ops.rows import Row
from tests.ops.test_contract import assert_same


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
