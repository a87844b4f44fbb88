"""Muon: matrices step along the orthogonal matrix nearest to their momentum (Jordan et al., 2024)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad import tree
from funcgrad.optim.arguments import known_arguments
from funcgrad.optim.averaging import debiased, in_dtype, looked_ahead, mixed
from funcgrad.optim.base import (
    GradientTransformation,
    as_weak,
    is_trained,
    map_leaves,
    moment_dtype,
    zeros_like_params,
)
from funcgrad.optim.contrib.orthogonal import PRESETS, STANDARD, coefficient_table, orthogonalized
from funcgrad.optim.descent import descent
from funcgrad.optim.leafwise import widened
from funcgrad.optim.optimizers import adamw
from funcgrad.optim.partition import partition
from funcgrad.optim.scaling import add_decayed_weights, scale_by_learning_rate


class MuonState(NamedTuple):
    """The state of `scale_by_muon`: number of steps, momentum, and the coefficients of the iteration."""

    count: Any
    mu: Any
    ns_coeffs: Any


class MuonDimensionNumbers:
    """Which axes of an array are the rows and the columns of its matrix; all others are a batch.

    Args:
        reduction_axis: the axis or axes that inputs are summed over.
        output_axis: the axis or axes of the outputs.
    """

    def __init__(
        self, reduction_axis: int | Sequence[int] = 0, output_axis: int | Sequence[int] = 1
    ) -> None:
        self.reduction_axis = _as_tuple(reduction_axis)
        self.output_axis = _as_tuple(output_axis)

    def __repr__(self) -> str:
        return f"MuonDimensionNumbers({self.reduction_axis}, {self.output_axis})"

    def axes(self, ndim: int) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """The axes of the batch, the rows and the columns."""
        rows, columns = (
            tuple(axis % ndim for axis in axes) for axes in (self.reduction_axis, self.output_axis)
        )
        if set(rows) & set(columns):
            raise ValueError(f"[muon] rows and columns must be different axes, but got {self}.")
        return tuple(i for i in range(ndim) if i not in (*rows, *columns)), rows, columns


def scale_by_muon(
    ns_coeffs: Any = STANDARD,
    ns_steps: int = 5,
    beta: float = 0.95,
    eps: float = 1e-8,
    mu_dtype: Any = None,
    *,
    nesterov: bool = True,
    adaptive: bool = False,
    preconditioning: str = "frobenius",
    weight_dimension_numbers: Any = None,
) -> GradientTransformation:
    """The orthogonal factor of the momentum of each matrix (Jordan et al., 2024).

    Args:
        ns_coeffs: coefficients of the iteration: three numbers, or three for each step.
        ns_steps: steps of the iteration.
        beta: decay of the momentum.
        eps: added to norms.
        mu_dtype: dtype of the momentum.
        nesterov: look one step ahead.
        adaptive: scale by the inner product with the momentum.
        preconditioning: "frobenius", "spectral", "aol" or "schatten"; see `orthogonalized`.
        weight_dimension_numbers: a `MuonDimensionNumbers` for all arrays, a tree of them, or a function
            updates -> such a tree. Without it all arrays must be matrices.

    Example:
        >>> muon = scale_by_muon(ns_steps=20, ns_coeffs=(2.0, -1.5, 0.5))
        >>> x = np.array([[2.0, 0.0], [0.0, -3.0]])
        >>> (muon.update(x, muon.init(x))[0] + 0.0).round(3)
        array([[ 1.,  0.],
               [ 0., -1.]])
    """
    table = coefficient_table(ns_coeffs, ns_steps)
    if preconditioning not in ("frobenius", "spectral", "aol", "schatten"):
        raise ValueError(f"[scale_by_muon] preconditioning {preconditioning!r} is not known.")

    def init(params: Any) -> MuonState:
        mu = zeros_like_params(params, lambda dtype: mu_dtype or moment_dtype(dtype))
        return MuonState(np.int64(0), mu, np.asarray(table, np.float64))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        del params, extra
        numbers = _numbers_like(weight_dimension_numbers, updates)
        n = as_weak(state.count + 1)

        def average(m: Any, g: Any) -> Any:
            return m if m is None or not is_trained(g) else mixed(m, widened(g), beta)

        def ahead(m: Any, g: Any) -> Any:
            return looked_ahead(m, widened(g), beta, n) if nesterov else debiased(m, beta, n)

        def step(g: Any, m: Any, axes: MuonDimensionNumbers | None) -> Any:
            if not is_trained(g):
                return None
            direction = ahead(m, g)
            found = _on_matrices(
                lambda x: orthogonalized(x, table, ns_steps, preconditioning, eps), direction, axes
            )
            return np.sum(np.conj(direction) * found) * found if adaptive else found

        mu = map_leaves(average, "scale_by_muon", state.mu, updates)
        found = map_leaves(step, "scale_by_muon", updates, mu, numbers)
        return found, MuonState(state.count + 1, in_dtype(mu, mu_dtype), state.ns_coeffs)

    return GradientTransformation(init, update)


@known_arguments
def muon(
    learning_rate: Any,
    ns_coeffs: Any = STANDARD,
    ns_steps: int = 5,
    beta: float = 0.95,
    eps: float = 1e-8,
    weight_decay: Any = 0.0,
    weight_decay_mask: Any = None,
    mu_dtype: Any = None,
    *,
    nesterov: bool = True,
    adaptive: bool = False,
    preconditioning: str = "frobenius",
    adam_b1: float = 0.9,
    adam_b2: float = 0.999,
    adam_eps_root: float = 0.0,
    adam_weight_decay: Any = 0.0,
    adam_learning_rate: Any = None,
    muon_weight_dimension_numbers: Any = None,
    consistent_rms: float | None = None,
) -> GradientTransformation:
    """Muon for matrices, AdamW for everything else (Jordan et al., 2024).

    A matrix is (inputs, outputs) as in Optax; for weights (out, in) give
    `muon_weight_dimension_numbers=MuonDimensionNumbers(1, 0)`, which changes the scale of steps of matrices
    that are not square.

    Args:
        learning_rate: a number, or a schedule: number of steps -> number.
        ns_coeffs: as for `scale_by_muon`, or "standard" or "dion".
        ns_steps, beta, eps, mu_dtype, nesterov, adaptive, preconditioning: as for `scale_by_muon`.
        weight_decay, weight_decay_mask: decoupled weight decay of matrices.
        adam_b1, adam_b2, adam_eps_root, adam_weight_decay, adam_learning_rate: for the others.
        muon_weight_dimension_numbers: a `MuonDimensionNumbers` for all arrays with two axes; or a tree of them
            and of None, which means AdamW, or a function params -> such a tree.
        consistent_rms: scale steps to this root mean square; by default by sqrt(max(1, out / in)).

    Example:
        >>> optimizer, params = muon(0.1), {"w": np.eye(2), "b": np.ones(2)}
        >>> updates, _ = optimizer.update(params, optimizer.init(params), params)
        >>> updates["b"].round(3)
        array([-0.1, -0.1])
    """
    table = PRESETS.get(ns_coeffs, ns_coeffs) if isinstance(ns_coeffs, str) else ns_coeffs
    if isinstance(table, str):
        raise ValueError(f"[muon] ns_coeffs must be one of {sorted(PRESETS)}, but got {table!r}.")
    given = muon_weight_dimension_numbers

    def labels(params: Any) -> Any:
        numbers = _numbers_like(given, params)
        return map_leaves(lambda p, n: "adam" if n is None else "muon", "muon", params, numbers)

    matrices = descent(
        scale_by_muon(
            table, ns_steps, beta, eps, mu_dtype, nesterov=nesterov, adaptive=adaptive,
            preconditioning=preconditioning, weight_dimension_numbers=given,
        ),
        _scale_by_shape(given, consistent_rms),
        add_decayed_weights(weight_decay, weight_decay_mask),
        scale_by_learning_rate(learning_rate),
    )  # fmt: skip
    others = adamw(
        learning_rate if adam_learning_rate is None else adam_learning_rate,
        adam_b1, adam_b2, eps, adam_eps_root, mu_dtype, adam_weight_decay, nesterov=nesterov,
    )  # fmt: skip
    return partition({"muon": matrices, "adam": others}, labels)


def _scale_by_shape(given: Any, consistent_rms: float | None) -> GradientTransformation:
    """Steps of equal size in matrices of all shapes."""

    def factor(x: Any, numbers: MuonDimensionNumbers) -> float:
        _, rows, columns = numbers.axes(x.ndim)
        inputs, outputs = (math.prod(x.shape[i] for i in axes) for axes in (rows, columns))
        if consistent_rms is not None:
            return math.sqrt(max(inputs, outputs)) * consistent_rms
        return math.sqrt(max(1.0, outputs / inputs))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        del params, extra
        numbers = _numbers_like(given, updates)
        scaled = map_leaves(
            lambda u, n: u if u is None or n is None else factor(u, n) * u, "muon", updates, numbers
        )
        return scaled, state

    return GradientTransformation(lambda params: (), update)


def _numbers_like(given: Any, params: Any) -> Any:
    """For each array its dimension numbers, or None if it is no matrix."""
    found = given(params) if callable(given) else given
    if found is None or isinstance(found, MuonDimensionNumbers):
        default = found or MuonDimensionNumbers()
        return map_leaves(lambda p: default if np.ndim(p) == 2 else None, "muon", params)
    return tree.map(
        lambda n, part: map_leaves(lambda p: n, "muon", part), found, params, is_leaf=_is_number
    )


def _is_number(value: Any) -> bool:
    return value is None or isinstance(value, MuonDimensionNumbers)


def _on_matrices(f: Callable[[Any], Any], x: Any, numbers: MuonDimensionNumbers | None) -> Any:
    """Apply a function of a stack of matrices to an array of any shape."""
    if numbers is None:
        raise ValueError(
            f"[scale_by_muon] an array of shape {x.shape} is no matrix. Give weight_dimension_numbers, or use "
            "muon, which leaves it to AdamW."
        )
    batch, rows, columns = numbers.axes(x.ndim)
    order = (*batch, *rows, *columns)
    sizes = [math.prod(x.shape[i] for i in axes) for axes in (batch, rows, columns)]
    turned = np.transpose(x, order)
    found = f(np.reshape(turned, sizes))
    back = [int(i) for i in np.argsort(order)]
    return np.transpose(np.reshape(found, turned.shape), back)


def _as_tuple(axes: int | Sequence[int]) -> tuple[int, ...]:
    return (axes,) if isinstance(axes, int) else tuple(axes)
