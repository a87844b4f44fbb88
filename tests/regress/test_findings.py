"""Programs of a new user that once failed, each with what it should do."""

from __future__ import annotations

import numpy as np
import pytest

import funcgrad as fg

X = np.array([1.0, 2.0, 3.0])


def write_into_views(x):
    out = np.zeros(4, like=x)
    part = out[1:3]
    part[:] = x[:2]
    part += 1.0
    out[0] = 9.0
    grid = out.reshape(2, 2)
    grid[1] = x[0]
    grid.T[0, 0] = x[1] * 3.0
    return out


@pytest.mark.parametrize(
    "derivative",
    [
        fg.jacfwd,
        lambda f: fg.jit(fg.jacfwd(f)),
        lambda f: lambda x: fg.vmap(fg.jacfwd(f))(x[None])[0],
        lambda f: lambda x: np.stack([fg.linearize(f, x)[1](e) for e in np.eye(3)], axis=1),
    ],
)
def test_forward_mode_sees_writes_of_traced_values_into_views_of_buffers(derivative):
    np.testing.assert_array_equal(
        fg.jvp(write_into_views, (X,), (X,))[0], write_into_views(X.copy())
    )
    expected = [[0.0, 3.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    np.testing.assert_array_equal(derivative(write_into_views)(X), expected)
