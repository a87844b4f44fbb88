"""The numbers themselves, as JAX's threefry generator gives them (CONVENTIONS.md, section 7)."""

import ml_dtypes
import numpy as np
import pytest

from funcgrad import random
from funcgrad.ops.random_bits import threefry_words

KEY = random.key(0)
ROWS = np.arange(12.0).reshape(3, 4)
CHANCES = np.array([0.1, 0.2, 0.3, 0.4])

# The table of CONVENTIONS.md, for key(0) and the default dtypes.
TABLE = {
    "split": (lambda: random.split(KEY), [[1797259609, 2579123966], [928981903, 3453687069]]),
    "fold_in": (lambda: random.fold_in(KEY, 1), [928981903, 3453687069]),
    "bits": (lambda: random.bits(KEY, (4,)), [4070199207, 4202968722, 1427181096, 2012915765]),
    "bits of 8": (lambda: random.bits(KEY, (4,), np.uint8), [167, 146, 40, 53]),
    "bits of 64": (
        lambda: random.bits(KEY, (2,), np.uint64),
        [7719171245655871230, 3989946895414531357],
    ),
    "uniform": (
        lambda: random.uniform(KEY, (3,)),
        np.float32([0.947667, 0.9785799, 0.33229148]),
    ),
    "uniform of 64": (
        lambda: random.uniform(KEY, (2,), np.float64),
        [0.41845711171638644, 0.21629545460551136],
    ),
    "randint of 32": (lambda: random.randint(KEY, (4,), 0, 10, np.int32), [9, 0, 2, 3]),
    "randint": (lambda: random.randint(KEY, (4,), 0, 10), [5, 1, 5, 7]),
    "permutation": (lambda: random.permutation(KEY, 5), [0, 1, 4, 3, 2]),
    "bernoulli": (lambda: random.bernoulli(KEY, 0.5, (4,)), [False, False, True, True]),
    "categorical": (
        lambda: random.categorical(KEY, np.zeros(4, np.float32), shape=(5,)),
        [1, 3, 2, 3, 0],
    ),
    "choice": (lambda: random.choice(KEY, 5, (3,)), [0, 1, 0]),
    "choice without replacement": (
        lambda: random.choice(KEY, 5, (3,), replace=False),
        [0, 1, 4],
    ),
    "key": (lambda: random.key(-1), [4294967295, 4294967295]),
}

# Measured with JAX 0.10.2 in double precision, for key(42).
MORE = {
    "key": (lambda key: random.key(-12345678901), [4294967293, 539222987]),
    "split": (lambda key: random.split(key, (2, 1))[1, 0], [64467757, 2916123636]),
    "fold_in": (lambda key: random.fold_in(key, 2**32 - 1), [2398536845, 3890976714]),
    "bits of 16": (lambda key: random.bits(key, (4,), np.uint16), [5026, 12505, 63993, 49623]),
    "uniform of 16": (
        lambda key: random.uniform(key, (3,), np.float16),
        [0.076171875, 0.1904296875, 0.9755859375],
    ),
    "uniform bfloat16": (
        lambda key: random.uniform(key, (3,), ml_dtypes.bfloat16).astype(np.float64),
        [0.6328125, 0.84375, 0.96875],
    ),
    "randint of 8": (
        lambda key: random.randint(key, (5,), -50, 100, np.int8),
        [94, 64, -29, -31, 9],
    ),
    "all of uint8": (
        lambda key: random.randint(key, (5,), 0, 256, np.uint8),
        [196, 18, 183, 193, 141],
    ),
    "randint": (lambda key: random.randint(key, (4,), -50, 100), [85, 68, -47, 71]),
    "randint with arrays": (
        lambda key: random.randint(key, (2, 2), np.array([0, 10]), np.array([5, 100])),
        [[0, 68], [3, 41]],
    ),
    "permutation of columns": (
        lambda key: random.permutation(key, ROWS, axis=1)[:2],
        [[2, 3, 0, 1], [6, 7, 4, 5]],
    ),
    "independent permutations": (
        lambda key: random.permutation(key, ROWS, axis=1, independent=True),
        [[2, 3, 0, 1], [7, 4, 5, 6], [10, 11, 8, 9]],
    ),
    "two rounds": (lambda key: random.permutation(key, 3000)[:4], [2629, 116, 2048, 2566]),
    "weighted choice": (lambda key: random.choice(key, 4, (6,), p=CHANCES), [2, 3, 2, 1, 2, 2]),
    "weighted choice without replacement": (
        lambda key: random.choice(key, 4, (3,), p=CHANCES, replace=False),
        [3, 2, 0],
    ),
    "choice of columns": (
        lambda key: random.choice(key, ROWS, (2,), replace=False, axis=1),
        [[2, 3], [6, 7], [10, 11]],
    ),
    "categorical along an axis": (lambda key: random.categorical(key, ROWS, axis=0), [2, 2, 2, 2]),
    "categorical with a shape": (
        lambda key: random.categorical(key, ROWS, shape=(2, 3)),
        [[3, 3, 3], [2, 3, 3]],
    ),
}

# These go through functions such as erfinv, whose last bits differ.
CONTINUOUS = {
    "normal": [-0.18471174528191162, -2.169824560397754, 0.18693555179382582],
    "gumbel": [0.16062720630382138, -1.4348544993307841, 0.5890136500161952],
    "exponential": [0.5563942243855916, 0.015123860720489336, 0.8536549993431988],
    "laplace": [0.15846230602649014, 3.5058868215207473, -0.16050781878325354],
    "logistic": [-0.29521526220084393, -4.183910141360207, 0.29878068416298553],
    "cauchy": [-0.23434604341667786, -21.19070234669309, 0.23723777098183235],
}


@pytest.mark.parametrize("row", TABLE)
def test_table_of_conventions(row):
    draw, expected = TABLE[row]
    np.testing.assert_array_equal(draw(), expected)


@pytest.mark.parametrize("row", MORE)
def test_more_values(row):
    draw, expected = MORE[row]
    np.testing.assert_array_equal(draw(random.key(42)), expected)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous_distributions(name):
    drawn = getattr(random, name)(random.key(42), (3,), np.float64)
    np.testing.assert_allclose(drawn, CONTINUOUS[name], rtol=1e-12)


def test_normal_of_the_table():
    drawn = random.normal(KEY, (3,))
    np.testing.assert_allclose(drawn, [1.6226422, 2.0252647, -0.43359444], rtol=5e-7)


def test_truncated_normal():
    drawn = random.truncated_normal(random.key(42), -1.0, 2.0, (3,), np.float64)
    expected = [0.01998452592513169, -0.9504476695340623, 0.32827144083703297]
    np.testing.assert_allclose(drawn, expected, rtol=1e-12)


def test_known_answers_of_threefry():
    """From the tests of the Random123 library."""
    ones = (1 << 64) - 1
    assert threefry_words(0, 0) == 0x6B20015999BA4EFE
    assert threefry_words(ones, ones) == 0x1CB996FCBB002BE7
    assert threefry_words(0x13198A2E03707344, 0x243F6A8885A308D3) == 0xC4923A9C483DF7A0
