"""Slow parameters that follow fast ones (Zhang et al., 2019)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from funcgrad import tree
from funcgrad.optim.base import GradientTransformation, is_trained
from funcgrad.optim.tree.arithmetic import map_arrays, where


class LookaheadState(NamedTuple):
    """The state of `lookahead`: that of the fast optimizer, and the steps since slow met fast."""

    fast_state: Any
    steps_since_sync: Any


class LookaheadParams(NamedTuple):
    """Fast parameters, which are trained, and slow ones, which are used."""

    fast: Any
    slow: Any

    @classmethod
    def init_synced(cls, params: Any) -> LookaheadParams:
        """Both are the same at the beginning; slow ones in memory of their own."""
        return cls(
            fast=params, slow=tree.map(lambda p: np.array(p) if is_trained(p) else p, params)
        )


def lookahead(
    fast_optimizer: GradientTransformation,
    sync_period: int,
    slow_step_size: float,
    reset_state: bool = False,
) -> GradientTransformation:
    """Every few steps slow parameters go part of the way to the fast ones, and these go back to them.

    Args:
        fast_optimizer: for the fast parameters. Gradients are with respect to them.
        sync_period: steps between two meetings.
        slow_step_size: how much of the way, 0 to 1.
        reset_state: begin a new state of the fast optimizer after each meeting.

    Example:
        >>> from funcgrad import optim
        >>> optimizer = lookahead(optim.sgd(1.0), sync_period=1, slow_step_size=0.5)
        >>> params = LookaheadParams.init_synced(np.zeros(1))
        >>> updates, _ = optimizer.update(np.ones(1), optimizer.init(params), params)
        >>> updates.fast, updates.slow
        (array([-0.5]), array([-0.5]))
    """
    if sync_period < 1:
        raise ValueError(f"[lookahead] sync_period must be at least 1, but got {sync_period}.")

    def init(params: Any) -> LookaheadState:
        _check(params)
        return LookaheadState(fast_optimizer.init(params.fast), np.int64(0))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        _check(params)
        new, fast_state = fast_optimizer.update(updates, state.fast_state, params.fast, **extra)
        meets = np.equal(state.steps_since_sync, sync_period - 1)
        if reset_state:
            fast_state = where(meets, fast_optimizer.init(params.fast), fast_state)

        def back(u: Any, fast: Any, slow: Any) -> Any:
            return np.where(meets, u - (1 - slow_step_size) * (fast + u - slow), u)

        def onward(u: Any, fast: Any, slow: Any) -> Any:
            return np.where(meets, slow_step_size * (fast + u - slow), np.zeros_like(u))

        moved = LookaheadParams(
            fast=map_arrays(back, new, params.fast, params.slow),
            slow=map_arrays(onward, new, params.fast, params.slow),
        )
        return moved, LookaheadState(fast_state, (state.steps_since_sync + 1) % sync_period)

    return GradientTransformation(init, update)


def _check(params: Any) -> None:
    if not isinstance(params, LookaheadParams):
        raise TypeError(
            f"[lookahead] the parameters must be LookaheadParams, but got {type(params).__name__}. Begin with "
            "LookaheadParams.init_synced(params), and take gradients with respect to params.fast."
        )
