"""What replaces `ufunc.at` and `ufunc.accumulate` where an array module has none gives the same results."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from funcgrad.ir import primitive
from tests.ops import cases_cumulative, cases_index, cases_reduce, cases_sort

FAMILIES = (cases_cumulative, cases_index, cases_reduce, cases_sort)
CASES = [case for family in FAMILIES for case in family.CASES if case.reference is not None]


class OtherModule:
    """NumPy's functions in a module that is not NumPy, as CuPy is."""

    def __getattr__(self, name):
        return getattr(np, name)


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_same_result_without_numpys_own_loops(case, dtype, monkeypatch):
    if dtype not in case.dtypes:
        pytest.skip("not defined for this dtype")
    args = case.arguments(dtype)
    expected = case.call(*args)
    used = []
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(ndarray=OtherModule))
    monkeypatch.setattr(primitive, "CONCRETE", frozenset())  # so that it asks for every operand
    monkeypatch.setattr(primitive, "array_module", lambda args: used.append(args) or OtherModule())
    found = case.call(*args)
    assert used
    pairs = zip(found, expected, strict=True) if isinstance(found, list) else [(found, expected)]
    for one, other in pairs:
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
