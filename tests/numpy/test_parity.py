"""Every function gives NumPy's result: on plain arrays, under jit, under grad, and batched."""

import warnings

import numpy as np
import pytest

import funcgrad.numpy as fnp
from funcgrad.test_util import check_grads
from funcgrad.transforms.grad import vjp
from funcgrad.transforms.jit import jit
from funcgrad.transforms.vmap import vmap
from tests.numpy.cases import CASES

MODULES = {"np": np, "fnp": fnp}
EXACT = "biu"

pytestmark = pytest.mark.filterwarnings(
    "ignore::funcgrad.transforms.recompile.RecompilationWarning"
)


def leaves(value):
    if isinstance(value, tuple | list):
        return [leaf for item in value for leaf in leaves(item)]
    return [np.asarray(value)]


def assert_same(found, wanted, tolerance=1e-12):
    assert isinstance(found, list) == isinstance(wanted, list)
    found, wanted = leaves(found), leaves(wanted)
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        if b.dtype.kind in EXACT:
            np.testing.assert_array_equal(a, b)
        else:
            rounding = max(tolerance, 4 * float(np.finfo(b.dtype).eps))
            np.testing.assert_allclose(a, b, rtol=rounding, atol=rounding)


def numpy_result(case):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return case.call(np, *case.args)


def traced_call(case, module):
    """The call as a function of the arguments that are traced, and these arguments."""
    traced = [i for i in range(len(case.args)) if i not in case.static]

    def call(*values):
        args = list(case.args)
        for i, value in zip(traced, values, strict=True):
            args[i] = value
        return case.call(module, *args)

    return call, [np.array(case.args[i]) for i in traced]


def identify(case):
    return case.name


@pytest.mark.parametrize("case", CASES, ids=identify)
def test_plain_arrays(case):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert_same(case.call(fnp, *case.args), numpy_result(case))


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("case", CASES, ids=identify)
def test_jit(case, module):
    call, values = traced_call(case, MODULES[module])
    assert_same(jit(call)(*values), numpy_result(case))


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
@pytest.mark.parametrize(
    "case", [c for c in CASES if np.asarray(c.args[-1]).dtype.kind in "fc"], ids=identify
)
def test_values_inside_a_gradient(case):
    call, values = traced_call(case, np)
    out, _ = vjp(call, *values)
    assert_same(out, numpy_result(case))


def batchable(case):
    traced = [a for i, a in enumerate(case.args) if i not in case.static]
    return all(np.ndim(a) for a in traced)


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
@pytest.mark.parametrize("case", [c for c in CASES if batchable(c)], ids=identify)
def test_vmap(case):
    call, values = traced_call(case, np)
    stacked = [np.stack([v, v]) for v in values]
    wanted = leaves(numpy_result(case))
    found = vmap(
        lambda *xs: [np.asarray(x) if isinstance(x, int) else x for x in leaves_of(call(*xs))]
    )(*stacked)
    assert_same([x[1] for x in leaves(found)], wanted)


def leaves_of(value):
    return (
        [x for item in value for x in leaves_of(item)]
        if isinstance(value, tuple | list)
        else [value]
    )


@pytest.mark.parametrize("case", [c for c in CASES if c.differentiable], ids=identify)
def test_derivatives(case):
    call, values = traced_call(case, np)
    check_grads(call, values, order=2)


REPEATED = np.array([3.0, 1.0, 3.0, 2.0])
KNOWN_VALUES = {
    "unique": np.unique,
    "unique, all": lambda x: np.unique(x, True, True, True),
    "unique, axis": lambda x: np.unique(np.stack([x, x], 1), axis=1, return_counts=True),
    "unique_values": lambda x: np.sort(np.unique_values(x)),
    "unique_counts": lambda x: np.unique_counts(x).counts.sum() + x,
    "unique_inverse": lambda x: np.unique_inverse(x).values[np.unique_inverse(x).inverse_indices],
    "unique_all": lambda x: np.unique_all(x).values[np.unique_all(x).inverse_indices],
    "union1d": lambda x: np.union1d(x, [7.0]),
    "intersect1d": lambda x: np.intersect1d(x, [3.0, 1.0]),
    "setdiff1d": lambda x: np.setdiff1d(x, [3.0]),
    "setxor1d": lambda x: np.setxor1d(x, [3.0, 4.0]),
    "nonzero": lambda x: x[np.nonzero(x > 1)],
    "argwhere": lambda x: np.argwhere(x - 1.0),
    "flatnonzero": lambda x: np.flatnonzero(x - 1.0),
    "trim_zeros": lambda x: x[np.trim_zeros(x.astype(int) - 3).size :],
    "histogram_bin_edges": lambda x: np.histogram_bin_edges(x, "auto"),
}


@pytest.mark.parametrize("name", KNOWN_VALUES)
def test_shapes_that_depend_on_values(name):
    function = KNOWN_VALUES[name]
    out, _ = vjp(function, REPEATED)
    assert_same(out, function(REPEATED))
    if name != "trim_zeros":
        with pytest.raises((TypeError, IndexError), match=r"Write instead|no counterpart"):
            jit(function)(REPEATED)


def test_sizes_given_for_compiled_code():
    x = np.array([3.0, 0.0, 3.0, 2.0])
    assert_same(jit(lambda x: fnp.unique(x, size=2))(x), np.array([0.0, 2.0]))
    assert_same(jit(lambda x: fnp.unique(x, size=4, fill_value=-1.0))(x), np.array([0.0, 2, 3, -1]))
    assert_same(jit(lambda x: fnp.nonzero(x, size=2))(x), (np.array([0, 2]),))
    assert_same(jit(lambda x: fnp.where(x > 2, size=3, fill_value=9))(x), (np.array([0, 2, 9]),))
    matrix = np.array([[0, 1], [1, 0]])
    assert_same(jit(lambda m: fnp.nonzero(m, size=2))(matrix), matrix.nonzero())
    assert_same(vmap(lambda m: fnp.nonzero(m, size=1)[0])(matrix), np.array([[1], [0]]))
    numbers = np.array([2, 0, 2])
    assert_same(jit(lambda n: fnp.bincount(n, length=4))(numbers), np.array([1, 0, 2, 0]))
    assert_same(jit(lambda n: fnp.bincount(n, length=2))(numbers), np.array([1, 0]))
