"""The optimizers: chains of the transformations of this package, with their usual settings.

They conjugate complex gradients, so that a step goes downhill; the single transformations do not.
"""

from __future__ import annotations

from typing import Any

from funcgrad.optim.base import GradientTransformation, chain
from funcgrad.optim.masks import identity
from funcgrad.optim.moments import scale_by_adam, trace
from funcgrad.optim.scaling import add_decayed_weights, conjugated, scale_by_learning_rate


def sgd(
    learning_rate: Any, momentum: float | None = None, nesterov: bool = False
) -> GradientTransformation:
    """Stochastic gradient descent.

    Args:
        learning_rate: a number, or a schedule: number of steps -> number.
        momentum: how much of the last step is kept, 0 <= momentum < 1.
        nesterov: evaluate the momentum one step ahead.

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
    first = identity() if momentum is None else trace(momentum, nesterov)
    return _downhill(first, scale_by_learning_rate(learning_rate))


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

    Example:
        >>> import numpy as np
        >>> import funcgrad as fg
        >>> optimizer = fg.optim.adam(0.1)
        >>> updates, state = optimizer.update(np.array([50.0, -2.0]), optimizer.init(np.zeros(2)))
        >>> updates.round(4)
        array([-0.1,  0.1])
    """
    moments = scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov)
    return _downhill(moments, scale_by_learning_rate(learning_rate))


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
    decay = add_decayed_weights(weight_decay, mask)
    return _downhill(moments, decay, scale_by_learning_rate(learning_rate))


def _downhill(*transformations: GradientTransformation) -> GradientTransformation:
    """A chain that conjugates complex gradients first."""
    inner = chain(*transformations)

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        return inner.update(conjugated(updates), state, params, **extra)

    return GradientTransformation(inner.init, update)
