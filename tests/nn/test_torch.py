"""Layers against PyTorch: results, all gradients and state updates with the same weights.

Against recorded values everywhere, and against PyTorch itself where it can be imported.
"""

import importlib.util
import json
import pathlib

import ml_dtypes
import numpy as np
import pytest

import funcgrad as fg
from funcgrad import nn, tree
from tests.nn.layer_cases import CASES, inputs, parameter, projections, values

HERE = pathlib.Path(__file__).parent
# The same lines are compiled for many cases.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*was compiled:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*momentum=:UserWarning"),
]
REFERENCE = json.loads((HERE / "reference" / "layers.json").read_text())
# Typical layers, whose compiled gradients are compared as well.
COMPILED = ("linear", "conv2d", "batch_norm2d", "lstm", "attention", "encoder_layer", "sequential")


def made(name, case, dtype):
    """The layer with the values that PyTorch's layer has."""
    model = eval(f"nn.{case.ours}", {"nn": nn})
    state = nn.state_dict(model, names="pytorch")
    new = {key: parameter(name, key, old, dtype) for key, old in state.items()}
    return nn.load_state_dict(nn.cast(model, dtype) if state else model, new)


def evaluate(name, case, dtype: type = np.float64, transform=lambda f: f):
    """All arrays that we compute for a case, under PyTorch's names."""
    model, xs = made(name, case, dtype), inputs(name, case, dtype)

    def run(model, xs):
        method = eval(f"lambda m, *xs: {case.call}", {"np": np})
        out, changed = model.apply(*xs, train=case.train, method=method)
        flat = tree.leaves(out)
        loss = sum(
            (y * values(f"{name} cotangent {i}", y.shape, dtype)).sum() for i, y in enumerate(flat)
        )
        return loss, (flat, changed)

    function = fg.value_and_grad(run, (0, 1), has_aux=True, allow_int=True)
    (_, (flat, changed)), (gradient, slopes) = transform(function)(model, xs)
    found = {f"out {i}": y for i, y in enumerate(flat)}
    found |= {f"input {i}": x for i, x in enumerate(slopes) if x is not None}
    found |= {f"grad {key}": a for key, a in nn.state_dict(gradient, names="pytorch").items()}
    buffers = {id(array) for _, array in nn.named_buffers(changed)}
    state = nn.state_dict(changed, names="pytorch").items()
    return found | {f"buffer {key}": array for key, array in state if id(array) in buffers}


def compare(found, recorded, tolerance):
    assert set(found) == set(recorded)
    for key, array in found.items():
        shape, norm, *products = recorded[key]
        assert list(array.shape) == shape, key
        new = projections(key, array)[1:]
        np.testing.assert_allclose(new, [norm, *products], atol=tolerance * (1 + norm), err_msg=key)


@pytest.mark.parametrize("name", CASES)
def test_recorded_values(name):
    compare(evaluate(name, CASES[name]), REFERENCE[name], 1e-7)


@pytest.mark.parametrize("name", CASES)
def test_single_precision(name):
    found = evaluate(name, CASES[name], np.float32)
    floats = [array.dtype for array in found.values() if array.dtype.kind == "f"]
    assert set(floats) <= {np.dtype(np.float32)}
    compare(found, REFERENCE[name], 1e-4)


@pytest.mark.parametrize("name", COMPILED)
def test_compiled(name):
    kernels = []

    def inspected(function):
        def call(*args):
            kernels.append(fg.debug.inspect(function, *args).kernels)
            return fg.jit(function)(*args)

        return call

    compare(evaluate(name, CASES[name], transform=inspected), REFERENCE[name], 1e-7)
    assert kernels[0] is None or "library" not in kernels[0]


def need_torch():
    if importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch is not installed here")


def test_weights_move_both_ways():
    need_torch()
    import torch

    def torch_model():
        parts = (
            torch.nn.Linear(4, 8),
            torch.nn.BatchNorm1d(8),
            torch.nn.ReLU(),
            torch.nn.Linear(8, 2),
        )
        return torch.nn.Sequential(*parts).eval()

    layers = nn.Linear(4, 8, key=0), nn.BatchNorm1d(8), nn.relu, nn.Linear(8, 2, key=1)
    ours, theirs, x = nn.Sequential(layers), torch_model(), values("x", (5, 4), np.float32)
    loaded = nn.load_state_dict(ours, theirs.state_dict())
    np.testing.assert_allclose(loaded(x), theirs(torch.tensor(x)).detach(), rtol=1e-5, atol=1e-6)
    state = {k: torch.tensor(v) for k, v in nn.state_dict(ours, names="pytorch").items()}
    theirs.load_state_dict(state)
    np.testing.assert_allclose(ours(x), theirs(torch.tensor(x)).detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_live(name):
    need_torch()
    from tests.nn import make_reference

    ours, theirs = evaluate(name, CASES[name]), make_reference.evaluate(name, CASES[name])
    assert set(ours) == set(theirs)
    for key, array in ours.items():
        np.testing.assert_allclose(array, theirs[key], rtol=1e-7, atol=1e-8, err_msg=key)


def test_bfloat16_tensors():
    need_torch()
    import torch

    theirs = torch.nn.Linear(4, 3).to(torch.bfloat16)
    ours = nn.load_state_dict(nn.Linear(4, 3, key=0, dtype=ml_dtypes.bfloat16), theirs.state_dict())
    assert ours.weight.dtype == ml_dtypes.bfloat16
    expected = theirs.weight.detach().float().numpy()
    np.testing.assert_array_equal(ours.weight.astype(np.float32), expected)
    wide = nn.load_state_dict(nn.Linear(4, 3, key=0), theirs.state_dict(), cast=True)
    np.testing.assert_array_equal(wide.weight, expected)
