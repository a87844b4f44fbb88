"""What comparing programs with JAX, Optax and plain NumPy has found: each was wrong once."""

from __future__ import annotations

import numpy as np
import pytest

import funcgrad as fg

X = np.array([1.5, -2.0, 0.5])
X32 = X.astype(np.float32)


# --- control flow and collectives ---


@pytest.mark.parametrize("bound", [3, np.int64(3), np.array(3)])
@pytest.mark.parametrize("compiled", [False, True])
def test_the_index_of_fori_loop_is_as_weak_as_that_of_range(bound, compiled):
    def loop(x, n):
        return fg.lax.fori_loop(0, n, lambda i, y: np.cos(y) * i + y, x)

    expected = X32
    for i in range(bound):
        expected = np.cos(expected) * i + expected
    run = fg.jit(loop) if compiled else loop
    assert run(X32, bound).dtype == np.float32
    np.testing.assert_allclose(run(X32, bound), expected, rtol=1e-6)
    assert fg.grad(lambda x: run(x, bound).sum())(X32).dtype == np.float32
    assert fg.lax.fori_loop(0, bound, lambda i, y: y + i, np.int32(0)).dtype == np.int32


def test_psum_of_a_python_number_is_a_python_number():
    sizes = []

    def f(x):
        sizes.append(fg.lax.psum(1, "i"))
        return x * fg.lax.psum(0.5, "i")

    assert fg.vmap(f, axis_name="i")(X32).dtype == np.float32
    assert sizes == [3] and type(sizes[0]) is int


def test_collectives_along_several_axes():
    x = np.arange(6.0).reshape(2, 3)

    def over(collective):
        inner = fg.vmap(lambda v: collective(v, ("i", "j")) + v, axis_name="j")
        return fg.vmap(inner, axis_name="i")(x)

    np.testing.assert_array_equal(over(fg.lax.psum), x.sum() + x)
    np.testing.assert_array_equal(over(fg.lax.pmean), x.mean() + x)
    np.testing.assert_array_equal(over(fg.lax.pmax), x.max() + x)
    np.testing.assert_array_equal(over(fg.lax.pmin), x.min() + x)


@pytest.mark.parametrize(("axis", "expected"), [(0, (6,)), (-1, (6,))])
def test_tiled_all_gather_concatenates(axis, expected):
    x = np.arange(6.0).reshape(3, 2)
    out = fg.vmap(lambda v: fg.lax.all_gather(v, "i", axis=axis, tiled=True), axis_name="i")(x)
    assert out.shape == (3, *expected)
    np.testing.assert_array_equal(out[1], x.ravel())
    columns = fg.vmap(lambda m: fg.lax.all_gather(m, "i", axis=1, tiled=True), axis_name="i")(
        x.reshape(3, 2, 1)
    )
    np.testing.assert_array_equal(columns[0], x.T)


# --- random, nn ---


def test_key_data_of_several_keys():
    keys = fg.random.split(fg.random.key(0), 2)
    expected = [[1797259609, 2579123966], [928981903, 3453687069]]
    np.testing.assert_array_equal(fg.random.key_data(keys), expected)
    np.testing.assert_array_equal(fg.random.wrap_key_data(keys), expected)
    with pytest.raises(ValueError, match="takes one key"):
        fg.random.normal(keys)


def test_standardize_with_a_python_variance_keeps_the_dtype():
    out = fg.nn.standardize(X32, mean=0.0, variance=4)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, X32 / 2, rtol=1e-5)
