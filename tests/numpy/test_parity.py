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
    check_grads(call, values, order=1)
