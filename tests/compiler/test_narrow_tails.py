"""Vectors of narrow elements whose last part has few lanes: nothing behind the array is written or read."""

import ml_dtypes
import numpy as np
import pytest

from funcgrad.compiler.native import compile_native, pointers
from tests.compiler.guarded import guarded
from tests.compiler.programs import recorded

DTYPES = (np.int8, np.uint16, np.float16, ml_dtypes.bfloat16, np.bool_, np.int32, np.float64)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("size", [1, 2, 3, 5, 9, 17, 18, 33, 65, 129, 3009])
def test_narrowed_results(dtype, size):
    x = np.arange(size, dtype=np.float32) % 2
    native = compile_native(recorded(lambda x: (x + 0 * x).astype(dtype), x))
    assert native is not None
    out = guarded(np.zeros(size, dtype))
    assert native.run(pointers([guarded(x)]), pointers([out])) == 0
    np.testing.assert_array_equal(out, x.astype(dtype))
