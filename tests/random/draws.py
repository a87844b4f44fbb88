"""Draws by name, written once for `funcgrad.random` and `jax.random`."""

import numpy as np

A = np.array([0.05, 0.7, 1.0, 3.5, 40.0])
DTYPES = {"float32": np.float32, "float64": np.float64}

DRAWS = {}
for _name, _dtype in DTYPES.items():
    DRAWS |= {
        f"gamma {_name}": lambda r, d=_dtype: r.gamma(r.key(1), A.astype(d), dtype=d),
        f"loggamma {_name}": lambda r, d=_dtype: r.loggamma(r.key(2), A.astype(d), (3, 5), dtype=d),
        f"beta {_name}": lambda r, d=_dtype: r.beta(r.key(3), A.astype(d), d(2), dtype=d),
        f"dirichlet {_name}": lambda r, d=_dtype: r.dirichlet(r.key(4), A.astype(d), (4,), dtype=d),
        f"chisquare {_name}": lambda r, d=_dtype: r.chisquare(r.key(5), d(3), (4,), dtype=d),
        f"t {_name}": lambda r, d=_dtype: r.t(r.key(6), d(3), (4,), dtype=d),
        f"f {_name}": lambda r, d=_dtype: r.f(r.key(7), d(3), d(4), (4,), dtype=d),
        f"lognormal {_name}": lambda r, d=_dtype: r.lognormal(r.key(8), d(0.5), (4,), dtype=d),
        f"pareto {_name}": lambda r, d=_dtype: r.pareto(r.key(9), d(2), (4,), dtype=d),
        f"rayleigh {_name}": lambda r, d=_dtype: r.rayleigh(r.key(10), d(2), (4,), dtype=d),
        f"weibull_min {_name}": lambda r, d=_dtype: r.weibull_min(
            r.key(11), d(2), d(3), (4,), dtype=d
        ),
        f"maxwell {_name}": lambda r, d=_dtype: r.maxwell(r.key(12), (4,), dtype=d),
        f"wald {_name}": lambda r, d=_dtype: r.wald(r.key(14), d(2), (6,), dtype=d),
        f"triangular {_name}": lambda r, d=_dtype: r.triangular(
            r.key(15), d(-1), d(0.5), d(1), (4,), dtype=d
        ),
        f"multivariate_normal {_name}": lambda r, d=_dtype: r.multivariate_normal(
            r.key(16), np.array([1, 2], d), np.array([[2, 0.5], [0.5, 1]], d), (3,), dtype=d
        ),
        # JAX draws the signs in another precision where 64 bits are switched on.
        f"ball {_name}": lambda r, d=_dtype: abs(r.ball(r.key(18), 3, 2, (2,), dtype=d)),
        f"poisson {_name}": lambda r, d=_dtype: r.poisson(
            r.key(19), np.array([0.0, 0.5, 4.0, 15.0, 300.0], d), (3, 5), dtype=np.int64
        ),
        f"geometric {_name}": lambda r, d=_dtype: r.geometric(
            r.key(20), d(0.2), (6,), dtype=np.int64
        ),
    }
