"""Windows at positions known only at run time, rows of segments, and distinct elements."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from funcgrad import errors
from funcgrad.ops import dynamic_slice as windows, segments
from funcgrad.ops.reduce import reduce_sum
from funcgrad.ops.unique import unique
from funcgrad.transforms.grad import grad
from funcgrad.transforms.jit import jit
from funcgrad.transforms.vmap import vmap
from tests.ops.derivatives import check_derivatives

pytestmark = pytest.mark.filterwarnings(
    "ignore::funcgrad.transforms.recompile.RecompilationWarning"
)

assert_same = np.testing.assert_array_equal
X = np.arange(12.0).reshape(3, 4)


def test_windows_at_traced_starts():
    read = lambda x, i, j: windows.dynamic_slice(x, (i, j), (2, 3))
    for run in (read, jit(read)):
        assert_same(run(X, 1, 0), X[1:3, 0:3])
        assert_same(run(X, -3, -3), X[0:2, 1:4])
    assert_same(vmap(read, (None, 0, None))(X, np.array([1, 0, -2]), 1)[:, 0, 0], [5, 1, 5])
    assert_same(vmap(read)(np.stack([X, -X]), np.array([1, 0]), np.array([0, 1]))[1], -X[0:2, 1:4])
    assert_same(windows.dynamic_slice(X, np.array([1, 1]), (1, 2)), X[1:2, 1:3])


def test_nested_batches():
    read = lambda x, i, j: windows.dynamic_slice(x, (i, j), (2, 3))
    starts = np.array([0, -2]), np.array([1, 0, -3])
    found = vmap(vmap(read, (None, None, 0)), (None, 0, None))(X, *starts)
    assert_same(found, [[read(X, i, j) for j in starts[1]] for i in starts[0]])
    write = lambda x, u, i: windows.dynamic_update_slice(x, u, (i, 0))
    stack, updates = np.stack([X, -X]), np.full((2, 4), 9.0)
    found = vmap(vmap(write, (None, None, 0)), (0, 0, None))(stack, updates[:, None], np.arange(3))
    for x, row in zip(stack, found, strict=True):
        assert_same(row, [write(x, updates[:1], i) for i in range(3)])


def test_one_index_along_an_axis():
    assert_same(jit(lambda i: windows.dynamic_index_in_dim(X, i, 1))(2), X[:, 2:3])
    assert_same(jit(lambda i: windows.dynamic_index_in_dim(X, i, -1, keepdims=False))(-1), X[:, -1])
    assert_same(windows.dynamic_slice_in_dim(X, 1, 2, axis=1), X[:, 1:3])
    expected = X.copy()
    expected[:, 1] = 9
    for update in (np.full(3, 9.0), np.full((3, 1), 9.0)):
        run = lambda i: windows.dynamic_update_index_in_dim(X, update, i, 1)
        assert_same(jit(run)(1), expected)
    assert_same(windows.dynamic_update_slice_in_dim(X, np.full((3, 1), 9.0), 1, 1), expected)


def test_updates_in_a_batch():
    write = lambda x, u, i: windows.dynamic_update_slice(x, u, (i, 0))
    starts = np.array([0, -1, 2])
    updates = np.arange(6.0).reshape(3, 1, 2)
    found = vmap(write, (None, 0, 0))(X, updates, starts)
    assert_same(found, [write(X, u, i) for u, i in zip(updates, starts, strict=True)])
    check_derivatives(lambda x, u: vmap(write)(x, u, starts), np.stack([X, X, X]), updates)


@pytest.mark.parametrize("start", [3, 4, -6])
def test_window_that_leaves_the_array(start):  # R30, R31
    wanted = rf"start index {start} is out of bounds for axis 0 with size 5"
    read = lambda x, i: windows.dynamic_slice(x, (i,), (3,))
    for run in (read, jit(read), grad(lambda x, i: reduce_sum(read(x, i)))):
        with pytest.raises(IndexError, match=wanted):
            run(np.zeros(5), start)
    for run in (vmap(read, (None, 0)), jit(vmap(read, (None, 0)))):
        with pytest.raises(IndexError, match=wanted):
            run(np.zeros(5), np.array([0, start]))
    with pytest.raises(IndexError, match=wanted):
        jit(lambda x, i: windows.dynamic_update_slice(x, np.ones(3), (i,)))(np.zeros(5), start)


def test_window_of_the_wrong_rank_or_size():
    for starts, sizes in (((0,), (1, 1)), ((0, 0), (4, 1)), ((0, 0, 0), (1, 1, 1))):
        with pytest.raises(ValueError, match="one start and one size per axis"):
            windows.dynamic_slice(X, starts, sizes)


# --- segments ---


def test_segments():
    data, numbers = np.array([[1.0, 2], [3, 4], [5, 6]]), np.array([0, 2, 0])
    rows = {
        "sum": [[6, 8], [0, 0], [3, 4]],
        "prod": [[5, 12], [1, 1], [3, 4]],
        "max": [[5, 6], [-np.inf, -np.inf], [3, 4]],
        "min": [[1, 2], [np.inf, np.inf], [3, 4]],
    }
    for name, expected in rows.items():
        function = getattr(segments, f"segment_{name}")
        assert_same(function(data, numbers), expected)
        run = lambda data, numbers: function(data, numbers, num_segments=3)
        assert_same(jit(run)(data, numbers), expected)
        assert_same(vmap(run, (0, None))(np.stack([data, data]), numbers)[1], expected)
        with pytest.raises(errors.ConcretizationTypeError, match="num_segments"):
            jit(function)(data, numbers)
    assert_same(segments.segment_max(np.array([1, 2]), [1, 1]), [np.iinfo(int).min, 2])
    assert_same(grad(lambda d: reduce_sum(segments.segment_prod(d, numbers)))(data * 0)[1], [1, 1])


def test_segment_numbers_out_of_bounds():
    with pytest.raises(IndexError, match="index 5 is out of bounds for axis 0 with size 2"):
        segments.segment_sum(np.ones(2), [0, 5], 2)
    assert_same(segments.segment_sum(np.ones(2), [0, 5], 2, mode="drop"), [1, 0])
    with pytest.raises(ValueError, match="one number per row"):
        segments.segment_sum(np.ones(3), [0, 1])
    with pytest.raises(TypeError, match="must be integers"):
        segments.segment_sum(np.ones(2), [0.0, 1.0])


# --- distinct elements ---


@given(
    hnp.arrays(np.float64, st.integers(0, 9), elements=st.sampled_from([0.0, 1.0, 2.0, np.nan])),
    st.booleans(),
)
def test_unique_is_numpys(x, equal_nan):
    found = unique(x, True, True, True, equal_nan=equal_nan)
    expected = np.unique(x, True, True, True, equal_nan=equal_nan)
    for one, other in zip(found, expected, strict=True):
        assert_same(one, other)
    if not x.size:
        return
    size = len(expected[0]) + 2
    padded = jit(lambda x: unique(x, True, True, True, equal_nan=equal_nan, size=size))(x)
    for one, other in zip(padded, expected, strict=True):
        assert_same(one[: len(other)], other)
    assert_same(padded[3][-2:], 0)
    cut = jit(lambda x: unique(x, return_counts=True, equal_nan=equal_nan, size=1))(x)
    assert_same(cut, [expected[0][:1], expected[3][:1]])


def test_unique_of_traced_elements_needs_a_size():
    with pytest.raises(errors.ConcretizationTypeError, match="size=n"):
        jit(unique)(np.arange(3))
    assert_same(
        jit(lambda x: unique(x, size=4, fill_value=-1))(np.array([5, 3, 5])), [3, 5, -1, -1]
    )
