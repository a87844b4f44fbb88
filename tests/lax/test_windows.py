"""Pooling: sums, extrema and any other function over windows; ties, NaN, padding, and errors."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax

X = np.array([1.0, 4.0, 4.0, 2.0, 0.0])


@pytest.mark.parametrize("largest", [lax.max, max, np.maximum])
@pytest.mark.parametrize("init", [-np.inf, np.float64(-np.inf)])
def test_names_of_the_same_function(largest, init):
    out = lax.reduce_window(X, init, largest, (2,), (2,))
    np.testing.assert_array_equal(out, [4.0, 4.0])
    assert "window_max" in str(
        fg.make_jaxpr(lambda x: lax.reduce_window(x, init, largest, (2,)))(X)
    )


def test_another_start_counts_once():
    out = lax.reduce_window(X, 10.0, lax.add, (2,), (2,), "SAME")
    np.testing.assert_array_equal(out, [15.0, 16.0, 10.0])
    out = lax.reduce_window(X, 3.0, lax.max, (2,), (2,), "SAME")
    np.testing.assert_array_equal(out, [4.0, 4.0, 3.0])
    traced = fg.jit(lambda start: lax.reduce_window(X, start, lax.add, (2,), (2,), "SAME"))(10.0)
    np.testing.assert_array_equal(traced, [15.0, 16.0, 10.0])


def test_any_function():
    out = lax.reduce_window(X, 1.0, lax.mul, (2,), (2,), [(1, 0)])
    np.testing.assert_array_equal(out, [1.0, 16.0, 0.0])
    out = lax.reduce_window(X, -np.inf, np.logaddexp, (3,), padding="SAME")
    sums = lax.reduce_window(np.exp(X), 0.0, lax.add, (3,), padding="SAME")
    np.testing.assert_allclose(out, np.log(sums))
    pull = fg.grad(lambda x: lax.reduce_window(x, 1.0, lax.mul, (5,))[0])
    np.testing.assert_array_equal(pull(X), [0.0, 0.0, 0.0, 0.0, 32.0])


def test_integers_and_booleans():
    x = np.array([3, -1, 2], np.int8)
    for init in (-128, -np.inf):
        out = lax.reduce_window(x, init, lax.max, (2,), padding="SAME")
        np.testing.assert_array_equal(out, np.array([3, 2, 2], np.int8))
        assert out.dtype == np.int8
    out = lax.reduce_window(x > 0, False, lax.max, (2,), padding="SAME")
    np.testing.assert_array_equal(out, [True, True, True])


@pytest.mark.parametrize("mode", ["eager", "jit"])
def test_the_first_of_equal_elements_gets_the_derivative(mode):
    pull = fg.grad(lambda x: lax.reduce_window(x, -np.inf, lax.max, (5,))[0])
    pull = fg.jit(pull) if mode == "jit" else pull
    np.testing.assert_array_equal(pull(X), [0.0, 1.0, 0.0, 0.0, 0.0])


def test_nan_is_the_extremum_and_gets_the_derivative():
    x = np.array([1.0, np.nan, 3.0, np.nan])
    for function, init in ((lax.max, -np.inf), (lax.min, np.inf)):
        reduce = lambda x: lax.reduce_window(x, init, function, (2,), (2,))
        assert np.isnan(reduce(x)).all()
        _, pull = fg.vjp(reduce, x)
        np.testing.assert_array_equal(pull(np.array([5.0, 7.0]))[0], [0.0, 5.0, 0.0, 7.0])


def test_padding_gets_no_derivative():
    _, pull = fg.vjp(lambda x: lax.reduce_window(x, -np.inf, lax.max, (2,), padding=[(3, 3)]), X)
    np.testing.assert_array_equal(pull(np.ones(10))[0], [1.0, 2.0, 1.0, 1.0, 1.0])


def test_many_positions_in_a_window():
    x = np.random.default_rng(0).normal(size=(40, 40))
    pull = fg.grad(lambda x: lax.reduce_window(x, -np.inf, lax.max, (40, 40))[0, 0])
    np.testing.assert_array_equal(pull(x), x == x.max())


def test_average_pooling_counts_what_is_inside():
    pool = lambda x: lax.reduce_window(x, 0.0, lax.add, (3,), (2,), "SAME")
    means = pool(X) / pool(np.ones_like(X))
    np.testing.assert_allclose(means, [2.5, 10 / 3, 1.0])


def test_no_axes_and_no_elements():
    assert lax.reduce_window(3.0, -np.inf, lax.max, ()) == 3.0
    empty = np.ones((0, 4))
    out, pull = fg.vjp(lambda x: lax.reduce_window(x, -np.inf, lax.max, (1, 2)), empty)
    assert out.shape == (0, 3) and pull(out)[0].shape == (0, 4)
    out, pull = fg.vjp(lambda x: lax.reduce_window(x, 0.0, lax.add, (1, 5)), np.ones((2, 4)))
    assert out.shape == (2, 0)
    np.testing.assert_array_equal(pull(out)[0], np.zeros((2, 4)))


def test_pad():
    x = np.arange(6.0).reshape(2, 3)
    out = lax.pad(x, 9.0, [(0, 1, 0), (1, -2, 1)])
    np.testing.assert_array_equal(out, [[9, 0, 9, 1], [9, 3, 9, 4], [9, 9, 9, 9]])
    _, pull = fg.vjp(lambda x, v: lax.pad(x, v, [(0, 1, 0), (1, -2, 1)]), x, np.float64(9.0))
    ct_x, ct_value = pull(np.ones((3, 4)))
    np.testing.assert_array_equal(ct_x, [[1, 1, 0], [1, 1, 0]])
    assert ct_value == 8
    assert lax.pad(x, 0.0, [(-2, 0, 0), (0, 0, 0)]).shape == (0, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"window_dimensions": (2, 2)}, "1 axes need 1 ints"),
        ({"window_dimensions": (0,)}, "at least 1"),
        ({"window_strides": (-1,)}, "window_strides"),
        ({"base_dilation": (0,)}, "base_dilation"),
        ({"window_dilation": (1, 1)}, "window_dilation"),
        ({"padding": "FULL"}, "VALID"),
        ({"padding": [(0, 0, 0)]}, "pairs"),
    ],
)
def test_errors(arguments, message):
    given = {"window_dimensions": (2,)} | arguments
    with pytest.raises(ValueError, match=message):
        lax.reduce_window(X, 0.0, lax.add, **given)


def test_pad_needs_a_triple_per_axis():
    with pytest.raises(ValueError, match=r"shape \(5,\).*for each axis"):
        lax.pad(X, 0.0, [(1, 1, 0), (0, 0, 0)])
