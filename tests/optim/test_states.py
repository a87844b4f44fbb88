"""States of all optimizers: saved and loaded, pickled, separate in memory, and the same under `scan`."""

import importlib.util
import pickle
from pathlib import Path

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import nn, optim, tree

SPEC = importlib.util.spec_from_file_location("cases", Path(__file__).with_name("cases.py"))
cases = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(cases)

# The same lines are compiled for many cases.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled:UserWarning")
PLAIN = [name for name in cases.CASES if name not in cases.SEARCH]


def after_steps(name, count, dtype=np.float32):
    optimizer, params = cases.CASES[name](optim), cases.start(dtype)
    state = optimizer.init(params)
    for step in range(1, count + 1):
        extra = {"value": cases.loss(params)} if name in cases.VALUE else {}
        if name == "sophia":
            extra = {"obj_fn": cases.loss}
        grads = cases.gradient(params, step, dtype)
        updates, state = optimizer.update(grads, state, params, **extra)
        params = optim.apply_updates(params, updates)
    return optimizer, state, params


def are_equal(first, second):
    """Eager arithmetic makes NumPy scalars of arrays without axes: these count as equal."""
    pairs = zip(tree.leaves(first), tree.leaves(second), strict=True)
    return tree.structure(first) == tree.structure(second) and all(
        np.array_equal(a, b) and a.dtype == b.dtype for a, b in pairs
    )


@pytest.mark.parametrize("name", PLAIN)
def test_saved_and_loaded(name, tmp_path):
    optimizer, state, _ = after_steps(name, 2)
    fg.save(tmp_path / "state", state)
    loaded = fg.load(tmp_path / "state", optimizer.init(cases.start(np.float32)))
    assert are_equal(loaded, state)
    assert nn.tree_equal(pickle.loads(pickle.dumps(state)), state)


@pytest.mark.parametrize("name", cases.CASES)
def test_arrays_are_separate(name):
    params = cases.start(np.float32)
    state = cases.CASES[name](optim).init(params)
    leaves, _ = tree.flatten((params, state), tie=False)
    arrays = [x for x in leaves if isinstance(x, np.ndarray) and x.size]
    pointers = {x.ctypes.data for x in arrays}
    assert len(pointers) == len(arrays)


@pytest.mark.parametrize("name", PLAIN[::9])
def test_steps_in_a_scan(name):
    """The state keeps its types, so that a whole training fits into one loop."""
    if name in cases.VALUE or name == "sophia":
        pytest.skip("needs more than gradients")
    optimizer, expected, place = after_steps(name, 3, np.float64)
    params = cases.start(np.float64)
    rows = [cases.gradient(tree.map(np.zeros_like, params), step, np.float64) for step in (1, 2, 3)]
    noise = tree.map(lambda *leaves: np.stack(leaves) - 1.0, *rows)

    def step(carry, noise):
        params, state = carry
        grads = tree.map(lambda p, n: 0.5 * p + np.cos(p) + n, params, noise)
        updates, state = optimizer.update(grads, state, params)
        return (optim.apply_updates(params, updates), state), None

    (found, state), _ = fg.jit(lambda c: fg.lax.scan(step, c, noise))(
        (params, optimizer.init(params))
    )
    np.testing.assert_allclose(cases.flat(found), cases.flat(place), rtol=1e-9)
    assert tree.structure(state) == tree.structure(expected)


def test_state_of_another_optimizer():
    params = {"w": np.ones(2)}
    for ours, other in ((optim.adam(0.1), optim.sgd(0.1)), (optim.sgd(0.1, 0.9), optim.adam(0.1))):
        with pytest.raises(ValueError, match="it is the state of another optimizer"):
            ours.update(params, other.init(params), params)


def test_unknown_hyperparameters_are_named():
    with pytest.raises(TypeError, match=r"adam takes learning_rate, .*; got rate\."):
        optim.inject_hyperparams(optim.adam)(rate=0.1)


def test_losses_are_elsewhere():
    with pytest.raises(AttributeError, match=r"nn\.losses\.softmax_cross_entropy"):
        optim.softmax_cross_entropy
