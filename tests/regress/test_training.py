"""R44, R66-R69, as far as modules, optimizers and files touch them."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import funcgrad as fg
from funcgrad import nn, optim

pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")


def minimise(loss, params, optimizer, steps, wrap=fg.jit):
    @wrap
    def step(params, state):
        updates, state = optimizer.update(fg.grad(loss)(params), state, params)
        return optim.apply_updates(params, updates), state

    state = optimizer.init(params)
    for _ in range(steps):
        params, state = step(params, state)
    return params


@pytest.mark.parametrize(
    "optimizer", [optim.sgd(0.1), optim.sgd(0.05, momentum=0.5), optim.adam(0.1)]
)
@pytest.mark.parametrize("wrap", [fg.jit, lambda f: f])
def test_R44_complex_parameters_converge(optimizer, wrap):
    z = minimise(lambda z: np.abs(z - (1 + 2j)) ** 2, np.complex128(0), optimizer, 300, wrap)
    np.testing.assert_allclose(z, 1 + 2j, atol=1e-3)


class Tied(fg.Module):
    encoder: nn.Linear
    decoder: nn.Linear
    scale: np.ndarray
    shift: np.ndarray

    def __call__(self, x):
        return np.sum(self.decoder(self.encoder(x)) * self.scale + self.shift)


def tied_model():
    layer, vector = nn.Linear(3, 3, key=fg.random.key(0)), np.ones(3)
    return Tied(layer, layer, vector, vector)


def untied_model():
    tied = tied_model()
    copy = fg.tree.map(np.copy, tied.encoder)
    return Tied(tied.encoder, copy, tied.scale, tied.scale.copy())


def loss(model, x):
    return model(x)


@pytest.mark.parametrize(
    "transform", [fg.grad, lambda f: fg.jit(fg.grad(f)), lambda f: fg.grad(fg.jit(f))]
)
def test_R66_gradients_of_tied_parameters_are_summed(transform):
    x = np.array([1.0, 2.0, 3.0])
    tied, parts = transform(loss)(tied_model(), x), transform(loss)(untied_model(), x)
    assert tied.encoder is tied.decoder and tied.scale is tied.shift
    np.testing.assert_allclose(
        tied.encoder.weight, parts.encoder.weight + parts.decoder.weight, rtol=1e-6
    )
    np.testing.assert_allclose(tied.scale, parts.scale + parts.shift, rtol=1e-6)


def test_R66_tied_parameters_stay_tied_and_count_once():
    model = tied_model()
    assert len(fg.tree.leaves(model)) == 3  # weight, bias, vector
    updated = minimise(lambda m: loss(m, np.ones(3)) ** 2, model, optim.adam(1e-2), 3)
    assert updated.encoder is updated.decoder and updated.scale is updated.shift
    assert not np.array_equal(updated.encoder.weight, model.encoder.weight)


def test_R66_tied_parameters_are_saved_once_and_tied_again(tmp_path):
    model = tied_model()
    fg.save(tmp_path / "model.safetensors", model)
    loaded = fg.load(tmp_path / "model.safetensors", like=model)
    assert loaded.encoder is loaded.decoder and loaded.scale is loaded.shift
    np.testing.assert_array_equal(loaded.encoder.weight, model.encoder.weight)
    assert len(fg.load_dict(tmp_path / "model.safetensors")) >= 3
    size = (tmp_path / "model.safetensors").stat().st_size
    fg.save(tmp_path / "untied.safetensors", untied_model())
    assert size < (tmp_path / "untied.safetensors").stat().st_size


def test_R66_equal_but_distinct_arrays_stay_separate():
    model = untied_model()
    gradient = fg.grad(loss)(model, np.ones(3))
    assert gradient.scale is not gradient.shift
    assert len(fg.tree.leaves(model)) == 6


def test_R66_ties_inside_scan_and_vmap():
    model, xs = tied_model(), np.ones((4, 3))
    scanned = lambda m: np.sum(fg.lax.scan(lambda c, x: (c, m(x)), 0.0, xs)[1])
    batched = lambda m: np.sum(fg.vmap(lambda x: m(x))(xs))
    one = fg.grad(loss)(model, xs[0])
    for total in (scanned, batched):
        gradient = fg.grad(total)(model)
        assert gradient.encoder is gradient.decoder
        np.testing.assert_allclose(gradient.scale, 4 * one.scale, rtol=1e-6)


def test_R67_adam_in_half_precision():
    params = {"w": np.ones(3, np.float16)}
    optimizer = optim.adam(1e-3)
    state = optimizer.init(params)
    for _ in range(3):
        updates, state = optimizer.update({"w": np.full(3, 1e-5, np.float16)}, state, params)
        assert np.isfinite(updates["w"]).all()
        params = optim.apply_updates(params, updates)
    assert params["w"].dtype == np.float16 and np.isfinite(params["w"]).all()
    assert (params["w"] < 1.0).all()


def test_R67_first_step_of_adam_has_no_division_by_zero():
    optimizer = optim.adam(0.1)
    params = {"w": np.zeros(2)}
    updates, _ = optimizer.update({"w": np.array([0.0, 1.0])}, optimizer.init(params), params)
    np.testing.assert_allclose(updates["w"], [0.0, -0.1], rtol=1e-5)


def test_R67_clipping_the_norm_of_zeros_infinities_and_nans():
    clip = optim.clip_by_global_norm(1.0)
    update = lambda g: clip.update(g, clip.init(g))[0]["w"]
    np.testing.assert_array_equal(update({"w": np.zeros(2)}), np.zeros(2))
    np.testing.assert_allclose(update({"w": np.array([3.0, 4.0])}), [0.6, 0.8])
    with np.errstate(all="ignore"):
        for bad in (np.inf, np.nan):
            found = update({"w": np.array([bad, 1.0])})
            np.testing.assert_array_equal(found, np.zeros(2))  # the step is skipped


@pytest.mark.parametrize("optimizer", [optim.sgd(0.1), optim.adam(0.1), optim.adamw(0.1)])
def test_R67_missing_gradients_are_named(optimizer):
    params = {"a": np.ones(2), "b": {"w": np.ones(2)}}
    state = optimizer.init(params)
    with pytest.raises(ValueError, match="at b: .* missing .w."):
        updates, state = optimizer.update({"a": np.ones(2), "b": {}}, state, params)
        optim.apply_updates(params, updates)


@pytest.mark.parametrize(
    "optimizer", [optim.sgd(0.1, momentum=0.9), optim.adam(0.1), optim.adamw(0.1)]
)
def test_R67_leaves_that_are_no_parameters_are_skipped(optimizer):
    params = {"w": np.ones(2), "activation": np.tanh, "name": "mlp", "n": 3, "steps": np.arange(2)}
    fun = lambda p: np.sum(p["activation"](p["w"]))
    gradient = fg.grad(fun, allow_int=True)(params)
    state = optimizer.init(params)
    updates, _ = optimizer.update(gradient, state, params)
    new = optim.apply_updates(params, updates)
    assert new["activation"] is np.tanh and new["name"] == "mlp" and new["n"] == 3
    np.testing.assert_array_equal(new["steps"], np.arange(2))
    assert (new["w"] < 1.0).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x.T,
        lambda x: x[::2],
        lambda x: x[::-1],
        lambda x: np.broadcast_to(x[0], (4, 3)),
        lambda x: x.astype(">f8"),
        np.asfortranarray,
    ],
)
def test_R68_memory_layouts_survive_a_file(make, tmp_path):
    x = make(np.arange(12.0).reshape(4, 3))
    fg.save(tmp_path / "x.safetensors", {"x": x})
    found = fg.load(tmp_path / "x.safetensors", like={"x": x})["x"]
    np.testing.assert_array_equal(found, x)
    assert found.flags.c_contiguous


INTEGERS = ["bool", "int8", "uint8", "int16", "int32", "int64", "uint64"]
FLOATS = ["float16", "float32", "float64", "complex64", "complex128"]


@pytest.mark.parametrize(
    "dtype", [*map(np.dtype, [*INTEGERS, *FLOATS]), np.dtype(ml_dtypes.bfloat16)]
)
@pytest.mark.parametrize("shape", [(), (0,), (2, 3)])
def test_R69_dtypes_and_shapes_survive_a_file(dtype, shape, tmp_path):
    size = int(np.prod(shape))
    x = np.arange(size).reshape(shape).astype(dtype)
    fg.save(tmp_path / "x.safetensors", {"x": x})
    found = fg.load(tmp_path / "x.safetensors", like={"x": x})["x"]
    assert found.dtype == dtype and found.shape == shape
    np.testing.assert_array_equal(found, x)


@pytest.mark.parametrize(
    "x", [np.array([None]), np.array(["a"]), np.array(["2020"], "datetime64[Y]")]
)
def test_R69_other_dtypes_are_refused_with_their_path(x, tmp_path):
    with pytest.raises((TypeError, ValueError), match=r"layer\.x|layer"):
        fg.save(tmp_path / "x.safetensors", {"layer": {"x": x}})
    assert not (tmp_path / "x.safetensors").exists()
