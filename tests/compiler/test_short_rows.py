"""Rows shorter than a vector: what lanes that are off hold never reaches a result."""

import functools

import numpy as np
import pytest

import funcgrad as fg

REDUCTIONS = {
    "sum": lambda x, y: (x / y).sum(1),
    "sum of zeros": lambda x, y: (0 * (x / y)).sum(1),
    "product": lambda x, y: (x / y).prod(1),
    "largest": lambda x, y: (x / y).max(1),
    "logarithms": lambda x, y: np.log(x / y).sum(1),
    "columns": lambda x, y: (x / y).sum(0),
}

# One compiled function for all sizes and dtypes, as users have it.
jit = functools.cache(fg.jit)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("length", [1, 2, 3, 5, 7, 9, 17])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_quotients(name, length, dtype):
    if name == "largest" and dtype.startswith("c"):
        pytest.skip("complex numbers have no order")
    rng = np.random.default_rng(length)
    x, y = (rng.uniform(1, 2, (13, length)).astype(dtype) for _ in range(2))
    found = jit(REDUCTIONS[name])(x, y)
    rtol = {2: 2e-2, 4: 1e-4, 8: 1e-10}[np.zeros((), dtype).real.itemsize]
    np.testing.assert_allclose(found, REDUCTIONS[name](x, y), rtol=rtol, atol=rtol)
    assert found.dtype == dtype
