"""Second moments in less memory: Adafactor's rows and columns, and the covers of SM3."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from funcgrad import tree
from funcgrad.ir.types import is_complex
from funcgrad.ops.create import full_beside
from funcgrad.optim.arguments import known_arguments
from funcgrad.optim.averaging import abs_squared
from funcgrad.optim.base import (
    GradientTransformation,
    as_array,
    is_trained,
    map_updates,
    moment_dtype,
    zeros_like_params,
)
from funcgrad.optim.clipping import clip_by_block_rms
from funcgrad.optim.descent import descent
from funcgrad.optim.layerwise import scale_by_param_block_rms
from funcgrad.optim.leafwise import leafwise, real_zeros
from funcgrad.optim.moments import ema
from funcgrad.optim.scaling import add_decayed_weights, scale, scale_by_learning_rate


class FactoredState(NamedTuple):
    """The state of `scale_by_factored_rms`: means over columns and rows, or whole second moments."""

    count: Any
    v_row: Any
    v_col: Any
    v: Any


class ScaleBySM3State(NamedTuple):
    """The state of `scale_by_sm3`: for each array one accumulator per axis, and the momentum."""

    mu: Any
    nu: Any


def power_decay(count: Any, exponent: float = 0.8) -> Any:
    """The decay of an average that forgets more slowly as time goes on."""
    return 1.0 - (count + 1.0) ** -exponent


def scale_by_factored_rms(
    factored: bool = True,
    decay_rate: float = 0.8,
    step_offset: int = 0,
    min_dim_size_to_factor: int = 128,
    epsilon: float = 1e-30,
    decay_rate_fn: Callable[[Any, float], Any] = power_decay,
) -> GradientTransformation:
    """Divide by a root mean square kept as its means over rows and columns (Shazeer and Stern, 2018).

    Args:
        factored: whether large arrays are factored at all.
        decay_rate: exponent for `decay_rate_fn`.
        step_offset: steps that were made before this state began.
        min_dim_size_to_factor: arrays with two axes at least this long are factored, over the longest two.
        epsilon: added to squared gradients.
        decay_rate_fn: (number of steps so far, decay_rate) -> decay.

    Example:
        >>> factored = scale_by_factored_rms(min_dim_size_to_factor=2)
        >>> state = factored.init(np.zeros((2, 3)))
        >>> state.v_row.shape, state.v_col.shape
        ((2,), (3,))
        >>> factored.update(np.full((2, 3), 4.0), state, np.zeros((2, 3)))[0][0]
        array([1., 1., 1.])
    """

    def axes_of(shape: tuple) -> tuple[int, int] | None:
        return factored_axes(shape, min_dim_size_to_factor) if factored else None

    def start(which: int) -> Callable[[Any], Any]:
        def zeros(param: Any) -> Any:
            axes = axes_of(param.shape)
            if axes is None:
                return real_zeros(param) if which == 2 else np.zeros(1, moment_dtype(param.dtype))
            if which == 2:
                return np.zeros(1, moment_dtype(param.dtype))
            return np.sum(real_zeros(param), axis=axes[1 - which])

        return zeros

    def step(g: Any, moments: tuple, n: Any, p: Any) -> tuple[Any, tuple]:
        del p
        rows, columns, whole = moments
        decay = decay_rate_fn(n - 1 - step_offset, decay_rate)
        square = abs_squared(g) + epsilon
        axes = axes_of(g.shape)
        if axes is None:
            whole = decay * whole + (1 - decay) * square
            return g / np.sqrt(whole), (rows, columns, whole)
        short, long = axes
        rows = decay * rows + (1 - decay) * np.mean(square, axis=long)
        columns = decay * columns + (1 - decay) * np.mean(square, axis=short)
        mean = np.mean(rows, axis=short - (short > long), keepdims=True)
        by_row = np.expand_dims(1 / np.sqrt(rows / mean), long)
        return g * by_row * np.expand_dims(1 / np.sqrt(columns), short), (rows, columns, whole)

    return leafwise(
        "scale_by_factored_rms", FactoredState, step,
        shaped=False, v_row=start(0), v_col=start(1), v=start(2),
    )  # fmt: skip


def factored_axes(shape: tuple, least: int) -> tuple[int, int] | None:
    """The second longest and the longest axis, or None if an array is too small to be factored."""
    order = np.argsort(shape, kind="stable")
    if len(shape) < 2 or shape[order[-2]] < least:
        return None
    return int(order[-2]), int(order[-1])


@known_arguments
def adafactor(
    learning_rate: Any = None,
    min_dim_size_to_factor: int = 128,
    decay_rate: float = 0.8,
    decay_offset: int = 0,
    multiply_by_parameter_scale: bool = True,
    clipping_threshold: float | None = 1.0,
    momentum: float | None = None,
    dtype_momentum: Any = np.float32,
    weight_decay_rate: Any = None,
    eps: float = 1e-30,
    factored: bool = True,
    weight_decay_mask: Any = None,
) -> GradientTransformation:
    """Adafactor: Adam's second moments in the memory of rows and columns (Shazeer and Stern, 2018).

    PyTorch's takes the learning rate relative to min(lr, 1/sqrt(step)) and eps = (None, 1e-3).

    Args:
        learning_rate: a number, a schedule, or None for 1.
        min_dim_size_to_factor, decay_rate, factored, eps: as for `scale_by_factored_rms`.
        decay_offset: its `step_offset`.
        multiply_by_parameter_scale: scale updates by the root mean square of their parameter.
        clipping_threshold: largest root mean square of the update of an array, or None.
        momentum, dtype_momentum: average of the updates, none by default.
        weight_decay_rate, weight_decay_mask: as for `add_decayed_weights`; not scaled by the learning rate.

    Example:
        >>> optimizer = adafactor(0.1)
        >>> params = np.array([2.0, -2.0])
        >>> optimizer.update(np.array([5.0, -3.0]), optimizer.init(params), params)[0].round(4)
        array([-0.2,  0.2])
    """
    parts = [scale_by_factored_rms(factored, decay_rate, decay_offset, min_dim_size_to_factor, eps)]
    if clipping_threshold is not None:
        parts.append(clip_by_block_rms(clipping_threshold))
    if learning_rate is not None:
        parts.append(scale_by_learning_rate(learning_rate, flip_sign=False))
    if multiply_by_parameter_scale:
        parts.append(scale_by_param_block_rms())
    if momentum is not None:
        parts.append(ema(momentum, debias=False, accumulator_dtype=dtype_momentum))
    if weight_decay_rate is not None:
        parts.append(add_decayed_weights(weight_decay_rate, weight_decay_mask))
    return descent(*parts, scale(-1))


def scale_by_sm3(b1: float = 0.9, b2: float = 1.0, eps: float = 1e-8) -> GradientTransformation:
    """Adagrad with one accumulator per row, column and so on (Anil et al., 2019).

    Args:
        b1: decay of the momentum.
        b2: decay of the accumulators; 1 for sums.
        eps: added under the root.

    Example:
        >>> sm3 = scale_by_sm3(b1=0.0)
        >>> sm3.update(np.array([2.0]), sm3.init(np.zeros(1)))[0].round(4)
        array([1.])
    """
    share = 1.0 if b2 == 1.0 else 1.0 - b2

    def init(params: Any) -> ScaleBySM3State:
        covers = map_updates(_covers, params, "init")
        return ScaleBySM3State(covers, zeros_like_params(params, moment_dtype))

    def step(g: Any, covers: list, average: Any) -> tuple[Any, list]:
        spread = [_spread(cover, axis, g.ndim) for axis, cover in enumerate(covers)]
        # Only what covers an element entirely bounds it: the least of its accumulators.
        bound = functools.reduce(np.minimum, spread) if spread else np.zeros_like(g)
        total = share * g * g + b2 * bound
        positive = total > 0
        scale = np.where(positive, 1 / np.sqrt(np.where(positive, total, 1.0) + eps), 0.0)
        average = b1 * average + (1 - b1) * g * scale.astype(g.dtype)
        return average, [_greatest_but(total, axis) for axis in range(g.ndim)]

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        del params, extra
        leaves, treedef = tree.flatten(updates)
        covers, averages = treedef.flatten_up_to(state.mu), treedef.flatten_up_to(state.nu)
        new = [
            step(as_array(g), cover, average) if is_trained(g) else (None, None)
            for g, cover, average in zip(leaves, covers, averages, strict=True)
        ]
        average = treedef.unflatten([first for first, _ in new])
        return average, ScaleBySM3State(treedef.unflatten([second for _, second in new]), average)

    return GradientTransformation(init, update)


@known_arguments
def sm3(learning_rate: float, momentum: float = 0.9) -> GradientTransformation:
    """SM3 (Anil et al., 2019).

    Args:
        learning_rate: a number.
        momentum: decay of the momentum.

    Example:
        >>> optimizer = sm3(0.1, momentum=0.0)
        >>> optimizer.update(np.array([2.0]), optimizer.init(np.zeros(1)))[0].round(4)
        array([-0.1])
    """
    return descent(scale_by_sm3(momentum), scale(-learning_rate))


def _covers(param: Any) -> list[Any]:
    param = as_array(param)
    if is_complex(param.dtype):
        raise ValueError("[scale_by_sm3] does not know complex parameters. Use adagrad.")
    return [full_beside(param, (n,), 0, moment_dtype(param.dtype)) for n in param.shape]


def _spread(cover: Any, axis: int, ndim: int) -> Any:
    return cover.reshape([-1 if i == axis else 1 for i in range(ndim)])


def _greatest_but(total: Any, axis: int) -> Any:
    return np.max(total, axis=tuple(i for i in range(total.ndim) if i != axis))
