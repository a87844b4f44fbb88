"""Losses: formulas, one value per example, wrong shapes and labels."""

import numpy as np
import pytest
import scipy.special

import funcgrad as fg
from funcgrad import nn
from funcgrad.test_util import check_grads

# The same lines are compiled for many cases.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled:UserWarning")

RNG = np.random.default_rng(0)
P, T = RNG.normal(size=(4, 3)), RNG.normal(size=(4, 3))
PROBABILITIES = scipy.special.softmax(T, -1)
LABELS = np.array([0, 2, 1, 2])
E = P - T

FORMULAS = {
    "squared_error": (T, E**2),
    "l2_loss": (T, 0.5 * E**2),
    "mse": (T, (E**2).mean(-1)),
    "huber_loss": (T, np.where(abs(E) < 1, 0.5 * E**2, abs(E) - 0.5)),
    "log_cosh": (T, np.log(np.cosh(E))),
    "hinge_loss": (np.sign(T), np.maximum(0, 1 - P * np.sign(T))),
    "cosine_similarity": (
        T,
        (P * T).sum(-1) / np.linalg.norm(P, axis=-1) / np.linalg.norm(T, axis=-1),
    ),
    "sigmoid_binary_cross_entropy": (
        PROBABILITIES,
        -PROBABILITIES * np.log(scipy.special.expit(P))
        - (1 - PROBABILITIES) * np.log(scipy.special.expit(-P)),
    ),
    "softmax_cross_entropy": (
        PROBABILITIES,
        -(PROBABILITIES * scipy.special.log_softmax(P, -1)).sum(-1),
    ),
    "softmax_cross_entropy_with_integer_labels": (
        LABELS,
        -scipy.special.log_softmax(P, -1)[np.arange(4), LABELS],
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_values_and_derivatives(name):
    loss, (targets, expected) = getattr(nn, name), FORMULAS[name]
    np.testing.assert_allclose(loss(P, targets), expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(loss(P.tolist(), targets.tolist()), expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(fg.jit(loss)(P, targets), expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(fg.vmap(loss)(P, targets), expected, rtol=1e-9, atol=1e-12)
    check_grads(lambda p: loss(p, targets), (P,), order=2)
    assert loss(
        P.astype(np.float32), targets if name[-6:] == "labels" else targets.astype("f4")
    ).dtype == (np.float32)


def test_targets_default_to_zero():
    np.testing.assert_allclose(nn.squared_error(P), P**2)
    np.testing.assert_allclose(nn.huber_loss(P, delta=0.1), nn.huber_loss(P, 0 * P, delta=0.1))
    np.testing.assert_allclose(nn.log_cosh(P), np.log(np.cosh(P)))


def test_huber_delta():
    np.testing.assert_allclose(nn.huber_loss([3.0], [0.0], delta=2.0), [4.0])
    slopes = fg.vmap(fg.grad(lambda x: nn.huber_loss(x, delta=2.0)))(np.array([-9.0, -1, 0, 2, 9]))
    assert slopes.tolist() == [-2, -1, 0, 2, 2]


def test_far_out():
    for loss, logits, target in [
        (nn.sigmoid_binary_cross_entropy, [-1e4, 1e4], [1.0, 0.0]),
        (nn.softmax_cross_entropy, [1e4, -1e4], [0.0, 1.0]),
        (nn.log_cosh, [1e4, -1e4], [0.0, 0.0]),
    ]:
        logits = np.array(logits, np.float32)
        target = np.array(target, np.float32)
        assert np.isfinite(loss(logits, target)).all()
        assert np.isfinite(fg.grad(lambda x: np.sum(loss(x, target)))(logits)).all()


def test_gradient_of_cross_entropy_is_softmax_minus_target():
    gradient = fg.grad(lambda p: np.sum(nn.softmax_cross_entropy(p, PROBABILITIES)))(P)
    np.testing.assert_allclose(gradient, scipy.special.softmax(P, -1) - PROBABILITIES, atol=1e-12)


def test_axis_and_where():
    labels = np.array([0, 3, 1])
    found = nn.softmax_cross_entropy_with_integer_labels(P, labels, axis=0)
    np.testing.assert_allclose(found, -scipy.special.log_softmax(P, 0)[labels, np.arange(3)])
    exists = np.array([True, False, True])
    kept = P[:, exists]
    np.testing.assert_allclose(
        nn.softmax_cross_entropy_with_integer_labels(P, np.full(4, 2), where=exists),
        -scipy.special.log_softmax(kept, -1)[:, 1],
    )
    np.testing.assert_allclose(
        nn.softmax_cross_entropy(P, np.where(exists, PROBABILITIES, np.inf), where=exists),
        -(PROBABILITIES[:, exists] * scipy.special.log_softmax(kept, -1)).sum(-1),
    )


def test_a_single_example():
    assert nn.softmax_cross_entropy_with_integer_labels(P[0], 1).shape == ()
    assert nn.mse(1.0, 3.0) == 4


@pytest.mark.parametrize("label", [-1, 3, 255])
@pytest.mark.parametrize("wrap", [lambda f: f, fg.jit, fg.grad], ids=["eager", "jit", "grad"])
def test_label_out_of_range(label, wrap):
    labels = np.array([0, 1, label, 2])

    def loss(p, labels):
        return np.mean(nn.softmax_cross_entropy_with_integer_labels(p, labels))

    with pytest.raises(IndexError, match="out of"):
        wrap(loss)(P, labels)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: nn.squared_error(P, T[:, :1]), "same shape"),
        (lambda: nn.mse(P[:, :1], T[:, 0]), "same shape"),
        (lambda: nn.softmax_cross_entropy(P, LABELS), "same shape"),
        (lambda: nn.cosine_similarity(P, T[0]), "same shape"),
        (
            lambda: nn.softmax_cross_entropy_with_integer_labels(P, LABELS[:, None]),
            r"need labels of shape \(4,\), but got \(4, 1\)",
        ),
        (
            lambda: nn.softmax_cross_entropy_with_integer_labels(P, PROBABILITIES),
            "expected integers from 0 to 2",
        ),
        (lambda: nn.softmax_cross_entropy_with_integer_labels(1.0, 0), "axis of classes"),
    ],
)
def test_wrong_arguments(call, match):
    with pytest.raises((ValueError, TypeError), match=match):
        call()


def test_ctc_of_one_example_and_of_labels_in_one_row():
    scores = nn.log_softmax(np.random.default_rng(0).normal(size=(9, 3, 5)).astype(np.float32))
    labels, times, lengths = np.array([[1, 2, 1], [4, 3, 0], [2, 0, 0]]), [9, 7, 8], [3, 2, 1]
    loss = nn.CTCLoss(reduction="none")
    expected = loss(scores, labels, times, lengths)
    joined = np.array([1, 2, 1, 4, 3, 2])
    compiled = fg.jit(loss)(scores, joined, np.array(times), np.array(lengths))
    single = loss(scores[:, 1], labels[1, :2], 7, 2)
    for got, wanted in ((compiled, expected), (single, expected[1])):
        np.testing.assert_allclose(got, wanted, rtol=1e-6)
    assert nn.CTCLoss()(scores, labels, times, lengths).dtype == np.float32
    with pytest.raises(ValueError, match=r"two lengths per example, but got .*\(2, 3\)"):
        loss(scores, labels[:2], times, lengths)


@pytest.mark.parametrize("loss", [nn.cross_entropy, nn.nll_loss, nn.multi_margin_loss])
@pytest.mark.parametrize("count", [2, 4])
def test_class_weights_are_one_for_each_class(loss, count):
    with pytest.raises(ValueError, match=rf"each of 3 classes, but its shape is \({count},\)"):
        loss(P, LABELS, weight=np.ones(count))
