"""Steps by the sign of gradients, and from differences of successive gradients."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from funcgrad.optim.arguments import known_arguments
from funcgrad.optim.base import GradientTransformation
from funcgrad.optim.descent import descent, descent_along
from funcgrad.optim.leafwise import filled, leafwise, leafwise_stateless, zeros
from funcgrad.optim.moments import ema, scale_by_adam
from funcgrad.optim.scaling import scale, scale_by_learning_rate


class ScaleByRpropState(NamedTuple):
    """The state of `scale_by_rprop`: the step length of each element, and the last updates."""

    step_sizes: Any
    prev_updates: Any


class ScaleByOptimisticGradientState(NamedTuple):
    """The state of `scale_by_optimistic_gradient`: steps so far, and the last gradient."""

    count: Any
    previous_gradient: Any


def scale_by_sign() -> GradientTransformation:
    """The sign of each element.

    Example:
        >>> scale_by_sign().update(np.array([-3.0, 0.0, 0.1]), ())[0]
        array([-1.,  0.,  1.])
    """
    return leafwise_stateless("scale_by_sign", np.sign)


@known_arguments
def sign_sgd(learning_rate: Any) -> GradientTransformation:
    """Steps of one length, by the sign of the gradient (Bernstein et al., 2018).

    Args:
        learning_rate: a number, or a schedule: number of steps -> number.

    Example:
        >>> optimizer = sign_sgd(0.1)
        >>> optimizer.update(np.array([-3.0, 0.1]), optimizer.init(np.zeros(2)))[0]
        array([ 0.1, -0.1])
    """
    return descent_along(scale_by_sign(), learning_rate)


@known_arguments
def signum(
    learning_rate: Any, beta: float = 0.9, accumulator_dtype: Any = None
) -> GradientTransformation:
    """The sign of the average gradient (Bernstein et al., 2018).

    Args:
        learning_rate: a number, or a schedule: number of steps -> number.
        beta: decay of the average.
        accumulator_dtype: dtype of the average.

    Example:
        >>> optimizer = signum(0.1)
        >>> optimizer.update(np.array([-3.0, 0.1]), optimizer.init(np.zeros(2)))[0]
        array([ 0.1, -0.1])
    """
    return descent(
        ema(beta, debias=False, accumulator_dtype=accumulator_dtype),
        scale_by_sign(),
        scale_by_learning_rate(learning_rate),
    )


def scale_by_rprop(
    learning_rate: float,
    eta_minus: float = 0.5,
    eta_plus: float = 1.2,
    min_step_size: float = 1e-6,
    max_step_size: float = 50.0,
) -> GradientTransformation:
    """A step length per element that grows while the sign stays (Riedmiller and Braun, 1993).

    Args:
        learning_rate: the first step length.
        eta_minus, eta_plus: factors after a change of sign, and without one.
        min_step_size, max_step_size: bounds of the length.

    Example:
        >>> rprop = scale_by_rprop(0.1)
        >>> rprop.update(np.array([-3.0, 0.1]), rprop.init(np.zeros(2)))[0]
        array([-0.1,  0.1])
    """

    def step(g: Any, moments: tuple, n: Any, p: Any) -> tuple[Any, tuple]:
        del n, p
        sizes, last = moments
        agreement = g * last
        factor = np.where(agreement > 0, eta_plus, eta_minus).astype(g.dtype)
        changed = np.clip(sizes * factor, min_step_size, max_step_size)
        sizes = np.where(np.equal(agreement, 0), sizes, changed)
        update = np.where(agreement < 0, np.zeros_like(g), sizes * np.sign(g))
        # After a change of sign the element rests for one step.
        rests = np.where(agreement < 0, np.zeros_like(last), update)
        return rests, (sizes, update)

    return leafwise(
        "scale_by_rprop", ScaleByRpropState, step,
        step_sizes=filled(learning_rate), prev_updates=zeros,
    )  # fmt: skip


@known_arguments
def rprop(
    learning_rate: float,
    eta_minus: float = 0.5,
    eta_plus: float = 1.2,
    min_step_size: float = 1e-6,
    max_step_size: float = 50.0,
) -> GradientTransformation:
    """Resilient backpropagation, for whole batches (Riedmiller and Braun, 1993). As PyTorch's; Optax
    0.2 makes each step one call later.

    Args:
        learning_rate, eta_minus, eta_plus, min_step_size, max_step_size: as for `scale_by_rprop`.

    Example:
        >>> optimizer = rprop(0.1)
        >>> optimizer.update(np.array([-3.0, 0.1]), optimizer.init(np.zeros(2)))[0]
        array([ 0.1, -0.1])
    """
    lengths = scale_by_rprop(learning_rate, eta_minus, eta_plus, min_step_size, max_step_size)
    return descent(lengths, scale(-1.0))


def scale_by_optimistic_gradient(alpha: float = 1.0, beta: float = 1.0) -> GradientTransformation:
    """The gradient, and the change since the last one, as a guess of the next (Mokhtari et al., 2019).

    Args:
        alpha: factor of the gradient.
        beta: factor of the change.

    Example:
        >>> optimistic = scale_by_optimistic_gradient()
        >>> _, state = optimistic.update(np.array([1.0]), optimistic.init(np.zeros(1)))
        >>> optimistic.update(np.array([3.0]), state)[0]
        array([5.])
    """

    def step(g: Any, moments: tuple, n: Any, p: Any) -> tuple[Any, tuple]:
        del p
        last = np.where(np.equal(n, 1), g, moments[0])
        return (alpha + beta) * g - beta * last, (g,)

    return leafwise(
        "scale_by_optimistic_gradient",
        ScaleByOptimisticGradientState,
        step,
        previous_gradient=zeros,
    )


@known_arguments
def optimistic_gradient_descent(
    learning_rate: Any, alpha: float = 1.0, beta: float = 1.0
) -> GradientTransformation:
    """Optimistic gradient descent, for games and min-max problems (Mokhtari et al., 2019).

    Args:
        learning_rate: a number, or a schedule: number of steps -> number.
        alpha, beta: as for `scale_by_optimistic_gradient`.

    Example:
        >>> optimizer = optimistic_gradient_descent(0.1)
        >>> optimizer.update(np.array([3.0]), optimizer.init(np.zeros(1)))[0].round(4)
        array([-0.3])
    """
    return descent_along(scale_by_optimistic_gradient(alpha, beta), learning_rate)


@known_arguments
def optimistic_adam(
    learning_rate: float,
    optimism: float | None = None,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: Any = None,
    *,
    nesterov: bool = True,
) -> GradientTransformation:
    """Adam with an optimistic step (Daskalakis et al., 2018), with the arguments of the paper.

    Args:
        learning_rate: a number.
        optimism: factor of the change of the direction; the learning rate by default.
        b1, b2, eps, eps_root, mu_dtype, nesterov: as for `scale_by_adam`.

    Example:
        >>> optimizer = optimistic_adam(0.1, nesterov=False)
        >>> optimizer.update(np.array([3.0]), optimizer.init(np.zeros(1)))[0].round(4)
        array([-0.1])
    """
    optimism = learning_rate if optimism is None else optimism
    return descent(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov),
        scale_by_optimistic_gradient(learning_rate, optimism),
        scale(-1.0),
    )


@known_arguments
def optimistic_adam_v2(
    learning_rate: Any,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: Any = None,
    nesterov: bool = True,
) -> GradientTransformation:
    """Adam with an optimistic step (Daskalakis et al., 2018), whose learning rate can be a schedule.

    Args:
        learning_rate: a number, or a schedule: number of steps -> number.
        alpha, beta: as for `scale_by_optimistic_gradient`.
        b1, b2, eps, eps_root, mu_dtype, nesterov: as for `scale_by_adam`.

    Example:
        >>> optimizer = optimistic_adam_v2(0.1, nesterov=False)
        >>> optimizer.update(np.array([3.0]), optimizer.init(np.zeros(1)))[0].round(4)
        array([-0.1])
    """
    return descent(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov),
        scale_by_optimistic_gradient(alpha, beta),
        scale_by_learning_rate(learning_rate),
    )
