"""Probability distributions: drawing, densities, entropies and divergences. They are trees of their parameters."""

from funcgrad.distributions.base import Distribution
from funcgrad.distributions.bijectors import (
    Affine,
    Bijector,
    Chain,
    Exp,
    Inverse,
    Sigmoid,
    Softplus,
    Tanh,
)
from funcgrad.distributions.composed import LogNormal, Mixture, Transformed
from funcgrad.distributions.counts import Binomial, Geometric, Poisson
from funcgrad.distributions.discrete import Bernoulli, Categorical
from funcgrad.distributions.divergence import kl_divergence, register_kl
from funcgrad.distributions.gamma_family import Beta, Chi2, Dirichlet, Gamma, StudentT
from funcgrad.distributions.location_scale import (
    Cauchy,
    Gumbel,
    Laplace,
    LocationScale,
    Logistic,
    Normal,
)
from funcgrad.distributions.multivariate import Independent, MultivariateNormal
from funcgrad.distributions.ranges import Exponential, Uniform
