"""Activations: formulas, derivatives at corners and far out, dtypes, transformations (R04, R17, R77)."""

import pickle

import numpy as np
import pytest
import scipy.special

import funcgrad as fg
from funcgrad import nn
from funcgrad.test_util import check_grads

# The same lines are compiled for many cases.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled:UserWarning")

XS = np.array([-30.0, -3.5, -1.1, -0.3, -1e-3, 1e-3, 0.2, 0.9, 2.5, 5.5, 40.0])
EXP, LOG1P, TANH = np.exp, np.log1p, np.tanh


def logistic(x):
    return 1 / (1 + EXP(-x))


# name: (formula in plain NumPy, derivatives at corners)
CASES = {
    "identity": (lambda x: x, {0: 1}),
    "relu": (lambda x: np.maximum(x, 0), {0: 0, 1e-45: 1, -1e-45: 0}),
    "relu6": (lambda x: np.clip(x, 0, 6), {-1: 0, 0: 0, 3: 1, 6: 0, 7: 0}),
    "sigmoid": (logistic, {0: 0.25, 1000: 0, -1000: 0}),
    "tanh": (TANH, {0: 1, 1000: 0}),
    "softplus": (lambda x: LOG1P(EXP(x)), {0: 0.5, 1000: 1, -1000: 0}),
    "log_sigmoid": (lambda x: -LOG1P(EXP(-x)), {0: 0.5, 1000: 0, -1000: 1}),
    "silu": (lambda x: x * logistic(x), {0: 0.5, 1000: 1, -1000: 0}),
    "gelu": (
        lambda x: 0.5 * x * (1 + TANH(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
        {0: 0.5, 1000: 1, -1000: 0},
    ),
    "elu": (lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))), {0: 1, 1000: 1, -1000: 0}),
    "celu": (lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))), {0: 1, 1000: 1, -1000: 0}),
    "selu": (
        lambda x: (
            1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0)))
        ),
        {0: 1.0507009873554805 * 1.6732632423543772, 1000: 1.0507009873554805, -1000: 0},
    ),
    "leaky_relu": (lambda x: np.where(x >= 0, x, 0.01 * x), {0: 1, -1: 0.01}),
    "hard_tanh": (lambda x: np.clip(x, -1, 1), {-1: 1, 1: 1, -1.5: 0, 1.5: 0}),
    "hard_sigmoid": (lambda x: np.clip(x + 3, 0, 6) / 6, {-3: 0, 3: 0, 0: 1 / 6}),
    "hard_silu": (lambda x: x * np.clip(x + 3, 0, 6) / 6, {-3: 0, 3: 1, 0: 0.5}),
    "soft_sign": (lambda x: x / (1 + np.abs(x)), {0: 1}),
    "mish": (lambda x: x * TANH(LOG1P(EXP(x))), {0: 0.6, 1000: 1}),
    "hard_shrink": (lambda x: np.where(abs(x) > 0.5, x, 0), {0.5: 0, 0.6: 1, -0.5: 0, -1: 1}),
    "soft_shrink": (
        lambda x: np.sign(x) * np.maximum(abs(x) - 0.5, 0),
        {0.5: 0, 0.6: 1, -0.5: 0, -1: 1},
    ),
    "tanh_shrink": (lambda x: x - TANH(x), {0: 0, 1000: 1, -1000: 1}),
    "sparse_plus": (
        lambda x: np.where(x <= -1, 0, np.where(x >= 1, x, (x + 1) ** 2 / 4)),
        {-1: 0, 0: 0.5, 1: 1, 1000: 1},
    ),
    "sparse_sigmoid": (lambda x: np.clip((x + 1) / 2, 0, 1), {-2: 0, 0: 0.5, 2: 0}),
    "squareplus": (lambda x: (x + np.sqrt(x * x + 4)) / 2, {0: 0.5}),
}


@pytest.fixture(params=CASES)
def case(request):
    return getattr(nn, request.param), *CASES[request.param]


def test_values(case):
    f, formula, _ = case
    np.testing.assert_allclose(f(XS), formula(XS), rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(f(list(XS)), f(XS))
    np.testing.assert_allclose(fg.jit(f)(XS), f(XS), rtol=1e-12, atol=1e-300)


def test_derivatives_at_corners(case):
    f, _, corners = case
    for x, slope in corners.items():
        for transform in (fg.grad(f), fg.jit(fg.grad(f)), fg.jacfwd(f)):
            assert float(transform(float(x))) == pytest.approx(slope, abs=1e-12), x
    points = np.array(list(corners), float)
    np.testing.assert_allclose(fg.vmap(fg.grad(f))(points), list(corners.values()), atol=1e-12)


def test_derivatives_to_second_order(case):
    check_grads(case[0], (XS[1:-2],), order=2)


def test_dtypes_are_kept(case):
    f = case[0]
    for dtype in (np.float16, np.float32):
        x = np.array([-1.5, 0.5], dtype)
        assert f(x).dtype == dtype
        assert fg.grad(lambda x: np.sum(f(x)))(x).dtype == dtype


def test_nan_stays_nan(case):
    with np.errstate(invalid="ignore"):
        assert np.isnan(case[0](np.array([np.nan]))).all()


def test_r77_activations_can_be_pickled(case):
    assert pickle.loads(pickle.dumps(case[0])) is case[0]


def test_r04():
    np.testing.assert_array_equal(
        fg.vmap(fg.grad(nn.relu6))(np.array([-1.0, 0.0, 3.0, 6.0, 7.0])), [0, 0, 1, 0, 0]
    )
    assert fg.grad(nn.relu)(-0.0) == 0 and fg.grad(nn.leaky_relu)(-0.0) == 1
    assert fg.grad(nn.relu)(0.0) == 0 and fg.grad(nn.relu)(1e-45) == 1
    assert fg.grad(fg.grad(lambda x: nn.relu(x) ** 2))(0.0) == 0


def test_r17_far_out():
    for x in (-1000.0, 0.0, 1000.0):
        for f in (nn.sigmoid, nn.log_sigmoid, nn.softplus, nn.silu, nn.mish, nn.gelu):
            assert np.isfinite(f(x)) and np.isfinite(fg.grad(f)(x))
            assert np.isfinite(fg.grad(fg.grad(f))(x))
    assert nn.log_sigmoid(-1000.0) == -1000


def test_parameters():
    x = np.array([-2.0, 3.0])
    np.testing.assert_allclose(nn.elu(x, 0.5), [0.5 * np.expm1(-2), 3])
    np.testing.assert_allclose(nn.celu(x, 0.5), [0.5 * np.expm1(-4), 3])
    np.testing.assert_allclose(nn.leaky_relu(x, 0.5), [-1, 3])
    np.testing.assert_allclose(nn.squareplus(x, 0), [0, 3])
    exact = nn.gelu(x, approximate=False)
    np.testing.assert_allclose(exact, x * scipy.special.ndtr(x), rtol=1e-12)
    assert nn.swish is nn.silu and nn.hard_swish is nn.hard_silu


def test_gelu_by_tanh_keeps_its_digits_far_below_zero():
    x = np.linspace(-6, -3, 50)
    exact = CASES["gelu"][0](x)
    np.testing.assert_allclose(nn.gelu(x.astype(np.float32)), exact, rtol=2e-5)


def test_logarithms_of_exponentials():
    x = np.array([1e-20, 0.5, 0.7, 50.0])
    exact = [np.log(1e-20), *np.log1p(-np.exp(-x[1:]))]
    np.testing.assert_allclose(nn.log1mexp(x), exact, rtol=1e-12)
    np.testing.assert_allclose(fg.vmap(fg.grad(nn.log1mexp))(x), 1 / np.expm1(x), rtol=1e-9)
    values = np.array([[1.0, 1001.0], [2.0, 1002.0]])
    wanted = np.log(np.mean(np.exp(values - 1000), axis=1)) + 1000
    np.testing.assert_allclose(nn.logmeanexp(values, axis=1), wanted, rtol=1e-12)
    masked = nn.logmeanexp(values, where=np.array([[True, False], [True, False]]))
    assert masked == pytest.approx(np.log(np.mean(np.exp([1.0, 2.0]))))


def test_thresholds_with_arguments():
    x = np.array([-2.0, 0.1, 3.0, np.nan])
    np.testing.assert_array_equal(nn.threshold(x, 0.1, 7.0), [7, 7, 3, np.nan])
    np.testing.assert_array_equal(nn.prelu(x, 0.5), [-1, 0.1, 3, np.nan])
    np.testing.assert_allclose(nn.softmin([0.0, np.log(3.0)]), [0.75, 0.25])


def test_integers_become_floats_where_needed():
    assert nn.relu(np.array([-1, 2])).tolist() == [0, 2]
    assert nn.sigmoid(np.array([0])).tolist() == [0.5]
    assert nn.gelu(np.array([0, 1])).dtype == np.float64


def test_glu():
    x = np.arange(8.0).reshape(2, 4)
    np.testing.assert_allclose(nn.glu(x), x[:, :2] * logistic(x[:, 2:]))
    np.testing.assert_allclose(nn.glu(x, axis=0), x[:1] * logistic(x[1:]))
    check_grads(nn.glu, (x,), order=2)
    for bad in (np.ones(3), np.float64(1)):
        with pytest.raises(ValueError, match="even length"):
            nn.glu(bad)
