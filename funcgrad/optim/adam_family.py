"""Relatives of Adam: other second moments under the average gradient."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from funcgrad.optim.arguments import known_arguments
from funcgrad.optim.averaging import abs_squared, debiased, looked_ahead, mixed
from funcgrad.optim.base import GradientTransformation, check_decays
from funcgrad.optim.descent import decayed_descent, descent_along
from funcgrad.optim.leafwise import filled, leafwise, real_zeros, zeros, zeros_of
from funcgrad.optim.moments import ScaleByAdamState


class ScaleByAmsgradState(NamedTuple):
    """The state of `scale_by_amsgrad`: that of Adam, and the largest second moments so far."""

    count: Any
    mu: Any
    nu: Any
    nu_max: Any


class ScaleByBeliefState(NamedTuple):
    """The state of `scale_by_belief`: `nu` averages the squared differences of gradient and average."""

    count: Any
    mu: Any
    nu: Any


def scale_by_amsgrad(
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: Any = None,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
) -> GradientTransformation:
    """Adam with the largest second moment so far (Reddi et al., 2018).

    Args:
        b1, b2, eps, eps_root, mu_dtype: as for `scale_by_adam`.
        bias_correction_mu, bias_correction_nu: correct the averages for having begun at zero.

    Example:
        >>> amsgrad = scale_by_amsgrad()
        >>> amsgrad.update(np.ones(1), amsgrad.init(np.zeros(1)))[0].round(4)
        array([1.])
    """
    check_decays("scale_by_amsgrad", b1=b1, b2=b2)

    def step(g: Any, moments: tuple, n: Any, p: Any) -> tuple[Any, tuple]:
        del p
        mu, nu, largest = moments
        mu, nu = mixed(mu, g, b1), mixed(nu, abs_squared(g), b2)
        largest = np.maximum(largest, debiased(nu, b2, n) if bias_correction_nu else nu)
        ahead = debiased(mu, b1, n) if bias_correction_mu else mu
        return ahead / (np.sqrt(largest + eps_root) + eps), (mu, nu, largest)

    return leafwise(
        "scale_by_amsgrad", ScaleByAmsgradState, step,
        mu=zeros_of(mu_dtype), nu=real_zeros, nu_max=real_zeros,
    )  # fmt: skip


@known_arguments
def amsgrad(
    learning_rate: Any,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: Any = None,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
) -> GradientTransformation:
    """Adam whose steps do not grow again (Reddi et al., 2018).

    PyTorch's `Adam(amsgrad=True)` takes the largest uncorrected moment and corrects it afterwards.

    Args:
        learning_rate: a number, or a schedule: number of steps -> number.
        b1, b2, eps, eps_root, mu_dtype, bias_correction_mu, bias_correction_nu: as for `scale_by_amsgrad`.

    Example:
        >>> optimizer = amsgrad(0.1)
        >>> optimizer.update(np.ones(1), optimizer.init(np.zeros(1)))[0].round(4)
        array([-0.1])
    """
    direction = scale_by_amsgrad(
        b1, b2, eps, eps_root, mu_dtype, bias_correction_mu, bias_correction_nu
    )
    return descent_along(direction, learning_rate)


def scale_by_adamax(
    b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
) -> GradientTransformation:
    """Adam with a decaying maximum in place of the root mean square (Kingma and Ba, 2015, section 7).

    Args:
        b1, b2: decay of the average and of the maximum.
        eps: added to the magnitude of each gradient.

    Example:
        >>> adamax = scale_by_adamax()
        >>> adamax.update(np.array([-3.0]), adamax.init(np.zeros(1)))[0].round(4)
        array([-1.])
    """
    check_decays("scale_by_adamax", b1=b1, b2=b2)

    def step(g: Any, moments: tuple, n: Any, p: Any) -> tuple[Any, tuple]:
        del p
        mu, nu = moments
        mu, nu = mixed(mu, g, b1), np.maximum(np.abs(g) + eps, b2 * nu)
        return debiased(mu, b1, n) / nu, (mu, nu)

    return leafwise("scale_by_adamax", ScaleByAdamState, step, mu=zeros, nu=real_zeros)


@known_arguments
def adamax(
    learning_rate: Any, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
) -> GradientTransformation:
    """Adamax: steps bounded by the learning rate (Kingma and Ba, 2015, section 7). As PyTorch's.

    Args:
        learning_rate: a number, or a schedule: number of steps -> number.
        b1, b2, eps: as for `scale_by_adamax`.

    Example:
        >>> optimizer = adamax(0.1)
        >>> optimizer.update(np.array([-3.0]), optimizer.init(np.zeros(1)))[0].round(4)
        array([0.1])
    """
    return descent_along(scale_by_adamax(b1, b2, eps), learning_rate)


@known_arguments
def adamaxw(
    learning_rate: Any,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: Any = 1e-4,
    mask: Any = None,
) -> GradientTransformation:
    """`adamax` with decoupled weight decay.

    Args:
        learning_rate, b1, b2, eps: as for `adamax`.
        weight_decay, mask: as for `adamw`.

    Example:
        >>> optimizer = adamaxw(0.1, weight_decay=0.5)
        >>> optimizer.update(np.zeros(1), optimizer.init(np.ones(1)), np.ones(1))[0].round(4)
        array([-0.05])
    """
    return decayed_descent(scale_by_adamax(b1, b2, eps), learning_rate, weight_decay, mask)


def scale_by_belief(
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-16,
    eps_root: float = 1e-16,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """Divide by how much gradients differ from their average (Zhuang et al., 2020).

    Args:
        b1, b2, eps, nesterov: as for `scale_by_adam`.
        eps_root: added to the second moment in every step.

    Example:
        >>> belief = scale_by_belief()
        >>> belief.update(np.ones(1), belief.init(np.zeros(1)))[0].round(4)
        array([1.1111])
    """
    check_decays("scale_by_belief", b1=b1, b2=b2)

    def step(g: Any, moments: tuple, n: Any, p: Any) -> tuple[Any, tuple]:
        del p
        mu, nu = moments
        mu = mixed(mu, g, b1)
        nu = mixed(nu, abs_squared(g - mu), b2) + eps_root
        ahead = looked_ahead(mu, g, b1, n) if nesterov else debiased(mu, b1, n)
        return ahead / (np.sqrt(debiased(nu, b2, n)) + eps), (mu, nu)

    return leafwise("scale_by_belief", ScaleByBeliefState, step, mu=zeros, nu=real_zeros)


@known_arguments
def adabelief(
    learning_rate: Any,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-16,
    eps_root: float = 1e-16,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """AdaBelief: long steps where gradients are as expected (Zhuang et al., 2020).

    Args:
        learning_rate: a number, or a schedule: number of steps -> number.
        b1, b2, eps, eps_root, nesterov: as for `scale_by_belief`.

    Example:
        >>> optimizer = adabelief(0.1)
        >>> optimizer.update(np.ones(1), optimizer.init(np.zeros(1)))[0].round(4)
        array([-0.1111])
    """
    return descent_along(scale_by_belief(b1, b2, eps, eps_root, nesterov=nesterov), learning_rate)


def scale_by_yogi(
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-3,
    eps_root: float = 0.0,
    initial_accumulator_value: float = 1e-6,
) -> GradientTransformation:
    """Adam with second moments that change by addition (Zaheer et al., 2018).

    Args:
        b1, b2, eps, eps_root: as for `scale_by_adam`.
        initial_accumulator_value: where both averages begin.

    Example:
        >>> yogi = scale_by_yogi()
        >>> yogi.update(np.ones(1), yogi.init(np.zeros(1)))[0].round(4)
        array([0.9985])
    """
    check_decays("scale_by_yogi", b1=b1, b2=b2)

    def step(g: Any, moments: tuple, n: Any, p: Any) -> tuple[Any, tuple]:
        del p
        mu, nu = moments
        square = abs_squared(g)
        mu, nu = mixed(mu, g, b1), nu - (1 - b2) * np.sign(nu - square) * square
        return debiased(mu, b1, n) / (np.sqrt(debiased(nu, b2, n) + eps_root) + eps), (mu, nu)

    def first_average(param: Any) -> Any:
        return zeros(param) + initial_accumulator_value

    start = filled(initial_accumulator_value)
    return leafwise("scale_by_yogi", ScaleByAdamState, step, mu=first_average, nu=start)


@known_arguments
def yogi(
    learning_rate: Any, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-3
) -> GradientTransformation:
    """Yogi: the effective learning rate grows only slowly (Zaheer et al., 2018).

    Args:
        learning_rate: a number, or a schedule: number of steps -> number.
        b1, b2, eps: as for `scale_by_yogi`.

    Example:
        >>> optimizer = yogi(0.1)
        >>> optimizer.update(np.ones(1), optimizer.init(np.zeros(1)))[0].round(4)
        array([-0.0999])
    """
    return descent_along(scale_by_yogi(b1, b2, eps), learning_rate)
