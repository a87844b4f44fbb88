"""The whole table of primitives, and that of `funcgrad.numpy`, on a real GPU: eagerly and compiled."""

import os
import time
from collections import defaultdict

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad import tree
from tests.numpy import cases as numpy_cases
from tests.ops import cases
from tests.ops.case import BFLOAT16
from tests.ops.rows import batched_rows, derivative_rows, values as row_of
from tests.ops.test_contract import assert_same

pytest.importorskip("cupy", reason="CuPy is not installed")

from tests.gpu.progress import is_lost, note  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings("ignore:.*was compiled .* times"),
    pytest.mark.filterwarnings("ignore:.*:RuntimeWarning"),
]

CALLS = 3  # of a compiled function: launched, recorded, replayed
GROUPS = 12  # each group of rows is one test, which lists all rows that fail
# A row has arrays of its own beside its arguments, or calls a function of NumPy itself that CuPy lacks.
NOT_OURS = ("on different devices", "no implementation found", "CuPy has no")
SECONDS = 120.0  # for one group of rows


def one_of_each_kind(dtypes):
    """A half, a float, a complex, an integer and a bool, as far as there are any."""
    chosen = {}
    for dtype in map(np.dtype, dtypes):
        kind = "i" if dtype.kind == "u" else dtype.kind
        chosen.setdefault((kind, kind == "f" and dtype.itemsize == 2), dtype)
    return list(chosen.values())


def grouped(kind):
    """The rows of a kind, some of each family in every group."""
    makers = {
        "values": lambda: [row_of(c, d) for c in cases.CASES for d in c.dtypes],
        "one of each kind": lambda: [
            row_of(c, d) for c in cases.CASES for d in one_of_each_kind(c.dtypes)
        ],
        "derivatives": derivative_rows,
        "batched": batched_rows,
    }
    groups = defaultdict(list)
    for number, row in enumerate(makers[kind]()):
        groups[number % GROUPS].append(row)
    return groups


def failures_of(work, items, name_of):
    """A line for each item with which `work(item)` raises."""
    found, end = [], time.monotonic() + SECONDS
    for item in items:
        if time.monotonic() > end:
            found.append(f"{name_of(item)} and all after it: not started after {SECONDS:.0f} s")
            break
        note(row=name_of(item))
        try:
            work(item)
        except Exception as error:
            text = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            found.append(f"{name_of(item)}: {text}")
            if is_lost(text):
                found.append("CUDA is lost in this process: no row after it was run")
                break
    note(row="")
    return found


def check_row(row, function, calls=1):
    import cupy

    with np.errstate(all="ignore"):
        expected = [np.asarray(out) for out in tree.leaves(row.function(*row.arguments))]
        with fg.default_device("cuda"):
            arguments = list(map(cupy.asarray, row.arguments))
            for _ in range(calls):
                found = tree.leaves(function(*arguments))
    assert not any(isinstance(out, np.ndarray) and out.ndim for out in found)
    assert_same([np.asarray(cupy.asnumpy(out)) for out in found], expected, row.tolerance)


# All dtypes run on the emulator; here each row costs a compilation.
COMPILED_VALUES = "values" if os.environ.get("FUNCGRAD_GPU_ALL") else "one of each kind"


@pytest.mark.parametrize("group", range(GROUPS))
@pytest.mark.parametrize("kind", [COMPILED_VALUES, "derivatives", "batched"])
def test_compiled(kind, group):
    chosen = grouped(kind)[group]
    failed = failures_of(
        lambda row: check_row(row, fg.jit(row.function), CALLS), chosen, lambda row: row.name
    )
    assert not failed, f"{len(failed)} of {len(chosen)} rows:\n" + "\n".join(failed)


@pytest.mark.parametrize("group", range(GROUPS))
@pytest.mark.parametrize("kind", ["values", "derivatives", "batched"])
def test_eager(kind, group):
    # CuPy has few functions of bfloat16; compiled code has all.
    chosen = [
        row for row in grouped(kind)[group] if BFLOAT16 not in [x.dtype for x in row.arguments]
    ]
    failed = failures_of(lambda row: check_row(row, row.function), chosen, lambda row: row.name)
    assert not failed, f"{len(failed)} of {len(chosen)} rows:\n" + "\n".join(failed)


def check_numpy_case(case):
    import cupy

    def put(i, x):
        return x if i in case.static or not isinstance(x, np.ndarray) else cupy.asarray(x)

    expected = tree.leaves(case.call(np, *case.args))
    try:
        found = tree.leaves(case.call(fnp, *[put(i, x) for i, x in enumerate(case.args)]))
    except (AttributeError, TypeError) as error:
        if any(text in str(error) for text in NOT_OURS):
            return
        raise
    for out, want in zip(found, expected, strict=True):
        np.testing.assert_allclose(cupy.asnumpy(out), want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("group", range(GROUPS))
def test_numpy_functions(group):
    chosen = numpy_cases.CASES[group::GROUPS]
    failed = failures_of(check_numpy_case, chosen, lambda case: case.name)
    assert not failed, f"{len(failed)} of {len(chosen)} functions:\n" + "\n".join(failed)
