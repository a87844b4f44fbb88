"""Devices: which there are, where new arrays go, moving trees; on a machine without a GPU, and on a pretended one."""

import os

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.ir import devices
from tests.gpu import strict_cupy

CUDA = fg.Device("cuda", 0)


def gpu(array):
    return strict_cupy.put(np.asarray(array))


@pytest.fixture
def without_gpu(monkeypatch):
    monkeypatch.setattr(devices, "missing_cuda", lambda: "CuPy is not installed.")
    monkeypatch.setattr("funcgrad.device.missing_cuda", lambda: "CuPy is not installed.")


# --- without a GPU ---


def test_devices_without_a_gpu(without_gpu):
    assert fg.devices() == [fg.Device("cpu")] and fg.devices("cuda") == []
    assert not fg.cuda_is_available() and fg.try_gpu() == fg.try_gpu(3) == fg.Device("cpu")


@pytest.mark.parametrize("device", ["cuda", "gpu:0", "cuda:1", CUDA])
def test_a_missing_gpu_is_explained(device, without_gpu):
    for use in (fg.default_device, fg.set_default_device, lambda d: fg.device_put(np.ones(2), d)):
        with pytest.raises(RuntimeError, match="cannot be used: CuPy is not installed.*try_gpu"):
            use(device)
    with pytest.raises(RuntimeError, match="cannot be used"):
        fnp.zeros(2, device=device)


@pytest.mark.parametrize("device", ["tpu", "cuda:x", 0, "cpu:1"])
def test_an_unknown_device(device):
    with pytest.raises(ValueError, match="is no device. Use 'cpu', 'cuda', 'cuda:1'"):
        fg.device_put(np.ones(2), device)


def test_the_cpu_needs_nothing(without_gpu):
    x = np.ones(2)
    assert fg.device_put(x) is fg.device_put(x, "cpu") is fg.device_get(x) is x
    assert fg.block_until_ready(x) is x and fg.device_of([x, 1]) == fg.device_of(3.0) == fg.Device(
        "cpu"
    )
    assert type(fnp.zeros(2, device="cpu")) is np.ndarray
    with fg.default_device(None), fg.default_device(fg.try_gpu()):
        assert type(fnp.zeros(2)) is np.ndarray


def test_devices_print_as_they_are_written():
    assert str(CUDA) == "cuda:0" and repr(fg.Device("cpu")) == "Device('cpu')"
    assert {CUDA: 1}[devices.as_device("gpu")] == 1


# --- on a pretended GPU ---


def test_devices_of_the_pretended_gpu(strict):
    assert fg.devices() == [CUDA, fg.Device("cpu")] and fg.devices("cpu") == [fg.Device("cpu")]
    assert fg.cuda_is_available() and fg.try_gpu() == CUDA and fg.try_gpu(1) == fg.Device("cpu")
    with pytest.raises(RuntimeError, match="no device 'cuda:1' here, only cuda:0 and cpu"):
        fg.device_put(np.ones(2), "cuda:1")


def test_trees_move_there_and_back(strict):
    tree = {"w": np.ones(2), "n": np.float32(2), "k": 3, "name": "x", "f": np.sin}
    there = fg.device_put(tree, "cuda")
    assert isinstance(there["w"], strict.ndarray) and isinstance(there["n"], strict.ndarray)
    assert there["k"] == 3 and there["name"] == "x" and there["f"] is np.sin
    assert fg.device_of(there) == CUDA and fg.device_put(there, "cuda")["w"] is there["w"]
    back = fg.device_get(there)
    np.testing.assert_array_equal(back["w"], tree["w"])
    assert back["n"] == 2 and fg.device_of(back) == fg.Device("cpu")


def test_tied_leaves_stay_tied(strict):
    w = np.ones(2)
    there = fg.device_put({"a": w, "b": w}, "cuda")
    assert there["a"] is there["b"]


CREATIONS = {
    "zeros": lambda: fnp.zeros((2, 3)),
    "ones": lambda: fnp.ones(2, np.int32),
    "full": lambda: fnp.full((2,), 7.0),
    "empty": lambda: fnp.empty(2),
    "arange": lambda: fnp.arange(5),
    "linspace": lambda: fnp.linspace(0.0, 1.0, 4),
    "logspace": lambda: fnp.logspace(0.0, 1.0, 4),
    "eye": lambda: fnp.eye(3),
    "tri": lambda: fnp.tri(3),
    "asarray": lambda: fnp.asarray([1.0, 2.0]),
    "array": lambda: fnp.array([[1, 2]]),
    "fromfunction": lambda: fnp.fromfunction(lambda i, j: i, (2, 2)),
    "fftfreq": lambda: fnp.fft.fftfreq(4),
    "uniform": lambda: fg.random.uniform(fg.random.key(0), (3,)),
    "normal": lambda: fg.random.normal(fg.random.key(0), (3,)),
    "randint": lambda: fg.random.randint(fg.random.key(0), (3,), 0, 9),
    "bernoulli": lambda: fg.random.bernoulli(fg.random.key(0), 0.5, (3,)),
    "permutation": lambda: fg.random.permutation(fg.random.key(0), 5),
    "categorical": lambda: fg.random.categorical(fg.random.key(0), fnp.zeros(3), shape=(2,)),
    "initializer": lambda: fg.initializers.he_normal()(fg.random.key(0), (2, 3)),
}


@pytest.mark.parametrize("name", CREATIONS)
def test_new_arrays_follow_the_default_device(name, strict):
    expected = CREATIONS[name]()
    assert type(expected) is np.ndarray
    with fg.default_device("cuda"):
        found = CREATIONS[name]()
    assert isinstance(found, strict.ndarray)
    np.testing.assert_array_equal(found.get(), expected)


def test_layers_follow_the_default_device(strict):
    with fg.default_device("cuda"):
        model = fg.nn.MLP(3, 2, 8, 1, key=fg.random.key(0))
    assert all(isinstance(w, strict.ndarray) for w in fg.tree.leaves(model) if fg.is_array(w))


def test_the_device_argument(strict):
    assert isinstance(fnp.zeros(2, device="cuda"), strict.ndarray)
    with fg.default_device("cuda"):
        assert type(fnp.arange(3, device="cpu")) is np.ndarray
    assert isinstance(fnp.zeros_like(gpu([1.0])), strict.ndarray)
    assert type(fnp.zeros_like(gpu([1.0]), device="cpu")) is np.ndarray


def test_keys_stay_on_the_host(strict):
    with fg.default_device("cuda"):
        key, other = fg.random.split(fg.random.key(0))
        assert type(key) is type(fg.random.fold_in(other, 3)) is np.ndarray
    assert isinstance(fg.random.split(gpu(key)), strict.ndarray)


def test_set_default_device(strict):
    fg.set_default_device("cuda")
    try:
        assert isinstance(fnp.zeros(2), strict.ndarray)
    finally:
        fg.set_default_device(None)
    assert type(fnp.zeros(2)) is np.ndarray


def test_new_arrays_go_beside_the_arguments(strict):
    def loss(x):
        return fnp.sum(x * fnp.arange(3.0) + fnp.zeros(3)) + 0.0 * fnp.sum(fnp.ones(4))

    assert isinstance(fg.grad(loss)(gpu([1.0, 2.0, 3.0])), strict.ndarray)
    with fg.default_device("cuda"):
        assert type(fg.grad(loss)(np.array([1.0, 2.0, 3.0]))) is np.ndarray


def test_gradients_of_unused_arguments(strict):
    unused, used = fg.grad(lambda x, y: fnp.sum(y), argnums=(0, 1))(gpu([1.0]), gpu([2.0]))
    assert isinstance(unused, strict.ndarray) and isinstance(used, strict.ndarray)


def test_device_of_traced_values(strict):
    found = []
    fg.grad(lambda x: found.append(fg.device_of(x)) or fnp.sum(x))(gpu([1.0]))
    fg.make_jaxpr(lambda x: found.append(fg.device_of(x)) or x)(np.ones(2))
    assert found == [CUDA, fg.Device("cpu")]


def test_device_put_of_traced_values(strict):
    fg.grad(lambda x: fnp.sum(fg.device_put(x, "cuda")))(gpu([1.0]))
    with pytest.raises(TypeError, match="cannot move .* from cuda:0 to cpu"):
        fg.grad(lambda x: fnp.sum(fg.device_put(x, "cpu")))(gpu([1.0]))


def test_lists_of_gpu_arrays_are_stacked_there(strict):
    for found in (fnp.asarray([gpu([1.0]), gpu([2.0])]), fnp.stack([gpu([1.0]), gpu([2.0])])):
        np.testing.assert_array_equal(strict.asnumpy(found), [[1.0], [2.0]])
    assert isinstance(fnp.sum([gpu(1.0), gpu(2.0)]), strict.ndarray)


def test_files_of_gpu_models(strict, tmp_path):
    model = fg.nn.Linear(3, 2, key=fg.random.key(0))
    there = fg.device_put(model, "cuda")
    fg.save(tmp_path / "model.safetensors", there)
    assert fg.tree_equal(fg.load(tmp_path / "model.safetensors", like=model), model)
    loaded = fg.load(tmp_path / "model.safetensors", like=there)
    assert all(isinstance(w, strict.ndarray) for w in fg.tree.leaves(loaded) if fg.is_array(w))
    state = fg.nn.state_dict(there)
    again = fg.nn.load_state_dict(there, fg.device_get(state))
    assert fg.device_of(again) == CUDA


def test_distributions_of_gpu_arrays(strict):
    normal = fg.distributions.Normal(gpu([0.0, 1.0]), gpu([1.0, 2.0]))
    assert isinstance(normal.log_prob(gpu([0.5, 0.5])), strict.ndarray)
    assert isinstance(normal.sample(fg.random.key(0), (3,)), strict.ndarray)


def test_derivatives_are_checked_on_a_gpu(strict):
    fg.test_util.check_grads(lambda x: fnp.sum(fnp.sin(x) * x), (gpu([0.5, 0.2]),), 2)
    wrong = fg.primitive(lambda x: x * x, out_shape=lambda x: x, vjp=lambda ct, out, x: ct * x)
    with pytest.raises(AssertionError, match="check_grads"):
        fg.test_util.check_grads(wrong, (gpu([0.5, 0.2]),), 1, modes=("rev",))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_is_told(strict, monkeypatch):
    monkeypatch.setattr(devices.CUDA, "is_used", False)
    fnp.add(gpu([1.0]), 1.0)
    child = os.fork()
    if child == 0:
        try:
            fnp.add(np.ones(1), 1.0)
            fnp.add(gpu([1.0]), 1.0)
        except RuntimeError as error:
            os._exit(7 if "forked from one that had used the GPU" in str(error) else 8)
        os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert not devices.CUDA.is_lost


def test_nans_on_a_gpu_are_found(strict):
    with fg.debug_nans():
        with pytest.raises(FloatingPointError) as caught:
            fnp.log(gpu([1.0, -1.0]))
        with pytest.raises(FloatingPointError, match="sqrt|divide|multiply|log"):
            fg.grad(lambda x: fnp.sum(fnp.log(x)))(gpu([1.0, -1.0]))
    assert "log made a NaN." in str(caught.value)
    assert "operand 0: float64[2] in [-1.0, 1.0]" in str(caught.value)
