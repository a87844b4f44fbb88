"""Steps whose length depends on the norm of each array: LARS, LAMB, Fromage, NovoGrad and their parts."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from funcgrad.optim.arguments import known_arguments
from funcgrad.optim.averaging import abs_squared
from funcgrad.optim.base import GradientTransformation, as_array, at_step, stateless
from funcgrad.optim.descent import descent, descent_along
from funcgrad.optim.leafwise import (
    checked_params,
    leafwise,
    leafwise_stateless,
    real_zeros,
    zeros_of,
)
from funcgrad.optim.masks import masked
from funcgrad.optim.moments import scale_by_adam, trace
from funcgrad.optim.scaling import (
    add_decayed_weights,
    global_norm,
    scale_by_learning_rate,
    scaled,
)


class ScaleByNovogradState(NamedTuple):
    """The state of `scale_by_novograd`: steps, momentum, and the average squared norm of each array."""

    count: Any
    mu: Any
    nu: Any


def scale_by_trust_ratio(
    min_norm: float = 0.0, trust_coefficient: float = 1.0, eps: float = 0.0
) -> GradientTransformation:
    """Scale each update by the norm of its parameter over its own norm (You et al., 2017).

    Where one of the norms is 0 the update stays.

    Args:
        min_norm: the least norm that is used.
        trust_coefficient: factor of all updates.
        eps: added to the norm of the update.

    Example:
        >>> ratio = scale_by_trust_ratio()
        >>> ratio.update(np.array([0.0, 0.1]), ratio.init(None), np.array([3.0, 4.0]))[0]
        array([0., 5.])
    """

    def step(g: Any, p: Any) -> Any:
        size, length = norm_at_least(p, min_norm), norm_at_least(g, min_norm)
        is_zero = np.logical_or(np.equal(size, 0.0), np.equal(length, 0.0))
        ratio = trust_coefficient * size / np.where(is_zero, 1.0, length + eps).astype(size.dtype)
        return g * np.where(is_zero, np.ones_like(ratio), ratio).astype(g.real.dtype)

    return leafwise_stateless("scale_by_trust_ratio", step, needs_params=True)


def scale_by_param_block_norm(min_scale: float = 1e-3) -> GradientTransformation:
    """Multiply each update by the norm of its parameter, at least `min_scale`.

    Example:
        >>> block = scale_by_param_block_norm()
        >>> block.update(np.ones(2), block.init(None), np.array([3.0, 4.0]))[0]
        array([5., 5.])
    """

    def step(g: Any, p: Any) -> Any:
        return g * norm_at_least(p, min_scale).astype(g.real.dtype)

    return leafwise_stateless("scale_by_param_block_norm", step, needs_params=True)


def scale_by_param_block_rms(min_scale: float = 1e-3) -> GradientTransformation:
    """Multiply each update by the root mean square of its parameter, at least `min_scale`.

    Example:
        >>> block = scale_by_param_block_rms()
        >>> block.update(np.ones(2), block.init(None), np.array([3.0, -3.0]))[0]
        array([3., 3.])
    """

    def step(g: Any, p: Any) -> Any:
        return g * np.maximum(root_mean_square(p), min_scale).astype(g.real.dtype)

    return leafwise_stateless("scale_by_param_block_rms", step, needs_params=True)


def normalize_by_update_norm(
    scale_factor: float = 1.0, eps: float = 1e-6
) -> GradientTransformation:
    """Scale all updates together so that their norm is `scale_factor`.

    Args:
        scale_factor: the norm afterwards.
        eps: added to the norm before.

    Example:
        >>> unit = normalize_by_update_norm()
        >>> unit.update(np.array([3.0, 4.0]), unit.init(None))[0].round(4)
        array([0.6, 0.8])
    """
    return stateless(
        lambda updates, _: scaled(updates, scale_factor / (global_norm(updates) + eps))
    )


def centralize() -> GradientTransformation:
    """Subtract from each row of an array (all axes but the first) its mean (Yong et al., 2020).

    Example:
        >>> centralize().update(np.array([[1.0, 3.0]]), ())[0]
        array([[-1.,  1.]])
    """

    def step(g: Any) -> Any:
        return g - np.mean(g, axis=tuple(range(1, g.ndim)), keepdims=True) if g.ndim > 1 else g

    return leafwise_stateless("centralize", step)


@known_arguments
def lars(
    learning_rate: Any,
    weight_decay: Any = 0.0,
    weight_decay_mask: Any = True,
    trust_coefficient: float = 0.001,
    eps: float = 0.0,
    trust_ratio_mask: Any = True,
    momentum: float = 0.9,
    nesterov: bool = False,
) -> GradientTransformation:
    """Layer-wise adaptive rate scaling, for large batches (You et al., 2017).

    Args:
        learning_rate: a number, or a schedule: number of steps -> number.
        weight_decay, weight_decay_mask: as for `add_decayed_weights`.
        trust_coefficient, eps: as for `scale_by_trust_ratio`.
        trust_ratio_mask: tree prefix of bools, or a function of the parameters: which updates are scaled.
        momentum, nesterov: as for `sgd`.

    Example:
        >>> optimizer = lars(0.1, trust_coefficient=1.0)
        >>> params = np.array([3.0, 4.0])
        >>> optimizer.update(np.array([0.0, 2.0]), optimizer.init(params), params)[0]
        array([ 0. , -0.5])
    """
    return descent(
        add_decayed_weights(weight_decay, weight_decay_mask),
        masked(
            scale_by_trust_ratio(trust_coefficient=trust_coefficient, eps=eps), trust_ratio_mask
        ),
        scale_by_learning_rate(learning_rate),
        trace(momentum, nesterov),
    )


@known_arguments
def lamb(
    learning_rate: Any,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-6,
    eps_root: float = 0.0,
    weight_decay: Any = 0.0,
    mask: Any = None,
) -> GradientTransformation:
    """Adam with layer-wise step lengths, for large batches (You et al., 2020).

    Args:
        learning_rate: a number, or a schedule: number of steps -> number.
        b1, b2, eps, eps_root: as for `scale_by_adam`.
        weight_decay, mask: as for `adamw`.

    Example:
        >>> optimizer, params = lamb(0.1), np.array([3.0, 4.0])
        >>> optimizer.update(np.array([1.0, 0.0]), optimizer.init(params), params)[0].round(4)
        array([-0.5, -0. ])
    """
    return descent(
        scale_by_adam(b1, b2, eps, eps_root),
        add_decayed_weights(weight_decay, mask),
        scale_by_trust_ratio(),
        scale_by_learning_rate(learning_rate),
    )


@known_arguments
def fromage(learning_rate: Any, min_norm: float = 1e-6) -> GradientTransformation:
    """Frobenius matched gradient descent: each array turns by a fixed angle (Bernstein et al., 2020).

    Args:
        learning_rate: a number, or a schedule: number of steps -> number.
        min_norm: as for `scale_by_trust_ratio`.

    Example:
        >>> optimizer, params = fromage(0.75), np.array([4.0, 0.0])
        >>> optimizer.update(np.array([0.0, 1.0]), optimizer.init(params), params)[0].round(4)
        array([-0.8, -2.4])
    """
    ratio = scale_by_trust_ratio(min_norm)

    def shrink(count: Any) -> Any:
        return 1 / (1 + at_step(learning_rate, count) ** 2) ** 0.5

    def rate(count: Any) -> Any:
        return at_step(learning_rate, count) * shrink(count)

    def decay(count: Any) -> Any:
        return shrink(count) - 1

    is_fixed = not callable(learning_rate)
    return descent(
        ratio,
        scale_by_learning_rate(rate(0) if is_fixed else rate),
        add_decayed_weights(decay(0) if is_fixed else decay),
    )


def scale_by_novograd(
    b1: float = 0.9,
    b2: float = 0.25,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    weight_decay: float = 0.0,
    mu_dtype: Any = None,
) -> GradientTransformation:
    """Momentum of gradients divided by the average norm of their array (Ginsburg et al., 2019).

    Args:
        b1, b2: decay of the momentum, and of the average squared norms.
        eps, eps_root: added to the norm, and to its square.
        weight_decay: times the parameters, added before the momentum.
        mu_dtype: dtype of the momentum.

    Example:
        >>> novograd = scale_by_novograd()
        >>> novograd.update(np.array([3.0, 4.0]), novograd.init(np.zeros(2)), np.zeros(2))[0]
        array([0.6, 0.8])
    """

    def step(g: Any, moments: tuple, n: Any, p: Any) -> tuple[Any, tuple]:
        mu, nu = moments
        square = np.sum(abs_squared(g))
        is_first = np.equal(n, 1)
        nu = np.where(is_first, square, b2 * nu + (1 - b2) * square)
        unit = g / (np.sqrt(nu + eps_root) + eps)
        unit = unit + weight_decay * checked_params("scale_by_novograd", p)
        mu = np.where(is_first, unit, b1 * mu + unit)
        return mu, (mu, nu)

    def scalar(param: Any) -> Any:
        return np.sum(real_zeros(param))

    return leafwise(
        "scale_by_novograd", ScaleByNovogradState, step, mu=zeros_of(mu_dtype), nu=scalar
    )


@known_arguments
def novograd(
    learning_rate: Any,
    b1: float = 0.9,
    b2: float = 0.25,
    eps: float = 1e-6,
    eps_root: float = 0.0,
    weight_decay: float = 0.0,
) -> GradientTransformation:
    """NovoGrad (Ginsburg et al., 2019).

    Args:
        learning_rate: a number, or a schedule: number of steps -> number.
        b1, b2, eps, eps_root, weight_decay: as for `scale_by_novograd`.

    Example:
        >>> optimizer, params = novograd(0.1), np.zeros(2)
        >>> optimizer.update(np.array([3.0, 4.0]), optimizer.init(params), params)[0].round(4)
        array([-0.06, -0.08])
    """
    return descent_along(scale_by_novograd(b1, b2, eps, eps_root, weight_decay), learning_rate)


# --- norms ---


def norm_at_least(x: Any, least: float) -> Any:
    """The Euclidean norm, at least `least`."""
    return np.maximum(np.sqrt(np.sum(abs_squared(as_array(x)))), least)


def root_mean_square(x: Any) -> Any:
    return np.sqrt(np.mean(abs_squared(as_array(x))))
