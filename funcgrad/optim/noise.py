"""Noise added to gradients."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from funcgrad import random
from funcgrad.optim.arguments import known_arguments
from funcgrad.optim.base import GradientTransformation, as_weak, map_updates
from funcgrad.optim.descent import descent
from funcgrad.optim.scaling import scale_by_learning_rate
from funcgrad.optim.tree import add_scale, random_like


class AddNoiseState(NamedTuple):
    """The state of `add_noise`: number of steps, and the key of the next noise."""

    count: Any
    rng_key: Any


def add_noise(eta: float, gamma: float, key: Any) -> GradientTransformation:
    """Add normal noise whose variance falls: eta / step**gamma (Neelakantan et al., 2015).

    Args:
        eta: variance in the first step.
        gamma: how fast it falls.
        key: key or seed.

    Example:
        >>> noise = add_noise(0.01, 0.55, key=0)
        >>> noise.update(np.zeros(2), noise.init(None))[0].shape
        (2,)
    """

    def init(params: Any) -> AddNoiseState:
        del params
        return AddNoiseState(np.int64(0), random.wrap_key_data(key))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        del params, extra
        count = state.count + 1
        deviation = (eta / as_weak(count) ** gamma) ** 0.5
        next_key, sample_key = random.split(state.rng_key)
        updates = map_updates(lambda u: u, updates)
        noise = random_like(sample_key, updates)
        return add_scale(updates, deviation, noise), AddNoiseState(count, next_key)

    return GradientTransformation(init, update)


@known_arguments
def noisy_sgd(
    learning_rate: Any, eta: float = 0.01, gamma: float = 0.55, key: Any = 0
) -> GradientTransformation:
    """Gradient descent with noise that falls over time (Neelakantan et al., 2015).

    Args:
        learning_rate: a number, or a schedule: number of steps -> number.
        eta, gamma, key: as for `add_noise`.

    Example:
        >>> optimizer = noisy_sgd(0.1)
        >>> optimizer.update(np.zeros(2), optimizer.init(np.zeros(2)))[0].shape
        (2,)
    """
    return descent(add_noise(eta, gamma, key), scale_by_learning_rate(learning_rate))
