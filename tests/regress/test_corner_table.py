"""Rows of the table of corners in CONVENTIONS.md that no numbered case covers, and R16, R64, R78, R79."""

from __future__ import annotations

import math

import numpy as np
import pytest

import funcgrad as fg
from tests.regress.everywhere import check_gradient, check_gradients, check_value, gradients, values

pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

INF, NAN = math.inf, math.nan


@pytest.mark.parametrize("fun", [np.round, np.floor, np.ceil, np.sign, np.trunc, np.rint])
@pytest.mark.parametrize("x", [0.0, 0.5, 2.0, -1.5])
def test_steps_have_derivative_zero(fun, x):
    check_gradient(lambda x: fun(x), x, 0.0)


@pytest.mark.parametrize("fun", [fg.nn.relu, fg.nn.relu6])
def test_relu_family_at_zero(fun):
    check_gradient(fun, 0.0, 0.0)
    check_gradient(fg.nn.relu6, 6.0, 0.0)


@pytest.mark.parametrize("x", [-1000.0, 0.0, 1000.0])
def test_R17_activations_are_finite_far_out(x):
    for fun in (fg.nn.sigmoid, fg.nn.log_sigmoid, fg.nn.softplus, fg.nn.silu, fg.nn.gelu):
        for road, found in values(fun, x):
            assert np.isfinite(found), road
        for road, (gradient,) in gradients(fun, x):
            assert np.isfinite(gradient), road
    check_gradient(fg.nn.log_sigmoid, 0.0, 0.5)


def test_R17_log_softmax_of_distant_logits():
    check_value(fg.nn.log_softmax, np.array([1e4, 0.0]), expected=[0.0, -1e4])
    check_gradient(lambda x: fg.nn.log_softmax(x)[0], np.array([1e4, 0.0]), [0.0, 0.0])


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_R16_softmax_of_nothing():
    for road, found in values(fg.nn.softmax, np.array([-INF, -INF])):
        assert np.isnan(found).all(), road


def test_R16_softmax_with_a_mask():
    none = np.zeros(3, bool)
    masked = lambda x: fg.nn.softmax(x, where=none)
    check_value(masked, np.ones(3), expected=np.zeros(3))
    check_gradient(lambda x: np.sum(masked(x)), np.ones(3), np.zeros(3))
    some = np.array([True, False, True])
    weights = np.array([1.0, 5.0, 0.0])
    x = np.array([0.0, NAN, 0.0])
    check_value(lambda x: fg.nn.softmax(x, where=some), x, expected=[0.5, 0.0, 0.5])
    check_gradient(lambda x: np.sum(fg.nn.softmax(x, where=some) * weights), x, [0.25, 0.0, -0.25])


def attention(query, key, mask):
    weights = fg.nn.softmax(query @ key.T, where=mask)
    return weights @ key


def test_R16_attention_with_a_fully_masked_row():
    rows = np.array([[0.1, 0.2], [0.3, -0.4], [0.5, 0.6]])
    mask = np.array([[True, True, False], [False, False, False], [True, True, True]])
    out = attention(rows, rows, mask)
    np.testing.assert_array_equal(out[1], [0.0, 0.0])
    loss = lambda query, key: np.sum(attention(query, key, mask) ** 2)
    for road, found in gradients(loss, rows, rows):
        assert all(np.isfinite(gradient).all() for gradient in found), road
        np.testing.assert_array_equal(found[0][1], [0.0, 0.0], err_msg=road)


@pytest.mark.parametrize("labels", [[-1], [3], [0, 7]])
@pytest.mark.parametrize("wrap", [lambda f: f, fg.jit])
def test_labels_out_of_range(labels, wrap):
    labels = np.array(labels)
    with pytest.raises(IndexError, match="out of "):
        wrap(lambda labels: fg.nn.one_hot(labels, 3))(labels)
    loss = fg.nn.softmax_cross_entropy_with_integer_labels
    with pytest.raises(IndexError, match="out of "):
        wrap(loss)(np.zeros((len(labels), 3)), labels)


# --- linear algebra ------------------------------------------------------------------------------

SINGULAR = np.array([[1.0, 2.0], [2.0, 4.0]])


def test_R79_determinant_of_a_singular_matrix():
    check_value(np.linalg.det, SINGULAR, expected=0.0)
    check_gradient(np.linalg.det, SINGULAR, [[4.0, -2.0], [-2.0, 1.0]])
    check_gradient(np.linalg.det, np.zeros((2, 2)), np.zeros((2, 2)))
    check_gradient(np.linalg.det, np.zeros((1, 1)), [[1.0]])


def test_R79_logarithm_of_a_zero_determinant():
    for road, found in values(lambda x: np.linalg.slogdet(x)[1], np.zeros((2, 2))):
        assert found == -INF, road
    try:
        gradient = fg.grad(lambda x: np.linalg.slogdet(x)[1])(np.zeros((2, 2)))
    except np.linalg.LinAlgError:
        return
    assert not np.isfinite(gradient).any()


@pytest.mark.parametrize("fun", [np.linalg.inv, lambda x: np.linalg.solve(x, np.ones(2))])
@pytest.mark.parametrize("wrap", [lambda f: f, fg.jit, lambda f: fg.grad(lambda x: np.sum(f(x)))])
def test_R79_singular_systems_raise(fun, wrap):
    with pytest.raises(np.linalg.LinAlgError):
        wrap(fun)(np.zeros((2, 2)))


@pytest.mark.parametrize("wrap", [lambda f: f, fg.grad])
def test_R79_cholesky_of_an_indefinite_matrix(wrap):
    with pytest.raises(np.linalg.LinAlgError):
        wrap(lambda x: np.sum(np.linalg.cholesky(x)))(np.array([[1.0, 2.0], [2.0, 1.0]]))


def test_R78_repeated_eigenvalues():
    check_value(lambda x: np.linalg.eigh(x)[0], np.eye(3), expected=np.ones(3))
    check_gradient(lambda x: np.sum(np.linalg.eigh(x)[0]), np.eye(3), np.eye(3))
    check_gradient(lambda x: np.sum(np.linalg.eigvalsh(x) ** 2), np.eye(2), 2 * np.eye(2))


def rebuilt(x):
    values, vectors = np.linalg.eigh(x)
    return np.sum(((vectors * np.exp(values)) @ vectors.T) ** 2)


def test_R78_functions_that_do_not_depend_on_the_choice_of_vectors():
    # Forward mode moves the vectors themselves, which have no derivative here: NaN.
    slope = 2 * np.exp(2.0)
    for road, (gradient,) in gradients(rebuilt, np.eye(2)):
        if "forward" not in road:
            np.testing.assert_allclose(gradient, slope * np.eye(2), atol=1e-12, err_msg=road)
    x = np.diag([1.0, 1.0, 2.0, 3.0])

    def product(x):
        u, s, vt = np.linalg.svd(x)
        return np.linalg.norm((u * s) @ vt)

    for road, (gradient,) in gradients(product, x):
        if "forward" not in road:
            np.testing.assert_allclose(gradient, x / math.sqrt(15.0), atol=1e-12, err_msg=road)


def test_R78_a_separate_vector_beside_a_pair_is_differentiable():
    x = np.diag([1.0, 1.0, 3.0])
    first = lambda x: np.linalg.eigh(x)[1][2, 2] ** 2
    check_gradient(first, x, np.zeros((3, 3)))
    assert np.isfinite(fg.grad(lambda x: np.linalg.eigh(x)[1][0, 2] ** 2)(x)).all()


def test_power_with_both_operands_traced_at_zero():
    check_gradients(lambda x, y: x**y, 0.0, 2.0, expected=(0.0, 0.0))
    check_gradients(lambda x, y: x**y, 2.0, 0.0, expected=(0.0, math.log(2.0)))
