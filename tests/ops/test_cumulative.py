"""Running operations: zeros, ties, NaN, infinities, dtypes, recurrences."""

import itertools

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from funcgrad.ops.arithmetic import multiply
from funcgrad.ops.cumulative import cumlogsumexp, cummax, cummin, cumprod, cumsum
from funcgrad.ops.extremal_reduce import reduce_max
from funcgrad.ops.index import getitem
from funcgrad.ops.recurrence import linear_recurrence
from funcgrad.ops.reduce import reduce_sum
from funcgrad.transforms.forward import jvp
from funcgrad.transforms.grad import grad, vjp
from funcgrad.transforms.jit import jit
from funcgrad.transforms.vmap import vmap
from tests.ops.derivatives import check_derivatives

pytestmark = pytest.mark.filterwarnings(
    "ignore::funcgrad.transforms.recompile.RecompilationWarning"
)

assert_same = np.testing.assert_array_equal
RUNNING = {
    cumsum: np.add,
    cumprod: np.multiply,
    cummax: np.maximum,
    cummin: np.minimum,
    cumlogsumexp: np.logaddexp,
}
numbers = st.integers(-3, 3).map(float)
arrays = hnp.arrays(np.float64, st.tuples(*[st.integers(0, 5)] * 2), elements=numbers)


@given(arrays, st.sampled_from([0, 1, -1]), st.booleans())
def test_running_operations_are_numpys(x, axis, reverse):
    for function, ufunc in RUNNING.items():
        turned = np.flip(x, axis) if reverse else x
        expected = ufunc.accumulate(turned, axis=axis)
        expected = np.flip(expected, axis) if reverse else expected
        run = lambda x: function(x, axis, reverse)
        for found in (run(x), jit(run)(x), vmap(run)(x[None])[0]):
            np.testing.assert_allclose(found, expected)
        spread = x + 0.01 * np.random.default_rng(0).permutation(x.size).reshape(x.shape)
        check_derivatives(run, spread, order=1, step=1e-4, tolerance=1e-3)


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        ([2.0, 0, 3, 0, 5], [1, 8, 0, 0, 0]),
        ([0.0, 2, 3], [9, 0, 0]),
        ([2.0, 3, 0], [4, 2, 6]),
        ([2.0, 0, 0, 3], [1, 2, 0, 0]),
    ],
)
def test_running_product_with_zeros(x, expected):  # R14
    total = lambda x: reduce_sum(cumprod(x))
    assert_same(grad(total)(np.array(x)), expected)
    assert_same(jit(grad(total))(np.array(x)), expected)
    check_derivatives(cumprod, np.array(x), order=3, step=1e-4, tolerance=1e-3)


def test_equal_elements_share_evenly():
    ties = np.array([1.0, 3, 3, 2])
    for run in (grad(lambda x: reduce_sum(cummax(x))), jit(grad(lambda x: reduce_sum(cummax(x))))):
        assert_same(run(ties), [1, 2, 1, 0])
    assert_same(grad(lambda x: reduce_sum(cummin(x)))(-ties), [1, 2, 1, 0])
    assert_same(grad(lambda x: reduce_sum(cummax(x, reverse=True)))(ties), [0, 1, 2, 1])
    assert_same(grad(lambda x: reduce_sum(cummin(x)))(np.array([3.0, 1, 2, 1])), [1, 2.5, 0, 0.5])
    last = lambda x: getitem(cummax(x), -1)
    threes = np.array([3.0, 1, 3, 3])
    np.testing.assert_allclose(grad(last)(threes), grad(reduce_max)(threes))


def test_running_extrema_keep_nan():
    x = np.array([1.0, np.nan, 3, np.nan])
    assert_same(cummax(x), [1, np.nan, np.nan, np.nan])
    small = cummin(x.astype(ml_dtypes.bfloat16))
    assert_same(small.astype(float), [1, np.nan, np.nan, np.nan])


@pytest.mark.parametrize(
    ("x", "value"),
    [
        ([-np.inf, 0.0, 1.0], [-np.inf, 0, 1.3132616875]),
        ([-np.inf, -np.inf], [-np.inf, -np.inf]),
        ([np.inf, 1.0], [np.inf, np.inf]),
        ([1.0, np.inf, np.inf], [1, np.inf, np.inf]),
        ([1000.0, 1000.0], [1000, 1000 + np.log(2)]),
    ],
)
def test_running_logsumexp_of_infinities(x, value):  # R15
    x = np.array(x)
    np.testing.assert_allclose(cumlogsumexp(x), value)
    weights = np.arange(1.0, len(x) + 1)
    total = lambda x: reduce_sum(multiply(cumlogsumexp(x), weights))
    for run in (grad(total), jit(grad(total))):
        gradient = run(x)
        assert np.all(np.isfinite(gradient))
        np.testing.assert_allclose(gradient.sum(), weights[np.array(value) > -np.inf].sum())
    assert np.all(np.isfinite(grad(lambda x: reduce_sum(multiply(grad(total)(x), weights)))(x)))


def test_dtypes_are_kept():
    for dtype in (np.int8, np.uint16, np.float16, np.float32, ml_dtypes.bfloat16):
        for function in (cumsum, cumprod, cummax, cummin):
            assert function(np.ones(3, dtype)).dtype == dtype
    assert_same(cumsum(np.ones(5000, np.float16))[-1], 5000)
    assert cumlogsumexp([1, 2]).dtype == np.float64


def test_recurrence_of_a_decaying_average():
    decay, x = np.full(4, 0.5), np.array([4.0, 0, 2, 0])
    assert_same(linear_recurrence(decay, x), [4, 2, 3, 1.5])
    assert_same(linear_recurrence(decay, x, reverse=True), [4.5, 1, 2, 0])
    assert linear_recurrence(np.zeros((2, 0)), np.zeros((2, 0))).shape == (2, 0)


def test_recurrence_whose_factors_overflow():
    factor, term = np.array([1.0, 1e200, 1e200, 0.0]), np.array([0.0, 0.0, 1.0, 1.0])
    assert_same(linear_recurrence(factor, term), [0, 0, 1, 1])


@given(st.integers(1, 70))
def test_recurrence_of_every_length(length):
    rng = np.random.default_rng(length)
    factor, term = rng.uniform(-1, 1, (2, length, 3))
    expected, last = np.zeros_like(term), 0
    for k in range(length):
        expected[k] = last = factor[k] * last + term[k]
    run = lambda f, t: linear_recurrence(f, t, axis=0)
    np.testing.assert_allclose(run(factor, term), expected)
    check_derivatives(run, factor, term, order=1)


def by_products(x, dx):
    """The tangent of a running product as the sum of products in which one factor is a tangent."""
    out = np.zeros_like(x)
    for k in range(len(x)):
        for i in range(k + 1):
            out[k] += np.prod([dx[j] if j == i else x[j] for j in range(k + 1)])
    return out


@pytest.mark.parametrize("length", [1, 2, 3, 5])
def test_derivatives_of_products_with_zeros(length):
    """Of both signs, several at once; compiled and not they have the same bits, and no zero is -0."""
    push = lambda x, dx: jvp(cumprod, (x,), (dx,))[1]
    pull = lambda x, dx: vjp(cumprod, x)[1](dx)[0]
    rng = np.random.default_rng(length)
    compiled_push, compiled_pull = jit(push), jit(pull)
    identity = np.eye(length)
    for x in itertools.product([0.0, -0.0, 2.0, -3.0], repeat=length):
        x = np.array(x)
        dx = rng.choice([0.0, -0.0, 1.5, -0.5], length)
        pushed, pulled = push(x, dx), pull(x, dx)
        np.testing.assert_array_equal(pushed, by_products(x, dx))
        columns = [by_products(x, column) for column in identity]
        np.testing.assert_array_equal(pulled, [column @ dx for column in columns])
        assert compiled_push(x, dx).tobytes() == pushed.tobytes()
        assert compiled_pull(x, dx).tobytes() == pulled.tobytes()
        assert not np.signbit(pushed[pushed == 0]).any()


@pytest.mark.parametrize(
    "x", [[1, np.inf, 0, 2], [np.inf, 2, 3], [0, np.inf, 1], [2, np.nan, 3], [np.nan, 0, 3]]
)
def test_derivatives_of_products_with_infinities_and_nan(x):
    x = np.array(x, float)
    ones = np.ones_like(x)
    with np.errstate(all="ignore"):
        expected = by_products(x, ones)
        pulled = np.sum([by_products(x, column) * ones for column in np.eye(len(x))], axis=1)
        defined = ~np.isnan(pulled)
        for run in (lambda f: f, jit):
            np.testing.assert_array_equal(
                run(lambda x: jvp(cumprod, (x,), (ones,))[1])(x), expected
            )
            found = run(lambda x: vjp(cumprod, x)[1](ones)[0])(x)
            np.testing.assert_array_equal(found[defined], pulled[defined])
