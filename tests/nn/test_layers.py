"""Layers: what they compute, batches, initial values, scalars, errors."""

import math

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import nn, tree
from funcgrad.nn import initializers

# The same lines are compiled for many cases.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled:UserWarning")

X = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)


def test_linear_formula_and_batches():
    layer = nn.Linear(4, 3, key=0)
    np.testing.assert_allclose(layer(X), X @ layer.weight.T + layer.bias, rtol=1e-6)
    for shape in [(4,), (1, 4), (2, 3, 4), (0, 4), (2, 0, 4)]:
        assert layer(np.zeros(shape, np.float32)).shape == (*shape[:-1], 3)
    np.testing.assert_allclose(fg.vmap(layer)(X), layer(X), rtol=1e-5)
    np.testing.assert_allclose(layer(X.reshape(2, 3, 4)).reshape(6, 3), layer(X), rtol=1e-5)
    np.testing.assert_allclose(layer(X[0].tolist()), layer(X[0]), rtol=1e-5)


def test_linear_initial_values_are_those_of_pytorch():
    layer = nn.Linear(100, 400, key=0)
    for values in (layer.weight, layer.bias):
        assert abs(values).max() <= 0.1 and values.var() == pytest.approx(0.01 / 3, rel=0.2)
    assert layer.weight.shape == (400, 100) and layer.weight.dtype == np.float32
    assert nn.Linear(2, 2, dtype=np.float64, key=0).weight.dtype == np.float64


def test_keys_and_seeds():
    assert nn.tree_equal(nn.Linear(2, 3, key=5), nn.Linear(2, 3, key=fg.random.key(5)))
    assert not nn.tree_equal(nn.Linear(2, 3, key=5), nn.Linear(2, 3, key=6))
    with pytest.raises(TypeError, match="key"):
        nn.Linear(2, 3)
    with pytest.raises(TypeError):
        nn.Linear(2, 3, key="seed")


def test_linear_options():
    assert nn.Linear(2, 3, use_bias=False, key=0).bias is None
    assert nn.Linear(2, 3, False, key=0)(np.zeros(2)).tolist() == [0, 0, 0]
    layer = nn.Linear(2, 3, key=0, weight_init=initializers.ones, bias_init=initializers.zeros)
    assert layer(np.ones(2)).tolist() == [2, 2, 2]


def test_linear_scalar_sizes():
    layer = nn.Linear("scalar", 3, key=0)
    assert layer(2.0).shape == (3,) and layer(np.ones(5)).shape == (5, 3)
    layer = nn.Linear(4, "scalar", key=0)
    assert layer(X[0]).shape == () and layer(X).shape == (6,)
    assert np.shape(fg.grad(nn.Linear("scalar", "scalar", key=0))(1.0)) == ()


@pytest.mark.parametrize("shape", [(), (3,), (4, 3)])
def test_linear_wrong_shape(shape):
    with pytest.raises(ValueError, match=r"\[Linear\] expected an array of shape \(\.\.\., 4\)"):
        nn.Linear(4, 2, key=0)(np.zeros(shape))


@pytest.mark.parametrize("size", [-1, 2.0, True, None, "vector"])
def test_linear_wrong_size(size):
    with pytest.raises(ValueError, match="out_features must be a length"):
        nn.Linear(4, size, key=0)


def test_layers_accept_a_key():
    for layer in (
        nn.Linear(4, 4, key=0),
        nn.MLP(4, 4, 3, 1, key=0),
        nn.Sequential([nn.Linear(4, 4, key=0), nn.relu]),
        nn.Lambda(nn.relu),
        nn.Identity(),
        nn.LayerNorm(4),
    ):
        np.testing.assert_array_equal(layer(X, key=fg.random.key(1)), layer(X))


# --- MLP ---


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_mlp(depth):
    model = nn.MLP(4, 2, 5, depth, activation=np.tanh, final_activation=nn.sigmoid, key=0)
    y = X
    for layer in model.layers[:-1]:
        y = np.tanh(y @ layer.weight.T + layer.bias)
    y = nn.sigmoid(y @ model.layers[-1].weight.T + model.layers[-1].bias)
    np.testing.assert_allclose(model(X), y, rtol=1e-5)
    assert len(model.layers) == depth + 1
    assert [tree.path_string(path) for path, _ in tree.leaves_with_path(model)][:2] == [
        "layers.0.weight",
        "layers.0.bias",
    ]


def test_mlp_options():
    model = nn.MLP(4, "scalar", 5, 2, use_bias=False, use_final_bias=False, dtype=np.float64, key=0)
    assert model(X).shape == (6,)
    assert [leaf.dtype for leaf in tree.leaves(model)] == [np.float64] * 3
    weights = [layer.weight[0, 0] for layer in nn.MLP(3, 3, 3, 2, key=0).layers]
    assert len(set(weights)) == 3
    with pytest.raises(ValueError, match="depth is the number of hidden layers"):
        nn.MLP(2, 2, 2, -1, key=0)
    with pytest.raises(TypeError, match="widht_size"):
        nn.MLP(2, 2, widht_size=2, depth=1, key=0)


def test_gradients_of_an_mlp():
    model = nn.MLP(4, 2, 5, 2, activation=nn.gelu, dtype=np.float64, key=0)
    flat, unravel = fg.flatten_util.ravel_pytree(model)

    def loss(flat):
        return np.sum(unravel(flat)(X.astype(np.float64)) ** 2)

    gradient = fg.grad(loss)(flat)
    direction = np.random.default_rng(1).normal(size=flat.shape)
    step = 1e-6
    slope = (loss(flat + step * direction) - loss(flat - step * direction)) / (2 * step)
    assert gradient @ direction == pytest.approx(slope, rel=1e-6)


# --- containers ---


def test_sequential():
    layers = [
        nn.Linear(4, 3, key=0),
        nn.relu,
        nn.Lambda(np.abs),
        nn.Identity(1, a=2),
        lambda x: x * 2,
    ]
    model = nn.Sequential(layers)
    np.testing.assert_allclose(model(X), 2 * abs(nn.relu(layers[0](X))), rtol=1e-6)
    assert model[0] is layers[0] and len(model) == 5 and list(model) == layers
    assert isinstance(model[1:3], nn.Sequential) and len(model[1:3]) == 2
    assert nn.Sequential([])(3.0) == 3.0
    assert nn.Sequential(layer for layer in layers)[1] is nn.relu


def test_sequential_gives_each_module_its_key():
    class Noise(nn.Module):
        def __call__(self, x, *, key=None):
            return x + fg.random.normal(key)

    model = nn.Sequential([Noise(), nn.relu, Noise()])
    keys = fg.random.split(fg.random.key(0), 3)
    expected = nn.relu(fg.random.normal(keys[0])) + fg.random.normal(keys[2])
    assert model(0.0, key=fg.random.key(0)) == pytest.approx(float(expected))


def test_sequential_errors():
    with pytest.raises(TypeError, match="in a list"):
        nn.Sequential(nn.relu, nn.relu)
    with pytest.raises(TypeError, match="in a list"):
        nn.Sequential(nn.Linear(2, 2, key=0))
    with pytest.raises(TypeError, match="in a list"):
        nn.Sequential(3)
    with pytest.raises(TypeError, match="function of one array"):
        nn.Lambda(3)
    with pytest.raises(TypeError, match="layer 1 is 3"):
        nn.Sequential([nn.relu, 3])


def test_sequential_names():
    model = nn.Sequential([nn.Linear(4, 3, key=0), nn.relu, nn.Linear(3, 2, key=1)])
    names = [tree.path_string(path) for path, leaf in tree.leaves_with_path(model)]
    assert names == [
        *("layers.0.weight", "layers.0.bias", "layers.1"),
        *("layers.2.weight", "layers.2.bias"),
    ]
    gradient = fg.grad(lambda m: np.sum(m(X)))(model)
    assert gradient[1] is None and gradient[0].weight.shape == (3, 4)


def test_stacked_layers_in_a_scan():
    keys = fg.random.split(fg.random.key(0), 5)
    stack = fg.vmap(lambda key: nn.Linear(4, 4, key=key))(keys)
    assert stack.weight.shape == (5, 4, 4)

    def deep(stack, x):
        return fg.lax.scan(lambda h, layer: (np.tanh(layer(h)), None), x, stack)[0]

    y = X
    for key in keys:
        y = np.tanh(nn.Linear(4, 4, key=key)(y))
    np.testing.assert_allclose(fg.jit(deep)(stack, X), y, rtol=1e-5)
    assert fg.grad(lambda s: np.sum(deep(s, X)))(stack).bias.shape == (5, 4)


# --- Embedding, LayerNorm ---


def test_embedding():
    table = nn.Embedding(100, 50, key=0)
    assert table.weight.std() == pytest.approx(1, rel=0.05) and table.weight.dtype == np.float32
    index = np.array([[3, 99], [0, 3]])
    np.testing.assert_array_equal(table(index), table.weight[index])
    assert table(5).shape == (50,)
    gradient = fg.grad(lambda t: np.sum(t(index)))(table)
    assert gradient.weight[3, 0] == 2 and gradient.weight[1, 0] == 0
    given = nn.Embedding(weight=np.eye(3))
    assert (given.num_embeddings, given.embedding_size) == (3, 3)


@pytest.mark.parametrize("wrap", [lambda f: f, fg.jit], ids=["eager", "jit"])
@pytest.mark.parametrize("index", [-1, 3])
def test_embedding_out_of_range(wrap, index):
    with pytest.raises(IndexError, match="out of"):
        wrap(nn.Embedding(3, 2, key=0).__call__)(np.array([index]))


def test_embedding_errors():
    with pytest.raises(ValueError, match="give the sizes and a key"):
        nn.Embedding(3, 2)
    with pytest.raises(ValueError, match="expected a matrix"):
        nn.Embedding(3, 2, weight=np.ones((2, 3)))
    with pytest.raises(TypeError, match="expected integers"):
        nn.Embedding(3, 2, key=0)(np.ones(2))


def test_layer_norm():
    layer = nn.LayerNorm(4, eps=1e-6)
    y = layer(X)
    np.testing.assert_allclose(y.mean(-1), 0, atol=1e-6)
    np.testing.assert_allclose(y.var(-1), 1, rtol=1e-4)
    changed = layer.replace(weight=2 * layer.weight, bias=layer.bias + 1)
    np.testing.assert_allclose(changed(X), 2 * y + 1, rtol=1e-5)
    whole = nn.LayerNorm((6, 4))(X)
    assert math.isclose(whole.var(), 1, rel_tol=1e-3) and whole.shape == X.shape
    assert nn.LayerNorm((6, 4))(np.stack([X, 2 * X])).shape == (2, 6, 4)
    bare = nn.LayerNorm(4, use_weight=False, use_bias=False)
    assert not tree.leaves(bare)
    np.testing.assert_allclose(fg.vmap(bare)(X), bare(X), rtol=1e-5)


def test_layer_norm_in_half_precision():
    x = np.array([60000, 60001, 59999, 60000], np.float16)
    assert np.isfinite(nn.LayerNorm(4, use_weight=False, use_bias=False)(x)).all()


@pytest.mark.parametrize("shape", ["a", 0, (2, -1), (2.0,)])
def test_layer_norm_wrong_lengths(shape):
    with pytest.raises(ValueError, match="a length or a tuple of lengths"):
        nn.LayerNorm(shape)


@pytest.mark.parametrize("shape", [(), (3,), (4, 3)])
def test_layer_norm_wrong_shape(shape):
    with pytest.raises(ValueError, match=r"\[LayerNorm\] expected an array of shape \(\.\.\., 4\)"):
        nn.LayerNorm(4)(np.zeros(shape))
