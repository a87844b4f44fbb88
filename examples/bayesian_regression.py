"""Bayesian linear regression by Hamiltonian Monte Carlo (Neal, 2011), with the exact answer beside it.

Many chains run at once by vmap; a chain is a scan of leapfrog steps and their derivatives, compiled as one loop. For
a known noise the posterior is normal, so that the samples can be checked: means and standard deviations agree.
"""

import numpy as np

import funcgrad as fg
from funcgrad import lax, random

NOISE = 0.5


def make_data(seed=0, count=60):
    """Inputs with a constant column (count, 3), and noisy targets (count,)."""
    x_key, noise_key = random.split(random.key(seed))
    x = random.normal(x_key, (count, 2), np.float64)
    x = np.concatenate([x, np.ones((count, 1))], axis=1)
    return x, x @ np.array([1.5, -0.7, 0.3]) + NOISE * random.normal(
        noise_key, (count,), np.float64
    )


def log_posterior(w, x, y):
    """Up to a constant: normal noise, and a normal prior of scale 1."""
    return -0.5 * np.sum((y - x @ w) ** 2) / NOISE**2 - 0.5 * np.sum(w * w)


def exact_posterior(x, y):
    """Mean and covariance of the normal distribution that the posterior is."""
    covariance = np.linalg.inv(x.T @ x / NOISE**2 + np.eye(x.shape[1]))
    return covariance @ x.T @ y / NOISE**2, covariance


def leapfrog(slope, w, momentum, step, count):
    """Position and momentum after some steps of Hamilton's equations."""

    def one(state, _):
        w, momentum = state
        momentum = momentum + 0.5 * step * slope(w)
        w = w + step * momentum
        return (w, momentum + 0.5 * step * slope(w)), None

    return lax.scan(one, (w, momentum), None, length=count)[0]


def chain(key, start, x, y, samples=1000, step=0.02, count=6):
    """Samples (samples, 3) of one chain, and the share of proposals that were accepted."""

    def target(w):
        return log_posterior(w, x, y)

    def one(w, key):
        momentum_key, accept_key = random.split(key)
        momentum = random.normal(momentum_key, w.shape, w.dtype)
        proposal, final = leapfrog(fg.grad(target), w, momentum, step, count)

        def energy(w, p):
            return 0.5 * np.sum(p * p) - target(w)

        gain = energy(w, momentum) - energy(proposal, final)
        accepted = np.log(random.uniform(accept_key, dtype=w.dtype)) < gain
        w = np.where(accepted, proposal, w)
        return w, (w, accepted)

    _, (found, accepted) = lax.scan(one, start, random.split(key, samples))
    return found, np.mean(accepted)


def sample(chains=8, seed=0):
    """Samples (chains * samples, 3) after a warm-up, and the acceptance rate."""
    x, y = make_data()
    start_key, key = random.split(random.key(seed))
    starts = random.normal(start_key, (chains, x.shape[1]), np.float64)
    run = fg.jit(fg.vmap(lambda key, start: chain(key, start, x, y)))
    found, accepted = run(random.split(key, chains), starts)
    return found[:, 100:].reshape(-1, x.shape[1]), float(np.mean(accepted))


def main():
    found, accepted = sample()
    mean, covariance = exact_posterior(*make_data())
    print(f"{len(found)} samples, {accepted:.0%} of the proposals accepted")
    print("mean      sampled", found.mean(axis=0).round(3), "exact", mean.round(3))
    print(
        "deviation sampled",
        found.std(axis=0).round(3),
        "exact",
        np.sqrt(np.diag(covariance)).round(3),
    )


if __name__ == "__main__":
    main()
