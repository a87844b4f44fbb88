"""Probability distributions: drawing, densities, entropies and divergences. They are trees of their parameters."""

from funcgrad.distributions.base import Distribution as Distribution
from funcgrad.distributions.bijectors import (
    Affine as Affine,
    Bijector as Bijector,
    Chain as Chain,
    Exp as Exp,
    Inverse as Inverse,
    Sigmoid as Sigmoid,
    Softplus as Softplus,
    Tanh as Tanh,
)
from funcgrad.distributions.composed import (
    LogNormal as LogNormal,
    Mixture as Mixture,
    Transformed as Transformed,
)
from funcgrad.distributions.counts import (
    Binomial as Binomial,
    Geometric as Geometric,
    Poisson as Poisson,
)
from funcgrad.distributions.discrete import Bernoulli as Bernoulli, Categorical as Categorical
from funcgrad.distributions.divergence import (
    kl_divergence as kl_divergence,
    register_kl as register_kl,
)
from funcgrad.distributions.gamma_family import (
    Beta as Beta,
    Chi2 as Chi2,
    Dirichlet as Dirichlet,
    Gamma as Gamma,
    StudentT as StudentT,
)
from funcgrad.distributions.location_scale import (
    Cauchy as Cauchy,
    Gumbel as Gumbel,
    Laplace as Laplace,
    LocationScale as LocationScale,
    Logistic as Logistic,
    Normal as Normal,
)
from funcgrad.distributions.multivariate import (
    Independent as Independent,
    MultivariateNormal as MultivariateNormal,
)
from funcgrad.distributions.ranges import Exponential as Exponential, Uniform as Uniform
