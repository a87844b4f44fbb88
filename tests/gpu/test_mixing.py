"""Arrays on different devices: one error that names them, and constants that move by themselves."""

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from tests.gpu import strict_cupy

pytestmark = pytest.mark.usefixtures("strict")


def gpu(*numbers):
    return strict_cupy.put(np.array(numbers or (1.0, 2.0, 3.0)))


HOST = np.array([1.0, 2.0, 3.0])


def message(call):
    with pytest.raises(TypeError) as caught:
        call()
    return str(caught.value)


def test_the_error_names_both_arguments():
    x, w = gpu(), HOST
    text = message(lambda: fnp.add(x, w))
    assert "[add] got arrays on different devices:" in text
    assert "argument 0, 'x1': cupy.ndarray float64[3] on cuda:0  (x)" in text or "(x)" in text
    assert "numpy.ndarray float64[3] on cpu  (w)" in text
    assert 'w = funcgrad.device_put(w, "cuda:0")' in text
    assert "test_mixing.py:" in text


def test_positions_of_arguments():
    text = message(lambda: fnp.where(gpu() > 1, gpu(), HOST))
    assert "argument 0" in text and "argument 2" in text


def test_arrays_inside_lists_are_named():
    text = message(lambda: fnp.concatenate([gpu(), HOST]))
    assert "argument 0" in text and "at 0" in text and "at 1" in text


def test_operators_inside_grad():
    def loss(x):
        return fnp.sum(x * HOST)

    text = message(lambda: fg.grad(loss)(gpu()))
    assert "got arrays on different devices" in text and "traced cupy.ndarray" in text
    assert "(x)" in text and "fnp.sum(x * HOST)" in text


def test_numpy_functions_inside_grad():
    text = message(lambda: fg.grad(lambda x: np.sum(np.multiply(HOST, x)))(gpu()))
    assert "[multiply] got arrays on different devices" in text


def test_models_on_the_other_device():
    model = fg.nn.Linear(3, 2, key=fg.random.key(0))
    text = message(lambda: model(gpu().astype(np.float32)))
    assert "at weight: numpy.ndarray float32[2,3] on cpu" in text
    assert 'model = funcgrad.device_put(model, "cuda:0")' in text or "device_put" in text


def test_arguments_of_jitted_functions():
    @fg.jit
    def step(params, batch):
        return params["w"] + batch

    text = message(lambda: step({"w": gpu()}, HOST))
    assert "[jit(step)] got arrays on different devices" in text
    assert "argument 'params' of step at w: cupy.ndarray" in text
    assert "argument 'batch' of step: numpy.ndarray" in text


def test_arrays_that_a_jitted_function_captures():
    text = message(lambda: fg.jit(lambda x: x + HOST)(gpu()))
    assert "[add] got arrays on different devices" in text and "traced cupy.ndarray" in text


def test_random_keys_may_stay_on_the_host():
    def noisy(key, x):
        return x + fg.random.normal(key, (3,))

    for settings in ({"disable_jit": True}, {"native": False}):
        with fg.config.override(**settings):
            assert isinstance(fg.jit(noisy)(fg.random.key(0), gpu()), strict_cupy.ndarray)
    model = fg.nn.Dropout(0.5)
    assert isinstance(model(gpu(), key=fg.random.key(1)), strict_cupy.ndarray)


def test_numbers_may_stay_on_the_host():
    assert isinstance(fnp.add(gpu(), np.float32(2)), strict_cupy.ndarray)
    assert isinstance(fnp.add(gpu(), np.array(2.0)), strict_cupy.ndarray)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: fnp.triu(x),
        lambda x: fnp.diag(x),
        lambda x: fnp.roll(x, 1),
        lambda x: fnp.pad(x, 1, mode="reflect"),
        lambda x: fnp.repeat(x, 2),
        lambda x: fnp.interp(x, fnp.arange(3.0, device="cuda"), fnp.ones(3, device="cuda")),
        lambda x: fnp.median(x),
        lambda x: fnp.nan_to_num(x),
        lambda x: fnp.vander(x[0], 3),
        lambda x: fg.nn.softmax(x),
        lambda x: fg.nn.one_hot(x[0].astype(np.int32), 4),
        lambda x: fnp.linalg.inv(x),
        lambda x: fnp.cov(x),
        lambda x: fnp.unwrap(x),
        lambda x: fnp.trapezoid(x),
        lambda x: fg.hessian(lambda y: fnp.sum(fnp.sin(y) * y[::-1]))(x[0]),
        lambda x: fg.jacfwd(fnp.cumsum)(x[0]),
    ],
)
def test_constants_of_our_functions_move_by_themselves(function):
    x = np.array([[1.0, 2.0, 3.0], [0.5, 3.0, 1.0], [2.0, 1.0, 4.0]])
    found = function(strict_cupy.put(x))
    assert isinstance(found, strict_cupy.ndarray)
