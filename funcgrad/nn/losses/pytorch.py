"""PyTorch's losses of numbers and probabilities: the mean over all values by default."""

from __future__ import annotations

import math
from typing import Any

import funcgrad.numpy as fnp
from funcgrad.ir.tracer import Tracer
from funcgrad.nn.activations import log_sigmoid
from funcgrad.nn.losses.shapes import as_array, errors, matched, reduced
from funcgrad.scipy.special import xlogy


def mse_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """Squared error.

    Args:
        input, target: arrays of the same shape.
        reduction: "mean", "sum" or "none".

    Example:
        >>> mse_loss([1.0, 2.0], [1.0, 4.0])
        np.float64(2.0)
    """
    return reduced("mse_loss", fnp.square(errors("mse_loss", input, target)), reduction)


def l1_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """Absolute error.

    Args:
        input, target, reduction: as for `mse_loss`.

    Example:
        >>> l1_loss([1.0, 2.0], [1.0, 4.0])
        np.float64(1.0)
    """
    return reduced("l1_loss", fnp.abs(errors("l1_loss", input, target)), reduction)


def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    """Half the squared error over `beta` up to `beta`, and the absolute error minus beta / 2 beyond.

    Args:
        input, target, reduction: as for `mse_loss`.
        beta: where the line begins.

    Example:
        >>> smooth_l1_loss([0.5, 3.0], [0.0, 0.0], "none")
        array([0.125, 2.5  ])
    """
    size = fnp.abs(errors("smooth_l1_loss", input, target))
    if beta == 0:
        return reduced("smooth_l1_loss", size, reduction)
    values = fnp.where(size < beta, 0.5 * size * size / beta, size - 0.5 * beta)
    return reduced("smooth_l1_loss", values, reduction)


def binary_cross_entropy(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean"
) -> Any:
    """Cross entropy of probabilities of yes; logarithms are at least -100.

    Args:
        input: probabilities.
        target: 0 or 1, or probabilities, of the same shape.
        weight: of the values; broadcast.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: `input` holds no probabilities; in traced code it gives NaN instead.

    Example:
        >>> binary_cross_entropy([0.5], [1.0]).round(3)
        np.float64(0.693)
    """
    input, target = matched("binary_cross_entropy", input, target)
    _check_probabilities(input)
    yes, no = fnp.maximum(fnp.log(input), -100.0), fnp.maximum(fnp.log1p(-input), -100.0)
    values = -(target * yes + (1 - target) * no)
    return reduced("binary_cross_entropy", _weighted(values, weight), reduction)


def binary_cross_entropy_with_logits(
    input: Any,
    target: Any,
    weight: Any = None,
    reduction: str = "mean",
    pos_weight: Any = None,
) -> Any:
    """Cross entropy of yes-or-no decisions before the sigmoid.

    Args:
        input: logits.
        target: 0 or 1, or probabilities, of the same shape.
        weight: of the values; broadcast.
        reduction: "mean", "sum" or "none".
        pos_weight: weight of yes, (classes,).

    Example:
        >>> binary_cross_entropy_with_logits([0.0], [1.0]).round(3)
        np.float64(0.693)
    """
    input, target = matched("binary_cross_entropy_with_logits", input, target)
    yes = target if pos_weight is None else as_array(pos_weight) * target
    values = -yes * log_sigmoid(input) - (1 - target) * log_sigmoid(-input)
    return reduced("binary_cross_entropy_with_logits", _weighted(values, weight), reduction)


def kl_div(input: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    """The terms of the Kullback-Leibler divergence.

    Args:
        input: logarithms of the predicted probabilities.
        target: probabilities, or their logarithms.
        reduction: "mean" over all terms, "batchmean" over the examples only (the divergence proper), "sum",
            "none".
        log_target: whether `target` are logarithms.

    Example:
        >>> kl_div(fnp.log([[0.5, 0.5]]), [[1.0, 0.0]], "batchmean").round(3)
        np.float64(0.693)
    """
    input, target = matched("kl_div", input, target)
    if log_target:
        values = fnp.exp(target) * (target - input)
    else:
        values = xlogy(target, target) - target * input
    if reduction == "batchmean":
        return fnp.sum(values) / input.shape[0]
    return reduced("kl_div", values, reduction)


def poisson_nll_loss(
    input: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Any:
    """Minus the logarithm of Poisson probabilities.

    Args:
        input: logarithms of the rates, or the rates with log_input=False.
        target: counts.
        log_input: what `input` is.
        full: add Stirling's approximation of log(target!).
        eps: added to rates.
        reduction: "mean", "sum" or "none".

    Example:
        >>> poisson_nll_loss([0.0], [2.0])
        np.float64(1.0)
    """
    input, target = matched("poisson_nll_loss", input, target)
    if log_input:
        values = fnp.exp(input) - target * input
    else:
        values = input - target * fnp.log(input + eps)
    if full:
        above = fnp.where(target > 1, target, 1.0)
        stirling = xlogy(above, above) - above + 0.5 * fnp.log(2 * math.pi * above)
        values = values + fnp.where(target > 1, stirling, 0.0)
    return reduced("poisson_nll_loss", values, reduction)


def gaussian_nll_loss(
    input: Any,
    target: Any,
    var: Any,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Any:
    """Minus the logarithm of normal densities.

    Args:
        input: means.
        target: values, of the same shape.
        var: variances; broadcast, also without the last axis of `input`.
        full: add log(2 pi) / 2.
        eps: the least variance.
        reduction: "mean", "sum" or "none".

    Example:
        >>> gaussian_nll_loss([1.0], [3.0], [1.0])
        np.float64(2.0)
    """
    differences = errors("gaussian_nll_loss", input, target)
    var = as_array(var)
    if var.ndim == differences.ndim - 1 and var.shape == differences.shape[:-1]:
        var = var[..., None]
    var = fnp.maximum(var, eps)
    values = 0.5 * (fnp.log(var) + differences * differences / var)
    if full:
        values = values + 0.5 * math.log(2 * math.pi)
    return reduced("gaussian_nll_loss", values, reduction)


def _check_probabilities(values: Any) -> None:
    """Raise ValueError for logits in the place of probabilities, where the numbers are known."""
    if isinstance(values, Tracer):
        return
    if bool(((values < 0) | (values > 1)).any()):
        raise ValueError(
            f"[binary_cross_entropy] input holds probabilities, from 0 to 1, but got values from {values.min()} to "
            f"{values.max()}. For logits write binary_cross_entropy_with_logits."
        )


def _weighted(values: Any, weight: Any) -> Any:
    return values if weight is None else values * as_array(weight)
