"""Gradients divided by their root mean square: RMSProp, Adagrad and Adadelta."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from funcgrad.optim.arguments import known_arguments
from funcgrad.optim.averaging import abs_squared, debiased, mixed
from funcgrad.optim.base import GradientTransformation, check_decays
from funcgrad.optim.descent import descent
from funcgrad.optim.leafwise import filled, leafwise, real_zeros, zeros
from funcgrad.optim.masks import identity
from funcgrad.optim.moments import trace
from funcgrad.optim.scaling import add_decayed_weights, scale_by_learning_rate


class ScaleByRmsState(NamedTuple):
    """The state of `scale_by_rms`: the average of the squared gradients."""

    nu: Any


class ScaleByRmsWithCountState(NamedTuple):
    """The state of `scale_by_rms` with bias correction."""

    count: Any
    nu: Any


class ScaleByRStdDevState(NamedTuple):
    """The state of `scale_by_stddev`: the averages of the gradients and of their squares."""

    mu: Any
    nu: Any


class ScaleByRStdDevWithCountState(NamedTuple):
    """The state of `scale_by_stddev` with bias correction."""

    count: Any
    mu: Any
    nu: Any


class ScaleByRssState(NamedTuple):
    """The state of `scale_by_rss`: the sum of the squared gradients."""

    sum_of_squares: Any


class ScaleByAdaDeltaState(NamedTuple):
    """The state of `scale_by_adadelta`: averages of squared gradients and of squared updates."""

    e_g: Any
    e_x: Any


def scale_by_rms(
    decay: float = 0.9,
    eps: float = 1e-8,
    initial_scale: float = 0.0,
    eps_in_sqrt: bool = True,
    bias_correction: bool = False,
) -> GradientTransformation:
    """Divide by the root of the average squared gradient (Tieleman and Hinton, 2012).

    Args:
        decay: decay of the average.
        eps: added under the root, or to it with `eps_in_sqrt=False` (as PyTorch does).
        initial_scale: where the average begins.
        eps_in_sqrt: where eps stands.
        bias_correction: correct the average for having begun at zero.

    Example:
        >>> rms = scale_by_rms(0.75)
        >>> rms.update(np.ones(1), rms.init(np.zeros(1)))[0].round(4)
        array([2.])
    """
    check_decays("scale_by_rms", decay=decay)

    def step(g: Any, moments: tuple, n: Any, p: Any) -> tuple[Any, tuple]:
        del p
        (nu,) = moments
        nu = mixed(nu, abs_squared(g), decay)
        square = debiased(nu, decay, n) if bias_correction else nu
        return g / _root(square, eps, eps_in_sqrt), (nu,)

    state = ScaleByRmsWithCountState if bias_correction else ScaleByRmsState
    return leafwise("scale_by_rms", state, step, nu=filled(initial_scale))


def scale_by_stddev(
    decay: float = 0.9,
    eps: float = 1e-8,
    initial_scale: float = 0.0,
    eps_in_sqrt: bool = True,
    bias_correction: bool = False,
) -> GradientTransformation:
    """Divide by the standard deviation of the gradients (Graves, 2013).

    Args:
        decay, eps, initial_scale, eps_in_sqrt, bias_correction: as for `scale_by_rms`.

    Example:
        >>> deviation = scale_by_stddev(0.5)
        >>> deviation.update(np.ones(1), deviation.init(np.zeros(1)))[0].round(4)
        array([2.])
    """
    check_decays("scale_by_stddev", decay=decay)

    def step(g: Any, moments: tuple, n: Any, p: Any) -> tuple[Any, tuple]:
        del p
        mu, nu = moments
        mu, nu = mixed(mu, g, decay), mixed(nu, abs_squared(g), decay)
        means = (debiased(m, decay, n) for m in (mu, nu)) if bias_correction else (mu, nu)
        mean, square = means
        return g / _root(square - abs_squared(mean), eps, eps_in_sqrt), (mu, nu)

    state = ScaleByRStdDevWithCountState if bias_correction else ScaleByRStdDevState
    return leafwise("scale_by_stddev", state, step, mu=zeros, nu=filled(initial_scale))


@known_arguments
def rmsprop(
    learning_rate: Any,
    decay: float = 0.9,
    eps: float = 1e-8,
    initial_scale: float = 0.0,
    eps_in_sqrt: bool = True,
    centered: bool = False,
    momentum: float | None = None,
    nesterov: bool = False,
    bias_correction: bool = False,
) -> GradientTransformation:
    """RMSProp (Tieleman and Hinton, 2012).

    PyTorch's is `rmsprop(rate, decay=0.99, eps_in_sqrt=False)`: its momentum is applied before the learning
    rate, which is the same while the rate is constant.

    Args:
        learning_rate: a number, or a schedule: number of steps -> number.
        decay, eps, initial_scale, eps_in_sqrt, bias_correction: as for `scale_by_rms`.
        centered: divide by the standard deviation instead.
        momentum, nesterov: momentum of the steps.

    Example:
        >>> optimizer = rmsprop(0.1, decay=0.75)
        >>> optimizer.update(np.ones(1), optimizer.init(np.zeros(1)))[0].round(4)
        array([-0.2])
    """
    scaling = scale_by_stddev if centered else scale_by_rms
    return descent(
        scaling(decay, eps, initial_scale, eps_in_sqrt, bias_correction),
        scale_by_learning_rate(learning_rate),
        identity() if momentum is None else trace(momentum, nesterov),
    )


def scale_by_rss(
    initial_accumulator_value: float = 0.1, eps: float = 1e-7
) -> GradientTransformation:
    """Divide by the root of the sum of all squared gradients (Duchi et al., 2011).

    Args:
        initial_accumulator_value: where the sum begins.
        eps: added under the root.

    Example:
        >>> rss = scale_by_rss(0.0, 0.0)
        >>> rss.update(np.array([5.0]), rss.init(np.zeros(1)))[0]
        array([1.])
    """

    def step(g: Any, moments: tuple, n: Any, p: Any) -> tuple[Any, tuple]:
        del n, p
        total = moments[0] + abs_squared(g)
        positive = total > 0
        root = np.sqrt(np.where(positive, total, 1.0) + eps)
        return np.where(positive, g / root, np.zeros_like(g)), (total,)

    start = filled(initial_accumulator_value)
    return leafwise("scale_by_rss", ScaleByRssState, step, sum_of_squares=start)


@known_arguments
def adagrad(
    learning_rate: Any, initial_accumulator_value: float = 0.1, eps: float = 1e-7
) -> GradientTransformation:
    """Adagrad (Duchi et al., 2011): rare features get long steps.

    PyTorch's begins its sum at 0 and adds eps = 1e-10 to the root.

    Args:
        learning_rate: a number, or a schedule: number of steps -> number.
        initial_accumulator_value, eps: as for `scale_by_rss`.

    Example:
        >>> optimizer = adagrad(0.1, 0.0)
        >>> optimizer.update(np.array([5.0]), optimizer.init(np.zeros(1)))[0].round(4)
        array([-0.1])
    """
    return descent(
        scale_by_rss(initial_accumulator_value, eps), scale_by_learning_rate(learning_rate)
    )


def scale_by_adadelta(rho: float = 0.9, eps: float = 1e-6) -> GradientTransformation:
    """Scale by the ratio of the root mean squares of past updates and gradients (Zeiler, 2012).

    Args:
        rho: decay of the averages.
        eps: added under both roots.

    Example:
        >>> adadelta = scale_by_adadelta(0.75, 0.0625)
        >>> adadelta.update(np.array([0.5]), adadelta.init(np.zeros(1)))[0].round(4)
        array([0.3536])
    """
    check_decays("scale_by_adadelta", rho=rho)

    def step(g: Any, moments: tuple, n: Any, p: Any) -> tuple[Any, tuple]:
        del n, p
        gradients, updates = moments
        gradients = mixed(gradients, abs_squared(g), rho)
        update = np.sqrt(updates + eps) / np.sqrt(gradients + eps) * g
        return update, (gradients, mixed(updates, abs_squared(update), rho))

    return leafwise("scale_by_adadelta", ScaleByAdaDeltaState, step, e_g=real_zeros, e_x=real_zeros)


@known_arguments
def adadelta(
    learning_rate: Any = None,
    rho: float = 0.9,
    eps: float = 1e-6,
    weight_decay: Any = 0.0,
    weight_decay_mask: Any = None,
) -> GradientTransformation:
    """Adadelta (Zeiler, 2012). As PyTorch's.

    Args:
        learning_rate: a number or a schedule; 1 by default, as in the paper.
        rho, eps: as for `scale_by_adadelta`.
        weight_decay: times the parameters, added to the gradients.
        weight_decay_mask: which parameters decay.

    Example:
        >>> optimizer = adadelta(1.0, 0.75, 0.0625)
        >>> optimizer.update(np.array([0.5]), optimizer.init(np.zeros(1)), np.zeros(1))[0].round(4)
        array([-0.3536])
    """
    return descent(
        add_decayed_weights(weight_decay, weight_decay_mask),
        scale_by_adadelta(rho, eps),
        scale_by_learning_rate(1.0 if learning_rate is None else learning_rate),
    )


def _root(square: Any, eps: Any, inside: bool) -> Any:
    return np.sqrt(square + eps) if inside else np.sqrt(square) + eps
