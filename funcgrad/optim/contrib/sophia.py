"""Sophia: momentum divided by a diagonal of the Hessian, clipped (Liu et al., 2023)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from funcgrad import lax, random
from funcgrad.optim.arguments import known_arguments
from funcgrad.optim.averaging import debiased, in_dtype, mixed
from funcgrad.optim.base import (
    GradientTransformation,
    as_weak,
    map_leaves,
    map_updates,
    moment_dtype,
    zeros_like_params,
)
from funcgrad.optim.descent import decayed_descent
from funcgrad.optim.leafwise import checked_params, widened
from funcgrad.optim.tree import mul, random_like
from funcgrad.optim.tree.arithmetic import map_arrays
from funcgrad.transforms.forward import jvp
from funcgrad.transforms.grad import grad


class HutchinsonState(NamedTuple):
    """The state of `hutchinson_estimator_diag_hessian`: the key of the next draw."""

    key: Any


class SophiaState(NamedTuple):
    """The state of `scale_by_sophia`: steps, averages of gradients and of the Hessian's diagonal."""

    count: Any
    mu: Any
    nu: Any
    hessian_fn_state: Any


def hutchinson_estimator_diag_hessian(random_seed: Any = 0) -> GradientTransformation:
    """An estimate of the diagonal of the Hessian: random signs times Hessian times signs (Hutchinson, 1989).

    `update` needs the loss as a function: `update(grads, state, params, obj_fn=loss)`.

    Args:
        random_seed: key or seed.

    Example:
        >>> diagonal = hutchinson_estimator_diag_hessian()
        >>> x = np.array([1.0, 2.0])
        >>> diagonal.update(x, diagonal.init(x), x, obj_fn=lambda x: np.sum(3.0 * x**2))[0]
        array([6., 6.])
    """

    def init(params: Any) -> HutchinsonState:
        del params
        return HutchinsonState(random.wrap_key_data(0 if random_seed is None else random_seed))

    def update(
        updates: Any, state: Any, params: Any = None, *, obj_fn: Any = None, **extra: Any
    ) -> tuple[Any, Any]:
        del updates, extra
        params = checked_params("hutchinson_estimator_diag_hessian", params)
        if obj_fn is None:
            raise ValueError(
                "[hutchinson_estimator_diag_hessian] needs the loss as a function. Write "
                "optimizer.update(grads, state, params, obj_fn=lambda params: loss)."
            )
        next_key, key = random.split(state.key)
        signs = random_like(key, map_updates(lambda p: p, params), random.rademacher)
        product = jvp(grad(obj_fn), (params,), (signs,))[1]
        return mul(signs, product), HutchinsonState(next_key)

    return GradientTransformation(init, update)


def scale_by_sophia(
    b1: float = 0.965,
    b2: float = 0.99,
    eps: float = 1e-8,
    gamma: float = 0.01,
    clip_threshold: float | None = 1.0,
    update_interval: int = 10,
    hessian_diagonal_fn: GradientTransformation | None = None,
    mu_dtype: Any = None,
) -> GradientTransformation:
    """Divide the average gradient by an average of the Hessian's diagonal, and clip (Liu et al., 2023).

    Args:
        b1, b2: decay of the averages.
        eps: the least divisor.
        gamma: factor of the diagonal.
        clip_threshold: bound of the result, or None.
        update_interval: steps between two estimates of the diagonal.
        hessian_diagonal_fn: its estimator; `hutchinson_estimator_diag_hessian()` by default.
        mu_dtype: dtype of the average of the gradients.

    Example:
        >>> sophia, x = scale_by_sophia(), np.array([1.0])
        >>> sophia.update(x, sophia.init(x), x, obj_fn=lambda x: np.sum(x**2))[0]
        array([1.])
    """
    estimator = hessian_diagonal_fn or hutchinson_estimator_diag_hessian()

    def init(params: Any) -> SophiaState:
        mu = zeros_like_params(params, lambda dtype: mu_dtype or moment_dtype(dtype))
        nu = zeros_like_params(params, moment_dtype)
        return SophiaState(np.int64(0), mu, nu, estimator.init(params))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        params = checked_params("scale_by_sophia", params)
        grads = map_updates(widened, updates)
        n = as_weak(state.count + 1)
        mu = map_leaves(
            lambda m, g: m if g is None else mixed(m, g, b1), "scale_by_sophia", state.mu, grads
        )

        def step(m: Any, h: Any) -> Any:
            found = debiased(m, b1, n) / np.maximum(gamma * h, eps)
            return (
                found if clip_threshold is None else np.clip(found, -clip_threshold, clip_threshold)
            )

        moved = map_arrays(step, mu, state.nu)

        def estimate(nu: Any, hessian_state: Any) -> tuple[Any, Any]:
            diagonal, hessian_state = estimator.update(updates, hessian_state, params, **extra)
            return map_arrays(lambda v, h: mixed(v, widened(h), b2), nu, diagonal), hessian_state

        # A Hessian-vector product costs more than a gradient: only where it is due.
        nu, hessian_state = lax.cond(
            np.equal(state.count % update_interval, 0),
            estimate,
            lambda *old: old,
            state.nu,
            state.hessian_fn_state,
        )
        return moved, SophiaState(
            state.count + 1,
            in_dtype(mu, mu_dtype),
            nu,
            hessian_state,
        )

    return GradientTransformation(init, update)


@known_arguments
def sophia(
    learning_rate: Any,
    b1: float = 0.965,
    b2: float = 0.99,
    eps: float = 1e-8,
    weight_decay: Any = 1e-4,
    weight_decay_mask: Any = None,
    gamma: float = 0.01,
    clip_threshold: float | None = 1.0,
    update_interval: int = 10,
    hessian_diagonal_fn: GradientTransformation | None = None,
    mu_dtype: Any = None,
) -> GradientTransformation:
    """Sophia (Liu et al., 2023); `update` needs the loss as a function, `obj_fn=`.

    Args:
        learning_rate: a number, or a schedule: number of steps -> number.
        b1, b2, eps, gamma, clip_threshold, update_interval, hessian_diagonal_fn, mu_dtype: as for
            `scale_by_sophia`.
        weight_decay, weight_decay_mask: as for `adamw`.

    Example:
        >>> optimizer, x = sophia(0.1, weight_decay=0.0), np.array([1.0])
        >>> optimizer.update(x, optimizer.init(x), x, obj_fn=lambda x: np.sum(x**2))[0]
        array([-0.1])
    """
    direction = scale_by_sophia(
        b1, b2, eps, gamma, clip_threshold, update_interval, hessian_diagonal_fn, mu_dtype
    )
    return decayed_descent(direction, learning_rate, weight_decay, weight_decay_mask)
