"""Every loss against recorded values and gradients of Optax and PyTorch."""

import importlib.util
import types
from pathlib import Path

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import nn
from funcgrad.nn import losses

SPEC = importlib.util.spec_from_file_location(
    "losses_cases", Path(__file__).with_name("losses_cases.py")
)
cases = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(cases)
REFERENCE = np.load(Path(__file__).with_name("losses_reference.npz"))

# The same lines are compiled for many cases.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled:UserWarning")


def check(function, inputs, expected, dtype):
    limit = 2e-5 if dtype == np.float32 else 1e-9
    first, *rest = cases.arrays(inputs, dtype)
    value = function(first, *rest)
    assert np.asarray(value).dtype == dtype
    np.testing.assert_allclose(value, expected("value"), rtol=limit, atol=limit)
    slope = fg.grad(lambda x: np.sum(np.sin(function(x, *rest))))
    np.testing.assert_allclose(slope(first), expected("slope"), rtol=5 * limit, atol=5 * limit)
    if dtype == np.float64:
        compiled = fg.jit(function)(first, *rest)
        np.testing.assert_allclose(compiled, expected("value"), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("name", cases.OPTAX)
def test_optax(name, dtype):
    inputs, function = cases.OPTAX[name]
    check(
        lambda *args: function(losses, *args),
        inputs,
        lambda what: REFERENCE[f"optax/{name}/{what}"],
        dtype,
    )


@pytest.mark.parametrize("reduction", cases.REDUCTIONS)
@pytest.mark.parametrize("name", cases.TORCH)
def test_pytorch(name, reduction):
    inputs, function = cases.TORCH[name]
    if name == "gaussian_nll_loss":
        # PyTorch gives no gradient where the variance is clamped; here none is.
        assert cases.INPUTS["positive"].min() > 1e-6
    check(
        lambda *args: function(losses, reduction, *args),
        inputs,
        lambda what: REFERENCE[f"torch/{name}/{reduction}/{what}"],
        np.float64,
    )


@pytest.mark.parametrize("reduction", cases.REDUCTIONS)
def test_ctc_by_lengths(reduction):
    loss = nn.CTCLoss(reduction=reduction)

    def function(logits, words, times, lengths):
        scores = np.moveaxis(nn.log_softmax(logits), 0, 1)
        return loss(scores, words, times, lengths)

    check(
        function,
        "speech words times lengths",
        lambda what: REFERENCE[f"torch/ctc/{reduction}/{what}"],
        np.float64,
    )


@pytest.mark.parametrize("reduction", cases.REDUCTIONS)
def test_triplets_with_a_swap(reduction):
    loss = nn.TripletMarginLoss(swap=True, reduction=reduction)
    check(loss, "x y z", lambda what: REFERENCE[f"torch/triplet/{reduction}/{what}"], np.float64)


def test_ctc_labels_that_do_not_fit():
    scores = np.log(np.full((2, 1, 3), 1 / 3))
    assert nn.CTCLoss(reduction="none")(scores, [[1, 1]], [2], [2])[0] == np.inf
    assert nn.CTCLoss(reduction="none", zero_infinity=True)(scores, [[1, 1]], [2], [2])[0] == 0


# --- bad input ---


@pytest.mark.parametrize("wrap", [lambda f: f, fg.jit], ids=["eager", "jit"])
@pytest.mark.parametrize("wrong", [4, -1, 99])
def test_labels_out_of_range(wrap, wrong):
    x, labels = np.zeros((2, 4)), np.array([0, wrong])
    for function in (
        losses.cross_entropy,
        losses.nll_loss,
        losses.multi_margin_loss,
        losses.multiclass_hinge_loss,
        losses.softmax_cross_entropy_with_integer_labels,
    ):
        with pytest.raises(IndexError):
            wrap(function)(x, labels)


def test_ignored_labels_have_no_gradient():
    x, labels = np.ones((3, 4)), np.array([0, -100, 1])
    slope = fg.grad(lambda x: losses.cross_entropy(x, labels))(x)
    assert not slope[1].any() and slope[0].any()
    everything = np.full(3, -100)
    assert losses.cross_entropy(x, everything, reduction="sum") == 0


def test_shapes_that_would_broadcast():
    x = np.zeros((3, 1))
    for function in (losses.mse_loss, losses.l1_loss, losses.huber_loss, losses.kl_div):
        with pytest.raises(ValueError, match="same shape"):
            function(x, np.zeros(3))
    with pytest.raises(ValueError, match=r"need labels of shape .*labels\.reshape\(\(3,\)\)"):
        losses.cross_entropy(np.zeros((3, 4)), np.zeros((3, 1), int))
    with pytest.raises(TypeError, match=r"expected integers .*labels\.astype\(int\)"):
        losses.cross_entropy(np.zeros((3, 4)), np.zeros(3))


@pytest.mark.parametrize("transform", [lambda f: f, fg.grad, lambda f: fg.jit(fg.grad(f))])
def test_what_apply_returns_is_no_prediction(transform):
    model, x = nn.Linear(2, 3, key=0), np.ones((4, 2), np.float32)
    for function, target in ((losses.cross_entropy, np.zeros(4, int)), (losses.mse_loss, x)):
        with pytest.raises(TypeError, match=r"outputs, model = model\.apply"):
            transform(lambda model, f=function, y=target: f(model.apply(x, train=True), y))(model)


def test_logits_come_first():
    with pytest.raises(ValueError, match=r"cross_entropy\(logits, labels\)"):
        losses.cross_entropy(np.zeros(3, int), np.zeros((3, 4)))


def test_logits_are_no_probabilities():
    with pytest.raises(
        ValueError, match="values from -1.0 to 3.0.*binary_cross_entropy_with_logits"
    ):
        losses.binary_cross_entropy(np.array([-1.0, 3.0]), np.ones(2))


def test_unknown_reduction():
    with pytest.raises(ValueError, match="'none', 'mean', 'sum'"):
        losses.mse_loss(np.zeros(1), np.zeros(1), reduction="average")
    with pytest.raises(ValueError, match=r"\[MSELoss\] reduction must be one of"):
        nn.MSELoss(reduction="average")
    assert nn.KLDivLoss(reduction="batchmean")(np.zeros((2, 2)), np.ones((2, 2))) == 0


def test_unknown_settings_of_classes():
    with pytest.raises(TypeError, match=r"\[CrossEntropyLoss\].*Did you mean 'ignore_index'"):
        nn.CrossEntropyLoss(ignored_index=0)
    with pytest.raises(TypeError, match=r"it has weight, ignore_index, reduction, label_smoothing"):
        nn.CrossEntropyLoss(input=np.ones(3))
    with pytest.raises(TypeError, match=r"MSELoss\(\)\(predictions, targets\)"):
        nn.MSELoss(np.ones(3), np.ones(3))


def test_class_weights_are_not_trained():
    loss = nn.CrossEntropyLoss(weight=np.ones(2))
    assert nn.parameters(loss) == []
    assert [name for name, _ in nn.named_buffers(loss)] == ["arrays.weight"]


def test_classes_are_the_functions():
    x, y = np.array([[1.0, 2.0]]), np.array([[0.0, 4.0]])
    assert nn.MSELoss(reduction="sum")(x, y) == losses.mse_loss(x, y, "sum")
    weighted = nn.CrossEntropyLoss(weight=np.array([1.0, 3.0]), label_smoothing=0.1)
    labels = np.array([1])
    expected = losses.cross_entropy(x, labels, np.array([1.0, 3.0]), label_smoothing=0.1)
    assert weighted(x, labels) == pytest.approx(expected)
    assert fg.jit(lambda loss, x: loss(x, labels))(weighted, x) == pytest.approx(expected)


def test_every_class_names_its_function():
    found = [one for one in vars(losses).values() if isinstance(one, type)]
    assert len(found) == 22
    assert all(isinstance(one.function, types.FunctionType) for one in found)
