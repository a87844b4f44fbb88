"""Layers, training and transformations on a GPU give what they give on the CPU."""

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad import nn, optim, tree
from tests.gpu.conftest import real_place
from tests.gpu.layers import KEY, LAYERS, LOSSES, OPTIMIZERS

# Each row compiles its own function through the same lines of this file.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

SOME = ("Linear", "MLP", "Conv2d", "LayerNorm", "GroupNorm", "MaxPool2d", "LSTM", "Sequential")


def arrays_in(tree_of_arrays):
    return [x for x in tree.leaves(tree_of_arrays) if fg.is_array(x)]


def results_and_gradients(model, args, named):
    """What a layer returns, and the gradients of its parameters and inputs, as far as there are any."""

    def loss(model, *args):
        outs = arrays_in(model(*args, **named))
        return sum(fnp.sum(out**2) for out in outs if out.dtype.kind == "f"), outs

    moving = [i for i, x in enumerate(args, 1) if x.dtype.kind == "f"]
    wanted = [0, *moving] if arrays_in(model) else moving
    gradients, outs = fg.grad(loss, argnums=tuple(wanted), has_aux=True)(model, *args)
    return outs, gradients


def assert_close(place, found, expected, tolerance=1e-3):
    found, expected = arrays_in(found), arrays_in(expected)
    assert len(found) == len(expected)
    for out, want in zip(found, expected, strict=True):
        assert isinstance(out, place.ndarray), type(out)
        np.testing.assert_allclose(place.host(out), want, rtol=tolerance, atol=tolerance)


def layer(name):
    make, args, named = LAYERS[name]
    model = make()
    return model, args, named, results_and_gradients(model, args, named)


@pytest.mark.parametrize("name", LAYERS)
def test_layers_eagerly(name, eager):
    model, args, named, expected = layer(name)
    found = results_and_gradients(on_gpu(model), tuple(map(eager.put, args)), named)
    assert_close(eager, found, expected)


def check_compiled(name, place):
    model, args, named, expected = layer(name)
    run = fg.jit(lambda model, args: results_and_gradients(model, args, named))
    assert_close(place, run(on_gpu(model), tuple(map(place.put, args))), expected)


@pytest.mark.parametrize("name", SOME)
def test_some_layers_compiled(name, compiled):
    check_compiled(name, compiled)


@pytest.mark.gpu
@pytest.mark.parametrize("name", LAYERS)
def test_layers_compiled(name):
    check_compiled(name, real_place())


def loss_and_gradient(function, args):
    return function(*args), fg.grad(lambda x, *rest: fnp.sum(function(x, *rest)))(*args)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_eagerly(name, eager):
    function, args = getattr(nn, name), LOSSES[name]
    found = loss_and_gradient(function, tuple(map(eager.put, args)))
    assert_close(eager, found, loss_and_gradient(function, args))


def three_steps(name, put):
    random = np.random.default_rng(2)
    sample = lambda: {"w": random.normal(size=(3, 4)), "b": random.normal(size=4)}
    optimizer = getattr(optim, name)(*OPTIMIZERS[name])
    params = put(sample())
    state = optimizer.init(params)
    for _ in range(3):
        updates, state = optimizer.update(put(sample()), state, params)
        params = optim.apply_updates(params, updates)
    return params


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_eagerly(name, eager):
    assert_close(eager, three_steps(name, on_gpu), three_steps(name, lambda x: x), 1e-6)


def training(steps, jit=lambda f: f, put=lambda x: x, host=lambda x: x):
    """A few steps of Adam for a small classifier; the losses and the parameters."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(16, 6)).astype(np.float32)
    labels = rng.integers(0, 3, 16)
    model, optimizer = nn.MLP(6, 3, 8, 1, key=KEY), optim.adam(1e-2)
    model, state, x, labels = map(put, (model, optimizer.init(model), x, labels))

    def loss(model, x, labels):
        return fnp.mean(nn.softmax_cross_entropy_with_integer_labels(model(x), labels))

    def step(model, state, x, labels):
        value, gradients = fg.value_and_grad(loss)(model, x, labels)
        updates, state = optimizer.update(gradients, state, model)
        return optim.apply_updates(model, updates), state, value

    step = jit(step)
    losses = []
    for _ in range(steps):
        model, state, value = step(model, state, x, labels)
        losses.append(float(host(value)))
    return losses, model


def on_gpu(value):
    return fg.device_put(value, "cuda")


def test_training_eagerly(eager):
    losses, model = training(3, put=on_gpu)
    expected, wanted = training(3)
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    assert_close(eager, model, wanted, 1e-3)


def test_training_compiled(compiled):
    losses, model = training(5, lambda f: fg.jit(f, donate_argnums=(0, 1)), on_gpu, compiled.host)
    expected, wanted = training(5)
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    assert_close(compiled, model, wanted, 1e-3)


X = np.array([0.3, 0.7, 1.1, 1.9])


def newton(x):
    """Square roots, by as many steps as they take."""

    def go_on(carry):
        guess, _ = carry
        return fnp.max(fnp.abs(guess * guess - x)) > 1e-6

    return fg.lax.while_loop(go_on, lambda c: (0.5 * (c[0] + x / c[0]), c[1] + 1), (x, 0))


TRANSFORMED = {
    "hessian": fg.hessian(lambda x: fnp.sum(fnp.sin(x) * fnp.cumprod(x))),
    "jacfwd": fg.jacfwd(lambda x: fnp.tanh(x) * fnp.sum(x)),
    "jacrev": fg.jacrev(lambda x: fnp.sort(x)[::-1] * x),
    "vmap of grad": fg.vmap(fg.grad(lambda x: fnp.exp(x) * x)),
    "jvp": lambda x: fg.jvp(fnp.cumsum, (x,), (x,)),
    "linearize": lambda x: fg.linearize(fnp.sin, x)[1](x),
    "scan": lambda x: fg.lax.scan(lambda c, y: (c * y + y, c), fnp.zeros((), x.dtype), x),
    "grad of scan": fg.grad(
        lambda x: fg.lax.scan(lambda c, y: (fnp.sin(c * y) + y, None), 0.0, x)[0]
    ),
    "while_loop": newton,
    "cond": lambda x: fg.lax.cond(fnp.sum(x) > 1, fnp.sin, fnp.cos, x),
    "random": lambda x: x + fg.random.uniform(fg.random.key(3), x.shape, x.dtype),
    "checkpoint": fg.grad(fg.checkpoint(lambda x: fnp.sum(fnp.sin(fnp.cos(x))))),
    "solve": lambda x: fnp.linalg.solve(fnp.diag(x) + 1.0, x),
    "fft": lambda x: fnp.abs(fnp.fft.rfft(x)),
}


def assert_same_as_on_the_cpu(place, function, run):
    expected = tree.leaves(function(X))
    with fg.default_device("cuda"):
        found = tree.leaves(run(place.put(X)))
    for out, want in zip(found, expected, strict=True):
        np.testing.assert_allclose(place.host(out), want, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", TRANSFORMED)
def test_transformations_eagerly(name, eager):
    assert_same_as_on_the_cpu(eager, TRANSFORMED[name], TRANSFORMED[name])


@pytest.mark.parametrize("name", TRANSFORMED)
def test_transformations_compiled(name, compiled):
    assert_same_as_on_the_cpu(compiled, TRANSFORMED[name], fg.jit(TRANSFORMED[name]))


def test_random_bits_are_those_of_the_cpu(compiled):
    draw = lambda x: fg.random.normal(fg.random.key(7), (1000,)) + 0 * x
    np.testing.assert_array_equal(
        compiled.host(fg.jit(lambda x: fg.random.bits(fg.random.key(7), (1000,)))(compiled.put(X))),
        fg.random.bits(fg.random.key(7), (1000,)),
    )
    found = compiled.host(fg.jit(draw)(compiled.put(np.float32([1.0]))))
    np.testing.assert_allclose(
        found, fg.random.normal(fg.random.key(7), (1000,)), rtol=2e-6, atol=2e-6
    )
