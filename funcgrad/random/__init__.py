"""`funcgrad.random`: random numbers from explicit keys, bit for bit those of JAX's threefry generator.

A key is a plain uint32 array of shape (2,); an integer seed is accepted in its place. The same key always gives
the same numbers, on every device, under every transformation. Use a key once and `split` it for more.
"""

from funcgrad.random.continuous import (
    cauchy,
    exponential,
    gumbel,
    laplace,
    logistic,
    normal,
    truncated_normal,
)
from funcgrad.random.counts import binomial, geometric, multinomial, poisson
from funcgrad.random.discrete import bernoulli, categorical, choice, permutation, rademacher
from funcgrad.random.gamma import beta, chisquare, dirichlet, f, gamma, loggamma, t
from funcgrad.random.keys import PRNGKey, fold_in, key, key_data, split, wrap_key_data
from funcgrad.random.transformed import (
    double_sided_maxwell,
    generalized_normal,
    lognormal,
    maxwell,
    pareto,
    rayleigh,
    triangular,
    wald,
    weibull_min,
)
from funcgrad.random.uniform import bits, randint, uniform
from funcgrad.random.vectors import ball, multivariate_normal, orthogonal
