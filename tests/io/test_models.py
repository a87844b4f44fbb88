"""Weights under PyTorch's names, and NumPy's archives."""

import json
import pickle

import numpy as np
import pytest
import safetensors.numpy

import funcgrad as fg
from funcgrad import nn
from funcgrad.errors import CheckpointError
from funcgrad.io import load_model, load_npz, save_model, save_npz


def network(key):
    keys = fg.random.split(fg.random.key(key), 2)
    return nn.Sequential([nn.Linear(3, 4, key=keys[0]), nn.relu, nn.Linear(4, 2, key=keys[1])])


def test_a_file_that_pytorch_wrote(tmp_path):
    """torch.nn.Sequential(Linear, ReLU, Linear) writes these names, and metadata {"format": "pt"}."""
    rng = np.random.default_rng(0)
    shapes = {"0.weight": (4, 3), "0.bias": (4,), "2.weight": (2, 4), "2.bias": (2,)}
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    safetensors.numpy.save_file(arrays, tmp_path / "torch", {"format": "pt"})
    model = load_model(tmp_path / "torch", network(0))
    x = rng.normal(size=(5, 3)).astype(np.float32)
    hidden = np.maximum(x @ arrays["0.weight"].T + arrays["0.bias"], 0)
    expected = hidden @ arrays["2.weight"].T + arrays["2.bias"]
    np.testing.assert_allclose(model(x), expected, rtol=1e-5, atol=1e-6)


def test_round_trip_under_both_names(tmp_path):
    first, second = network(0), network(1)
    save_model(tmp_path / "a", first)
    assert sorted(fg.load_dict(tmp_path / "a")) == ["0.bias", "0.weight", "2.bias", "2.weight"]
    assert nn.tree_equal(load_model(tmp_path / "a", second), first)
    save_model(tmp_path / "b", first, names="funcgrad")
    assert nn.tree_equal(load_model(tmp_path / "b", second), first)
    assert nn.tree_equal(fg.load(tmp_path / "b", second), first)


def test_differences_are_listed(tmp_path):
    save_model(tmp_path / "a", network(0))
    other = nn.Sequential([nn.Linear(3, 5, key=0)])
    with pytest.raises(CheckpointError, match=r"0.*weight(.|\n)*unexpected: 2\.bias"):
        load_model(tmp_path / "a", other)


def test_npz(tmp_path):
    tree = {"layers": [np.ones((2, 3), np.float32), np.arange(2)], "rate": 0.5}
    save_npz(tmp_path / "a.npz", tree, compressed=True)
    assert load_npz(tmp_path / "a.npz", flat=True).keys() == {"layers.0", "layers.1", "rate"}
    found = load_npz(tmp_path / "a.npz")
    assert found["layers"]["0"].dtype == np.float32 and found["rate"] == 0.5
    np.savez(tmp_path / "b.npz", x=np.eye(2))
    np.save(tmp_path / "c.npy", np.eye(2))
    assert load_npz(tmp_path / "b.npz")["x"].trace() == load_npz(tmp_path / "c.npy").trace() == 2
    with pytest.raises(TypeError, match="Use funcgrad.save"):
        save_npz(
            tmp_path / "d.npz", {"x": np.zeros(1, "V4")} | {"y": fg.numpy.zeros(1, "bfloat16")}
        )


def test_npz_never_unpickles(tmp_path):
    np.savez(tmp_path / "objects.npz", x=np.array([{"a": 1}], dtype=object))
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps({"a": 1}))
    (tmp_path / "text.npz").write_text(json.dumps({"a": 1}))
    whole = tmp_path / "whole.npz"
    save_npz(whole, {"x": np.ones(100)})
    (tmp_path / "half.npz").write_bytes(whole.read_bytes()[:200])
    for name in ("objects", "pickle", "text", "half"):
        with pytest.raises(CheckpointError, match="load_npz"):
            load_npz(tmp_path / f"{name}.npz")
    with pytest.raises(FileNotFoundError):
        load_npz(tmp_path / "nowhere.npz")
