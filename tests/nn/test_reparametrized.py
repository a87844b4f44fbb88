"""Layers around layers: LoRA, spectral and weight normalisation."""

from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import nn, optim

# The same lines are compiled for many cases.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled:UserWarning")

X = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)


def test_lora_starts_as_the_model_and_merges():
    model = nn.Sequential([nn.Linear(4, 6, key=0), nn.relu, nn.Linear(6, 2, key=1)])
    tuned = nn.add_lora(model, 2, 4.0, key=2)
    np.testing.assert_array_equal(tuned(X), model(X))
    tuned = nn.replace(tuned, {"layers.2.lora_b": np.ones((2, 2), np.float32)})
    assert not np.allclose(tuned(X), model(X))
    merged = nn.merge_lora(tuned)
    assert type(merged[2]) is nn.Linear
    np.testing.assert_allclose(merged(X), tuned(X), rtol=1e-5, atol=1e-6)


def test_lora_trains_only_the_update():
    model = nn.Sequential([nn.Linear(4, 6, key=0), nn.BatchNorm1d(6), nn.Linear(6, 1, key=1)])
    tuned = nn.add_lora(model, 2, pattern="layers.0", key=2)
    assert isinstance(tuned[2], nn.Linear)
    assert [path for path, _ in nn.named_parameters(tuned, trainable=True)] == [
        "layers.0.lora_a",
        "layers.0.lora_b",
    ]
    optimizer = optim.adamw(0.1)
    state = optimizer.init(tuned)
    target = X.sum(1, keepdims=True)

    def loss(model):
        y, model = model.apply(X, train=True)
        return ((y - target) ** 2).mean(), model

    start: Any = None
    value: Any = None
    new = tuned
    for _ in range(30):
        (value, changed), gradient = fg.value_and_grad(loss, has_aux=True)(new)
        start = value if start is None else start
        updates, state = optimizer.update(gradient, state, new)
        new = fg.apply_updates(changed, updates)
    assert value < 0.7 * start
    np.testing.assert_array_equal(new[0].layer.weight, model[0].weight)
    np.testing.assert_array_equal(new[2].bias, model[2].bias)
    assert new[0].lora_b.any()


def test_lora_of_shared_layers_and_errors():
    shared = nn.Linear(4, 4, key=0)
    tuned = nn.add_lora([shared, shared], 1, key=0)
    assert tuned[0] is tuned[1]
    with pytest.raises(ValueError, match="no Linear matches 'conv'. There are: layers.0, layers.1"):
        nn.add_lora(nn.MLP(4, 2, 3, 1, key=0), 1, pattern="conv", key=0)
    with pytest.raises(TypeError, match="expected a Linear, but got Conv1d"):
        nn.LoRA(nn.Conv1d(1, 1, 1, key=0), 1, key=0)


SEQUENCES = np.random.default_rng(1).normal(size=(3, 5, 8)).astype(np.float32)
ATTENTIONS = [
    nn.MultiheadAttention(2, 8, key=0),
    nn.MultiheadAttention(2, 8, None, None, None, None, None, True, True, True, True, key=0),
    nn.MultiheadAttention(4, 8, num_key_value_heads=2, key=0),
]


@pytest.mark.parametrize("layer", ATTENTIONS)
def test_lora_of_attention(layer):
    inputs = (SEQUENCES, SEQUENCES[:, :4], SEQUENCES[:, 1:])
    tuned = nn.LoRAAttention(layer, 3, 6.0, ["v_proj", "q_proj"], key=1)
    np.testing.assert_allclose(tuned(*inputs), layer(*inputs[:2], inputs[2]), rtol=1e-6)
    names = [path for path, _ in nn.named_parameters(tuned, trainable=True)]
    assert names == ["lora_a.q_proj", "lora_a.v_proj", "lora_b.q_proj", "lora_b.v_proj"]
    b = np.random.default_rng(2).normal(size=tuned.lora_b["v_proj"].shape).astype(np.float32)
    tuned = nn.replace(tuned, {"lora_b.v_proj": b})
    assert not np.allclose(tuned(*inputs), layer(*inputs))
    merged = nn.merge_lora(tuned)
    assert type(merged) is nn.MultiheadAttention
    np.testing.assert_allclose(merged(*inputs), tuned(*inputs), rtol=1e-5)
    weight = layer.v_proj_weight if layer.in_proj_weight is None else layer.in_proj_weight[16:]
    new = merged.v_proj_weight if layer.in_proj_weight is None else merged.in_proj_weight[16:]
    np.testing.assert_allclose(new, weight + 2 * b @ tuned.lora_a["v_proj"], rtol=1e-5)


def test_projections_of_attention_are_chosen_by_name():
    model = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True, key=0)
    tuned = nn.add_lora(model, 2, pattern=r"self_attn\.((q|v)_proj|out_proj)", key=1)
    np.testing.assert_allclose(tuned(SEQUENCES), model(SEQUENCES), rtol=1e-5, atol=1e-6)
    assert [path for path, _ in nn.named_parameters(tuned, trainable=True)] == [
        "self_attn.layer.out_proj.lora_a",
        "self_attn.layer.out_proj.lora_b",
        "self_attn.lora_a.q_proj",
        "self_attn.lora_a.v_proj",
        "self_attn.lora_b.q_proj",
        "self_attn.lora_b.v_proj",
    ]
    assert isinstance(nn.add_lora(model, 2, key=1).self_attn, nn.LoRAAttention)
    assert nn.tree_equal(nn.unfreeze(nn.merge_lora(tuned)), model)

    @fg.jit
    def slopes(model):
        y, _ = model.apply(SEQUENCES, train=True, key=0, method=lambda m, x: m(x, is_causal=True))
        return (y * SEQUENCES).sum()

    gradient = fg.grad(slopes)(tuned)
    assert all(gradient.self_attn.lora_b[name].any() for name in ("q_proj", "v_proj"))
    assert gradient.self_attn.layer.out_proj.lora_b.any()
    assert gradient.self_attn.layer.in_proj_weight is None


def test_lora_of_attention_errors():
    with pytest.raises(TypeError, match="expected a MultiheadAttention, but got Linear"):
        nn.LoRAAttention(nn.Linear(2, 2, key=0), 1, key=0)
    with pytest.raises(ValueError, match="projections must be some of"):
        nn.LoRAAttention(ATTENTIONS[0], 1, projections=["out_proj"], key=0)
    with pytest.raises(ValueError, match="There are: .*self_attn.q_proj, .*self_attn.out_proj"):
        model = nn.TransformerEncoderLayer(8, 2, 12, key=0)
        nn.add_lora(model, 1, pattern="conv", key=0)


def test_spectral_norm_converges_to_the_largest_singular_value():
    layer = nn.SpectralNorm(nn.Linear(4, 6, dtype=np.float64, key=0), key=1)
    largest = np.linalg.norm(layer.layer.weight, 2)
    for _ in range(30):
        _, layer = layer.apply(X, train=True)
    np.testing.assert_allclose(layer.normalized() * largest, layer.layer.weight, rtol=1e-6)
    _, same = nn.inference_mode(layer).apply(X, train=True)
    np.testing.assert_array_equal(same.u, layer.u)
    gradient = fg.grad(lambda m: m(X).sum())(layer)
    assert gradient.u is None and gradient.layer.weight.shape == (6, 4)


def test_weight_norm_of_whole_arrays():
    layer = nn.WeightNorm(nn.Linear(4, 6, key=0), axis=None)
    assert layer.g.shape == (1, 1)
    np.testing.assert_allclose(layer(X), layer.layer(X), rtol=1e-5, atol=1e-6)
