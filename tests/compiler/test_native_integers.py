"""Integers and booleans as machine code against the interpreter: overflow, division by zero, common divisors."""

import numpy as np
import pytest

import funcgrad as fg
from tests.compiler.native import check

pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

DTYPES = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


def pairs(dtype, count):
    """Numbers of the whole range, and those that are special for division."""
    rng, info = np.random.default_rng(5), np.iinfo(dtype)
    x, y = (rng.integers(info.min, info.max, count, dtype, endpoint=True) for _ in range(2))
    special = [(0, 0), (0, 3), (3, 0), (info.min, info.max), (info.max, 1), (info.min, info.min)]
    if info.min:
        special += [(info.min, -1), (-7, 2), (7, -2), (-7, -2)]
    for place, (a, b) in enumerate(special[:count]):
        x[place], y[place] = a, b
    return x, y


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [0, 1, 3, 7, 17, 1003])
class TestEverySize:
    def test_divisors_and_bits(self, dtype, count):
        x, y = pairs(dtype, count)

        def run(x, y):
            small = y % 7
            return [
                *[np.gcd(x, y), np.gcd(x, small), np.lcm(x, small), np.bitwise_count(x)],
                *[x << small, x >> small, ~x, x & y, x | y, x ^ y],
            ]

        check(run, x, y)

    @pytest.mark.filterwarnings("ignore::RuntimeWarning")
    def test_division(self, dtype, count):
        x, y = pairs(dtype, count)
        check(lambda x, y: [x // y, x % y, np.fmod(x, y)], x, y)
        check(lambda x: [x // 3, x % 5, np.fmod(x, 7), np.reciprocal(x)], x)

    def test_signs_and_powers(self, dtype, count):
        x, y = pairs(dtype, count)
        check(lambda x: [np.abs(x), np.sign(x), np.square(x), -x, x**0, x**1, x**3, x**13], x)
        check(lambda x: [np.floor(x), np.ceil(x), np.trunc(x), np.isnan(x), np.isfinite(x)], x)
        check(lambda x, y: [np.maximum(x, y), np.minimum(x, y), x < y, x >= y], x, y)
        if dtype.startswith("u"):
            check(lambda x, y: x ** (y % 19), x, y)


def test_booleans():
    x, y = np.arange(17) % 2 == 0, np.arange(17) % 3 == 0

    def run(x, y):
        return [
            *[x & y, x | y, x ^ y, ~x, x + y, x * y, np.maximum(x, y), np.minimum(x, y)],
            *[np.logical_xor(x, y), np.logical_not(x), x == y, x < y, np.abs(x), x.sum(), x.all()],
        ]

    check(run, x, y)


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint32"])
@pytest.mark.parametrize("name", ["floor_divide", "remainder", "fmod"])
def test_division_by_zero_warns_as_in_numpy(name, dtype):
    function = getattr(np, name)
    x, y = np.array([3, 4, 5], dtype), np.array([1, 0, 2], dtype)
    compiled = fg.jit(function)
    compiled(x, x)
    with pytest.warns(RuntimeWarning, match=f"divide by zero encountered in {name}"):
        function(x, y)
    with pytest.warns(RuntimeWarning, match=f"divide by zero encountered in {name}"):
        compiled(x, y)


def test_an_overflowing_quotient_warns_as_in_numpy():
    x, y = np.array([np.iinfo(np.int64).min] * 3), np.array([1, -1, 2])
    with pytest.warns(RuntimeWarning, match="overflow encountered in floor_divide"):
        fg.jit(np.floor_divide)(x, y)


def test_a_negative_power_is_numpys_error():
    with pytest.raises(ValueError, match="negative integer powers"):
        fg.jit(np.power)(np.array([2, 3]), np.array([1, -1]))
