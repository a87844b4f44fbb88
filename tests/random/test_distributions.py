"""Whether the numbers are distributed as they should be, with their dtypes and shapes."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import stats

from funcgrad import random

COUNT = 20_000
ROWS = np.arange(12.0).reshape(3, 4)

CONTINUOUS = {
    "uniform": stats.uniform,
    "normal": stats.norm,
    "exponential": stats.expon,
    "gumbel": stats.gumbel_r,
    "laplace": stats.laplace,
    "logistic": stats.logistic,
    "cauchy": stats.cauchy,
}


@pytest.mark.parametrize("name", CONTINUOUS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_continuous_distribution(name, dtype):
    drawn = getattr(random, name)(5, (COUNT,), dtype)
    assert drawn.dtype == dtype and drawn.shape == (COUNT,) and np.isfinite(drawn).all()
    assert stats.kstest(drawn, CONTINUOUS[name].cdf).pvalue > 1e-3


@pytest.mark.parametrize("name", CONTINUOUS)
@pytest.mark.parametrize("dtype", [None, np.float16, ml_dtypes.bfloat16])
def test_dtypes(name, dtype):
    drawn = getattr(random, name)(1, (2, 3), dtype)
    assert drawn.dtype == np.dtype(np.float32 if dtype is None else dtype)
    assert drawn.shape == (2, 3)
    assert getattr(random, name)(1).shape == ()


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
def test_uniform_stays_below_its_bound(dtype):
    drawn = random.uniform(3, (COUNT,), dtype)
    assert (drawn >= 0).all() and (drawn < 1).all()


def test_truncated_normal():
    drawn = random.truncated_normal(2, -1.0, 0.5, (COUNT,))
    assert ((drawn > -1) & (drawn < 0.5)).all()
    assert stats.kstest(drawn, stats.truncnorm(-1, 0.5).cdf).pvalue > 1e-3
    bounds = np.float32([-np.inf, 0.0])
    assert random.truncated_normal(0, bounds, bounds + 1).shape == (2,)


def test_complex_normal():
    drawn = random.normal(2, (COUNT,), np.complex64)
    assert drawn.dtype == np.complex64
    assert abs(np.mean(abs(drawn) ** 2) - 1) < 0.05
    assert stats.kstest(drawn.imag * np.sqrt(2), stats.norm.cdf).pvalue > 1e-3


def assert_frequencies(drawn, chances):
    counts = np.bincount(drawn.ravel(), minlength=len(chances))
    assert stats.chisquare(counts, np.asarray(chances) * drawn.size).pvalue > 1e-3


def test_integers():
    assert_frequencies(random.randint(0, (COUNT,), 0, 7), np.full(7, 1 / 7))
    assert_frequencies(random.randint(0, (COUNT,), 0, 256, np.uint8), np.full(256, 1 / 256))
    np.testing.assert_array_equal(random.randint(0, (3,), 5, 5), 5)
    np.testing.assert_array_equal(random.randint(0, (3,), 5, -5), 5)
    everything = random.randint(0, (COUNT,), -(2**63), 2**63)
    assert abs((everything > 0).mean() - 0.5) < 0.02


@given(
    st.sampled_from([np.int8, np.int32, np.int64, np.uint16, np.uint64]), st.data(), st.integers()
)
def test_integers_stay_within_any_bounds(dtype, data, seed):
    limits = np.iinfo(dtype)
    low = data.draw(st.integers(limits.min, limits.max))
    high = data.draw(st.integers(low + 1, limits.max + 1))
    drawn = random.randint(seed % 2**63, (50,), low, high, dtype)
    assert drawn.dtype == dtype
    assert all(low <= int(number) < high for number in drawn)


def test_coins():
    assert abs(random.bernoulli(0, 0.3, (COUNT,)).mean() - 0.3) < 0.02
    assert random.bernoulli(0, np.array([0.0, 1.0])).tolist() == [False, True]
    signs = random.rademacher(0, (COUNT,))
    assert set(signs.tolist()) == {-1, 1} and abs(signs.mean()) < 0.03


def test_categories():
    chances = np.array([0.1, 0.2, 0.0, 0.7])
    with np.errstate(divide="ignore"):
        logits = np.log(chances)
    drawn = random.categorical(0, logits, shape=(COUNT,))
    assert drawn.dtype == np.int64 and 2 not in drawn
    kept = np.array([0.1, 0.2, 0.7])
    assert_frequencies(np.where(drawn == 3, 2, drawn), kept)
    assert random.categorical(0, ROWS).shape == (3,)
    assert random.categorical(0, ROWS, axis=0).shape == (4,)
    assert random.categorical(0, ROWS, axis=0, shape=(5, 4)).shape == (5, 4)


def test_choices():
    chances = np.array([0.1, 0.2, 0.3, 0.4])
    assert_frequencies(random.choice(0, 4, (COUNT,)), np.full(4, 0.25))
    assert_frequencies(random.choice(0, 4, (COUNT,), p=chances), chances)
    first = np.array([random.choice(seed, 4, (2,), False, chances)[0] for seed in range(400)])
    assert_frequencies(first, chances)
    assert random.choice(0, ROWS).shape == (4,)
    assert random.choice(0, ROWS, (2, 5), axis=1).shape == (3, 2, 5)
    assert sorted(random.choice(0, np.arange(5.0), (5,), replace=False)) == [0, 1, 2, 3, 4]


def test_permutations():
    orders = [tuple(random.permutation(seed, 3).tolist()) for seed in range(600)]
    numbers = np.array([sorted(set(orders)).index(order) for order in orders])
    assert_frequencies(numbers, np.full(6, 1 / 6))
    moved = random.permutation(1, ROWS)
    assert sorted(moved[:, 0].tolist()) == [0, 4, 8]
    np.testing.assert_array_equal(moved[:, 1] - moved[:, 0], 1)
    assert random.permutation(0, 0).shape == (0,) and random.permutation(0, 1).tolist() == [0]
    assert sorted(random.permutation(0, np.float32([3, 1, 2])).tolist()) == [1, 2, 3]


def test_bits_are_even():
    drawn = random.bits(0, (COUNT,), np.uint64)
    shares = [((drawn >> np.uint64(i)) & np.uint64(1)).mean() for i in range(64)]
    assert max(abs(np.array(shares) - 0.5)) < 0.02
    assert random.bits(0).shape == () and random.bits(0, 3).shape == (3,)


def test_a_number_does_not_depend_on_how_many_are_drawn():
    long = random.normal(0, (100_000,))
    np.testing.assert_array_equal(long[:3], random.normal(0, (3,)))
    np.testing.assert_array_equal(long.reshape(10, 100, 100), random.normal(0, (10, 100, 100)))
    assert random.uniform(0, (0,)).shape == (0,)
