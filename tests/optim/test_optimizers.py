"""Whole optimizers: against their textbook formulas, in training, on unusual leaves (R44, R66, R67)."""

import math
import pickle
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import funcgrad as fg
from funcgrad import nn, optim, tree

# The same lines are compiled for many cases.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled:UserWarning")

OPTIMIZERS = {
    "sgd": lambda rate: optim.sgd(rate),
    "momentum": lambda rate: optim.sgd(rate, momentum=0.9),
    "nesterov": lambda rate: optim.sgd(rate, momentum=0.9, nesterov=True),
    "adam": lambda rate: optim.adam(rate),
    "nadam": lambda rate: optim.adam(rate, nesterov=True),
    "adamw": lambda rate: optim.adamw(rate, weight_decay=1e-3),
    "clipped adam": lambda rate: optim.chain(optim.clip_by_global_norm(1.0), optim.adam(rate)),
}


@pytest.fixture(params=OPTIMIZERS)
def make(request):
    return OPTIMIZERS[request.param]


def run(optimizer, gradients, params):
    """The parameters after each step."""
    state, path = optimizer.init(params), []
    for gradient in gradients:
        updates, state = optimizer.update(gradient, state, params)
        params = optim.apply_updates(params, updates)
        path.append(params)
    return path, state


# --- formulas, written out once more in plain NumPy ---

GRADIENTS = list(np.random.default_rng(0).normal(size=(6, 3)))
START = np.array([1.0, -2.0, 0.5])


def reference_sgd(rate, momentum=0.0, nesterov=False):
    p, v, path = START, 0.0, []
    for g in GRADIENTS:
        v = momentum * v + g
        p = p - rate * (g + momentum * v if nesterov else v)
        path.append(p)
    return path


def reference_adam(rate, b1, b2, eps, decay=0.0):
    p, m, v, path = START, 0.0, 0.0, []
    for t, g in enumerate(GRADIENTS, 1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        step = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)
        p = p - rate(t - 1) * (step + decay * p)
        path.append(p)
    return path


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        (optim.sgd(0.1), reference_sgd(0.1)),
        (optim.sgd(0.1, momentum=0.9), reference_sgd(0.1, 0.9)),
        (optim.sgd(0.1, momentum=0.9, nesterov=True), reference_sgd(0.1, 0.9, True)),
        (optim.adam(0.1), reference_adam(lambda t: 0.1, 0.9, 0.999, 1e-8)),
        (optim.adam(0.1, 0.5, 0.7, 1e-2), reference_adam(lambda t: 0.1, 0.5, 0.7, 1e-2)),
        (
            optim.adamw(lambda t: 0.1 * 0.5**t, weight_decay=0.3),
            reference_adam(lambda t: 0.1 * 0.5**t, 0.9, 0.999, 1e-8, 0.3),
        ),
    ],
    ids=["sgd", "momentum", "nesterov", "adam", "adam settings", "adamw schedule"],
)
def test_against_the_formula(optimizer, expected):
    path, _ = run(optimizer, GRADIENTS, START)
    np.testing.assert_allclose(path, expected, rtol=1e-12)


def test_golden_values_of_optax():
    """optax 0.2.8, float64: three steps with gradients 1, 2, 3 times (1, -1)."""
    gradients = [scale * np.array([1.0, -1.0]) for scale in (1, 2, 3)]
    nadam = run(optim.adam(0.1, nesterov=True), gradients, np.zeros(2))[0][-1]
    assert nadam == pytest.approx(GOLDEN_NADAM, rel=1e-12)
    joined = optim.warmup_cosine_decay_schedule(0.0, 0.1, 1, 3, 0.01)
    adamw = run(optim.adamw(joined, weight_decay=0.1), gradients, np.ones(2))[0][-1]
    assert adamw == pytest.approx(GOLDEN_ADAMW, rel=1e-7)


GOLDEN_NADAM = [-0.39400848918141884, 0.39400848918141884]
GOLDEN_ADAMW = [0.8358775797910638, 1.1332324199715607]


# --- states ---


def test_states_are_those_of_optax():
    params = {"w": np.ones(2)}
    assert optim.sgd(0.1).init(params) == (optim.EmptyState(), optim.EmptyState())
    state = optim.sgd(0.1, momentum=0.5).init(params)
    assert isinstance(state[0], optim.TraceState) and state[0].trace["w"].tolist() == [0, 0]
    state = optim.adamw(lambda count: 0.1).init(params)
    assert [type(part).__name__ for part in state] == [
        "ScaleByAdamState",
        "EmptyState",
        "ScaleByScheduleState",
    ]
    assert state[0]._fields == ("count", "mu", "nu") and state[0].count == 0
    assert optim.adam(0.1).init(params)[1] == optim.EmptyState()


def test_state_arrays_are_separate(make):
    params = {"a": np.ones(2), "b": np.ones(2), "c": [np.ones(2)]}
    arrays = [x for x in tree.leaves(make(0.1).init(params), is_leaf=None) if np.ndim(x)]
    pointers = {x.ctypes.data for x in arrays}
    assert len(pointers) == len(arrays)


def test_state_can_be_pickled(make):
    state = make(0.1).init(nn.Linear(2, 2, key=0))
    assert nn.tree_equal(pickle.loads(pickle.dumps(state)), state)


# --- training ---


def quadratic(params):
    return np.sum((params["w"] - 3.0) ** 2) + np.sum((params["b"] + 1.0) ** 2)


def train(optimizer, params, loss, steps, wrap=lambda f: f):
    state = optimizer.init(params)

    @wrap
    def step(params, state):
        gradient = fg.grad(loss)(params)
        updates, state = optimizer.update(gradient, state, params)
        return optim.apply_updates(params, updates), state

    for _ in range(steps):
        params, state = step(params, state)
    return params, state


def test_minimises_and_jit_agrees(make):
    params = {"w": np.zeros(3), "b": np.zeros((2, 2), np.float32)}
    eager, _ = train(make(0.05), params, quadratic, 50)
    jitted, state = train(make(0.05), params, quadratic, 50, fg.jit)
    np.testing.assert_allclose(eager["w"], jitted["w"], rtol=1e-10)
    np.testing.assert_allclose(eager["b"], jitted["b"], rtol=1e-4)
    assert quadratic(jitted) < 0.3 * quadratic(params)
    assert jitted["b"].dtype == np.float32 and not params["w"].any()


def test_whole_step_is_traced_once(make):
    optimizer, traces = make(0.1), []
    model = nn.MLP(2, 1, 4, 1, key=0)

    @fg.jit
    def step(model, state, x):
        traces.append(1)
        gradient = fg.grad(lambda m: np.mean(m(x) ** 2))(model)
        updates, state = optimizer.update(gradient, state, model)
        return optim.apply_updates(model, updates), state

    state = optimizer.init(model)
    for _ in range(4):
        model, state = step(model, state, np.ones((5, 2), np.float32))
    assert len(traces) == 1
    assert {leaf.dtype for leaf in tree.leaves(model)} == {np.dtype(np.float32)}


def test_learning_rate_as_traced_argument():
    @fg.jit
    def step(params, gradient, rate):
        updates, _ = optim.adam(rate).update(gradient, optim.adam(rate).init(params))
        return optim.apply_updates(params, updates)

    params = np.ones(2, np.float32)
    found = step(params, params, np.float64(0.25))
    assert found.dtype == np.float32 and found == pytest.approx([0.75, 0.75], rel=1e-5)


def test_the_gradient_of_a_training_step():
    """Hyperparameters can be learned: the step is a differentiable function."""

    def after(rate):
        optimizer = optim.sgd(rate)
        params = np.array([2.0])
        updates, _ = optimizer.update(2 * params, optimizer.init(params))
        return np.sum(optim.apply_updates(params, updates) ** 2)

    assert fg.grad(after)(0.1) == pytest.approx(2 * (2 - 4 * 0.1) * -4)


def test_resume_gives_the_same_bits(make):
    gradients = list(np.random.default_rng(1).normal(size=(8, 3)).astype(np.float32))
    params = np.ones(3, np.float32)
    whole, _ = run(make(0.1), gradients, params)
    half, state = run(make(0.1), gradients[:3], params)
    optimizer, params = make(0.1), half[-1]
    for gradient in gradients[3:]:
        updates, state = optimizer.update(gradient, pickle.loads(pickle.dumps(state)), params)
        params = optim.apply_updates(params, updates)
    assert params.tobytes() == whole[-1].tobytes()


# --- unusual leaves ---


def distance(z):
    return np.abs(z - (1 + 2j)) ** 2


def test_r44_complex_parameters(make):
    z, _ = train(make(0.05), np.array(0j), lambda z: np.sum(distance(z)), 300)
    assert abs(z - (1 + 2j)) < 0.1
    jitted, _ = train(make(0.05), np.array(0j), lambda z: np.sum(distance(z)), 300, fg.jit)
    assert abs(jitted - z) < 1e-6


def test_r44_a_complex_parameter_moves_as_its_two_parts():
    """sgd: z as complex number and as pair of reals take the same path."""
    target = 1 + 2j
    z, _ = train(optim.sgd(0.1, 0.5), np.array(0j), lambda z: np.abs(z - target) ** 2, 5)
    xy, _ = train(
        optim.sgd(0.1, 0.5), np.zeros(2), lambda p: (p[0] - 1.0) ** 2 + (p[1] - 2.0) ** 2, 5
    )
    assert z == pytest.approx(xy[0] + 1j * xy[1], rel=1e-9)


def test_r66_tied_parameters_stay_tied(make):
    shared = nn.Linear(2, 2, key=0)
    model = nn.Sequential([shared, np.tanh, shared])
    state = make(0.1).init(model)
    assert len(tree.leaves(model)) == 3  # weight, bias, and the function
    trained, state = train(make(0.1), model, lambda m: np.sum(m(np.ones(2)) ** 2), 3, fg.jit)
    assert trained[0] is trained[2] and trained[1] is np.tanh
    assert not np.array_equal(trained[0].weight, shared.weight)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16], ids=["f16", "bf16"])
def test_r67_half_precision(make, dtype):
    params = np.ones(3, dtype)
    gradient = np.full(3, 1e-5, dtype)
    path, state = run(make(1e-2), [gradient] * 10, params)
    assert path[-1].dtype == dtype and np.isfinite(path[-1].astype(float)).all()
    for leaf in tree.leaves(state):
        assert leaf.dtype in (np.float32, np.int64) and np.isfinite(leaf).all()


def test_r67_adam_in_float16_makes_full_steps():
    path, _ = run(optim.adam(1e-2), [np.full(1, 1e-5, np.float16)] * 10, np.zeros(1, np.float16))
    assert path[-1] == pytest.approx(-0.1, rel=0.02)


def test_mu_dtype():
    optimizer = optim.adam(0.1, mu_dtype=ml_dtypes.bfloat16)
    _, state = run(optimizer, [np.ones(2, np.float32)] * 2, np.ones(2, np.float32))
    assert state[0].mu.dtype == ml_dtypes.bfloat16 and state[0].nu.dtype == np.float32


class Mixed(nn.Module):
    weight: Any
    parts: list


def test_r67_leaves_that_are_no_arrays(make):
    model = Mixed(np.ones(2), [np.ones(1), np.tanh, None, "text"])
    gradient = fg.grad(lambda m: np.sum(m.weight**2) + np.sum(m.parts[0]))(model)
    path, state = run(make(0.1), [gradient] * 2, model)
    assert path[-1].parts[1:] == [np.tanh, None, "text"]
    assert path[-1].weight[0] < 1 and path[-1].parts[0][0] < 1


def test_r67_integer_leaf_does_not_decay():
    params = {"w": np.ones(2), "steps": np.array([3])}
    gradient = {"w": np.ones(2), "steps": None}
    path, _ = run(optim.adamw(0.1, weight_decay=0.5), [gradient] * 2, params)
    assert path[-1]["steps"] is params["steps"] and path[-1]["w"][0] < 1


def test_none_gradients_leave_the_parameter(make):
    params = {"a": np.ones(2), "b": np.ones(2)}
    path, state = run(make(0.1), [{"a": np.ones(2), "b": None}] * 2, params)
    assert path[-1]["b"] is params["b"] and path[-1]["a"][0] < 1


def test_scalar_parameters(make):
    (first, second), _ = run(make(0.1), [np.float64(1.0)] * 2, 3.0)
    assert second < first < 3.0


@pytest.mark.parametrize("gradient", [{"w": np.ones(2)}, {"w": np.ones(2), "b": {"x": 1.0}}])
def test_r67_gradient_without_a_leaf(make, gradient):
    params = {"w": np.ones(2), "b": np.ones(3)}
    optimizer = make(0.1)
    with pytest.raises(ValueError, match=r"do not have the structure of the parameters.*'?b'?"):
        updates, _ = optimizer.update(gradient, optimizer.init(params), params)
        optim.apply_updates(params, updates)


def test_gradient_for_a_leaf_that_had_none():
    optimizer = optim.adam(0.1)
    state = optimizer.init({"w": np.array([1])})
    with pytest.raises(ValueError, match="Call init"):
        optimizer.update({"w": np.array([1.0])}, state)


def test_r67_first_step_has_no_division_by_zero(make):
    path, _ = run(make(0.1), [np.zeros(2)], np.ones(2))
    assert np.isfinite(path[0]).all()


# --- errors ---


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: optim.adam("0.1"), "learning_rate must be a number"),
        (lambda: optim.sgd(None), "learning_rate must be a number"),
        (lambda: optim.adam(0.1, b1=1.0), "b1 must be at least 0"),
        (lambda: optim.adam(0.1, b2=-0.5), "b2 must be at least 0"),
        (lambda: optim.sgd(0.1, momentum=2.0), "decay must be at least 0"),
        (lambda: optim.adamw(0.1, weight_decay="x"), "weight_decay must be a number"),
        (lambda: optim.clip_by_global_norm(None), "max_norm must be a number"),
    ],
)
def test_bad_settings(call, match):
    with pytest.raises((TypeError, ValueError), match=match):
        call()


def test_weight_decay_needs_parameters():
    optimizer = optim.adamw(0.1)
    with pytest.raises(ValueError, match=r"optimizer\.update\(grads, state, params\)"):
        optimizer.update(np.ones(2), optimizer.init(np.ones(2)))


def test_state_of_another_optimizer():
    with pytest.raises(ValueError, match=r"optimizer\.init\(params\)"):
        optim.adam(0.1).update(np.ones(2), np.zeros(2))


def test_update_for_an_integer():
    with pytest.raises(ValueError, match="no floating array"):
        optim.apply_updates({"n": np.array([1])}, {"n": np.array([0.5])})


def test_learning_is_not_by_luck():
    """A known number: after t steps of sgd on x**2 / 2 from 1, x = (1 - rate)**t."""
    x, _ = train(optim.sgd(0.1), np.array(1.0), lambda x: 0.5 * x * x, 20)
    assert math.isclose(float(x), 0.9**20, rel_tol=1e-12)
