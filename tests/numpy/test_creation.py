"""Creation functions: default dtypes, lists, and arrays that can hold traced values."""

import numpy as np
import pytest

import funcgrad.numpy as fnp
from funcgrad.transforms.grad import grad
from funcgrad.transforms.jit import jit
from funcgrad.transforms.vmap import vmap
from tests.numpy.modes import MODES

pytestmark = pytest.mark.filterwarnings(
    "ignore::funcgrad.transforms.recompile.RecompilationWarning"
)

DEFAULTS = [
    (lambda: fnp.zeros(2), np.zeros(2), "float32"),
    (lambda: fnp.zeros((2, 3), int), np.zeros((2, 3)), "int64"),
    (lambda: fnp.ones(2), np.ones(2), "float32"),
    (lambda: fnp.empty(2), np.zeros(2), "float32"),
    (lambda: fnp.full(2, 7), np.full(2, 7), "int64"),
    (lambda: fnp.full((2,), 0.5), np.full(2, 0.5), "float32"),
    (lambda: fnp.full(2, 1j), np.full(2, 1j), "complex64"),
    (lambda: fnp.full(2, True), np.full(2, True), "bool"),
    (lambda: fnp.full((2, 2), np.arange(2.0)), np.full((2, 2), np.arange(2.0)), "float64"),
    (lambda: fnp.arange(3), np.arange(3), "int64"),
    (lambda: fnp.arange(1, 2, 0.25), np.arange(1, 2, 0.25), "float32"),
    (lambda: fnp.arange(5, 1, -2), np.arange(5, 1, -2), "int64"),
    (lambda: fnp.arange(np.float64(3)), np.arange(3.0), "float64"),
    (lambda: fnp.arange(3, dtype=np.int8), np.arange(3), "int8"),
    (lambda: fnp.linspace(0, 1, 5), np.linspace(0, 1, 5), "float32"),
    (lambda: fnp.linspace(0, np.float64(1), 5), np.linspace(0, 1, 5), "float64"),
    (lambda: fnp.linspace(0, 5, 4, dtype=int), np.linspace(0, 5, 4, dtype=int), "int64"),
    (lambda: fnp.logspace(0, 2, 3), np.logspace(0, 2, 3), "float32"),
    (lambda: fnp.geomspace(1, 8, 4), np.geomspace(1, 8, 4), "float32"),
    (lambda: fnp.eye(2, 3, 1), np.eye(2, 3, 1), "float32"),
    (lambda: fnp.identity(2), np.identity(2), "float32"),
    (lambda: fnp.tri(3, k=-1), np.tri(3, k=-1), "float32"),
    (lambda: fnp.indices((2, 2)), np.indices((2, 2)), "int64"),
    (lambda: fnp.asarray([1.0, 2]), np.array([1.0, 2]), "float32"),
    (lambda: fnp.asarray([True, 2]), np.array([1, 2]), "int64"),
    (lambda: fnp.asarray([[True]]), np.array([[True]]), "bool"),
    (lambda: fnp.asarray([]), np.array([]), "float32"),
    (lambda: fnp.asarray(np.arange(2.0)), np.arange(2.0), "float64"),
    (lambda: fnp.asarray([np.float64(1.0)]), np.ones(1), "float64"),
    (lambda: fnp.asarray([1.0], np.float16), np.ones(1), "float16"),
    (lambda: fnp.array(1.5, ndmin=2), np.array([[1.5]]), "float32"),
    (lambda: fnp.fromfunction(lambda i, j: i + j, (2, 2)), np.array([[0, 1], [1, 2]]), "float32"),
    (lambda: fnp.hanning(4), np.hanning(4), "float32"),
    (lambda: fnp.zeros_like(np.arange(2)), np.zeros(2), "int64"),
    (lambda: fnp.full_like(np.arange(2), 1.5, dtype=float), np.full(2, 1.5), "float64"),
]


@pytest.mark.parametrize("case", DEFAULTS, ids=lambda case: str(case[1].shape))
@pytest.mark.parametrize("how", ["plain", "jit", "inside grad"])
def test_values_and_dtypes(case, how):
    make, values, dtype = case
    found = []
    if how == "plain":
        found.append(make())
    elif how == "jit":
        found.append(jit(make)())
    else:
        grad(lambda x: found.append(jit(make)()) or x)(1.0)
    (out,) = found
    assert out.dtype == dtype
    np.testing.assert_allclose(out, values, rtol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_lists_with_traced_values(mode):
    x = np.array([1.0, 2.0])

    def program(x):
        matrix = fnp.array([[x[0], 1.0], [2, x[1]]])
        mixed = fnp.asarray([x, [3.0, 4.0], np.ones(2)])
        assert fnp.asarray([x[0], 1], dtype=np.float32).dtype == np.float32
        return fnp.concatenate([matrix, mixed]) + fnp.sum([x[0], x[1]])

    wanted = np.array([[1.0, 1.0], [2.0, 2.0], [1.0, 2.0], [3.0, 4.0], [1.0, 1.0]]) + 3.0
    np.testing.assert_array_equal(MODES[mode](program, x), wanted)


@pytest.mark.parametrize("make", [
    lambda x: fnp.zeros(3, x.dtype), lambda x: fnp.full(3, 0.0, x.dtype), lambda x: fnp.empty(3, x.dtype),
    lambda x: np.zeros(3, like=x), np.zeros_like, fnp.zeros_like, lambda x: np.empty_like(x),
    lambda x: np.full(3, 0.0, like=x),
])  # fmt: skip
@pytest.mark.parametrize("mode", MODES)
def test_new_arrays_hold_traced_values(mode, make):
    def program(x):
        buffer = make(x)
        buffer[1] = x[0] * 2
        buffer[2:] += x[1]
        return buffer

    x = np.array([1.0, 5.0, 0.0])
    np.testing.assert_array_equal(MODES[mode](program, x), [0.0, 2.0, 5.0])


@pytest.mark.parametrize("mode", MODES)
def test_new_integer_arrays_hold_traced_values(mode):
    def program(n):
        counts = fnp.zeros(3, int)
        counts[n[0]] = 7
        counts += n
        return counts

    np.testing.assert_array_equal(MODES[mode](program, np.array([2, 1, 0])), [2, 1, 7])


def test_new_array_inside_an_inner_gradient():
    def program(x):
        def inner(y):
            buffer = fnp.zeros(2, float)
            buffer[0], buffer[1] = x * y, y * y
            return buffer.sum()

        return grad(inner)(x)

    assert grad(program)(2.0) == 3.0
    assert jit(grad(program))(2.0) == 3.0
    np.testing.assert_array_equal(vmap(grad(program))(np.ones(3)), 3.0 * np.ones(3))


def test_tables_indexed_by_traced_integers():
    table = np.arange(10.0, 15.0)
    look_up = lambda i: fnp.asarray(table)[i] + fnp.take(table, i)
    assert jit(look_up)(np.int64(3)) == 26.0
    np.testing.assert_array_equal(vmap(look_up)(np.array([1, 4])), [22.0, 28.0])
    np.testing.assert_array_equal(jit(vmap(look_up))(np.array([1, 4])), [22.0, 28.0])
    table[3] = 0.0
    assert jit(look_up)(np.int64(3)) == 0.0


def test_errors_say_what_to_write():
    with pytest.raises(ValueError, match="is no device"):
        fnp.zeros(3, device="tpu")
    with pytest.raises(ValueError, match="equal shapes"):
        jit(lambda x: fnp.asarray([x, [1.0, 2.0, 3.0]]))(np.ones(2))
    with pytest.raises(ValueError, match="copy=False"):
        jit(lambda x: fnp.asarray([x], copy=False))(1.0)
    with pytest.raises(ValueError, match="at least 0"):
        jit(lambda x: np.linspace(x, 1.0, -1))(0.0)


def test_results_are_fresh():
    x = np.arange(3.0)
    assert not np.shares_memory(fnp.array(x), x)
    assert not np.shares_memory(fnp.full((2, 3), x), x)
    assert fnp.full((2, 3), x).flags.writeable
    assert fnp.asarray(x) is x
