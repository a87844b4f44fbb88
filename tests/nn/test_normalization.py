"""softmax, log_softmax, logsumexp, one_hot, standardize; masks and infinities (R15, R16, R17)."""

import numpy as np
import pytest
import scipy.special

import funcgrad as fg
from funcgrad import nn
from funcgrad.test_util import check_grads

# The same lines are compiled for many cases.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled:UserWarning")

INF = np.inf
X = np.random.default_rng(0).normal(size=(3, 4))
MASK = np.array([[1, 1, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1]], bool)


@pytest.mark.parametrize("axis", [-1, 0, (0, 1)])
def test_against_scipy(axis):
    np.testing.assert_allclose(nn.softmax(X, axis), scipy.special.softmax(X, axis))
    np.testing.assert_allclose(nn.log_softmax(X, axis), scipy.special.log_softmax(X, axis))
    np.testing.assert_allclose(nn.logsumexp(X, axis), scipy.special.logsumexp(X, axis))


def test_logsumexp_options():
    b = np.array([1.0, -2.0, 0.5, 0.0])
    expected = scipy.special.logsumexp(X, 1, b, True, True)
    np.testing.assert_allclose(nn.logsumexp(X, 1, b, True, True), expected)
    assert nn.logsumexp(X).shape == () and nn.logsumexp(X, 0, keepdims=True).shape == (1, 4)
    masked = nn.logsumexp(np.where(MASK, X, np.nan), 1, where=MASK)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(masked, scipy.special.logsumexp(np.where(MASK, X, -INF), 1))
        weighted = nn.logsumexp(X, 1, b=np.full(4, 2.0), where=MASK)
    np.testing.assert_allclose(weighted, masked + np.log(2))


@pytest.mark.parametrize("f", [nn.softmax, nn.log_softmax, lambda x: nn.logsumexp(x, -1)])
def test_derivatives(f):
    check_grads(f, (X,), order=2)
    np.testing.assert_allclose(fg.jit(f)(X), f(X), rtol=1e-12)
    np.testing.assert_allclose(fg.vmap(f)(X), f(X), rtol=1e-12)


def test_large_values_keep_their_digits():
    x = np.array([1e4, 1e4 + 1], np.float32)
    np.testing.assert_allclose(
        nn.log_softmax(x), scipy.special.log_softmax(np.array([0.0, 1.0])), rtol=1e-6
    )
    assert nn.log_softmax([1e4, 0.0]).tolist() == [0, -1e4]


@pytest.mark.parametrize(
    ("x", "value", "gradient"),
    [([-INF, -INF], -INF, [0, 0]), ([INF, 1.0], INF, [1, 0]), ([-INF, 1.0], 1, [0, 1])],
)
def test_r15_logsumexp_of_infinities(x, value, gradient):
    x = np.array(x)
    for f in (nn.logsumexp, fg.jit(nn.logsumexp)):
        assert f(x) == value
        assert fg.grad(f)(x).tolist() == gradient


def test_r16_masked_rows():
    with np.errstate(invalid="ignore"):
        assert np.isnan(nn.softmax([-INF, -INF])).all()
    np.testing.assert_array_equal(nn.softmax(X, where=np.zeros_like(X, bool)), 0)
    assert nn.log_softmax([1.0, 2.0], where=[False, False]).tolist() == [-INF, -INF]


@pytest.mark.parametrize("wrap", [lambda f: f, fg.jit], ids=["eager", "jit"])
def test_r16_what_is_masked_does_not_leak(wrap):
    x = np.where(MASK, X, np.nan)
    found = wrap(lambda x: nn.softmax(x, where=MASK))(x)
    np.testing.assert_allclose(found[0, [0, 1, 3]], nn.softmax(X[0, [0, 1, 3]]))
    np.testing.assert_array_equal(found[1], 0)
    assert found[0, 2] == 0
    gradient = wrap(fg.grad(lambda x: np.sum(nn.softmax(x, where=MASK) * X)))(x)
    assert np.isfinite(gradient).all() and not gradient[~MASK].any() and gradient[0].any()


def test_softmax_dtypes():
    assert nn.softmax(np.ones(2, np.float16)).dtype == np.float16
    assert nn.softmax(np.array([1, 1])).tolist() == [0.5, 0.5]
    assert nn.log_softmax(np.ones(2, np.float32), where=[True, False]).dtype == np.float32


# --- one_hot ---


def test_one_hot():
    labels = np.array([[0, 2], [1, 1]])
    found = nn.one_hot(labels, 3)
    assert found.dtype == np.float32 and found.shape == (2, 2, 3)
    np.testing.assert_array_equal(found, np.eye(3)[labels])
    np.testing.assert_array_equal(
        nn.one_hot(labels, 3, axis=0), np.eye(3)[labels].transpose(2, 0, 1)
    )
    np.testing.assert_array_equal(
        nn.one_hot(labels, 3, axis=1), np.eye(3)[labels].transpose(0, 2, 1)
    )
    assert nn.one_hot(2, 3, dtype=bool).tolist() == [False, False, True]
    np.testing.assert_array_equal(fg.jit(lambda x: nn.one_hot(x, 3))(labels), found)
    np.testing.assert_array_equal(fg.vmap(lambda x: nn.one_hot(x, 3))(labels), found)


@pytest.mark.parametrize("label", [-1, 3])
@pytest.mark.parametrize("wrap", [lambda f: f, fg.jit, fg.vmap], ids=["eager", "jit", "vmap"])
def test_one_hot_out_of_range(label, wrap):
    with pytest.raises(IndexError, match="out of"):
        wrap(lambda x: nn.one_hot(x, 3))(np.array([0, label]))


def test_one_hot_of_floats():
    with pytest.raises(TypeError, match="expected integers from 0 to 2"):
        nn.one_hot(np.array([0.0]), 3)


# --- standardize ---


def test_standardize():
    found = nn.standardize(X, axis=-1, epsilon=0)
    np.testing.assert_allclose(found.mean(-1), 0, atol=1e-12)
    np.testing.assert_allclose(found.var(-1), 1)
    np.testing.assert_allclose(nn.standardize(X, 0, mean=1.0, variance=4.0, epsilon=0), (X - 1) / 2)
    only = nn.standardize(X, axis=(0, 1), where=MASK, epsilon=0)[MASK]
    np.testing.assert_allclose([only.mean(), only.var()], [0, 1], atol=1e-12)
    check_grads(nn.standardize, (X,), order=2)


def test_standardize_of_a_constant_has_a_finite_gradient():
    assert np.isfinite(fg.grad(lambda x: np.sum(nn.standardize(x) * X[0]))(np.ones(4))).all()
