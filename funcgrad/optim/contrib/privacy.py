"""Differentially private gradients (Abadi et al., 2016)."""

from __future__ import annotations

from typing import Any, NamedTuple

from funcgrad import random, tree
from funcgrad.optim.arguments import known_arguments
from funcgrad.optim.base import GradientTransformation, is_trained, map_updates
from funcgrad.optim.clipping import per_example_global_norm_clip
from funcgrad.optim.descent import descent
from funcgrad.optim.leafwise import widened
from funcgrad.optim.masks import identity
from funcgrad.optim.moments import trace
from funcgrad.optim.scaling import scale_by_learning_rate
from funcgrad.optim.tree import add_scale, random_like, scale


class DifferentiallyPrivateAggregateState(NamedTuple):
    """The state of `differentially_private_aggregate`: the key of the next noise."""

    rng_key: Any


def differentially_private_aggregate(
    l2_norm_clip: float, noise_multiplier: float, key: Any
) -> GradientTransformation:
    """The mean of clipped gradients of single examples, with noise (Abadi et al., 2016).

    The gradients have an axis of examples in front: `vmap(grad(loss), in_axes=(None, 0))`.

    Args:
        l2_norm_clip: the largest norm of the gradient of one example.
        noise_multiplier: standard deviation of the noise, relative to that.
        key: key or seed.

    Example:
        >>> import numpy as np
        >>> private = differentially_private_aggregate(1.0, 0.0, key=0)
        >>> grads = np.array([[3.0, 4.0], [0.0, 0.5]])
        >>> private.update(grads, private.init(np.zeros(2)))[0]
        array([0.3 , 0.65])
    """

    def init(params: Any) -> DifferentiallyPrivateAggregateState:
        del params
        return DifferentiallyPrivateAggregateState(random.wrap_key_data(key))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        del params, extra
        grads = map_updates(widened, updates)
        examples = next(leaf.shape[0] for leaf in tree.leaves(grads) if is_trained(leaf))
        total, _ = per_example_global_norm_clip(grads, l2_norm_clip)
        next_key, sample_key = random.split(state.rng_key)
        noisy = add_scale(total, l2_norm_clip * noise_multiplier, random_like(sample_key, total))
        return scale(1 / examples, noisy), DifferentiallyPrivateAggregateState(next_key)

    return GradientTransformation(init, update)


@known_arguments
def dpsgd(
    learning_rate: Any,
    l2_norm_clip: float,
    noise_multiplier: float,
    seed: Any,
    momentum: float | None = None,
    nesterov: bool = False,
) -> GradientTransformation:
    """Differentially private gradient descent (Abadi et al., 2016).

    Args:
        learning_rate: a number, or a schedule: number of steps -> number.
        l2_norm_clip, noise_multiplier: as for `differentially_private_aggregate`.
        seed: its key, or a seed.
        momentum, nesterov: as for `sgd`.

    Example:
        >>> import numpy as np
        >>> optimizer = dpsgd(0.1, 1.0, 0.0, seed=0)
        >>> optimizer.update(np.array([[3.0, 4.0]]), optimizer.init(np.zeros(2)))[0]
        array([-0.06, -0.08])
    """
    return descent(
        differentially_private_aggregate(l2_norm_clip, noise_multiplier, seed),
        identity() if momentum is None else trace(momentum, nesterov),
        scale_by_learning_rate(learning_rate),
    )
