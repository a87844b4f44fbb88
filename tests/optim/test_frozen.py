"""Every optimizer on a model with frozen parameters and state: nothing is remembered or changed for these."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import nn, optim, tree

SPEC = importlib.util.spec_from_file_location("cases", Path(__file__).with_name("cases.py"))
cases = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(cases)

# The same lines are compiled for many cases.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled:UserWarning")
# These give a dict with a value for each parameter, which is no prefix of a model.
BY_NAME = {"adamw", "sm3", "masked", "freeze", "selective_transform", "partition"}
STILL, RUNNING = 11, 13


class Model(nn.Module):
    """The parameters of the cases, beside a frozen one and a buffer of shapes that no other array has."""

    a: Any
    b: Any
    c: Any
    d: Any
    still: Any
    running: Any = nn.field(buffer=True)

    def __getitem__(self, name):
        return getattr(self, name)


def made():
    start = cases.start(np.float64)
    model = Model(**start, still=np.ones((STILL, 2)), running=np.ones(RUNNING))
    return nn.freeze(model, "still")


def value_of(model):
    parts = [model.a, model.b, model.c, model.d["e"]]
    return sum(np.sum(0.25 * p * p + np.sin(p)) for p in parts) + 0.0 * np.sum(model.still)


def stepped(optimizer, params, loss, name="", count=4):
    """The parameters after some steps, and the last state."""
    state = optimizer.init(params)
    for _ in range(count):
        value, grads = fg.value_and_grad(loss)(params)
        extra = {"value": value} if name in cases.VALUE | cases.SEARCH else {}
        if name in cases.SEARCH:
            extra |= {"grad": grads, "value_fn": loss}
        if name == "sophia":
            extra = {"obj_fn": loss}
        updates, state = optimizer.update(grads, state, params, **extra)
        params = optim.apply_updates(params, updates)
    return params, state


def lengths(state):
    return {length for leaf in tree.leaves(state) for length in np.shape(leaf)}


@pytest.mark.parametrize("name", [name for name in cases.CASES if name not in BY_NAME])
def test_steps_are_those_without_the_frozen_part(name):
    optimizer, model = cases.CASES[name](optim), made()
    assert not lengths(optimizer.init(model)) & {STILL, RUNNING}
    found, state = stepped(optimizer, model, value_of, name)
    assert not lengths(state) & {STILL, RUNNING}
    assert found.still is model.still and found.running is model.running
    expected, _ = stepped(optimizer, cases.start(np.float64), cases.loss, name)
    np.testing.assert_allclose(cases.flat(found), cases.flat(expected), rtol=1e-9)


@pytest.mark.parametrize("name", ["adam", "lion", "muon", "MultiSteps"])
def test_compiled_steps(name):
    optimizer = cases.CASES[name](optim)
    expected, _ = stepped(optimizer, made(), value_of)

    @fg.jit
    def step(model, state):
        grads = fg.grad(value_of)(model)
        updates, state = optimizer.update(grads, state, model)
        return optim.apply_updates(model, updates), state

    model = made()
    state = optimizer.init(model)
    for _ in range(4):
        model, state = step(model, state)
    np.testing.assert_allclose(cases.flat(model), cases.flat(expected), rtol=1e-9)


def test_groups_and_masks_by_pattern():
    model = made()
    groups = nn.label(model, {"c": "slow"}, "fast")
    optimizer = optim.partition({"slow": optim.sgd(0.1, 0.9), "fast": optim.adam(0.1)}, groups)
    found, state = stepped(optimizer, model, value_of)
    assert not lengths(state) & {STILL, RUNNING} and found.still is model.still
    decayed = optim.adamw(0.1, mask=nn.select(model, "c"))
    assert not lengths(stepped(decayed, model, value_of)[1]) & {STILL, RUNNING}


def test_lookahead():
    optimizer = optim.lookahead(optim.adam(0.1), 2, 0.5)
    params = optim.LookaheadParams.init_synced(made())
    state = optimizer.init(params)
    for _ in range(3):
        grads = fg.grad(value_of)(params.fast)
        updates, state = optimizer.update(grads, state, params)
        params = optim.apply_updates(params, updates)
    assert not lengths(state) & {STILL, RUNNING}
    assert (params.slow.still == 1).all() and params.slow.running.shape == (RUNNING,)


def test_average_of_a_model_is_that_of_its_trained_parameters():
    model = made()
    average = optim.ema(0.9)
    found, _ = average.update(model, average.init(model))
    assert found.still is None and found.running is None
    np.testing.assert_allclose(nn.combine(found, model).c, model.c)


def test_evaluation_parameters_of_schedule_free_keep_what_is_frozen():
    model, optimizer = made(), optim.contrib.schedule_free_sgd(0.3)
    found, state = stepped(optimizer, model, value_of)
    assert optim.contrib.schedule_free_eval_params(state, found).still is model.still


def test_a_parameter_that_is_unfrozen_later_needs_a_new_state():
    model, optimizer = made(), optim.adam(0.1)
    state, trained = optimizer.init(model), nn.unfreeze(model)
    grads = fg.grad(value_of)(trained)
    with pytest.raises(ValueError, match=r"expected frozen: still, got .*call init again"):
        optimizer.update(grads, state, trained)
    updates, _ = optimizer.update(grads, optimizer.init(trained), trained)
    assert updates.still.shape == (STILL, 2)


def test_training_in_a_scan_and_the_state_in_a_file(tmp_path):
    optimizer, model = optim.adamw(0.1), made()

    def step(carry, _):
        model, state = carry
        updates, state = optimizer.update(fg.grad(value_of)(model), state, model)
        return (optim.apply_updates(model, updates), state), None

    start = (model, optimizer.init(model))
    (found, state), _ = fg.jit(lambda carry: fg.lax.scan(step, carry, length=4))(start)
    expected, _ = stepped(optimizer, model, value_of)
    np.testing.assert_allclose(cases.flat(found), cases.flat(expected), rtol=1e-9)
    fg.save(tmp_path / "state", state)
    loaded = fg.load(tmp_path / "state", optimizer.init(model))
    assert nn.tree_equal(loaded, state)
