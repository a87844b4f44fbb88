"""Learning rates found by betting on coins: COCOB and Mechanic."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from funcgrad.optim.arguments import known_arguments
from funcgrad.optim.base import GradientTransformation, as_weak, map_updates
from funcgrad.optim.descent import descent
from funcgrad.optim.leafwise import (
    checked_params,
    filled,
    leafwise,
    real_zeros,
    widened,
    zeros,
)
from funcgrad.optim.scaling import add_decayed_weights, scale_by_learning_rate
from funcgrad.optim.tree import add_scale, norm, scale, sub, vdot
from funcgrad.optim.tree.arithmetic import map_arrays


class COCOBState(NamedTuple):
    """The state of `scale_by_cocob`: where it began, and for each element what was seen and won."""

    init_particles: Any
    cumulative_gradients: Any
    scale: Any
    subgradients: Any
    reward: Any


class MechanicState(NamedTuple):
    """The state of `mechanize`: that of the inner optimizer, steps, the bettors' sums, where it began."""

    base_optimizer_state: Any
    count: Any
    r: Any
    m: Any
    v: Any
    s: Any
    x0: Any


def scale_by_cocob(alpha: float = 100.0, eps: float = 1e-8) -> GradientTransformation:
    """Continuous coin betting (Orabona and Tommasi, 2017): updates that need no learning rate.

    Args:
        alpha: how careful the first bets are.
        eps: the first scale of gradients.

    Example:
        >>> cocob = scale_by_cocob()
        >>> cocob.update(np.array([2.0]), cocob.init(np.zeros(1)), np.zeros(1))[0]
        array([-0.01])
    """

    def step(g: Any, moments: tuple, n: Any, p: Any) -> tuple[Any, tuple]:
        del n
        p = checked_params("scale_by_cocob", p)
        start, total, largest, magnitudes, reward = moments
        largest = np.maximum(largest, np.abs(g))
        magnitudes = magnitudes + np.abs(g)
        reward = np.maximum(reward - g * (p - start), 0.0)
        total = total - g
        share = total / (largest * np.maximum(magnitudes + largest, alpha * largest))
        update = start + share * (largest + reward) - p
        return update, (start, total, largest, magnitudes, reward)

    return leafwise(
        "scale_by_cocob", COCOBState, step,
        init_particles=lambda p: zeros(p) + p, cumulative_gradients=zeros, scale=filled(eps),
        subgradients=real_zeros, reward=real_zeros,
    )  # fmt: skip


@known_arguments
def cocob(
    learning_rate: Any = 1.0,
    alpha: float = 100.0,
    eps: float = 1e-8,
    weight_decay: Any = 0.0,
    mask: Any = None,
) -> GradientTransformation:
    """COCOB: descent without a learning rate (Orabona and Tommasi, 2017).

    Args:
        learning_rate: factor of the gradients.
        alpha, eps: as for `scale_by_cocob`.
        weight_decay, mask: as for `add_decayed_weights`.

    Example:
        >>> optimizer = cocob()
        >>> optimizer.update(np.array([2.0]), optimizer.init(np.zeros(1)), np.zeros(1))[0]
        array([-0.01])
    """
    return descent(
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate, flip_sign=False),
        scale_by_cocob(alpha, eps),
    )


def mechanize(
    base_optimizer: GradientTransformation,
    weight_decay: float = 1e-2,
    eps: float = 1e-8,
    s_init: float = 1e-6,
    num_betas: int = 6,
) -> GradientTransformation:
    """Find the learning rate of an optimizer while it runs: Mechanic (Cutkosky et al., 2023).

    Args:
        base_optimizer: with a learning rate of 1, or a schedule with that peak.
        weight_decay: pull towards 0, relative to the gradients.
        eps: added to what is divided by.
        s_init: the first learning rate.
        num_betas: bettors, with memories of 10, 100, ... steps.

    Example:
        >>> from funcgrad import optim
        >>> optimizer, params = mechanize(optim.sgd(1.0)), np.array([1.0])
        >>> optimizer.update(np.array([2.0]), optimizer.init(params), params)[0].round(9)
        array([-0.])
    """
    betas = 1 - 0.1 ** np.arange(1, num_betas + 1)

    def init(params: Any) -> MechanicState:
        start = map_updates(lambda p: np.array(widened(p)), params)
        none = np.zeros(num_betas)
        inner = base_optimizer.init(params)
        return MechanicState(
            inner, np.int64(0), none, none.copy(), none.copy(), np.full(num_betas, s_init), start
        )

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        params = checked_params("mechanize", params)
        steps, inner = base_optimizer.update(updates, state.base_optimizer_state, params, **extra)
        place = map_updates(widened, params)
        total = np.sum(state.s)
        pull = weight_decay * total * norm(updates) / (norm(place) + eps)
        grads = add_scale(map_updates(widened, updates), pull, place)
        before = scale(1 / (total + eps), sub(state.x0, place))
        delta = sub(before, map_updates(widened, steps))
        gain = vdot(grads, before)
        new = _bets(state, gain, betas, eps, s_init)
        length = as_weak(np.sum(new["s"]))
        moved = map_arrays(lambda x, d, p: x - length * d - p, state.x0, delta, place)
        return moved, MechanicState(
            base_optimizer_state=inner, count=state.count + 1, x0=state.x0, **new
        )

    return GradientTransformation(init, update)


def _bets(state: Any, gain: Any, betas: np.ndarray, eps: float, s_init: float) -> dict[str, Any]:
    """Each bettor's largest gain, squared gains, reward, and the learning rate it stakes."""
    bounded = np.clip(gain, -state.m, state.m)
    m = np.maximum(betas * state.m, np.abs(gain) + eps)
    v = betas**2 * state.v + gain**2
    r = betas * state.r + bounded * state.s
    wealth = s_init / len(betas) * m + np.maximum(0.0, r)
    new = {"r": r, "m": m, "v": v, "s": wealth / (np.sqrt(v) + eps)}
    return {name: value.astype(np.float64) for name, value in new.items()}
