"""Sorting: order, stability, NaN, derivatives, the largest elements."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from funcgrad.ops.arithmetic import multiply
from funcgrad.ops.gather import gather_along
from funcgrad.ops.reduce import reduce_sum
from funcgrad.ops.sort import argsort, lexsort, sort, sort_together
from funcgrad.ops.top_k import top_k
from funcgrad.transforms.grad import grad
from funcgrad.transforms.jit import jit
from funcgrad.transforms.vmap import vmap
from tests.ops.derivatives import check_derivatives

pytestmark = pytest.mark.filterwarnings(
    "ignore::funcgrad.transforms.recompile.RecompilationWarning"
)

assert_same = np.testing.assert_array_equal
elements = st.sampled_from([-np.inf, -1.0, -0.0, 0.0, 2.0, np.inf, np.nan])
matrices = hnp.arrays(np.float64, st.tuples(*[st.integers(0, 5)] * 2), elements=elements)


@given(matrices, st.sampled_from([0, 1, -1, None]))
def test_sort_is_numpys(x, axis):
    for run in (lambda x: sort(x, axis), jit(lambda x: sort(x, axis))):
        assert_same(run(x), np.sort(x, axis))
    for run in (lambda x: argsort(x, axis), jit(lambda x: argsort(x, axis))):
        assert_same(run(x), np.argsort(x, axis, kind="stable"))
    assert_same(vmap(lambda x: sort(x, axis))(x[None])[0], np.sort(x, axis))


@given(matrices)
def test_descending_order_is_stable(x):
    order = argsort(x, descending=True)
    assert_same(gather_along(x, order, 1), sort(x, descending=True))
    assert_same(sort(x, descending=True), np.sort(x)[:, ::-1])
    for row, places in zip(x, order, strict=True):
        for i, j in zip(places, places[1:], strict=False):
            assert row[i] != row[j] or i < j


@given(st.integers(0, 9), st.data())
def test_lexsort_is_numpys(count, data):
    keys = [data.draw(hnp.arrays(np.float64, count, elements=elements)) for _ in range(3)]
    assert_same(lexsort(keys), np.lexsort(keys))
    assert_same(jit(lambda *keys: lexsort(keys))(*keys), np.lexsort(keys))
    values = np.arange(float(count))
    together = sort_together([*keys[::-1], values], num_keys=3)
    assert_same(together[-1], values[np.lexsort(keys)])


def test_derivative_follows_the_elements():  # R18
    weights = np.array([1.0, 10.0, 100.0])
    total = lambda x: reduce_sum(multiply(sort(x), weights))
    assert_same(grad(total)(np.array([2.0, 1.0, 1.0])), [100, 1, 10])
    assert_same(jit(grad(total))(np.array([2.0, 1.0, 1.0])), [100, 1, 10])
    assert_same(grad(total)(np.array([2.0, np.nan, 1.0])), [10, 100, 1])
    assert_same(sort(np.array([2, np.nan, 1])), [1, 2, np.nan])


def test_only_operands_with_tangents_have_derivatives():
    names = np.array([2, 0, 1])
    run = lambda x: sort_together([names, x])[1]
    check_derivatives(run, np.array([5.0, 6.0, 7.0]))
    assert_same(run(np.array([5.0, 6.0, 7.0])), [6, 7, 5])


@given(matrices.filter(lambda x: x.shape[1] > 0), st.data())
def test_top_k(x, data):
    k = data.draw(st.integers(0, x.shape[1]))
    values, places = top_k(x, k)
    assert_same(values, np.sort(x)[:, ::-1][:, :k])
    assert_same(np.take_along_axis(x, places, 1), values)
    assert_same(places, argsort(x, descending=True)[:, :k])
    assert_same(jit(lambda x: top_k(x, k))(x)[1], places)
    assert_same(vmap(lambda x: top_k(x, k)[0])(x), values)


def test_derivative_of_the_largest():
    largest = lambda x: reduce_sum(multiply(top_k(x, 2)[0], np.array([1.0, 10.0])))
    assert_same(grad(largest)(np.array([3.0, 1.0, 7.0, 3.0])), [10, 0, 1, 0])


def test_errors_say_what_is_wrong():
    with pytest.raises(ValueError, match="k = 4"):
        top_k(np.zeros(3), 4)
    with pytest.raises(np.exceptions.AxisError, match=r"\[sort\] axis 1"):
        sort(np.zeros(3), 1)
    with pytest.raises(ValueError, match="equal shapes"):
        sort_together([np.zeros(3), np.zeros(4)])
    with pytest.raises(ValueError, match="num_keys = 2"):
        sort_together([np.zeros(3)], num_keys=2)
