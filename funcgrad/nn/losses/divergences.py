"""Divergences between distributions over classes. One value per example."""

from __future__ import annotations

from typing import Any

import funcgrad.numpy as fnp
from funcgrad.nn.losses.shapes import as_array, kept


def kl_divergence(log_predictions: Any, targets: Any, axis: Any = -1, where: Any = None) -> Any:
    """`sum(targets * (log(targets) - log_predictions))`: the Kullback-Leibler divergence.

    Args:
        log_predictions: logarithms of the predicted probabilities.
        targets: probabilities.
        axis: the axis of the classes.
        where: which classes exist.

    Example:
        >>> kl_divergence(fnp.log([0.5, 0.5]), [1.0, 0.0]).round(3)
        np.float64(0.693)
    """
    log_predictions, targets = as_array(log_predictions), as_array(targets)
    is_zero = fnp.equal(targets, 0)
    logs = fnp.log(fnp.where(is_zero, fnp.ones_like(targets), targets))
    terms = fnp.where(is_zero, fnp.zeros_like(targets), targets * (logs - log_predictions))
    return kept(where, terms, axis)


def kl_divergence_with_log_targets(
    log_predictions: Any, log_targets: Any, axis: Any = -1, where: Any = None
) -> Any:
    """`kl_divergence` for logarithms of the targets.

    Args:
        log_predictions, log_targets: logarithms of probabilities.
        axis, where: as for `kl_divergence`.

    Example:
        >>> halves = fnp.log([0.5, 0.5])
        >>> kl_divergence_with_log_targets(halves, halves)
        np.float64(0.0)
    """
    log_predictions, log_targets = as_array(log_predictions), as_array(log_targets)
    return kept(where, fnp.exp(log_targets) * (log_targets - log_predictions), axis)


def generalized_kl_divergence(
    log_predictions: Any, targets: Any, axis: Any = -1, where: Any = None
) -> Any:
    """`kl_divergence` plus what the predictions sum to more than the targets: for unnormalised ones.

    Args:
        log_predictions, targets, axis, where: as for `kl_divergence`.

    Example:
        >>> generalized_kl_divergence(fnp.log([1.0, 1.0]), [1.0, 0.0])
        np.float64(1.0)
    """
    log_predictions, targets = as_array(log_predictions), as_array(targets)
    excess = kept(where, fnp.exp(log_predictions) - targets, axis)
    return kl_divergence(log_predictions, targets, axis, where) + excess


convex_kl_divergence = generalized_kl_divergence
