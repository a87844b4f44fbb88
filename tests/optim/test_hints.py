"""Errors about arguments and attributes of optimizers that are not there: they say what to write."""

import inspect

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import nn, optim
from funcgrad.optim.foreign_names import RENAMED


@pytest.mark.parametrize(
    ("make", "args", "options", "text"),
    [
        (optim.sgd, (), {"lr": 0.1}, r"\[sgd\] there is no argument 'lr'\. Write learning_rate=\."),
        (optim.adam, (0.1,), {"betas": (0.9, 0.99)}, r"\[adam\] .*'betas'\. Write b1= and b2=\."),
        (optim.adamw, (), {"lr": 0.1}, r"\[adamw\] .*Write learning_rate="),
        (optim.contrib.muon, (), {"lr": 0.1}, r"\[muon\] .*Write learning_rate="),
        (optim.adam, (0.1,), {"weight_decay": 0.1}, r"\[adam\].*chain\(add_decayed_weights"),
        (optim.adam, (0.1,), {"amsgrad": True}, r"Write amsgrad\(learning_rate\)"),
        (optim.rmsprop, (0.1,), {"alpha": 0.9}, r"\[rmsprop\].*Write decay="),
        (optim.rprop, (0.1,), {"etas": (0.5, 1.2)}, r"Write eta_minus= and eta_plus="),
        (optim.sgd, (0.1,), {"maximize": True}, "gradient of the negative loss"),
        (optim.sgd, (0.1,), {"params": []}, r"optimizer\.init\(params\)"),
        (optim.sgd, (0.1,), {"fused": True}, "Leave it out"),
        (optim.sgd, (0.1,), {"momemtum": 0.9}, r"it takes learning_rate, momentum, .*mean 'momentum'"),
        (optim.adam, (), {}, r"\[adam\] needs learning_rate, .*Write adam\(0\.001\)"),
        (optim.sgd, (0.1, 0.9, True, None, 3), {}, r"\[sgd\] takes .* It takes learning_rate, "),
        (optim.adam, (nn.Linear(2, 2, key=0),), {}, r"got a Linear\. .*optimizer\.init\(params"),
        (optim.sgd, ([np.ones(2)], 0.1), {}, r"got a list\. .*optimizer\.init\(params"),
        (optim.adamw, (0.1, (0.9, 0.99)), {}, r"b1 must be a number, .*Write .*b1=0\.9, b2=0\.999"),
    ],
)  # fmt: skip
def test_arguments(make, args, options, text):
    with pytest.raises(TypeError, match=text):
        make(*args, **options)


def test_words_lead_to_arguments_that_there_are():
    """A word that an optimizer has itself is its own, and the table names arguments of some optimizer."""
    parameters = {
        name: set(inspect.signature(getattr(package, name)).parameters)
        for package in (optim, optim.contrib)
        for name in dir(package)
        if callable(getattr(package, name)) and not name.startswith("_")
    }
    for word, renamed in RENAMED.items():
        assert any(set(renamed) <= names for names in parameters.values()), word
    assert callable(optim.rprop(0.1, eta_minus=0.4).update)


def test_errors_inside_of_optimizers_stay():
    with pytest.raises(
        TypeError, match=r"\[scale_by_learning_rate\] learning_rate must be a number"
    ):
        optim.sgd("fast")


def test_optimizers_keep_their_signatures():
    assert str(inspect.signature(optim.sgd)).startswith("(learning_rate: 'Any', momentum: ")
    assert optim.sgd.__name__ == "sgd"
    assert "momentum" in (optim.sgd.__doc__ or "")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("step", r"optimizer\.update\(gradient, state, params\)"),
        ("zero_grad", "gradients are returned"),
        ("param_groups", r"optim\.partition"),
        ("state_dict", r"the state is a tree"),
        ("updaet", "Did you mean 'update'"),
    ],
)
def test_attributes(name, text):
    with pytest.raises(AttributeError, match=rf"'GradientTransformation' .* '{name}'.*{text}"):
        getattr(optim.sgd(0.1), name)


def test_gradient_of_a_model_that_has_no_parameters_yet():
    key = fg.random.key(0)
    model = nn.Sequential([nn.LazyLinear(4, key=key), nn.LazyLinear(2, key=0)])
    x = np.ones((3, 5), np.float32)

    def loss(model):
        return np.sum(model(x))

    message = r"\[LazyLinear at layers\.0\] has no parameters yet\. Write model = .*materialize"
    for transformed in (fg.grad(loss), fg.value_and_grad(loss), fg.jit(fg.grad(loss))):
        with pytest.raises(RuntimeError, match=message):
            transformed(model)
    made = nn.materialize(model, x)
    assert fg.grad(loss)(made)[0].weight.shape == (4, 5)
