"""`funcgrad.random`: random numbers from explicit keys, bit for bit those of JAX's threefry generator.

A key is a plain uint32 array of shape (2,); an integer seed is accepted in its place. The same key always gives
the same numbers, on every device, under every transformation. Use a key once and `split` it for more.
"""

from funcgrad.random.continuous import (
    cauchy as cauchy,
    exponential as exponential,
    gumbel as gumbel,
    laplace as laplace,
    logistic as logistic,
    normal as normal,
    truncated_normal as truncated_normal,
)
from funcgrad.random.counts import (
    binomial as binomial,
    geometric as geometric,
    multinomial as multinomial,
    poisson as poisson,
)
from funcgrad.random.discrete import (
    bernoulli as bernoulli,
    categorical as categorical,
    choice as choice,
    permutation as permutation,
    rademacher as rademacher,
)
from funcgrad.random.gamma import (
    beta as beta,
    chisquare as chisquare,
    dirichlet as dirichlet,
    f as f,
    gamma as gamma,
    loggamma as loggamma,
    t as t,
)
from funcgrad.random.keys import (
    PRNGKey as PRNGKey,
    fold_in as fold_in,
    key as key,
    key_data as key_data,
    split as split,
    wrap_key_data as wrap_key_data,
)
from funcgrad.random.transformed import (
    double_sided_maxwell as double_sided_maxwell,
    generalized_normal as generalized_normal,
    lognormal as lognormal,
    maxwell as maxwell,
    pareto as pareto,
    rayleigh as rayleigh,
    triangular as triangular,
    wald as wald,
    weibull_min as weibull_min,
)
from funcgrad.random.uniform import bits as bits, randint as randint, uniform as uniform
from funcgrad.random.vectors import (
    ball as ball,
    multivariate_normal as multivariate_normal,
    orthogonal as orthogonal,
)
