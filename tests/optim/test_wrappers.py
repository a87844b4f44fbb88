"""Transformations around others, and states that are read and changed."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import nn, optim, tree

# The same lines are compiled for many cases.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled:UserWarning")


def test_hyperparameters_are_read_and_changed_without_compiling_again():
    optimizer, traces = optim.inject_hyperparams(optim.adamw)(0.1, weight_decay=0.01), []
    params = {"w": np.ones(3, np.float32)}

    @fg.jit
    def step(grads, state, params):
        traces.append(1)
        return optimizer.update(grads, state, params)

    state = optimizer.init(params)
    assert optim.tree.get(state, "learning_rate") == 0.1
    first, state = step(params, state, params)
    state = optim.tree.set(state, learning_rate=0.5)
    second, state = step(params, state, params)
    assert len(traces) == 1 and second["w"].dtype == np.float32
    np.testing.assert_allclose(second["w"] / first["w"], 5.0, rtol=1e-5)
    assert state.hyperparams["b1"] == 0.9 and state.count == 2


def test_hyperparameter_schedules():
    rates = optim.linear_schedule(1.0, 0.0, 10)
    optimizer = optim.inject_hyperparams(optim.sgd)(learning_rate=rates)
    state = optimizer.init(np.zeros(1))
    for _ in range(3):
        updates, state = optimizer.update(np.ones(1), state)
    assert updates == pytest.approx(-0.8) and state.hyperparams["learning_rate"] == 0.8
    with pytest.raises(ValueError, match="no arguments"):
        optim.inject_hyperparams(optim.sgd, static_args="rate")


def test_get_and_set():
    chain = optim.chain(optim.clip(1.0), optim.adam(0.1), optim.ema(0.9))
    state = chain.init({"count": np.ones(2)})
    paths = [path for path, _ in optim.tree.get_all_with_path(state, "mu")]
    assert paths == ["1.0.mu"]
    with pytest.raises(KeyError, match="is at"):
        optim.tree.get(state, "count")
    ema_only = lambda path, value: path == "2.count"
    assert optim.tree.get(state, "count", filtering=ema_only) == 0
    changed = optim.tree.set(state, ema_only, count=np.int64(5))
    assert changed[2].count == 5 and changed[1][0].count == 0
    assert isinstance(optim.tree.get(state, "ScaleByAdamState"), optim.ScaleByAdamState)
    assert optim.tree.get(state, "nothing", "default") == "default"
    with pytest.raises(KeyError, match="there is no 'rate'"):
        optim.tree.set(state, rate=1.0)


def test_map_params():
    optimizer = optim.adam(0.1)
    state = optimizer.init({"w": np.ones(2), "b": np.ones(1)})
    cast = optim.tree.map_params(
        optimizer, lambda m: m.astype(np.float32), state, transform_non_params=lambda n: n + 1
    )
    assert cast[0].mu["w"].dtype == cast[0].nu["b"].dtype == np.float32 and cast[0].count == 1


@pytest.mark.parametrize("wrap", [lambda f: f, fg.jit], ids=["eager", "jit"])
def test_steps_that_are_not_finite_are_skipped(wrap):
    optimizer = optim.apply_if_finite(optim.adam(0.1), 2)
    update = wrap(lambda g, s: optimizer.update(g, s))
    good, bad = np.ones(2), np.array([np.nan, 1.0])
    _, state = update(good, optimizer.init(good))
    before = state.inner_state
    for number in (1, 2):
        updates, state = update(bad, state)
        assert not updates.any() and state.notfinite_count == number
        assert nn.tree_equal(state.inner_state, before)
    updates, state = update(bad, state)
    assert np.isnan(updates).any() and state.total_notfinite == 3


@pytest.mark.parametrize("wrap", [lambda f: f, fg.jit], ids=["eager", "jit"])
def test_batches_that_are_skipped(wrap):
    steps = optim.MultiSteps(optim.sgd(1.0), 2, should_skip_update_fn=optim.skip_not_finite)
    update = wrap(lambda g, s: steps.update(g, s))
    state = steps.init(np.zeros(1))
    for gradient in (1.0, np.nan, 3.0):
        updates, state = update(np.array([gradient]), state)
    assert updates.tolist() == [-2.0] and state.gradient_step == 1 and steps.has_updated(state)


def test_lookahead():
    optimizer = optim.lookahead(optim.sgd(1.0), sync_period=2, slow_step_size=0.5)
    params = optim.LookaheadParams.init_synced({"w": np.zeros(1)})
    state = optimizer.init(params)
    for _ in range(2):
        updates, state = optimizer.update({"w": np.ones(1)}, state, params)
        params = optim.apply_updates(params, updates)
    assert params.fast["w"] == params.slow["w"] == -1.0 and state.steps_since_sync == 0
    with pytest.raises(TypeError, match="init_synced"):
        optimizer.init({"w": np.zeros(1)})


def test_parameter_groups_of_a_model():
    model = nn.MLP(2, 1, 4, 1, key=0)
    labels = lambda m: tree.map(lambda p: "matrix" if p.ndim > 1 else "vector", m)
    groups = {"matrix": optim.adamw(0.1), "vector": optim.set_to_zero()}
    optimizer = optim.partition(groups, labels)

    @fg.jit
    def step(model, state):
        grads = fg.grad(lambda m: np.sum(m(np.ones(2, np.float32)) ** 2))(model)
        updates, state = optimizer.update(grads, state, model)
        return optim.apply_updates(model, updates), state

    new, _ = step(model, optimizer.init(model))
    assert np.array_equal(new.layers[0].bias, model.layers[0].bias)
    assert not np.array_equal(new.layers[0].weight, model.layers[0].weight)
    with pytest.raises(ValueError, match="no transformation for the labels"):
        optim.partition({"matrix": optim.sgd(0.1)}, labels).init(model)
    with pytest.raises(ValueError, match="every array needs a label.*layers.1.weight"):
        optim.partition(groups, nn.label(model, {"layers.0": "matrix"})).init(model)


def test_gradient_ascent_of_a_bare_array():
    """One line each: the optimizer, and the sign."""
    x, optimizer = np.array([3.0, -2.0]), optim.chain(optim.scale(-1.0), optim.sgd(0.1))
    state = optimizer.init(x)
    for _ in range(100):
        updates, state = optimizer.update(fg.grad(lambda x: -np.sum(x**2))(x), state, x)
        x = optim.apply_updates(x, updates)
    assert np.abs(x).max() < 1e-6


def test_line_search_state_spares_evaluations():
    calls = []

    def loss(x):
        calls.append(1)
        return np.sum((x - 1.0) ** 4)

    search = optim.scale_by_backtracking_linesearch(15, store_grad=True)
    optimizer = optim.chain(optim.sgd(1.0), search)
    x = np.zeros(2)
    state = optimizer.init(x)
    evaluate = optim.value_and_grad_from_state(loss)
    for _ in range(3):
        value, grads = evaluate(x, state=state)
        np.testing.assert_allclose(grads, 4 * (x - 1.0) ** 3)
        updates, state = optimizer.update(grads, state, x, value=value, grad=grads, value_fn=loss)
        x = optim.apply_updates(x, updates)
        assert loss(x) < value
    with pytest.raises(ValueError, match="needs value, grad, value_fn"):
        optimizer.update(grads, state, x)


def test_lbfgs_solves_rosenbrock():
    def loss(x):
        return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    optimizer = optim.lbfgs()

    @fg.jit
    def step(x, state):
        value, grads = optim.value_and_grad_from_state(loss)(x, state=state)
        updates, state = optimizer.update(grads, state, x, value=value, grad=grads, value_fn=loss)
        return optim.apply_updates(x, updates), state

    x = np.array([-1.2, 1.0, -0.5, 0.8])
    state = optimizer.init(x)
    for _ in range(60):
        x, state = step(x, state)
    np.testing.assert_allclose(x, np.ones(4), atol=1e-6)


def test_schedule_free_parameters_to_use():
    optimizer = optim.contrib.schedule_free_sgd(0.2)
    x = np.array([4.0])
    state = optimizer.init(x)
    for _ in range(200):
        updates, state = optimizer.update(2 * x, state, x)
        x = optim.apply_updates(x, updates)
    assert abs(optim.contrib.schedule_free_eval_params(state, x)[0]) < 0.05


def test_sam_in_one_call():
    ascent = optim.chain(optim.contrib.normalize(), optim.sgd(0.1))
    optimizer = optim.contrib.sam(optim.sgd(0.1), ascent, opaque_mode=True)
    x, slope = np.array([1.0]), lambda p, number: 2 * p
    updates, _ = optimizer.update(slope(x, 0), optimizer.init(x), x, grad_fn=slope)
    np.testing.assert_allclose(updates, [-0.1 * 2 * 1.1])
    with pytest.raises(ValueError, match="grad_fn"):
        optimizer.update(x, optimizer.init(x), x)


def test_private_gradients():
    optimizer = optim.contrib.dpsgd(1.0, l2_norm_clip=1.0, noise_multiplier=0.0, seed=0)
    grads = {"a": np.array([[3.0], [0.3]]), "b": np.array([[4.0], [0.4]])}
    updates, _ = optimizer.update(grads, optimizer.init({"a": np.zeros(1), "b": np.zeros(1)}))
    np.testing.assert_allclose([updates["a"][0], updates["b"][0]], [-0.45, -0.6])
    with pytest.raises(ValueError, match="axis of examples"):
        optim.per_example_global_norm_clip({"a": np.ones(3), "b": np.ones(2)}, 1.0)


def test_half_precision_moments():
    g = np.full(4, 1e-5, np.float16)
    for make in (optim.adabelief, optim.yogi, optim.lion, optim.rmsprop, optim.adagrad):
        optimizer = make(0.1)
        updates, state = optimizer.update(g, optimizer.init(g), g)
        assert updates.dtype == np.float32 and np.isfinite(updates).all()
        assert all(leaf.dtype != np.float16 for leaf in tree.leaves(state))


def test_functions_among_the_parameters():
    model = nn.Sequential([nn.Linear(2, 2, key=0), np.tanh])
    grads = fg.grad(lambda m: np.sum(m(np.ones(2, np.float32))))(model)
    for make in (optim.lamb, optim.adafactor, optim.novograd, optim.contrib.prodigy):
        optimizer = make(0.1)
        updates, _ = optimizer.update(grads, optimizer.init(model), model)
        assert optim.apply_updates(model, updates)[1] is np.tanh


def test_projections():
    x = {"a": np.array([0.5, -2.0]), "b": np.array([3.0])}
    total = lambda t: sum(np.sum(leaf) for leaf in tree.leaves(t))
    simplex = optim.projections.projection_simplex(x, 2.0)
    assert total(simplex) == pytest.approx(2.0) and simplex["b"] == pytest.approx(2.0)
    ball = fg.jit(optim.projections.projection_l1_ball)(x)
    assert total(tree.map(np.abs, ball)) == pytest.approx(1.0)
    box = optim.projections.projection_box(x, 0.0, 1.0)
    assert box["a"].tolist() == [0.5, 0.0] and box["b"].tolist() == [1.0]
    assert optim.projections.projection_halfspace(x["a"], np.array([0.0, 1.0]), -3.0)[1] == -3.0


def test_settings_out_of_range():
    for make in (
        lambda: optim.scale_by_amsgrad(b1=1.0),
        lambda: optim.contrib.reduce_on_plateau(factor=1.5),
        lambda: optim.contrib.sam(optim.sgd(1.0), optim.sgd(1.0), sync_period=0),
        lambda: optim.scale_by_lion(mode="loud"),
        lambda: optim.contrib.schedule_free(optim.sgd(1.0), 1.0, b1=0),
        lambda: optim.named_chain(("a", optim.sgd(1.0)), ("a", optim.sgd(1.0))),
        lambda: optim.piecewise_interpolate_schedule("square", 1.0),
    ):
        with pytest.raises(ValueError, match=r"\["):
            make()
