"""R73: loading into a changed tree gives one error that lists every difference by path."""

import numpy as np
import pytest

from funcgrad.errors import CheckpointError
from funcgrad.io import load, save
from funcgrad.ir.types import ShapeDtypeStruct


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file.safetensors"
    layers = [{"weight": np.ones((3, 4), np.float32), "bias": np.ones(3, np.float32)}]
    save(path, {"layers": layers, "scale": np.ones(2), "step": 5})
    return path


def like(**changes):
    layer = {"weight": np.zeros((3, 4), np.float32), "bias": np.zeros(3, np.float32)}
    return {"layers": [{**layer, **changes}], "scale": np.zeros(2), "step": 0}


def test_all_differences_are_listed(path):
    template = like(weight=np.zeros((3, 5), np.float32), bias=np.zeros(3))
    template["head"] = {"weight": np.zeros(1)}
    del template["scale"]
    with pytest.raises(CheckpointError) as caught:
        load(path, template)
    text = str(caught.value)
    assert str(path) in text and "4 differences" in text
    for line in (
        "layers.0.weight: the file has float32[3,4], the tree float32[3,5]: other shape",
        "layers.0.bias: the file has float32[3], the tree float64[3]: other dtype",
        "head.weight: missing in the file; the tree has float64[1]",
        "scale: in the file (float64[2]), but not in the tree",
    ):
        assert line in text


def test_renamed_layer(path):
    template = like()
    template["blocks"] = template.pop("layers")
    with pytest.raises(CheckpointError, match="blocks.0.bias: missing") as caught:
        load(path, template)
    assert "layers.0.bias: in the file" in str(caught.value)


def test_not_strict_takes_what_fits_and_lists_the_rest(path):
    template = like(weight=np.zeros((3, 5), np.float32))
    template["extra"] = np.full(2, 7.0)
    del template["scale"]
    with pytest.warns(UserWarning, match="were skipped") as caught:
        found = load(path, template, strict=False)
    text = str(caught[0].message)
    assert all(name in text for name in ("layers.0.weight", "extra", "scale"))
    assert found["layers"][0]["bias"].sum() == 3 and found["step"] == 5
    assert found["layers"][0]["weight"] is template["layers"][0]["weight"]
    assert found["extra"] is template["extra"]


def test_not_strict_needs_values_for_the_rest(path):
    template = like(weight=ShapeDtypeStruct((3, 5), np.float32))
    with pytest.raises(CheckpointError, match="layers.0.weight"):
        load(path, template, strict=False)


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.complex64])
def test_cast_converts(path, dtype):
    template = like(bias=np.zeros(3, dtype))
    with pytest.raises(CheckpointError, match="other dtype"):
        load(path, template)
    found = load(path, template, cast=True)["layers"][0]["bias"]
    assert found.dtype == dtype and found.sum() == 3


@pytest.mark.parametrize("dtype", [np.int64, np.bool_, np.uint8])
def test_cast_does_not_lose_fractions(path, dtype):
    with pytest.raises(CheckpointError, match="layers.0.bias"):
        load(path, like(bias=np.zeros(3, dtype)), cast=True)


def test_python_numbers_are_checked_too(path):
    template = {**like(), "step": 0.0}
    with pytest.raises(CheckpointError, match="step: the file has int64"):
        load(path, template)
    step = load(path, template, cast=True)["step"]
    assert type(step) is float and step == 5.0


def test_tied_in_the_tree_but_different_in_the_file(tmp_path):
    path = tmp_path / "file.safetensors"
    save(path, {"a": np.ones(2), "b": np.zeros(2)})
    shared = np.zeros(2)
    with pytest.raises(CheckpointError, match="one array in the tree, but a and b differ"):
        load(path, {"a": shared, "b": shared})


def test_long_lists_are_shortened(tmp_path):
    path = tmp_path / "file.safetensors"
    save(path, {f"p{i}": np.ones(1) for i in range(80)})
    with pytest.raises(CheckpointError, match="and 30 more"):
        load(path, {})


def test_missing_file_is_an_ordinary_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing.safetensors")
