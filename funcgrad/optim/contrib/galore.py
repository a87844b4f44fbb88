"""GaLore: the moments of large matrices in a subspace of low rank (Zhao et al., 2024)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from funcgrad import lax
from funcgrad.optim.arguments import known_arguments
from funcgrad.optim.base import GradientTransformation, map_leaves, map_updates
from funcgrad.optim.descent import decayed_descent
from funcgrad.optim.leafwise import widened
from funcgrad.optim.moments import scale_by_adam


class GaLoreState(NamedTuple):
    """The state of `scale_by_galore`: steps, inner state, and the basis of each matrix's subspace."""

    count: Any
    base_optimizer_state: Any
    projector: Any


def scale_by_galore(
    rank: int = 128,
    update_proj_gap: int = 200,
    scale: float = 1.0,
    base_optimizer: GradientTransformation | None = None,
) -> GradientTransformation:
    """Let a transformation see matrices only in the leading singular directions of their gradients.

    Args:
        rank: dimension of the subspaces.
        update_proj_gap: steps between two choices of the subspaces.
        scale: factor of the updates of matrices.
        base_optimizer: the transformation; `scale_by_adam()` by default. It gets no parameters.

    Example:
        >>> galore = scale_by_galore(rank=1)
        >>> state = galore.init(np.zeros((4, 3)))
        >>> state.base_optimizer_state.mu.shape
        (1, 3)
    """
    if not isinstance(rank, int) or rank < 1:
        raise ValueError(f"[scale_by_galore] rank must be a positive int, but got {rank!r}.")
    inner = base_optimizer or scale_by_adam()

    def init(params: Any) -> GaLoreState:
        bases = map_updates(lambda p: np.zeros(_basis_shape(p, rank), widened(p).dtype), params)
        small = map_leaves(
            lambda p, b: None if b is None else _projected(widened(p), b), "init", params, bases
        )
        return GaLoreState(np.int64(0), inner.init(small), bases)

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        del params
        grads = map_updates(widened, updates)
        is_due = np.equal(state.count % update_proj_gap, 0)

        def chosen(g: Any, basis: Any) -> Any:
            if g is None or g.ndim != 2:
                return basis
            return lax.cond(is_due, lambda g, old: _leading(g, old), lambda g, old: old, g, basis)

        bases = map_leaves(chosen, "scale_by_galore", grads, state.projector)
        small = map_leaves(
            lambda g, b: None if g is None else _projected(g, b), "scale_by_galore", grads, bases
        )
        moved, inner_state = inner.update(small, state.base_optimizer_state, None, **extra)

        def back(u: Any, basis: Any, g: Any) -> Any:
            if u is None or g.ndim != 2:
                return u
            return scale * (basis @ u if _is_tall(g) else u @ basis.T)

        found = map_leaves(back, "scale_by_galore", moved, bases, grads)
        return found, GaLoreState(state.count + 1, inner_state, bases)

    return GradientTransformation(init, update)


@known_arguments
def galore(
    learning_rate: Any,
    rank: int = 128,
    update_proj_gap: int = 200,
    scale: float = 1.0,
    base_optimizer: GradientTransformation | None = None,
    weight_decay: Any = 0.0,
    mask: Any = None,
) -> GradientTransformation:
    """GaLore: Adam whose moments need memory for the rank of a matrix only (Zhao et al., 2024).

    Args:
        learning_rate: a number, or a schedule: number of steps -> number.
        rank, update_proj_gap, scale, base_optimizer: as for `scale_by_galore`.
        weight_decay, mask: as for `adamw`.

    Example:
        >>> optimizer, params = galore(0.1, rank=1), np.zeros((2, 2))
        >>> grads = np.array([[1.0, 1.0], [1.0, 1.0]])
        >>> optimizer.update(grads, optimizer.init(params), params)[0].round(4)
        array([[-0.0707, -0.0707],
               [-0.0707, -0.0707]])
    """
    direction = scale_by_galore(rank, update_proj_gap, scale, base_optimizer)
    return decayed_descent(direction, learning_rate, weight_decay, mask)


def _is_tall(x: Any) -> bool:
    return x.shape[0] >= x.shape[1]


def _basis_shape(p: Any, rank: int) -> tuple[int, int]:
    if np.ndim(p) != 2:
        return (0, 0)
    return max(p.shape), min(rank, *p.shape)


def _projected(g: Any, basis: Any) -> Any:
    if g.ndim != 2:
        return g
    return basis.T @ g if _is_tall(g) else g @ basis


def _leading(g: Any, basis: Any) -> Any:
    """The leading singular vectors of the longer side."""
    left, _, right = np.linalg.svd(g, full_matrices=False)
    vectors = left if _is_tall(g) else np.swapaxes(right, 0, 1)
    return vectors[:, : basis.shape[1]].astype(basis.dtype)
