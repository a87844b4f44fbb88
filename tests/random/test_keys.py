"""Seeds, keys, wrong arguments, and the check for keys that are used twice."""

import warnings

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import random
from funcgrad.config import config
from funcgrad.errors import KeyReuseWarning


def test_a_key_is_a_plain_array():
    key = random.key(7)
    assert type(key) is np.ndarray and key.dtype == np.uint32 and key.tolist() == [0, 7]
    assert random.key(2**32 + 5).tolist() == [1, 5]
    assert random.key(2**64 - 1).tolist() == random.key(-1).tolist()
    assert random.key(np.int8(-1)).tolist() == random.key(np.array(-1)).tolist() == [2**32 - 1] * 2
    np.testing.assert_array_equal(random.PRNGKey(3), random.key(3, impl="threefry2x32"))
    np.testing.assert_array_equal(random.wrap_key_data(random.key_data(key)), key)


def test_a_seed_is_taken_for_a_key():
    np.testing.assert_array_equal(random.normal(3, (2,)), random.normal(random.key(3), (2,)))
    np.testing.assert_array_equal(random.split(np.int64(3)), random.split(random.key(3)))
    np.testing.assert_array_equal(random.fold_in(3, np.array(4)), random.fold_in(random.key(3), 4))


def test_keys_of_a_split_differ():
    keys = random.split(0, 1000)
    assert len(np.unique(keys, axis=0)) == 1000
    assert random.split(0, (2, 3)).shape == (2, 3, 2)
    assert random.split(0, 0).shape == (0, 2)
    np.testing.assert_array_equal(random.split(0, 5)[:3], random.split(0, 3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: random.key("a"), TypeError, r"\[key\] the seed must be an integer.*'a'"),
        (lambda: random.key(True), TypeError, r"\[key\] the seed must be an integer"),
        (lambda: random.key(2**64), OverflowError, r"\[key\] .* 64 bits"),
        (lambda: random.key(0, impl="rbg"), ValueError, r"\[key\] impl='rbg'.*threefry2x32"),
        (lambda: random.normal(0.5), TypeError, r"\[normal\] a random key is a seed.*float: 0.5"),
        (lambda: random.normal(np.zeros(2)), TypeError, r"\[normal\].*float64\[2\].*random.key"),
        (lambda: random.normal(random.split(0)), ValueError, r"\[normal\] takes one key.*vmap"),
        (lambda: random.normal(0, (-1,)), TypeError, r"\[normal\] a shape .* not negative"),
        (lambda: random.normal(0, 2.0), TypeError, r"\[normal\] a shape is a tuple of integers"),
        (lambda: random.normal(0, 2, 3), TypeError, r"\[normal\] .* as one shape: \(2, 3\)"),
        (lambda: random.uniform(0, (2,), int), TypeError, r"\[uniform\] dtype must be floating"),
        (lambda: random.uniform(0, (2,), minval=np.zeros(3)), ValueError, r"\[uniform\]"),
        (
            lambda: random.uniform(0, (), minval=np.zeros(3)),
            ValueError,
            r"shape \(3,\).*shape=\(\)",
        ),
        (lambda: random.bits(0, (2,), np.int32), TypeError, r"\[bits\] dtype must be an unsigned"),
        (lambda: random.randint(0, (2,), 0.0, 1), TypeError, r"\[randint\].*integers.*float64"),
        (lambda: random.randint(0, (2,), 0, 300, np.int8), OverflowError, r"\[randint\].*300"),
        (lambda: random.randint(0, (2,), 0, 1, float), TypeError, r"\[randint\] dtype"),
        (lambda: random.fold_in(0, 0.5), TypeError, r"\[fold_in\] data must be an integer"),
        (lambda: random.choice(0, 3, (4,), replace=False), ValueError, r"\[choice\].*4.*from 3"),
        (lambda: random.choice(0, 0, (4,)), ValueError, r"\[choice\] cannot draw 4"),
        (lambda: random.choice(0, 3, p=[0.5, 0.5]), ValueError, r"\[choice\] p must have shape"),
        (lambda: random.categorical(0, np.zeros((2, 3)), shape=(3,)), ValueError, r"\[categor"),
        (lambda: random.categorical(0, np.zeros(3), axis=1), ValueError, r"\[categorical\] axis 1"),
        (lambda: random.permutation(0, np.zeros(3), axis=1), ValueError, r"\[permutation\] axis"),
    ],
)
def test_errors_name_the_function_and_the_cure(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_traced_shape_says_what_to_do():
    with pytest.raises(fg.TracerIntegerConversionError, match="static_argnames"):
        fg.jit(lambda n: random.normal(0, (n,)))(3)


@pytest.fixture
def reuse_check():
    with config.override(debug_key_reuse=True):
        yield


@pytest.mark.usefixtures("reuse_check")
class TestReuse:
    def test_the_second_use_warns_and_names_both(self):
        key = random.key(1)
        random.normal(key)
        with pytest.warns(
            KeyReuseWarning, match=r"(?s)used twice.*first in normal.*now in uniform.*split"
        ):
            random.uniform(key)

    def test_equal_seeds_and_copies_are_the_same_key(self):
        random.normal(3)
        with pytest.warns(KeyReuseWarning):
            random.normal(3)
        with pytest.warns(KeyReuseWarning):
            random.split(random.key(3).copy())

    def test_the_warning_points_to_the_user(self):
        random.normal(4)
        with pytest.warns(KeyReuseWarning) as caught:
            random.normal(4)
        assert caught[0].filename == __file__

    def test_each_block_begins_anew(self):
        random.normal(6)
        with config.override(debug_key_reuse=True), pytest.warns(KeyReuseWarning):
            random.normal(6)
        with config.override(debug_key_reuse=False):
            random.normal(6)
        random.normal(6)

    def test_good_programs_pass(self):
        key, base = random.split(0)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for step in range(3):
                key, subkey = random.split(key)
                random.normal(subkey, (2,))
                random.bernoulli(random.fold_in(base, step))
            random.choice(random.fold_in(base, 100), 5, (3,), replace=False)
            random.key_data(base)

    def test_fold_in_gives_the_keys_of_a_split(self):
        key = random.key(0)
        random.normal(random.split(key)[0])
        with pytest.warns(KeyReuseWarning):
            random.normal(random.fold_in(key, 0))

    def test_traced_keys_are_not_checked(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            fg.jit(lambda key: random.normal(key) + random.normal(key))(random.key(9))


def test_the_check_is_off_by_default():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        random.normal(3)
        random.normal(3)


@pytest.mark.parametrize("wrong", ["seed", np.random.default_rng(0), None])
def test_what_is_no_key_is_named(wrong):
    text = rf"\[normal\] a random key is .* but got {type(wrong).__name__}"
    with pytest.raises(TypeError, match=text):
        random.normal(wrong, (2,))
