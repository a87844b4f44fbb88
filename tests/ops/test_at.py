"""`x.at[...]`: every way to combine, modes out of bounds, repeated indices, derivatives."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from funcgrad.ops.arithmetic import multiply
from funcgrad.ops.at import at
from funcgrad.ops.reduce import reduce_sum
from funcgrad.transforms.forward import jvp
from funcgrad.transforms.grad import grad, vjp
from funcgrad.transforms.jit import jit
from funcgrad.transforms.vmap import vmap
from tests.ops.derivatives import check_derivatives
from tests.ops.keys import keys, shapes, try_numpy

pytestmark = pytest.mark.filterwarnings(
    "ignore::funcgrad.transforms.recompile.RecompilationWarning"
)

UFUNCS = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "min": np.minimum,
    "max": np.maximum,
}
assert_same = np.testing.assert_array_equal


def numbers(shape):
    return np.arange(1.0, np.prod(shape) + 1).reshape(shape)


@given(st.data())
def test_repeated_indices_combine_as_ufunc_at(data):
    shape = data.draw(shapes)
    key = data.draw(keys(shape))
    x = numbers(shape)
    if isinstance(try_numpy(lambda: x[key]), type):
        return
    value = 2.0 + numbers(np.shape(x[key])) % 3
    for name, ufunc in UFUNCS.items():
        expected = np.array(x)
        ufunc.at(expected, key, value)
        change = lambda x, value: getattr(at(x)[key], name)(value)
        np.testing.assert_allclose(change(x, value), expected)
        np.testing.assert_allclose(jit(change)(x, value), expected)
    check_derivatives(
        lambda x, value: at(x)[key].multiply(value), x, value, order=1, tolerance=1e-3
    )


@pytest.mark.parametrize(
    "key", [[0, 0, 2], (slice(None, None, -2),), 1, np.array([True, False, True])]
)
def test_divide_power_and_apply(key):
    x, value = np.array([2.0, 3.0, 4.0]), 2.0
    divided, raised = x.copy(), x.copy()
    np.divide.at(divided, key, value)
    np.power.at(raised, key, value)
    np.testing.assert_allclose(at(x)[key].divide(value), divided)
    np.testing.assert_allclose(at(x)[key].power(value), raised)
    squared = x.copy()
    squared[key] = x[key] ** 2
    assert_same(at(x)[key].apply(lambda v: multiply(v, v)), squared)
    check_derivatives(lambda x: at(x)[key].divide(value), x)
    check_derivatives(lambda x: at(x)[key].power(value), x)


def test_last_value_wins_also_in_derivatives():  # R29
    change = lambda x, v: at(x)[[0, 0]].set(v)
    for run in (change, jit(change)):
        assert_same(run(np.zeros(2), np.array([1.0, 2.0])), [2, 0])
    for gradient in (grad(lambda x, v: reduce_sum(change(x, v)), (0, 1)),):
        for run in (gradient, jit(gradient)):
            to_x, to_v = run(np.zeros(2), np.array([1.0, 2.0]))
            assert_same(to_x, [0, 1])
            assert_same(to_v, [0, 1])


def test_repeated_indices_in_add_multiply_and_extrema():  # R29, R05
    ones, twice = np.ones(2), [0, 0]
    assert_same(at(np.zeros(2))[twice].add([1.0, 2.0]), [3, 0])
    total = lambda name: lambda x, v: reduce_sum(getattr(at(x)[twice], name)(v))
    assert_same(grad(total("add"), 1)(ones, ones), [1, 1])
    assert_same(grad(total("multiply"), 1)(ones, np.array([0.0, 5.0])), [5, 0])
    assert_same(jit(grad(total("multiply"), 1))(ones, np.array([0.0, 5.0])), [5, 0])
    assert_same(grad(total("multiply"))(ones, np.array([0.0, 5.0])), [0, 1])
    assert_same(grad(total("max"), 1)(ones, np.array([5.0, 5.0])), [0.5, 0.5])
    assert_same(grad(total("max"), (0, 1))(ones, ones)[0], [1 / 3, 1])
    check_derivatives(lambda v: at(ones)[twice].multiply(v), np.array([0.0, 5.0]), order=2)


# --- modes ---


def test_modes_of_reading():  # R31
    x = np.array([1.0, 2.0, 3.0])
    index = np.array([0, 3, -1, -4])
    read = {
        "clip": ([1, 3, 3, 1], [2, 0, 2]),
        "wrap": ([1, 1, 3, 3], [2, 0, 2]),
        "fill": ([1, np.nan, 3, np.nan], [1, 0, 1]),
        "drop": ([1, np.nan, 3, np.nan], [1, 0, 1]),
    }
    for mode, (expected, gradient) in read.items():
        get = lambda x, i: at(x)[i].get(mode=mode)
        for run in (get, jit(get)):
            assert_same(run(x, index), expected)
        assert_same(vmap(get, (None, 0))(x, index), expected)
        assert_same(vjp(lambda x: get(x, index), x)[1](np.ones(4))[0], gradient)
    assert_same(at(x)[index].get(mode="fill", fill_value=-1.0), [1, -1, 3, -1])
    for index in (5, np.array([5]), (Ellipsis, [5])):
        with pytest.raises(IndexError, match="index 5 is out of bounds for axis 0 with size 3"):
            at(x)[index].get()


@pytest.mark.parametrize(
    ("dtype", "missing"),
    [("int8", -128), ("uint16", 65535), ("bool", True), ("float16", np.nan), ("complex64", np.nan)],
)
def test_what_stands_for_a_missing_element(dtype, missing):
    found = at(np.zeros((2, 3), dtype))[:, 7].get(mode="fill")
    assert found.dtype == dtype
    assert_same(found, np.full(2, missing, dtype))


def test_modes_of_writing():
    x = np.zeros(3)
    index, value = np.array([0, 3, -1, -4]), np.array([1.0, 2.0, 4.0, 8.0])
    wanted = {"clip": [9, 0, 6], "wrap": [3, 0, 12], "drop": [1, 0, 4], "fill": [1, 0, 4]}
    for mode, expected in wanted.items():
        add = lambda x, i, v: at(x)[i].add(v, mode=mode)
        for run in (add, jit(add)):
            assert_same(run(x, index, value), expected)
        assert_same(vmap(add, (None, 0, 0))(x, index[:, None], value[:, None]).sum(0), expected)
    set_last = lambda v: at(x)[index].set(v, mode="drop")
    assert_same(set_last(value), [1, 0, 4])
    assert_same(vjp(set_last, value)[1](np.ones(3))[0], [1, 0, 1, 0])
    for number in (3, -4):
        assert_same(at(x)[number].set(5.0, mode="drop"), x)
        with pytest.raises(IndexError, match=f"index {number} is out of bounds for axis 0"):
            at(x)[number].set(5.0)


def test_unknown_mode_names_the_others():
    with pytest.raises(ValueError, match="'clip', 'wrap', 'fill' or 'drop'"):
        at(np.zeros(3))[0].set(1.0, mode="ignore")


# --- dtypes ---


def test_dtype_of_the_array_is_kept():
    for dtype in (np.int8, np.float16, np.float32, np.complex64):
        for name in ("set", "add", "multiply", "min", "max"):
            if dtype == np.complex64 and name in ("min", "max"):
                continue
            assert getattr(at(np.ones(3, dtype))[[0, 2]], name)(2).dtype == dtype
            assert getattr(at(np.ones(3, dtype))[0], name)(2).dtype == dtype


@pytest.mark.parametrize("change", ["add", "multiply", "divide"])
def test_combining_floats_into_integers_is_refused(change):
    with pytest.raises(
        TypeError, match="cannot combine float64 values into an array of dtype int64"
    ):
        getattr(at(np.ones(3, int))[0], change)(0.5)


def test_array_is_unchanged_and_result_is_fresh():
    x = numbers((3,))
    for out in (at(x)[0].set(9.0), at(x)[:].set(1.0), at(x)[[1]].add(1.0), at(x)[:0].set(9.0)):
        assert not np.shares_memory(out, x)
        assert out.flags.writeable
    assert_same(x, [1, 2, 3])


def test_half_precision_adds_up_in_float32():
    x, index = np.zeros(1, np.float16), np.zeros(5000, int)
    assert_same(at(x)[index].add(np.ones(5000, np.float16)), [5000])


def test_second_derivative_of_a_squared_gather():
    fun = lambda x: reduce_sum(multiply(at(x)[[0, 0, 1]].get(), at(x)[[1, 0, 2]].get()))
    hessian = jit(lambda x, t: jvp(grad(fun), (x,), (t,))[1])
    columns = [hessian(np.ones(3), t) for t in np.eye(3)]
    assert_same(columns, [[2, 1, 0], [1, 0, 1], [0, 1, 0]])
