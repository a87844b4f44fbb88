"""`Repeated`: the same as a loop over its layers, with state, dropout, recomputation, and one compiled body."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import nn

# The same lines are compiled for many cases.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled:UserWarning")

X = np.random.default_rng(0).normal(size=(6, 4))


def block(key):
    layers = [
        nn.Linear(4, 4, dtype=np.float64, key=key),
        nn.tanh,
        nn.BatchNorm1d(4),
        nn.Dropout(0.5),
    ]
    return nn.Sequential(layers)


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("transform", [lambda f: f, fg.jit])
def test_results_and_gradients_are_those_of_the_loop(recompute, transform):
    model = nn.Repeated(block, 3, recompute, key=0)

    def loop(model, x):
        for number in range(3):
            x = model[number](x)
        return (x**3).sum()

    value, gradient = transform(fg.value_and_grad(lambda m, x: (m(x) ** 3).sum()))(model, X)
    wanted, slope = fg.value_and_grad(loop)(model, X)
    assert value == pytest.approx(wanted, rel=1e-10)
    assert nn.tree_equal(gradient, slope, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("recompute", [False, True])
def test_state_and_dropout(recompute):
    model = nn.Repeated(block, 3, recompute, key=0)

    def loss(model, key):
        y, model = model.apply(X, train=True, key=key)
        return (y**2).sum(), (y, model)

    step = fg.value_and_grad(loss, has_aux=True)
    (value, (y, changed)), gradient = step(model, fg.random.key(1))
    (again, _), _ = fg.jit(step)(model, fg.random.key(1))
    assert value == pytest.approx(again, rel=1e-6)
    norm = changed.layer[2]
    assert norm.num_batches_tracked.tolist() == [1, 1, 1]
    assert len(np.unique(norm.running_mean, axis=0)) == 3
    assert gradient.layer[2].running_mean is None and gradient.layer[0].weight.shape == (3, 4, 4)
    assert (y == 0).any() and not (model(X) == 0).any()
    ones = nn.Repeated(lambda key: nn.Dropout(0.5), 4, key=0)
    kept = ones(np.ones(4000), key=5) != 0
    assert abs(kept.mean() - 1 / 16) < 0.02  # the layers drop independently


def test_the_program_does_not_grow():
    def lines(count):
        model = nn.Repeated(block, count, key=0)
        return len(str(fg.make_jaxpr(fg.grad(lambda m: m(X).sum()))(model)).splitlines())

    assert lines(2) == lines(20)


def test_frozen_and_nested():
    model = nn.Sequential([nn.freeze(nn.Repeated(block, 2, key=0)), nn.Linear(4, 1, key=1)])
    gradient = fg.grad(lambda m: m(X).sum())(model)
    assert gradient[0].layer[0].weight is None and len(model[0]) == 2
    with pytest.raises(ValueError, match="num_layers must be a whole number"):
        nn.Repeated(block, 0, key=0)
    with pytest.raises(ValueError, match=r"\[Linear at layers.0\] expected"):
        nn.Repeated(block, 2, key=0)(X[:, :3])
