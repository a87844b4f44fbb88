"""Operations of the user, mixtures and precision in programs compiled for a GPU."""

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp

X = np.array([0.5, -1.0, 2.0])


def xp_of(x):
    return np if isinstance(x, np.ndarray) else pytest.importorskip("cupy")


@pytest.fixture
def sine():
    return fg.primitive(
        lambda x: xp_of(x).sin(x),
        out_shape=lambda x: x,
        vjp=lambda ct, out, x: ct * fnp.cos(x),
        name="my_sin",
    )


def test_part_of_a_compiled_program(compiled, sine):
    run = fg.jit(lambda x: fnp.sum(sine(x * 2.0) ** 2))
    for _ in range(3):
        np.testing.assert_allclose(compiled.host(run(compiled.put(X))), np.sum(np.sin(2 * X) ** 2))
    gradient = fg.jit(fg.grad(lambda x: fnp.sum(sine(x) ** 2)))
    np.testing.assert_allclose(compiled.host(gradient(compiled.put(X))), np.sin(2 * X))


def test_inside_a_loop(compiled, sine):
    run = fg.jit(lambda x: fg.lax.scan(lambda c, _: (sine(c), c), x, None, length=4))
    expected = [X]
    for _ in range(4):
        expected.append(np.sin(expected[-1]))
    last, every = run(compiled.put(X))
    np.testing.assert_allclose(compiled.host(last), expected[4])
    np.testing.assert_allclose(compiled.host(every), expected[:4])


def test_batched(compiled, sine):
    rows = np.arange(6.0).reshape(2, 3)
    run = fg.jit(fg.vmap(lambda x: sine(x) + 1.0))
    np.testing.assert_allclose(compiled.host(run(compiled.put(rows))), np.sin(rows) + 1)


def test_captured_arrays_of_the_other_device_are_refused(compiled):
    with pytest.raises(TypeError, match="got arrays on different devices"):
        fg.jit(lambda x: x + X)(compiled.put(X))
    run = fg.jit(lambda x: x + fnp.asarray(X) + fnp.arange(3.0))
    np.testing.assert_allclose(compiled.host(run(compiled.put(X))), 2 * X + np.arange(3.0))


def test_keys_of_the_host(compiled):
    run = fg.jit(lambda key, x: fg.random.uniform(key, x.shape, x.dtype) + 0 * x)
    expected = fg.random.uniform(fg.random.key(5), (3,), np.float64)
    np.testing.assert_array_equal(compiled.host(run(fg.random.key(5), compiled.put(X))), expected)


def test_one_function_for_both_devices(compiled):
    run = fg.jit(lambda x: fnp.sin(x) * 2.0)
    for _ in range(3):
        assert isinstance(run(X), np.ndarray)
        assert isinstance(run(compiled.put(X)), compiled.ndarray)
    assert run.trace_count() == 2


def test_precision_is_part_of_what_is_compiled(compiled):
    x = np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32)
    run = fg.jit(lambda x: x @ x)
    for name in ("highest", "tensorfloat32", "bfloat16", "highest"):
        with fg.default_matmul_precision(name):
            found = compiled.host(run(compiled.put(x)))
        np.testing.assert_allclose(found, x @ x, rtol=5e-2, atol=5e-2)
    np.testing.assert_allclose(found, x @ x, rtol=1e-5, atol=1e-5)
