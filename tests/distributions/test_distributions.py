"""Distributions against SciPy: densities, moments, entropies, quantiles, and what is drawn from them."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import scipy.stats as st

import funcgrad as fg
import funcgrad.distributions as d
from funcgrad.ops.incomplete import log_gamma_slope

# The same lines are compiled for many cases.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled:UserWarning")

A, B = np.array([0.3, 1.0, 2.5, 8.0]), np.array([0.7, 2.0, 0.4, 3.0])
P = np.array([0.1, 0.5, 0.8])

# name -> (ours, SciPy's, values)
REAL = {
    "Normal": (d.Normal(A, B), st.norm(A, B), [-1.0, 0.3, 4.0]),
    "Laplace": (d.Laplace(A, B), st.laplace(A, B), [-1.0, 0.3, 4.0]),
    "Cauchy": (d.Cauchy(A, B), st.cauchy(A, B), [-1.0, 0.3, 4.0]),
    "Gumbel": (d.Gumbel(A, B), st.gumbel_r(A, B), [-1.0, 0.3, 4.0]),
    "Logistic": (d.Logistic(A, B), st.logistic(A, B), [-1.0, 0.3, 4.0]),
    "Uniform": (d.Uniform(A, A + B), st.uniform(A, B), [0.0, 1.2, 2.6]),
    "Exponential": (d.Exponential(A), st.expon(0, 1 / A), [-1.0, 0.0, 2.0]),
    "Gamma": (d.Gamma(A, B), st.gamma(A, scale=1 / B), [-1.0, 0.2, 3.0]),
    "Chi2": (d.Chi2(A), st.chi2(A), [0.2, 3.0, 9.0]),
    "Beta": (d.Beta(A, B), st.beta(A, B), [-0.5, 0.2, 0.9]),
    "StudentT": (d.StudentT(A + 2, 0.5, B), st.t(A + 2, 0.5, B), [-1.0, 0.3, 4.0]),
    "LogNormal": (d.LogNormal(A, B), st.lognorm(B, scale=np.exp(A)), [-1.0, 0.3, 4.0]),
}
COUNTS = {
    "Bernoulli": (d.Bernoulli(probs=P), st.bernoulli(P), [0, 1, 2]),
    "Geometric": (d.Geometric(P), st.geom(P, loc=-1), [-1, 0, 3]),
    "Poisson": (d.Poisson(A), st.poisson(A), [-1, 0, 3]),
    "Binomial": (d.Binomial(np.full(3, 5.0), P), st.binom(5, P), [-1, 0, 5]),
}
ALL = {**REAL, **COUNTS}
WITHOUT_MEAN = {"Cauchy"}
WITHOUT_ICDF = {"Gamma", "Chi2", "Beta", "StudentT"}


@pytest.mark.parametrize("name", ALL)
def test_log_prob(name):
    ours, theirs, values = ALL[name]
    log_density = theirs.logpmf if name in COUNTS else theirs.logpdf
    for value in values:
        np.testing.assert_allclose(ours.log_prob(value), log_density(value), rtol=1e-6, atol=1e-7)
        compiled = fg.jit(lambda one, x: one.log_prob(x))(ours, np.float64(value))
        np.testing.assert_allclose(compiled, log_density(value), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(ours.prob(values[1]), np.exp(log_density(values[1])), rtol=1e-4)


@pytest.mark.parametrize("name", sorted(set(ALL) - WITHOUT_MEAN))
def test_moments(name):
    ours, theirs, _ = ALL[name]
    np.testing.assert_allclose(ours.mean, theirs.mean(), rtol=1e-6)
    np.testing.assert_allclose(ours.variance, theirs.var(), rtol=1e-6)
    np.testing.assert_allclose(ours.stddev, theirs.std(), rtol=1e-6)


@pytest.mark.parametrize("name", sorted(ALL))
def test_entropy(name):
    ours, theirs, _ = ALL[name]
    np.testing.assert_allclose(ours.entropy(), theirs.entropy(), rtol=2e-5, atol=1e-6)


def test_entropy_of_small_and_large_variances():
    n = np.array([1.0, 5.0, 20.0, 1000.0, 1000.0, 1025.0, 5000.0, 1e5])
    p = np.array([0.3, 0.0, 1.0, 1e-3, 0.5, 0.5, 0.9, 1e-4])
    np.testing.assert_allclose(
        d.Binomial(n, p).entropy(), st.binom(n, p).entropy(), rtol=1e-9, atol=1e-15
    )
    n, p = n[3:], p[3:]
    slopes = fg.jit(fg.grad(lambda p: d.Binomial(n, p).entropy().sum()))(p)
    step = 1e-4 * p
    sides = [d.Binomial(n, p + side).entropy() for side in (step, -step)]
    np.testing.assert_allclose(slopes, (sides[0] - sides[1]) / (2 * step), rtol=1e-4, atol=1e-5)


def test_entropy_of_small_and_large_rates():
    rates = np.array([1e-6, 0.5, 20.0, 63.9, 64.1, 500.0])
    np.testing.assert_allclose(d.Poisson(rates).entropy(), st.poisson(rates).entropy(), rtol=1e-7)
    slopes = fg.jit(fg.grad(lambda rates: d.Poisson(rates).entropy().sum()))(rates)
    step = 1e-4 * rates
    sides = [d.Poisson(rates + side).entropy() for side in (step, -step)]
    np.testing.assert_allclose(slopes, (sides[0] - sides[1]) / (2 * step), rtol=1e-4)


@pytest.mark.parametrize("name", [*REAL, "Poisson"])
def test_quantiles(name):
    ours, theirs, values = ALL[name]
    for value in values[1:]:
        np.testing.assert_allclose(ours.cdf(value), theirs.cdf(value), rtol=1e-6, atol=1e-12)
    for q in (0.1, 0.5, 0.99) if name not in {*WITHOUT_ICDF, "Poisson"} else ():
        np.testing.assert_allclose(ours.icdf(np.float64(q)), theirs.ppf(q), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", ALL)
def test_draws(name):
    ours, theirs, _ = ALL[name]
    x = ours.sample(fg.random.key(0), (4000,))
    assert x.shape == (4000, *ours.batch_shape)
    if name in REAL:
        assert x.dtype == np.float64
        for place in range(ours.batch_shape[0]):
            shape = {k: np.broadcast_to(v, ours.batch_shape)[place] for k, v in theirs.kwds.items()}
            args = [np.broadcast_to(v, ours.batch_shape)[place] for v in theirs.args]
            assert st.kstest(x[:, place], theirs.dist(*args, **shape).cdf).pvalue > 1e-4
    else:
        np.testing.assert_allclose(x.mean(0), theirs.mean(), atol=5 * theirs.std().max() / 60)
        assert np.isfinite(ours.log_prob(x)).all()


SMOOTH = sorted(set(REAL) - {"Cauchy"})


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_through_draws(name):
    """The mean of the gradients is the gradient of the mean."""
    ours = REAL[name][0]
    draws = fg.jit(lambda one: np.sum(np.mean(one.rsample(fg.random.key(1), (8000,)), axis=0)))
    found = fg.tree.leaves(fg.grad(draws)(ours))
    expected = fg.tree.leaves(fg.grad(lambda one: np.sum(one.mean))(ours))
    scale = max(np.abs(leaf).max() for leaf in expected)
    for ours_leaf, exact in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours_leaf, exact, atol=0.2 * scale, rtol=0.2)


def test_sample_is_constant():
    slope = fg.grad(lambda a: np.sum(d.Gamma(a).sample(0, (3,))))(A)
    assert slope is None or not np.any(slope)
    with pytest.raises(NotImplementedError, match="score function"):
        d.Poisson(A).rsample(0)


# --- classes and vectors ---


def test_categorical():
    chances = np.array([[0.2, 0.5, 0.3], [0.0, 0.1, 0.9]])
    ours = d.Categorical(probs=2 * chances)
    np.testing.assert_allclose(ours.probs, chances, rtol=1e-12)
    np.testing.assert_allclose(ours.log_prob([1, 2]), np.log([0.5, 0.9]))
    np.testing.assert_allclose(ours.entropy(), st.entropy(chances, axis=1))
    assert ours.log_prob(0)[1] == -np.inf and ours.mode.tolist() == [1, 2]
    x = ours.sample(0, (5000,))
    assert x.shape == (5000, 2) and not (x[:, 1] == 0).any()
    np.testing.assert_allclose(np.bincount(x[:, 0]) / 5000, chances[0], atol=0.03)
    with pytest.raises(IndexError):
        ours.log_prob([3, 0])
    same = d.Categorical(logits=np.log(chances[0]) + 7)
    np.testing.assert_allclose(same.probs, chances[0])


def test_dirichlet():
    a = np.array([0.5, 2.0, 3.0])
    ours, theirs = d.Dirichlet(a), st.dirichlet(a)
    x = np.array([0.2, 0.3, 0.5])
    np.testing.assert_allclose(ours.log_prob(x), theirs.logpdf(x))
    np.testing.assert_allclose(ours.mean, theirs.mean())
    np.testing.assert_allclose(ours.variance, theirs.var())
    np.testing.assert_allclose(ours.entropy(), theirs.entropy())
    drawn = ours.sample(1, (4000,))
    np.testing.assert_allclose(drawn.mean(0), a / a.sum(), atol=0.02)


def test_multivariate_normal():
    mean, cov = np.array([1.0, -1.0, 0.5]), np.array([[2, 0.5, 0], [0.5, 1, 0.2], [0, 0.2, 3]])
    ours, theirs = d.MultivariateNormal(mean, cov), st.multivariate_normal(mean, cov)
    x = np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]])
    np.testing.assert_allclose(ours.log_prob(x), theirs.logpdf(x))
    np.testing.assert_allclose(ours.entropy(), theirs.entropy())
    np.testing.assert_allclose(ours.covariance_matrix, cov)
    np.testing.assert_allclose(ours.variance, np.diag(cov))
    np.testing.assert_allclose(np.cov(ours.sample(0, (20000,)).T), cov, atol=0.12)
    batch = d.MultivariateNormal(np.zeros((4, 3)), scale_tril=np.eye(3))
    assert batch.batch_shape == (4,) and batch.sample(0, (2,)).shape == (2, 4, 3)


def test_independent():
    ours = d.Independent(d.Normal(np.zeros((2, 3)), B[:3]), 1)
    assert (ours.batch_shape, ours.event_shape) == ((2,), (3,))
    expected = st.norm(0, B[:3]).logpdf(0.3).sum()
    np.testing.assert_allclose(ours.log_prob(np.full(3, 0.3)), [expected] * 2)


def test_mixture():
    weights, places = np.array([0.3, 0.7]), np.array([-2.0, 1.0])
    ours = d.Mixture(d.Categorical(probs=weights), d.Normal(places, np.ones(2)))
    x = np.linspace(-4, 4, 9)
    expected = sum(w * st.norm(m).pdf(x) for w, m in zip(weights, places, strict=True))
    np.testing.assert_allclose(ours.prob(x), expected)
    assert ours.mean == pytest.approx(0.1)
    assert ours.variance == pytest.approx(1 + 0.3 * 2.1**2 + 0.7 * 0.9**2)
    drawn = ours.sample(0, (5000,))
    assert drawn.shape == (5000,) and drawn.mean() == pytest.approx(0.1, abs=0.1)
    with pytest.raises(ValueError, match="2 classes need components"):
        d.Mixture(d.Categorical(probs=weights), d.Normal(np.zeros(3), 1.0))


@pytest.mark.parametrize(
    "bijector",
    [d.Exp(), d.Sigmoid(), d.Tanh(), d.Softplus(), d.Affine(1.0, -2.0),
     d.Chain([d.Exp(), d.Affine(0.5, 2.0)]), d.Inverse(d.Sigmoid())],
    ids=lambda one: type(one).__name__,
)  # fmt: skip
def test_bijectors(bijector):
    x = np.array([0.1, 0.4, 0.8])
    y = bijector.forward(x)
    np.testing.assert_allclose(bijector.inverse(y), x, rtol=1e-6)
    slope = fg.vmap(fg.grad(bijector.forward))(x)
    np.testing.assert_allclose(bijector.log_slope(x), np.log(np.abs(slope)), rtol=1e-6, atol=1e-7)
    density = d.Transformed(d.Normal(np.float64(0), np.float64(1)), bijector).log_prob(y)
    np.testing.assert_allclose(density, st.norm.logpdf(x) - np.log(np.abs(slope)), rtol=1e-6)


# --- divergences ---

PAIRS = {
    "Normal": (d.Normal(A, B), d.Normal(B, A)),
    "Laplace": (d.Laplace(A, B), d.Laplace(B, A)),
    "Exponential": (d.Exponential(A), d.Exponential(B)),
    "Gamma": (d.Gamma(A, B), d.Gamma(B, A)),
    "Beta": (d.Beta(A, B), d.Beta(A + 1, B + 0.5)),
    "Uniform": (d.Uniform(A, A + B), d.Uniform(A - 1, A + B)),
    "LogNormal": (d.LogNormal(A, B), d.LogNormal(B, A)),
    "Bernoulli": (d.Bernoulli(probs=P), d.Bernoulli(probs=P[::-1])),
    "Geometric": (d.Geometric(P), d.Geometric(P[::-1])),
    "Poisson": (d.Poisson(A), d.Poisson(B)),
    "Categorical": (d.Categorical(probs=P), d.Categorical(probs=P[::-1])),
    "Dirichlet": (d.Dirichlet(A), d.Dirichlet(B)),
    "MultivariateNormal": (
        d.MultivariateNormal(A[:2], np.array([[2, 0.5], [0.5, 1]])),
        d.MultivariateNormal(B[:2], np.array([[1, -0.2], [-0.2, 2]])),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_kl_divergence(name):
    """Against the mean over draws, and 0 for equal distributions."""
    p, q = PAIRS[name]
    found = fg.jit(d.kl_divergence)(p, q)
    x = p.sample(fg.random.key(2), (20000,))
    ratios = p.log_prob(x) - q.log_prob(x)
    error = 5 * ratios.std(0) / np.sqrt(20000) + 1e-6
    assert (np.abs(found - ratios.mean(0)) < error).all()
    np.testing.assert_allclose(d.kl_divergence(p, p), 0, atol=1e-6)


def test_kl_of_independent_and_unknown():
    p, q = d.Normal(np.zeros(3), 1.0), d.Normal(np.ones(3), 1.0)
    total = d.kl_divergence(d.Independent(p, 1), d.Independent(q, 1))
    assert total == pytest.approx(1.5)
    with pytest.raises(NotImplementedError, match="register_kl"):
        d.kl_divergence(p, d.Cauchy(0.0, 1.0))


# --- trees and parameters ---


def test_distributions_are_trees():
    normal = d.Normal(np.zeros(3), np.ones(3))
    slope = fg.grad(lambda one: np.sum(one.log_prob(2.0)))(normal)
    np.testing.assert_allclose(slope.loc, [2, 2, 2])
    lanes = fg.vmap(lambda one, x: one.log_prob(x))(normal, np.arange(3.0))
    np.testing.assert_allclose(lanes, st.norm.logpdf(np.arange(3)))
    drawn = fg.jit(lambda one, key: one.sample(key, (2,)))(normal, fg.random.key(0))
    np.testing.assert_allclose(drawn, normal.sample(fg.random.key(0), (2,)), rtol=1e-12)


def test_python_numbers_are_single_precision():
    assert d.Normal(0.0, 1.0).sample(0).dtype == np.float32
    assert d.Normal(0, [1, 2]).log_prob(1.0).dtype == np.float32
    assert d.Gamma(np.float64(2)).sample(0).dtype == np.float64


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: d.Normal(0.0, -1.0), r"\[Normal\] scale must be positive"),
        (lambda: d.Uniform(1.0, 1.0), "high - low must be positive"),
        (lambda: d.Bernoulli(probs=1.5), "from 0 to 1"),
        (lambda: d.Categorical([-0.5, 1.0]), r"probs must be at least 0.*Categorical\(logits="),
        (lambda: d.Categorical(np.zeros(3)), "not all 0"),
        (lambda: d.Dirichlet(1.0), "axis of classes"),
        (lambda: d.MultivariateNormal(np.zeros(2), np.eye(3)), "need matrices"),
    ],
)
def test_bad_parameters(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_probs_or_logits():
    with pytest.raises(TypeError, match="either probs or logits"):
        d.Categorical()
    with pytest.raises(TypeError, match="either probs or logits"):
        d.Bernoulli(0.5, 0.1)


# --- recorded values of PyTorch ---

SPEC = importlib.util.spec_from_file_location("pairs", Path(__file__).with_name("pairs.py"))
pairs = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(pairs)
REFERENCE = np.load(Path(__file__).with_name("reference.npz"))


@pytest.mark.parametrize("name", pairs.PAIRS)
def test_pytorch(name):
    make, parameters, value = pairs.PAIRS[name]
    p, q = (make(d, *given) for given in parameters)
    expected = {
        what: REFERENCE[f"{name}/{what}"]
        for what in ("log_prob", "entropy", "kl")
        if f"{name}/{what}" in REFERENCE
    }
    found = {
        "log_prob": lambda: p.log_prob(value),
        "entropy": p.entropy,
        "kl": lambda: d.kl_divergence(p, q),
    }
    for what, numbers in expected.items():
        np.testing.assert_allclose(found[what](), numbers, rtol=2e-7, atol=1e-9)


def test_slopes_of_gamma_numbers():
    """PyTorch's own are approximations, good to four digits."""
    found = pairs.NUMBERS * log_gamma_slope(pairs.SHAPES, np.log(pairs.NUMBERS))
    np.testing.assert_allclose(found, REFERENCE["gamma slopes"], rtol=2e-3)


MIXED_PRECISION = {
    "normal": (lambda: d.Normal(np.zeros(2), 0.3), lambda: st.norm(0, 0.3)),
    "uniform": (lambda: d.Uniform(0.1, np.full(2, 0.9)), lambda: st.uniform(0.1, 0.8)),
    "gamma": (lambda: d.Gamma(2.3, np.ones(2)), lambda: st.gamma(2.3)),
    "beta": (lambda: d.Beta(np.full(2, 1.7), 2.3), lambda: st.beta(1.7, 2.3)),
    "student": (lambda: d.StudentT(5.3, np.zeros(2)), lambda: st.t(5.3)),
    "ints": (lambda: d.Gamma(np.array([3, 3]), np.ones(2)), lambda: st.gamma(3)),
}


@pytest.mark.parametrize("name", MIXED_PRECISION)
def test_python_numbers_take_the_precision_of_the_arrays(name):
    ours, theirs = (make() for make in MIXED_PRECISION[name])
    for value in (0.7, np.full(2, 0.7)):
        found = ours.log_prob(value)
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, np.full(2, theirs.logpdf(0.7)), rtol=1e-12)


def test_binomial_counts_trials_in_the_precision_of_the_probabilities():
    expected = st.binom.logpmf([1, 4], 7, [0.2, 0.7])
    for total in (7, np.array(7), np.array([7, 7])):
        found = d.Binomial(total, np.array([0.2, 0.7])).log_prob(np.array([1, 4]))
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_parameters_that_do_not_broadcast():
    with pytest.raises(
        ValueError, match=r"\[Normal\] .* must broadcast, but got loc \(2,\), scale \(3,\)"
    ):
        d.Normal(np.zeros(2), np.ones(3))
