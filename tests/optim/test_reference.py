"""Every optimizer for 50 steps on a tree of mixed shapes: against recorded runs of Optax and PyTorch."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import optim


def neighbour(name):
    """A file of this directory that is no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


cases, torch_cases = neighbour("cases"), neighbour("torch_cases")
REFERENCE = np.load(Path(__file__).with_name("reference.npz"))
DTYPES = [np.float32, np.float64]

# The same lines are compiled for many cases.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled:UserWarning")

# A line search decides by the last bits; Optax takes the singular vectors of galore in float32.
COARSE = dict.fromkeys([*cases.SEARCH, "galore"], 3e-6)


def run(name, optimizer, dtype, wrap=lambda f: f):
    params = cases.start(dtype)
    state = optimizer.init(params)
    update = wrap(lambda *args, **extra: optimizer.update(*args, **extra))
    found = []
    for step in range(1, cases.steps_of(name) + 1):
        extra = {}
        if name in cases.VALUE:
            extra = {"value": cases.loss(params)}
        if name == "sophia":
            extra = {"obj_fn": cases.loss}
        if name in cases.SEARCH:
            value, grads = fg.value_and_grad(cases.hard_loss)(params)
            extra = {"value": value, "grad": grads, "value_fn": cases.hard_loss}
        else:
            grads = cases.gradient(params, step, dtype)
        updates, state = update(grads, state, params, **extra)
        params = optim.apply_updates(params, updates)
        if step in cases.recorded_steps(name):
            found.append(cases.flat(params))
    assert all(leaf.dtype == dtype for leaf in fg.tree.leaves(params))
    return np.array(found)


def tolerance(name, dtype):
    if dtype == np.float32:
        return 2e-3
    return COARSE.get(name, 1e-7)


@pytest.mark.parametrize("dtype", DTYPES, ids=["float32", "float64"])
@pytest.mark.parametrize("name", cases.CASES)
def test_optax(name, dtype):
    # Of line searches there are recorded runs in float64 only.
    kind = "float64" if name in cases.SEARCH else np.dtype(dtype).name
    expected = REFERENCE[f"optax/{name}/{kind}"]
    if name in cases.UNSTABLE and dtype == np.float32:
        pytest.skip("rounding errors grow with every step")
    found = run(name, cases.CASES[name](optim), dtype)
    limit = tolerance(name, dtype)
    np.testing.assert_allclose(found[0], expected[0], rtol=limit, atol=limit)
    np.testing.assert_allclose(found[1], expected[1], rtol=limit, atol=limit)


@pytest.mark.parametrize("dtype", DTYPES, ids=["float32", "float64"])
@pytest.mark.parametrize("name", torch_cases.TORCH)
def test_pytorch(name, dtype):
    expected = REFERENCE[f"torch/{name}/{np.dtype(dtype).name}"]
    found = run("", torch_cases.OURS[name](optim), dtype)
    np.testing.assert_allclose(found, expected, rtol=tolerance("", dtype), atol=1e-6)


@pytest.mark.parametrize("name", torch_cases.SCHEDULES)
def test_schedules(name):
    schedule = torch_cases.SCHEDULES[name](optim)
    expected = REFERENCE[f"schedule/{name}"]
    found = [float(schedule(count)) for count in range(len(expected))]
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-7)
    traced = fg.jit(fg.vmap(schedule))(np.arange(len(expected)))
    np.testing.assert_allclose(
        np.broadcast_to(traced, len(expected)), expected, rtol=2e-6, atol=1e-7
    )


# --- what users do with them ---

COMPILED = [name for name in cases.CASES if name not in cases.SEARCH and name != "sophia"]


@pytest.mark.parametrize("name", COMPILED[::7])
def test_compiled_updates_are_the_same(name):
    eager = run(name, cases.CASES[name](optim), np.float64)
    compiled = run(name, cases.CASES[name](optim), np.float64, fg.jit)
    np.testing.assert_allclose(compiled, eager, rtol=1e-7, atol=1e-7)


def test_live_against_optax():
    """Where Optax can be imported."""
    optax = pytest.importorskip("optax", reason="Optax is not installed")
    grads, params = np.array([0.3, -2.0]), np.ones(2)
    for name in ("adam", "lion", "adabelief"):
        theirs, ours = getattr(optax, name)(0.1), getattr(optim, name)(0.1)
        expected, _ = theirs.update(grads, theirs.init(params), params)
        found, _ = ours.update(grads, ours.init(params), params)
        np.testing.assert_allclose(found, expected, rtol=1e-5)
