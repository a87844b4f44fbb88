"""Training mode, keys and state inside `apply`: nesting, sharing, transformations, errors (R64, R65)."""

from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax, nn, random
from funcgrad.config import config
from funcgrad.errors import KeyReuseWarning

# The same lines are compiled for many cases.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled:UserWarning")

X = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)


class Block(nn.Module):
    """A module whose call just calls children, in a list and a dict."""

    layers: list
    named: dict
    norm: Any

    def __init__(self, key):
        keys = random.split(key, 3)
        self.layers = [nn.Linear(4, 4, key=keys[0]), nn.Dropout(0.5)]
        self.named = {"out": nn.Linear(4, 4, key=keys[1]), "drop": nn.Dropout(0.25)}
        self.norm = nn.BatchNorm1d(4, momentum=0.5)

    def __call__(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.named["drop"](self.named["out"](self.norm(x)))


class Net(nn.Module):
    first: Any
    second: Any
    shared: Any

    def __init__(self, key=0):
        keys = random.split(key, 2)
        self.first = Block(keys[0])
        self.second = nn.Sequential([Block(keys[1]), nn.relu])
        self.shared = nn.BatchNorm1d(4, momentum=0.5)

    def __call__(self, x):
        return self.shared(self.second(self.shared(self.first(x))))


def step(model, x, key):
    def loss(model):
        y, changed = model.apply(x, train=True, key=key)
        return (y * y).mean(), changed

    (value, changed), gradient = fg.value_and_grad(loss, has_aux=True)(model)
    return value, changed, gradient


def test_plain_calls_are_inference():
    model = Net()
    np.testing.assert_array_equal(model(X), model(X))
    y, same = model.apply(X)
    np.testing.assert_array_equal(y, model(X))
    assert same is model


def test_apply_updates_state_and_draws():
    model = Net()
    y, changed = model.apply(X, train=True, key=0)
    again, _ = model.apply(X, train=True, key=0)
    other, _ = model.apply(X, train=True, key=1)
    np.testing.assert_array_equal(y, again)
    assert not np.allclose(y, other)
    assert changed.shared.num_batches_tracked == 2  # shared: called twice
    assert changed.first.norm.num_batches_tracked == 1
    assert model.shared.num_batches_tracked == 0
    assert changed.first.layers[0] is model.first.layers[0]
    masks = [nn.Dropout(0.5), nn.Dropout(0.5)]
    pair = nn.Lambda(lambda x: (masks[0](x), masks[1](x)))
    one, two = pair.apply(np.ones(64), train=True, key=0)[0]
    assert not np.array_equal(one, two)


def test_transformations_agree():
    model, key = Net(), random.key(3)
    value, changed, gradient = step(model, X, key)
    for function in (fg.jit(step), fg.jit(lambda *args: fg.jit(step)(*args))):
        other_value, other, other_gradient = function(model, X, key)
        np.testing.assert_allclose(value, other_value, rtol=1e-5)
        assert nn.tree_equal(changed, other, rtol=1e-5, atol=1e-6)
        assert nn.tree_equal(gradient, other_gradient, rtol=1e-4, atol=1e-5)


def test_scan_over_batches_is_the_loop():
    xs = np.random.default_rng(1).normal(size=(3, 6, 4)).astype(np.float32)
    keys = random.split(0, 3)

    def body(model, batch):
        y, model = model.apply(batch[0], train=True, key=batch[1])
        return model, y.sum()

    final, sums = lax.scan(body, Net(), (xs, keys))
    model = Net()
    for i in range(3):
        model, total = body(model, (xs[i], keys[i]))
        np.testing.assert_allclose(total, sums[i], rtol=1e-4)
    assert nn.tree_equal(model, final, rtol=1e-5, atol=1e-6)


def test_vmap_over_models_and_keys():
    keys = random.split(0, 3)
    models = fg.vmap(Net)(keys)
    out, changed = fg.vmap(lambda m, k: m.apply(X, train=True, key=k))(models, keys)
    assert out.shape == (3, 6, 4) and changed.shared.running_mean.shape == (3, 4)
    one, first = Net(keys[1]).apply(X, train=True, key=keys[1])
    np.testing.assert_allclose(out[1], one, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(changed.shared.running_var[1], first.shared.running_var, rtol=1e-4)


@pytest.mark.parametrize("where", ["outside", "inside"])
def test_batch_norm_over_a_vmapped_axis(where):
    layer = nn.BatchNorm(4, "batch", momentum=0.5)
    wanted, changed = nn.BatchNorm(4, momentum=0.5).apply(X, train=True)
    if where == "outside":
        run = fg.vmap(lambda x: layer.apply(x, train=True), axis_name="batch", out_axes=(0, None))
        y, found = run(X)
    else:
        y, found = layer.apply(X, train=True, method=lambda m, x: fg.vmap(m, axis_name="batch")(x))
    np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.running_mean, changed.running_mean, rtol=1e-5)
    np.testing.assert_allclose(found.running_var, changed.running_var, rtol=1e-5)


def test_jit_inside_is_inlined_and_leaks_nothing():
    class Jitted(nn.Module):
        block: Any

        def __call__(self, x):
            return fg.jit(self.block)(x) + fg.jit(lambda block, x: block(x))(self.block, x)

    model = Jitted(Block(0))
    before = model(X)  # compiled in inference mode
    with fg.checking_leaks():
        y, changed = model.apply(X, train=True, key=0)
        jitted, _ = fg.jit(lambda m, x: m.apply(x, train=True, key=0))(model, X)
    np.testing.assert_allclose(y, jitted, rtol=1e-5, atol=1e-6)
    assert not np.allclose(before, y)
    np.testing.assert_array_equal(model(X), before)
    assert changed.block.norm.num_batches_tracked == 2


@pytest.mark.parametrize("transform", [lambda f: f, fg.jit])
def test_vmap_inside_draws_for_each_example(transform):
    model = nn.Sequential([nn.Dropout(0.5), nn.Dropout(0.5)])
    ones = np.ones((4, 3, 64), np.float32)

    def twice(m, x):
        return fg.vmap(fg.vmap(m))(x)

    run = transform(lambda m, x: m.apply(x, train=True, key=0, method=twice)[0])
    y = run(model, ones)
    masks = y.reshape(12, 64) != 0
    assert len({mask.tobytes() for mask in masks}) == 12
    np.testing.assert_array_equal(run(model, ones), y)
    slope = fg.grad(lambda x: run(model, x).sum())(ones)
    np.testing.assert_array_equal(slope, y)


def test_gradient_inside_the_model():
    class Energy(nn.Module):
        block: Any

        def __call__(self, x):
            return fg.grad(lambda x: self.block(x).sum())(x)

    y, changed = Energy(Block(0)).apply(X, train=True, key=0)
    assert y.shape == X.shape and changed.block.norm.num_batches_tracked == 1


def test_checkpoint_keeps_state_and_draws():
    model = nn.Sequential([nn.Checkpoint(Block(0)), nn.Linear(4, 1, key=1)])
    for function in (step, fg.jit(step)):
        value, changed, gradient = function(model, X, random.key(0))
        assert changed[0].layer.norm.num_batches_tracked == 1
        assert np.isfinite(value) and np.abs(gradient[0].layer.layers[0].weight).max() > 0
    assert (nn.Checkpoint(nn.Dropout(0.5))(X, key=0) == 0).any()
    norm = nn.Checkpoint(nn.BatchNorm1d(4))
    np.testing.assert_array_equal(norm(X, key=0), norm(X))
    plain = nn.Sequential([nn.Checkpoint(nn.Linear(4, 3, key=0))])
    np.testing.assert_array_equal(plain(X), plain[0].layer(X))


def test_buffers_and_frozen_parameters_have_no_gradient():
    layer = nn.BatchNorm1d(4)
    gradient = fg.grad(lambda m: (m(X) ** 2).sum())(layer)
    assert gradient.running_mean is None and gradient.num_batches_tracked is None
    assert gradient.weight.shape == (4,)
    _, pull = fg.vjp(lambda m: m(X), layer)
    assert pull(np.ones_like(X))[0].running_var is None


def test_explicit_keys_and_inference():
    model = nn.Sequential([nn.Linear(4, 4, key=0), nn.Dropout(0.5)])
    dropped = model(X, key=0)
    assert (dropped == 0).any()
    assert not (nn.inference_mode(model)(X, key=0) == 0).any()
    assert not (nn.inference_mode(model).apply(X, train=True, key=0)[0] == 0).any()
    released = nn.inference_mode(nn.inference_mode(model), False)
    np.testing.assert_array_equal(released(X, key=0), dropped)
    frozen = nn.inference_mode(nn.BatchNorm1d(4))
    assert frozen.apply(X, train=True)[1] is frozen
    assert (nn.Dropout(0.5)(X, key=0, inference=False) == 0).any()


def test_method_of_apply():
    class Coder(nn.Module):
        drop: Any

        def encode(self, x, scale=1.0):
            return self.drop(x) * scale

    model = Coder(nn.Dropout(0.5))
    y, _ = model.apply(X, train=True, key=0, method="encode", scale=2.0)
    assert (y == 0).any()
    y, _ = model.apply(X, train=True, key=0, method=lambda m, x: m.encode(x) + 1)
    assert (y == 1).any()


@pytest.mark.parametrize("rate", [0, 1])
def test_dropout_at_the_ends(rate):
    layer = nn.Dropout(rate)
    value, slope = fg.value_and_grad(lambda x: layer(x, key=0).sum())(X.astype(float))
    assert value == (0 if rate else pytest.approx(X.sum(), rel=1e-4))
    np.testing.assert_array_equal(slope, np.full(X.shape, 1 - rate))


def test_dropout_uses_one_mask_forward_and_backward():
    x = np.ones(1000)
    y, pull = fg.vjp(lambda x: nn.Dropout(0.3)(x, key=5), x)
    np.testing.assert_array_equal(pull(x)[0], y)
    assert abs((y == 0).mean() - 0.3) < 0.05 and set(y.round(9)) == {0.0, round(1 / 0.7, 9)}


def test_dropout_of_channels():
    x = np.ones((4, 16, 3, 5))
    y = nn.Dropout2d(0.5)(x, key=0)
    assert (y == y[..., :1, :1]).all() and 0 < (y == 0).mean() < 1
    assert nn.Dropout1d(0.5)(x[0], key=0).shape == (16, 3, 5)
    assert nn.Dropout3d(0.5)(x, key=0).shape == x.shape
    with pytest.raises(ValueError, match="Dropout2d"):
        nn.Dropout2d(0.5)(x[0, 0], key=0)


@pytest.mark.parametrize("cls", [nn.AlphaDropout, nn.FeatureAlphaDropout])
def test_alpha_dropout_keeps_mean_and_variance(cls):
    x = np.random.default_rng(0).normal(size=(2000, 200))
    y = cls(0.3)(x, key=0)
    assert abs(y.mean()) < 0.02 and abs(y.var() - 1) < 0.05


# --- errors ---


def test_missing_key_names_the_layer():
    with pytest.raises(RuntimeError, match=r"\[Dropout at first.layers.1\] needs a random key"):
        Net().apply(X, train=True)
    with pytest.raises(RuntimeError, match=r"\[Dropout\] needs a random key"):
        nn.Dropout(0.5)(X, inference=False)


def test_wrong_size_names_the_layer():
    model = Net()
    for call in (model, lambda x: model.apply(x, train=True, key=0), fg.jit(lambda x: model(x))):
        with pytest.raises(
            ValueError, match=r"\[Linear at first.layers.0\] expected .* \(..., 4\)"
        ):
            call(X[:, :3])


def test_loops_inside_are_refused_where_they_would_repeat():
    layer = nn.Dropout(0.5)
    with pytest.raises(RuntimeError, match="same random numbers"):
        layer.apply(X, train=True, key=0, method=lambda m, x: lax.map(m, x))

    norm = nn.Sequential([nn.BatchNorm1d(4)])
    with pytest.raises(RuntimeError, match=r"\[BatchNorm1d at layers.0\] the new .* axis_name"):
        norm.apply(X[None], train=True, method=lambda m, x: fg.vmap(m)(x))
    with pytest.raises(RuntimeError, match="funcgrad.nn.Checkpoint"):
        norm.apply(X, train=True, method=lambda m, x: fg.checkpoint(lambda x: m(x))(x))
    with pytest.raises(RuntimeError, match="not part of the model"):
        norm.apply(X, train=True, method=lambda m, x: fg.checkpoint(lambda m, x: m(x))(m, x))


def test_keys_used_twice_are_noticed():
    with config.override(debug_key_reuse=True):
        Net().apply(X, train=True, key=random.key(991))
        with pytest.warns(KeyReuseWarning, match="apply"):
            nn.Identity().apply(X, key=random.key(991))


def test_traced_train_is_refused():
    with pytest.raises(TypeError, match=r"train must be True or False.*static_argnames"):
        fg.jit(nn.Dropout(0.5).apply)(X, train=True, key=0)
    apply = fg.jit(nn.Dropout(0.5).apply, static_argnames="train")
    assert (apply(X, train=True, key=0)[0] == 0).any()


def test_failure_inside_leaves_nothing_behind():
    with pytest.raises(RuntimeError):
        Net().apply(X, train=True)
    assert nn.Dropout(0.5)(X) is not None and not nn.is_training()


def test_batch_norm_wants_more_than_one_value():
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        nn.BatchNorm1d(4).apply(X[:1], train=True)
    assert nn.BatchNorm1d(4).apply(X[:1, :, None].repeat(4, 2), train=True)[0].shape == (1, 4, 4)
    assert nn.BatchNorm1d(4)(X[:1]).shape == (1, 4)


def test_batch_norm_of_a_constant_channel():
    def loss(layer, x):
        y, layer = layer.apply(x, train=True)
        return (y**3).sum(), layer

    (value, layer), (gradient, slope) = fg.value_and_grad(loss, (0, 1), has_aux=True)(
        nn.BatchNorm1d(4), np.ones((5, 4))
    )
    assert value == 0 and np.isfinite(slope).all() and np.isfinite(gradient.weight).all()
    assert (layer.running_var == np.float32(0.99)).all()


def test_momentum_of_pytorch_is_noticed():
    with pytest.warns(UserWarning, match=r"momentum=0\.9 for PyTorch's 0\.1"):
        nn.BatchNorm2d(3, momentum=0.1)
