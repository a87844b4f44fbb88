"""Parameters by path: listing, choosing, freezing, replacing, state dicts, ties (R66)."""

import pickle
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import nn, optim

# The same lines are compiled for many cases.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled:UserWarning")

X = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)


class Tied(nn.Module):
    """An embedding whose table is also the last layer's, and one layer that is used twice."""

    table: nn.Embedding
    layers: list
    out: nn.Linear

    def __init__(self):
        self.table = nn.Embedding(5, 4, key=0)
        shared = nn.Linear(4, 4, key=1)
        self.layers = [shared, nn.BatchNorm1d(4), shared]
        self.out = nn.Linear(4, 5, key=2).replace(weight=self.table.weight)

    def __call__(self, labels):
        x = self.table(labels)
        for layer in self.layers:
            x = layer(x)
        return self.out(x)


def is_tied(model):
    return model.out.weight is model.table.weight and model.layers[0] is model.layers[2]


def test_listing_and_counting():
    model = Tied()
    names = [path for path, _ in nn.named_parameters(model)]
    assert names == [
        "table.weight",
        "layers.0.weight",
        "layers.0.bias",
        "layers.1.weight",
        "layers.1.bias",
        "out.bias",
    ]
    assert nn.count_parameters(model) == 20 + 20 + 8 + 5
    assert nn.count_parameters(model, "layers") == 28
    assert nn.count_parameters(model, r".*\.bias") == 13
    assert [path for path, _ in nn.named_buffers(model)][0] == "layers.1.running_mean"
    assert len(nn.parameters(model)) == 6
    assert [path for path, _ in nn.named_modules(model)][:3] == ["", "table", "layers.0"]


def test_select_masks():
    model = Tied()
    mask = nn.select(model, r".*bias")
    chosen, others = nn.partition(model, mask)
    assert [path for path, _ in nn.named_parameters(chosen)][:2] == [
        "layers.0.bias",
        "layers.1.bias",
    ]
    assert nn.tree_equal(nn.combine(chosen, others), model)
    assert nn.select(model, "out").table.weight is True  # tied: chosen by one of its paths
    assert nn.select(model, lambda path: "bias" in path).out.bias is True
    assert nn.select(model, ["out.bias", "table"]).out.bias is True
    with pytest.raises(ValueError, match=r"no path matches 'layer\.0'.* layers\.0\.bias"):
        nn.select(model, "layer.0")
    with pytest.raises(ValueError, match="no regular expression"):
        nn.select(model, "(")
    with pytest.raises(TypeError, match="a pattern is"):
        nn.select(model, 3)


def test_optimizer_by_pattern():
    model = nn.MLP(4, 2, 8, 1, key=0)
    optimizer = optim.masked(optim.set_to_zero(), nn.select(model, r".*bias"))
    optimizer = optim.chain(optim.sgd(0.1), optimizer)
    gradient = fg.grad(lambda m: (m(X) ** 2).sum())(model)
    updates, _ = optimizer.update(gradient, optimizer.init(model), model)
    new = fg.apply_updates(model, updates)
    assert np.array_equal(new.layers[0].bias, model.layers[0].bias)
    assert not np.array_equal(new.layers[0].weight, model.layers[0].weight)
    groups = nn.label(model, {r".*bias": "bias", "layers.1": "last"}, "rest")
    assert groups.layers[1].bias == "bias" and groups.layers[1].weight == "last"
    assert groups.layers[0].weight == "rest"


# --- freezing ---


def test_frozen_parameters_get_no_gradient_work():
    model = nn.MLP(4, 2, 8, 2, key=0)
    frozen = nn.freeze(model, ["layers.0", "layers.1"])
    assert nn.tree_equal(nn.unfreeze(frozen), model)

    def loss(m):
        return (m(X) ** 2).sum()

    full, partial = fg.grad(loss)(model), fg.grad(loss)(frozen)
    assert partial.layers[0].weight is None and partial.layers[1].bias is None
    np.testing.assert_array_equal(partial.layers[2].weight, full.layers[2].weight)

    def products(m):
        return str(fg.make_jaxpr(fg.grad(loss))(m)).count("dot_general")

    assert products(model) == 3 + 3 + 2 and products(frozen) == 3 + 1
    assert [p for p, _ in nn.named_parameters(frozen, trainable=True)] == [
        "layers.2.weight",
        "layers.2.bias",
    ]
    assert nn.count_parameters(frozen, trainable=False) == 40 + 72
    assert nn.is_trainable(frozen).layers[0].weight is False
    assert "weight=frozen f32[8,4]" in repr(frozen)
    assert pickle.loads(pickle.dumps(frozen)).layers[0]._layout.frozen == ("weight", "bias")


@pytest.mark.parametrize("make", [optim.adamw, optim.sgd])
def test_optimizers_leave_frozen_parameters_and_buffers(make):
    model = nn.Sequential([nn.Linear(4, 3, key=0), nn.BatchNorm1d(3), nn.Linear(3, 2, key=1)])
    model = nn.freeze(model, "layers.0")
    optimizer = make(0.1)

    @fg.jit
    def step(model, state):
        def loss(model):
            y, model = model.apply(X, train=True)
            return (y**2).sum(), model

        (value, model), gradient = fg.value_and_grad(loss, has_aux=True)(model)
        updates, state = optimizer.update(gradient, state, model)
        return value, fg.apply_updates(model, updates), state

    value, new, state = step(model, optimizer.init(model))
    last, new, state = step(new, state)
    assert last < value
    np.testing.assert_array_equal(new[0].weight, model[0].weight)
    assert new[1].num_batches_tracked == 2 and new[0]._layout.frozen == ("weight", "bias")
    assert not np.array_equal(new[2].weight, model[2].weight)


def test_other_derivatives_leave_out_what_is_frozen():
    model = nn.Sequential(
        [nn.freeze(nn.Linear(4, 3, key=0)), nn.BatchNorm1d(3), nn.Linear(3, 1, key=1)]
    )
    model = nn.cast(model, np.float64)

    def loss(model):
        return np.tanh(model(X)).sum()

    gradient = fg.grad(loss)(model)
    for transform in (fg.jacrev, fg.jacfwd, lambda f: fg.grad(fg.checkpoint(f))):
        assert nn.tree_equal(transform(loss)(model), gradient, rtol=1e-9, atol=1e-12)
    second = fg.hessian(loss)(model)
    assert second[2].bias[2].bias.shape == (1, 1) and second[2].bias[0].weight is None
    assert second[1].running_mean is None and second[0].weight is None


def test_freezing_tied_and_odd_parameters():
    frozen = nn.freeze(Tied(), "out.weight")
    assert frozen.table._layout.frozen == frozen.out._layout.frozen == ("weight",)
    assert is_tied(frozen)

    class Bag(nn.Module):
        arrays: list

    bag = Bag([np.ones(2), np.ones(3)])
    assert nn.freeze(bag)._layout.frozen == ("arrays",)
    with pytest.raises(ValueError, match="holds several arrays"):
        nn.freeze(bag, "arrays.0")
    with pytest.raises(ValueError, match=r"w is not part of a module"):
        nn.freeze({"w": np.ones(2)})
    with pytest.raises(ValueError, match="no path matches"):
        nn.freeze(bag, "weights")
    in_list = nn.freeze([nn.Linear(2, 2, key=0), {"x": nn.Linear(2, 2, key=1)}], "1.x")
    assert [p for p, _ in nn.named_parameters(in_list, trainable=True)] == ["0.weight", "0.bias"]


# --- ties ---


def test_tied_parameters_stay_tied(tmp_path):
    model, labels = Tied(), np.array([0, 3, 2, 2])
    assert is_tied(model)

    def loss(m):
        y, m = m.apply(labels, train=True)
        return (y**2).sum(), m

    for function in (
        fg.value_and_grad(loss, has_aux=True),
        fg.jit(fg.value_and_grad(loss, has_aux=True)),
    ):
        (_, changed), gradient = function(model)
        assert is_tied(changed) and gradient.out.weight is gradient.table.weight
        optimizer = optim.adam(0.1)
        updates, _ = optimizer.update(gradient, optimizer.init(model), model)
        assert is_tied(fg.apply_updates(changed, updates))
    assert is_tied(nn.cast(model, np.float64)) and is_tied(nn.inference_mode(model))
    assert is_tied(nn.freeze(model, "layers")) and is_tied(fg.device_put(model, "cpu"))
    path = tmp_path / "model.safetensors"
    fg.save(path, model)
    assert is_tied(fg.load(path, like=Tied()))
    loaded = nn.load_state_dict(Tied(), nn.state_dict(model))
    assert is_tied(loaded) and nn.tree_equal(loaded, model)
    carried, _ = fg.lax.scan(lambda m, _: (loss(m)[1], None), model, None, 2)
    assert is_tied(carried) and carried.layers[1].num_batches_tracked == 2


# --- replacing ---


def test_replace_by_path():
    model = Tied()
    new = np.zeros((5, 4), np.float32)
    changed = nn.replace(model, {"table.weight": new})
    assert changed.out.weight is new and changed.table.weight is new
    assert changed.layers[0] is model.layers[0]
    changed = nn.replace(model, {"layers.0": nn.Identity(), "layers.1.eps": 0.1})
    assert changed.layers[0] is changed.layers[2] and changed.layers[1].eps == 0.1
    assert isinstance(changed.layers[0], nn.Identity) and model.layers[1].eps == 1e-5
    linear = nn.replace(nn.Linear(2, 3, use_bias=False, key=0), {"bias": np.ones(3)})
    assert linear.bias.sum() == 3
    tree = nn.replace({"a": [1, np.ones(2)]}, {"a.0": 5})
    assert tree["a"][0] == 5
    assert nn.get(model, "layers.2.weight") is model.layers[0].weight and nn.get(model, "") is model

    class Free(nn.Module):
        def __init__(self):
            self.sizes = [1, {"a": 2}]
            self.inner = nn.Linear(2, 2, key=0)

    free = nn.replace([Free()], {"0.sizes.1.a": 7, "0.inner.use_bias": False})[0]
    assert free.sizes == [1, {"a": 7}] and free.inner.use_bias is False
    with pytest.raises(KeyError, match=r"there is no 'layers.7': layers is list and has no '7'"):
        nn.get(model, "layers.7")
    with pytest.raises(ValueError, match=r"has shape \(5,\), but its new value has shape \(3,\)"):
        nn.replace(model, {"out.bias": np.ones(3)})


def test_cast():
    model = nn.cast(Tied(), np.float64, "layers")
    assert model.layers[1].running_mean.dtype == np.float64
    assert model.layers[1].num_batches_tracked.dtype == np.int64
    assert model.out.bias.dtype == np.float32
    with pytest.raises(ValueError, match="floating or complex dtype, but got int64"):
        nn.cast(model, int)
    half = nn.cast(nn.Linear(4, 2, key=0), np.float16)
    assert half(X.astype(np.float16)).dtype == np.float16
    assert nn.cast({"z": np.ones(2, complex)}, np.float32)["z"].dtype == np.complex64


# --- state dicts ---


def test_state_dict_round_trip_and_pytorch_names():
    inner = nn.Sequential([nn.Linear(4, 3, key=0), nn.BatchNorm1d(3)])
    model = nn.Sequential([inner, nn.relu, nn.MLP(3, 2, 4, 1, key=1)])
    state = nn.state_dict(model)
    assert list(state)[0] == "layers.0.layers.0.weight"
    renamed = nn.state_dict(model, names="pytorch")
    assert list(renamed)[0] == "0.0.weight" and "2.layers.1.bias" in renamed
    assert "0.1.num_batches_tracked" in renamed
    other = nn.tree_at(lambda m: m[2].layers[1].bias, model, np.full(2, 7, np.float32))
    for names in (state, renamed):
        assert nn.tree_equal(nn.load_state_dict(other, names), model)
    with pytest.raises(ValueError, match="names must be"):
        nn.state_dict(model, names="jax")


def test_pytorch_names_of_shared_and_wrapped_layers():
    def make(key):
        shared = nn.Sequential([nn.Linear(4, 4, use_bias=False, key=key)])
        wrapped = nn.Checkpoint(nn.Sequential([nn.WeightNorm(nn.Linear(4, 2, key=key))]))
        return {"body": nn.Sequential([shared, nn.relu, shared]), "head": [wrapped]}

    names = nn.state_dict(make(0), names="pytorch")
    assert set(names) == {
        "body.0.0.weight",
        "body.2.0.weight",
        "head.0.0.bias",
        "head.0.0.parametrizations.weight.original0",
        "head.0.0.parametrizations.weight.original1",
    }
    loaded = nn.load_state_dict(make(1), names)
    assert nn.tree_equal(loaded, make(0)) and loaded["body"][0] is loaded["body"][2]


def test_load_state_dict_lists_all_differences():
    model = nn.MLP(4, 2, 3, 1, key=0)
    state = nn.state_dict(model)
    state["layers.0.weight"] = np.zeros((2, 2), np.float32)
    state["layers.0.bias"] = np.zeros(3)
    del state["layers.1.bias"]
    state["head.weight"] = np.zeros(1)
    with pytest.raises(fg.CheckpointError) as error:
        nn.load_state_dict(model, state)
    for text in (
        "mismatched: layers.0.weight has float32[3, 4], got float32[2, 2]",
        "mismatched: layers.0.bias has float32[3], got float64[3]; cast=True converts it",
        "missing: layers.1.bias float32[2]",
        "unexpected: head.weight float64[1]",
    ):
        assert text in str(error.value)
    with pytest.warns(UserWarning, match=r"missing: layers\.1\.bias"):
        loaded = nn.load_state_dict(model, state, strict=False, cast=True)
    assert (loaded.layers[0].bias == 0).all() and loaded.layers[0].bias.dtype == np.float32
    np.testing.assert_array_equal(loaded.layers[0].weight, model.layers[0].weight)


def test_load_state_dict_of_tied_parameters():
    model = Tied()
    state = nn.state_dict(model)
    del state["out.weight"]  # as in files that keep tied arrays once
    assert is_tied(nn.load_state_dict(model, state))
    state["out.weight"] = state["table.weight"] + 1
    with pytest.raises(fg.CheckpointError, match="tied to another path whose value differs"):
        nn.load_state_dict(model, state)


class Tensor:
    """Like one of PyTorch."""

    dtype = "torch.float32"
    shape = (2,)

    def detach(self):
        return self

    def cpu(self):
        return self

    def __array__(self, dtype=None, copy=None):
        return np.array([1.0, 2.0], np.float32)


def test_load_state_dict_takes_tensors():
    model: Any = nn.load_state_dict(nn.LayerNorm(2, use_weight=False), {"bias": Tensor()})
    assert model.bias.tolist() == [1.0, 2.0]


def test_models_without_parameters():
    model = nn.Sequential([nn.ReLU()])
    assert nn.count_parameters(model) == 0
    assert nn.freeze(model) is model
    assert nn.tree_equal(nn.cast(model, np.float16), model)
    with pytest.raises(ValueError, match=r"no path matches 'head'\. There is none at all"):
        nn.freeze(model, "head")
