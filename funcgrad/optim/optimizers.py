"""The optimizers: chains of the transformations of this package, with their usual settings.

They conjugate complex gradients, so that a step goes downhill; the single transformations do not.
"""

from __future__ import annotations

from typing import Any

from funcgrad.optim.arguments import known_arguments
from funcgrad.optim.base import GradientTransformation
from funcgrad.optim.descent import decayed_descent, descent_along
from funcgrad.optim.masks import identity
from funcgrad.optim.moments import scale_by_adam, trace


@known_arguments
def sgd(
    learning_rate: Any,
    momentum: float | None = None,
    nesterov: bool = False,
    accumulator_dtype: Any = None,
) -> GradientTransformation:
    """Stochastic gradient descent.

    Args:
        learning_rate: a number, or a schedule: number of steps -> number.
        momentum: how much of the last step is kept, 0 <= momentum < 1.
        nesterov: evaluate the momentum one step ahead.
        accumulator_dtype: dtype of the momentum.

    PyTorch's SGD takes the first gradient whole whatever its `dampening`, adds weight decay before the
    momentum (here: `chain(add_decayed_weights(d), sgd(...))`), and is otherwise the same.

    Example:
        >>> import numpy as np
        >>> import funcgrad as fg
        >>> params, optimizer = np.array([3.0, 4.0]), fg.optim.sgd(0.1)
        >>> state = optimizer.init(params)
        >>> gradient = fg.grad(lambda p: np.sum(p**2))(params)
        >>> updates, state = optimizer.update(gradient, state, params)
        >>> fg.optim.apply_updates(params, updates)
        array([2.4, 3.2])
    """
    first = identity() if momentum is None else trace(momentum, nesterov, accumulator_dtype)
    return descent_along(first, learning_rate)


@known_arguments
def adam(
    learning_rate: Any,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: Any = None,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """Adam (Kingma and Ba, 2015): steps of about the learning rate, whatever the gradient's size.

    Args:
        learning_rate: a number, or a schedule: number of steps -> number.
        b1, b2, eps, eps_root, mu_dtype, nesterov: as for `scale_by_adam`.

    The same numbers as PyTorch's Adam; its `weight_decay` is
    `chain(add_decayed_weights(d), adam(...))`, and its `amsgrad=True` is
    `amsgrad(..., bias_correction_nu=False)` but for the place of the correction.

    Example:
        >>> import numpy as np
        >>> import funcgrad as fg
        >>> optimizer = fg.optim.adam(0.1)
        >>> updates, state = optimizer.update(np.array([50.0, -2.0]), optimizer.init(np.zeros(2)))
        >>> updates.round(4)
        array([-0.1,  0.1])
    """
    moments = scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov)
    return descent_along(moments, learning_rate)


@known_arguments
def adamw(
    learning_rate: Any,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: Any = None,
    weight_decay: float = 1e-4,
    mask: Any = None,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019).

    Args:
        learning_rate: a number, or a schedule: number of steps -> number.
        b1, b2, eps, eps_root, mu_dtype, nesterov: as for `scale_by_adam`.
        weight_decay: in each step the parameters shrink by learning_rate * weight_decay of themselves.
        mask: tree prefix of bools, or a function params -> such a tree: which parameters shrink.

    Example:
        >>> import numpy as np
        >>> import funcgrad as fg
        >>> optimizer = fg.optim.adamw(0.1, weight_decay=0.5)
        >>> params = np.array([2.0])
        >>> optimizer.update(np.zeros(1), optimizer.init(params), params)[0]
        array([-0.1])
    """
    moments = scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov)
    return decayed_descent(moments, learning_rate, weight_decay, mask)


@known_arguments
def nadam(
    learning_rate: Any,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: Any = None,
    *,
    nesterov: bool = True,
) -> GradientTransformation:
    """Adam with Nesterov's momentum (Dozat, 2016).

    PyTorch's NAdam also lets the momentum grow during the first steps (`momentum_decay`); this one does not.

    Args:
        learning_rate, b1, b2, eps, eps_root, mu_dtype, nesterov: as for `adam`.

    Example:
        >>> import numpy as np
        >>> optimizer = nadam(0.1)
        >>> optimizer.update(np.ones(1), optimizer.init(np.zeros(1)))[0].round(4)
        array([-0.1474])
    """
    return adam(learning_rate, b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov)


@known_arguments
def nadamw(
    learning_rate: Any,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: Any = None,
    weight_decay: float = 1e-4,
    mask: Any = None,
    *,
    nesterov: bool = True,
) -> GradientTransformation:
    """`nadam` with decoupled weight decay.

    Args:
        learning_rate, b1, b2, eps, eps_root, mu_dtype, weight_decay, mask, nesterov: as for `adamw`.

    Example:
        >>> import numpy as np
        >>> optimizer = nadamw(0.1, weight_decay=0.5)
        >>> optimizer.update(np.zeros(1), optimizer.init(np.ones(1)), np.ones(1))[0].round(4)
        array([-0.05])
    """
    return adamw(
        learning_rate, b1, b2, eps, eps_root, mu_dtype, weight_decay, mask, nesterov=nesterov
    )
