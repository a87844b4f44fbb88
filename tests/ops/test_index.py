"""Indexing with brackets: NumPy's rules, views, writes, errors, derivatives."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from funcgrad import errors
from funcgrad.ops.arithmetic import multiply
from funcgrad.ops.compare import greater
from funcgrad.ops.index import getitem, setitem
from funcgrad.ops.reduce import reduce_sum
from funcgrad.transforms.forward import jvp
from funcgrad.transforms.grad import grad, vjp
from funcgrad.transforms.jit import jit
from funcgrad.transforms.vmap import vmap
from tests.ops.keys import keys, shapes, try_numpy

pytestmark = pytest.mark.filterwarnings(
    "ignore::funcgrad.transforms.recompile.RecompilationWarning"
)


def numbers(shape):
    return np.arange(1.0, np.prod(shape) + 1).reshape(shape)


def assert_same(found, expected):
    assert np.shape(found) == np.shape(expected)
    np.testing.assert_array_equal(found, expected)


@given(st.data())
def test_getitem_is_numpys(data):
    shape = data.draw(shapes)
    key = data.draw(keys(shape))
    x = numbers(shape)
    expected = try_numpy(lambda: x[key])
    if isinstance(expected, type):
        with pytest.raises(expected):
            getitem(x, key)
        return
    found = getitem(x, key)
    assert_same(found, expected)
    assert found.dtype == expected.dtype
    assert_same(jit(lambda x: getitem(x, key))(x), expected)


@given(st.data())
def test_derivatives_of_getitem(data):
    shape = data.draw(shapes)
    key = data.draw(keys(shape))
    x = numbers(shape)
    expected = try_numpy(lambda: x[key])
    if isinstance(expected, type):
        return
    out, pullback = vjp(lambda x: getitem(x, key), x)
    cotangent = numbers(np.shape(out))
    pulled = np.zeros(shape)
    np.add.at(pulled, key, cotangent)
    assert_same(pullback(cotangent)[0], pulled)
    assert_same(jvp(lambda x: getitem(x, key), (x,), (x,))[1], expected)


@given(st.data())
def test_getitem_of_a_batch(data):
    shape = data.draw(shapes)
    key = data.draw(keys(shape))
    stack = numbers((3, *shape))
    expected = try_numpy(lambda: np.stack([x[key] for x in stack]))
    if not isinstance(expected, type):
        assert_same(vmap(lambda x: getitem(x, key))(stack), expected)
        last = np.moveaxis(stack, 0, -1)
        assert_same(vmap(lambda x: getitem(x, key), in_axes=-1)(last), expected)


@given(st.data())
def test_setitem_is_numpys(data):
    shape = data.draw(shapes)
    key = data.draw(keys(shape))
    x = numbers(shape)
    selected = try_numpy(lambda: x[key])
    if isinstance(selected, type):
        return
    kept = tuple(n if data.draw(st.booleans()) else 1 for n in np.shape(selected))
    value = -numbers(kept[data.draw(st.integers(0, len(kept))) :])
    expected = x.copy()
    expected[key] = value

    def write(x, value):
        x = multiply(x, 1.0)
        setitem(x, key, value)
        return x

    before = x.copy()
    found, pullback = vjp(write, x, value)
    assert_same(found, expected)
    assert_same(jit(write)(x, value), expected)
    assert_same(x, before)
    stacked = vmap(write)(np.stack([x, 2 * x]), np.stack([value, 3 * value]))
    assert_same(stacked[0], expected)

    # The write is linear: the cotangent of an overwritten element goes to the last value written there.
    cotangent = numbers(shape)
    to_x, to_value = pullback(cotangent)
    places = np.full(shape, -1)
    places[key] = np.broadcast_to(np.arange(value.size).reshape(value.shape), np.shape(selected))
    assert_same(to_x, np.where(places < 0, cotangent, 0))
    sums = np.bincount(places.ravel() + 1, cotangent.ravel(), value.size + 1)[1:]
    assert_same(to_value, sums.reshape(value.shape))


@given(st.data())
def test_writes_through_views_reach_the_array(data):
    shape = data.draw(shapes)
    outer = data.draw(keys(shape, basic=True))
    x = numbers(shape)
    if np.ndim(x[outer]) == 0:
        return
    inner = data.draw(keys(np.shape(x[outer])))
    if isinstance(try_numpy(lambda: x[outer][inner]), type):
        return

    def write(x, get, put):
        view, other = get(x, outer), get(x, slice(None)) if shape else x
        put(view, inner, 100.0)
        put(x, outer, multiply(get(x, outer), 2.0))
        return [multiply(v, 1.0) for v in (x, view, other)]

    expected = write(
        x.copy(), lambda x, key: x[key], lambda x, key, value: x.__setitem__(key, value)
    )
    found = jit(lambda x: write(multiply(x, 1.0), getitem, setitem))(x)
    for one, other in zip(found, expected, strict=True):
        assert_same(one, other)


def test_scalars_are_no_views():
    def fun(x):
        x = multiply(x, 1.0)
        first = getitem(x, 0)
        setitem(x, 0, 5.0)
        return first

    assert jit(fun)(numbers((3,))) == 1.0


# --- traced indices ---


def test_traced_integers_and_arrays():
    x = numbers((3, 4))
    read = lambda i, j: getitem(x, (i, slice(None, None, 2), None, j))
    rows, columns = np.array([0, -1]), np.array([[2], [3]])
    with pytest.raises(IndexError, match="too many indices"):
        read(0, rows)
    pick = lambda i, j: getitem(x, (i, j))
    assert_same(jit(pick)(rows, columns), x[rows, columns])
    assert_same(jit(pick)(1, columns), x[1, columns])
    assert_same(jit(lambda i: getitem(x, (slice(None), i, None)))(rows), x[:, rows, None])
    assert_same(vmap(pick)(rows, columns[:, 0]), x[rows, columns[:, 0]])
    assert_same(vmap(pick, in_axes=(None, 0))(rows, columns), x[rows, columns])
    assert_same(vmap(vmap(pick, (None, 0)), (0, None))(rows, np.arange(4)), x[rows])


def test_write_through_a_row_with_a_traced_number():
    def fun(x, i):
        x = multiply(x, 1.0)
        row = getitem(x, i)
        setitem(row, 0, 9.0)
        return x

    x = numbers((3, 2))
    expected = x.copy()
    expected[1, 0] = 9.0
    assert_same(jit(fun)(x, 1), expected)
    assert_same(vmap(fun)(np.stack([-x, x]), np.array([0, -2]))[1], expected)


def test_gradient_with_traced_indices_adds_up():  # R28
    fun = lambda x, i: reduce_sum(getitem(x, i))
    assert_same(grad(fun)(np.zeros(3), np.array([0, 0, 1])), [2, 1, 0])
    assert_same(jit(grad(fun))(np.zeros(3), np.array([0, 0, 1])), [2, 1, 0])


def test_index_array_changed_after_the_forward_pass():
    index = np.array([0, 0, 1])
    _, pullback = vjp(lambda x: getitem(x, index), np.zeros(3))
    index[:] = 2
    assert_same(pullback(np.ones(3))[0], [2, 1, 0])


# --- errors ---


def written(x, key, value):
    """A copy of `x` after `x[key] = value`."""
    x = multiply(x, np.ones((), x.dtype)[()])
    setitem(x, key, value)
    return x


@pytest.mark.parametrize("index", [7, -8, [7], [[0, -8]], np.array([5])])
def test_out_of_bounds_names_index_axis_and_size(index):  # R30, R31
    x = np.zeros((2, 5))
    wanted = rf"index {np.asarray(index).ravel()[-1]} is out of bounds for axis 1 with size 5"
    for read in (
        lambda: getitem(x, (slice(None), index)),
        lambda: grad(lambda x: reduce_sum(getitem(x, (slice(None), index))))(x),
        lambda: jit(lambda x: getitem(x, (slice(None), index)))(x),
        lambda: jit(lambda x, i: getitem(x, (slice(None), i)))(x, np.asarray(index)),
        lambda: vmap(lambda x: getitem(x, (slice(None), index)))(x[None]),
        lambda: jit(lambda x: written(x, (slice(None), index), 1.0))(x),
    ):
        with pytest.raises(IndexError, match=wanted):
            read()


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ((0, 0, 0), "too many indices"),
        ((Ellipsis, 0, Ellipsis), "single ellipsis"),
        (1.5, "valid indices"),
        ("a", "valid indices"),
        ([0.5], "float64"),
        (([0, 1], [0, 1, 0]), "could not be broadcast together"),
        (np.zeros((2, 4), bool), "boolean index did not match"),
        (np.zeros(3, bool), "boolean index did not match"),
    ],
)
def test_wrong_keys(key, message):
    x = np.zeros((2, 3))
    with pytest.raises(IndexError):
        x[key]
    with pytest.raises(IndexError, match=message):
        getitem(x, key)


@pytest.mark.parametrize(("shape", "value"), [((2, 3), (2,)), ((2, 3), (3, 3)), ((2,), (1, 1, 3))])
def test_value_that_does_not_fit(shape, value):
    with pytest.raises(ValueError, match="could not broadcast"):
        np.zeros(shape)[...] = np.zeros(value)
    with pytest.raises(ValueError, match="could not broadcast"):
        jit(lambda x: setitem(multiply(x, 1.0), Ellipsis, np.zeros(value)))(np.zeros(shape))


def test_boolean_masks():  # R32
    x = numbers((2, 3)) - 3
    select = lambda x: getitem(x, greater(x, 0.0))
    assert_same(select(x), x[x > 0])
    assert_same(grad(lambda x: reduce_sum(select(x)))(x), (x > 0) * 1.0)
    assert_same(jvp(select, (x,), (x,))[1], x[x > 0])
    for transformed in (jit(select), vmap(select)):
        with pytest.raises(errors.NonConcreteBooleanIndexError, match="size="):
            transformed(x)


def test_writing_one_value_where_a_traced_mask_holds():
    def fun(x):
        x = multiply(x, 1.0)
        setitem(x, greater(x, 0.0), 0.0)
        return x

    x = numbers((2, 3)) - 3
    expected = np.where(x > 0, 0, x)
    for transformed in (jit(fun), vmap(fun), lambda x: vjp(fun, x)[0]):
        assert_same(transformed(x), expected)
    assert_same(grad(lambda x: reduce_sum(fun(x)))(x), (x <= 0) * 1.0)

    def rows(x, mask):
        x = multiply(x, 1.0)
        setitem(x, mask, np.array([1.0, 2.0, 3.0]))
        return x

    assert_same(jit(rows)(x, np.array([False, True])), [x[0], [1, 2, 3]])
    with pytest.raises(errors.NonConcreteBooleanIndexError):
        jit(lambda x, mask: setitem(multiply(x, 1.0), mask, np.zeros((2, 3))))(x, np.ones(2, bool))


def test_assignment_casts_as_numpy():
    def assign(x, value):
        x = multiply(x, np.ones((), x.dtype)[()])
        setitem(x, 0, value)
        return x

    cases = [(np.int64, 1.7), (np.float32, np.float64(0.1)), (np.uint8, np.int64(-1)), (bool, 3.0)]
    for dtype, value in cases:
        expected = np.ones(2, dtype)
        with np.errstate(invalid="ignore"):
            expected[0] = value
        found = jit(lambda x: assign(x, value))(np.ones(2, dtype))
        assert_same(found, expected)
        assert found.dtype == dtype
    with pytest.raises(OverflowError):
        jit(lambda x: assign(x, 300))(np.ones(2, np.uint8))
    with pytest.raises(TypeError):
        jit(lambda x: assign(x, 1j))(np.ones(2))
    with pytest.warns(np.exceptions.ComplexWarning):
        jit(lambda x: assign(x, np.array(1j)))(np.ones(2))


def test_slice_with_traced_bounds_says_what_to_write():
    with pytest.raises(errors.TracerIntegerConversionError, match="dynamic_slice"):
        jit(lambda x, n: getitem(x, slice(0, n)))(np.zeros(4), 2)


def test_ix_grid():
    x = numbers((3, 4))
    assert_same(jit(lambda x: getitem(x, np.ix_([0, 2], [3, 1])))(x), x[np.ix_([0, 2], [3, 1])])


def test_write_into_the_argument_itself():
    def fun(x):
        setitem(x, slice(1, None), multiply(getitem(x, slice(1, None)), 3.0))
        return reduce_sum(x)

    x = numbers((3,))
    for run in (grad(fun), jit(grad(fun)), lambda x: vjp(fun, x)[1](1.0)[0]):
        assert_same(run(x), [1, 3, 3])
    assert_same(vmap(grad(fun))(x[None])[0], [1, 3, 3])
    assert_same(jvp(fun, (x,), (np.ones(3),))[1], 7)
    assert_same(x, [1, 2, 3])
