"""Pairs of distributions by name, made alike by `funcgrad.distributions` and `torch.distributions`."""

import numpy as np

A, B = np.array([0.3, 1.0, 2.5, 8.0]), np.array([0.7, 2.0, 0.4, 3.0])
P, Q = np.array([0.1, 0.5, 0.8]), np.array([0.3, 0.4, 0.6])
COV, OTHER = np.array([[2, 0.5], [0.5, 1]]), np.array([[1, -0.2], [-0.2, 2]])

# name -> (maker, parameters of both, values)
PAIRS = {
    "Normal": (lambda d, *p: d.Normal(*p), [(A, B), (B, A)], 0.7),
    "Laplace": (lambda d, *p: d.Laplace(*p), [(A, B), (B, A)], 0.7),
    "Cauchy": (lambda d, *p: d.Cauchy(*p), [(A, B), (B, A)], 0.7),
    "Gumbel": (lambda d, *p: d.Gumbel(*p), [(A, B), (B, A)], 0.7),
    "Uniform": (lambda d, *p: d.Uniform(*p), [(A, A + B), (A - 1, A + B)], A + 0.1),
    "Exponential": (lambda d, *p: d.Exponential(*p), [(A,), (B,)], 0.7),
    "Gamma": (lambda d, *p: d.Gamma(*p), [(A, B), (B, A)], 0.7),
    "Beta": (lambda d, *p: d.Beta(*p), [(A, B), (A + 1, B + 0.5)], 0.7),
    "Dirichlet": (lambda d, *p: d.Dirichlet(*p), [(A,), (B,)], np.array([0.1, 0.2, 0.3, 0.4])),
    "StudentT": (lambda d, *p: d.StudentT(*p), [(A, A, B), (B, A, B)], 0.7),
    "LogNormal": (lambda d, *p: d.LogNormal(*p), [(A, B), (B, A)], 0.7),
    "MultivariateNormal": (
        lambda d, *p: d.MultivariateNormal(*p), [(A[:2], COV), (B[:2], OTHER)], B[:2]
    ),
    "Independent": (
        lambda d, *p: d.Independent(d.Normal(*p), 1), [(A, B), (B, A)], A + 0.5
    ),
    "Categorical": (lambda d, *p: d.Categorical(*p), [(P,), (Q,)], np.array([0, 2])),
    "Bernoulli": (lambda d, *p: d.Bernoulli(*p), [(P,), (Q,)], 1.0),
    "Geometric": (lambda d, *p: d.Geometric(*p), [(P,), (Q,)], 2.0),
    "Poisson": (lambda d, *p: d.Poisson(*p), [(A,), (B,)], 2.0),
    "Binomial": (lambda d, *p: d.Binomial(*p), [(5 + 0 * P, P), (5 + 0 * P, Q)], 2.0),
}  # fmt: skip
WITHOUT_ENTROPY = {"Poisson"}
WITHOUT_KL = {"StudentT"}

SHAPES = np.array([0.05, 0.5, 1.0, 3.0, 3.0, 20.0, 200.0])
NUMBERS = np.array([1e-4, 0.4, 1.2, 0.5, 9.0, 25.0, 180.0])
