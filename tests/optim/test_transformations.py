"""The parts of optimizers: clipping, masks, weight decay, chains."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import nn, optim, tree

# The same lines are compiled for many cases.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled:UserWarning")


def updated(transformation, updates, params=None):
    start = updates if params is None else params
    return transformation.update(updates, transformation.init(start), params)[0]


# --- clipping ---


def test_global_norm():
    tied = np.array([3.0])
    assert optim.global_norm({"a": tied, "b": [np.array([[4.0]])], "c": None, "f": abs}) == 5
    assert optim.global_norm([tied, tied]) == 3
    assert optim.global_norm({}) == 0
    assert optim.global_norm(np.array([3j, 4.0])) == 5
    assert optim.global_norm([np.full(4, 60000, np.float16)]) == 120000
    assert optim.global_norm([3.0, 4.0]) == 5


@pytest.mark.parametrize("wrap", [lambda f: f, fg.jit], ids=["eager", "jit"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_clip_by_global_norm(wrap, dtype):
    clip = wrap(lambda g: updated(optim.clip_by_global_norm(1.0), g))
    gradient = {"a": np.array([3.0], dtype), "b": np.array([4.0], dtype)}
    clipped = clip(gradient)
    assert clipped["a"].dtype == max(dtype, np.float32, key=lambda d: np.dtype(d).itemsize)
    assert [float(clipped[k][0]) for k in "ab"] == pytest.approx([0.6, 0.8], rel=1e-3)
    small = clip({"a": np.array([0.3], dtype), "b": np.array([0.4], dtype)})
    assert small["a"] == np.array([0.3], dtype)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("wrap", [lambda f: f, fg.jit], ids=["eager", "jit"])
def test_r67_clip_skips_a_step_that_is_not_finite(wrap, bad):
    clip = wrap(lambda g: updated(optim.clip_by_global_norm(1.0), g))
    assert clip(np.array([bad, 1.0])).tolist() == [0, 0]
    assert clip(np.zeros(2)).tolist() == [0, 0]


def test_clip():
    assert updated(optim.clip(1.0), np.array([-3.0, 0.5])).tolist() == [-1, 0.5]
    found = updated(optim.clip(1.0), np.array([3 + 4j, 0.1j]))
    np.testing.assert_allclose(found, [0.6 + 0.8j, 0.1j])
    assert updated(optim.clip(1.0), np.array([2.0], np.float32)).dtype == np.float32


# --- chains and scaling ---


def test_chain_state_and_order():
    chain = optim.chain(optim.scale(2.0), optim.clip(1.0), optim.trace(0.5))
    state = chain.init(np.zeros(1))
    assert isinstance(state, tuple) and len(state) == 3
    updates, state = chain.update(np.array([3.0]), state)
    updates, state = chain.update(np.array([3.0]), state)
    assert updates.tolist() == [1.5] and state[2].trace.tolist() == [1.5]


def test_empty_chain_is_the_identity():
    assert updated(optim.chain(), np.ones(1)).tolist() == [1]


def test_chain_of_something_else():
    with pytest.raises(TypeError, match="one by one"):
        optim.chain([optim.clip(1.0)])


def test_scale_by_learning_rate():
    rates = optim.scale_by_learning_rate(lambda count: 10.0**-count)
    state = rates.init(None)
    first, state = rates.update(np.ones(1), state)
    second, state = rates.update(np.ones(1), state)
    assert (first[0], second[0], state.count) == (-1.0, -0.1, 2)
    assert updated(optim.scale_by_learning_rate(0.5, flip_sign=False), np.ones(1)).tolist() == [0.5]


def test_schedules_do_not_raise_precision():
    rates = optim.scale_by_schedule(lambda count: np.float64(0.1))
    assert updated(rates, np.ones(1, np.float32)).dtype == np.float32


def test_updates_have_none_for_what_is_no_array():
    found = updated(optim.scale(2.0), {"a": np.ones(1), "b": None, "c": abs, "d": np.arange(2)})
    assert found["a"].tolist() == [2] and found["b"] is found["c"] is found["d"] is None


# --- masks ---


@pytest.fixture
def model():
    return nn.MLP(2, 1, 3, 1, key=0)


def is_matrix(model):
    return tree.map(lambda leaf: leaf.ndim > 1, model)


def test_decay_only_of_matrices(model):
    zero = tree.map(np.zeros_like, model)
    for mask in (is_matrix, is_matrix(model)):
        decay = updated(optim.add_decayed_weights(0.5, mask), zero, model)
        np.testing.assert_array_equal(decay.layers[0].weight, 0.5 * model.layers[0].weight)
        assert not decay.layers[0].bias.any()


def test_mask_prefix():
    params = {"encoder": {"w": np.ones(1), "b": np.ones(1)}, "head": np.ones(1)}
    freeze = optim.masked(optim.set_to_zero(), {"encoder": True, "head": False})
    found = updated(optim.chain(optim.scale(2.0), freeze), params)
    assert [leaf[0] for leaf in tree.leaves(found)] == [0, 0, 2]


def test_masked_state_has_nothing_for_the_others():
    state = optim.masked(optim.scale_by_adam(), {"a": True, "b": False}).init(
        {"a": np.ones(1), "b": np.ones(1)}
    )
    assert isinstance(state, optim.MaskedState)
    assert state.inner_state.mu == {"a": np.zeros(1), "b": None}


def test_masked_with_function_leaves_and_jit():
    model = nn.Sequential([nn.Linear(2, 2, key=0), np.tanh])
    optimizer = optim.adamw(0.1, mask=lambda m: tree.map(lambda p: getattr(p, "ndim", 0) > 1, m))

    @fg.jit
    def step(model, state):
        gradient = fg.grad(lambda m: np.sum(m(np.ones(2)) ** 2))(model)
        updates, state = optimizer.update(gradient, state, model)
        return optim.apply_updates(model, updates), state

    new, _ = step(model, optimizer.init(model))
    assert new[1] is np.tanh and not np.array_equal(new[0].weight, model[0].weight)


def test_mask_errors():
    with pytest.raises(TypeError, match="bools at its leaves"):
        optim.masked(optim.scale(1.0), {"a": 1}).init({"a": np.ones(1)})
    with pytest.raises(ValueError, match=r"\[masked\] mask: at the root"):
        optim.masked(optim.scale(1.0), {"b": True}).init({"a": np.ones(1)})
    shared = np.ones(1)
    with pytest.raises(ValueError, match="the same array"):
        optim.masked(optim.scale(1.0), {"a": True, "b": False}).init({"a": shared, "b": shared})


# --- applying ---


def test_apply_updates_keeps_dtypes_and_inputs():
    params = {"a": np.ones(1, np.float32), "b": np.ones(1, np.float16)}
    new = optim.apply_updates(params, {"a": np.ones(1), "b": np.ones(1, np.float32)})
    assert (new["a"].dtype, new["b"].dtype) == (np.float32, np.float16)
    assert params["a"][0] == 1


def test_apply_updates_names_the_path():
    params = {"layers": [{"w": np.ones(1), "b": np.ones(1)}]}
    with pytest.raises(ValueError, match=r"apply_updates.*layers\.0.*missing 'b'"):
        optim.apply_updates(params, {"layers": [{"w": np.ones(1)}]})
