"""Random numbers under jit, vmap, scan and derivatives."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import random

pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

ROWS = np.arange(12.0).reshape(3, 4)
CHANCES = np.array([0.1, 0.2, 0.3, 0.4])

ROUNDING = 4e-7  # compiled functions may differ by 2 ulp
DRAWS = {
    "split": lambda key: random.split(key, (2, 2)),
    "fold_in": lambda key: random.fold_in(key, 3),
    "bits": lambda key: random.bits(key, (2, 3), np.uint16),
    "uniform": lambda key: random.uniform(key, (3,), np.float64, -1.0, 2.0),
    "normal": lambda key: random.normal(key, (2, 3)),
    "complex normal": lambda key: random.normal(key, (2,), np.complex128),
    "randint": lambda key: random.randint(key, (3,), -5, np.array([1, 5, 9])),
    "bernoulli": lambda key: random.bernoulli(key, CHANCES),
    "rademacher": lambda key: random.rademacher(key, (3,)),
    "permutation": lambda key: random.permutation(key, 6),
    "permutation of rows": lambda key: random.permutation(key, ROWS, axis=1),
    "independent permutation": lambda key: random.permutation(key, ROWS, 1, independent=True),
    "choice": lambda key: random.choice(key, ROWS, (2, 2), axis=1),
    "weighted choice": lambda key: random.choice(key, 4, (5,), p=CHANCES),
    "choice without replacement": lambda key: random.choice(key, 4, (3,), False, CHANCES),
    "categorical": lambda key: random.categorical(key, ROWS),
    "truncated_normal": lambda key: random.truncated_normal(key, -1.0, np.ones(3)),
    "gumbel": lambda key: random.gumbel(key, (2,)),
    "exponential": lambda key: random.exponential(key, (2,)),
    "laplace": lambda key: random.laplace(key, (2,)),
    "logistic": lambda key: random.logistic(key, (2,)),
    "cauchy": lambda key: random.cauchy(key, (2,)),
}


@pytest.mark.parametrize("name", DRAWS)
def test_every_transformation_draws_the_same(name):
    draw, keys = DRAWS[name], random.split(7, 3)
    each = np.stack([draw(key) for key in keys])
    assert len(np.unique(each, axis=0)) > 1
    compiled = fg.jit(draw)(keys[0])
    assert compiled.dtype == each.dtype
    np.testing.assert_allclose(compiled, each[0], rtol=ROUNDING)
    np.testing.assert_allclose(fg.vmap(draw)(keys), each, rtol=ROUNDING)
    np.testing.assert_allclose(fg.vmap(draw, in_axes=1)(keys.T), each, rtol=ROUNDING)
    np.testing.assert_allclose(fg.jit(fg.vmap(draw))(keys), each, rtol=ROUNDING)
    _, scanned = fg.lax.scan(lambda carry, key: (carry, draw(key)), 0, keys)
    np.testing.assert_allclose(scanned, each, rtol=ROUNDING)


def test_a_captured_key_is_read_when_the_function_runs():
    key = random.key(1)
    draw = fg.jit(lambda: random.normal(key, (2,)))
    before = draw()
    key[1] = 2
    np.testing.assert_allclose(draw(), random.normal(2, (2,)), rtol=ROUNDING)
    assert (draw() != before).all()


def test_nothing_is_drawn_while_tracing():
    program = str(fg.make_jaxpr(lambda: random.normal(0, (2,)))())
    assert "threefry" in program and "erfinv" in program


def test_traced_seeds_and_data():
    np.testing.assert_array_equal(fg.jit(random.key)(-3), random.key(-3))
    np.testing.assert_array_equal(fg.jit(random.key)(np.int32(-3)), random.key(-3))
    np.testing.assert_array_equal(fg.jit(random.fold_in)(5, 9), random.fold_in(5, 9))
    folded = fg.vmap(lambda i: random.fold_in(5, i))(np.arange(3))
    np.testing.assert_array_equal(folded, [random.fold_in(5, i) for i in range(3)])
    draw = lambda seed: random.normal(seed, (2,))
    np.testing.assert_array_equal(fg.jit(draw)(3), draw(3))


def test_traced_bounds():
    bounded = lambda low, high: random.randint(4, (5,), low, high)
    np.testing.assert_array_equal(fg.jit(bounded)(-3, 9), bounded(-3, 9))


def test_a_key_carried_through_a_scan():
    def step(key, _):
        key, subkey = random.split(key)
        return key, random.uniform(subkey)

    _, drawn = fg.jit(lambda key: fg.lax.scan(step, key, None, length=4))(random.key(3))
    key, expected = random.key(3), []
    for _ in range(4):
        key, number = step(key, None)
        expected.append(number)
    np.testing.assert_array_equal(drawn, expected)


def slope(draw, at, step=1e-6):
    return (draw(at + step) - draw(at - step)) / (2 * step)


@pytest.mark.parametrize(
    "draw",
    [
        lambda low: random.uniform(0, (4,), np.float64, low, 3.0).sum(),
        lambda high: random.uniform(0, (4,), np.float64, -3.0, high).sum(),
        lambda low: random.truncated_normal(0, low, 3.0, (4,), np.float64).sum(),
        lambda high: random.truncated_normal(0, -3.0, high, (4,), np.float64).sum(),
        lambda mean: (mean**2 + mean * random.normal(0, (4,), np.float64)).sum(),
        lambda logit: np.exp(logit * random.gumbel(0, (3,), np.float64)).sum(),
    ],
)
def test_derivatives_flow_through_parameters(draw):
    np.testing.assert_allclose(fg.grad(draw)(0.7), slope(draw, 0.7), rtol=1e-6)
    np.testing.assert_allclose(fg.jvp(draw, (0.7,), (1.0,))[1], slope(draw, 0.7), rtol=1e-6)


def test_gradient_through_a_function_that_draws():
    loss = lambda w, key: (w * random.normal(key, (3,))).sum()
    expected = random.normal(5, (3,)).sum()
    np.testing.assert_allclose(fg.grad(loss)(np.float32(2), random.key(5)), expected, rtol=1e-6)
    np.testing.assert_allclose(
        fg.jit(fg.grad(loss))(np.float32(2), random.key(5)), expected, rtol=1e-6
    )


def test_checkpoint_draws_the_same_again():
    def noisy(x):
        return np.sin(x * random.normal(3, (4,), np.float64)).sum()

    np.testing.assert_allclose(fg.grad(fg.checkpoint(noisy))(0.5), fg.grad(noisy)(0.5))
