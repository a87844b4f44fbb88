"""Measurements of updates, kept in the state, where they can be read after a compiled step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from funcgrad import tree
from funcgrad.optim.base import (
    EmptyState,
    GradientTransformation,
    chain,
    is_trained,
    stateless,
    without_constants,
)
from funcgrad.optim.moments import ema


class SnapshotState(NamedTuple):
    """The state of `snapshot`: name -> measurement."""

    measurement: dict[str, Any]


class MonitorState(NamedTuple):
    """The state of `monitor`: name -> measurement, and the states of the measures."""

    measurements: dict[str, Any]
    measure_states: tuple


def snapshot(measure_name: str, measure: Callable[[Any], Any]) -> GradientTransformation:
    """Keep a measurement of the updates in the state; the updates pass unchanged.

    Args:
        measure_name: its name in the state, for `optim.tree.get(state, name)`.
        measure: updates -> value.

    Example:
        >>> from funcgrad import optim
        >>> optimizer = optim.chain(snapshot("norm", optim.global_norm), optim.sgd(0.1))
        >>> _, state = optimizer.update(np.array([3.0, 4.0]), optimizer.init(np.zeros(2)))
        >>> float(optim.tree.get(state, "norm"))
        5.0
    """

    def init(params: Any) -> SnapshotState:
        return SnapshotState({measure_name: measure(params)})

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        del state, params, extra
        return updates, SnapshotState({measure_name: measure(updates)})

    return GradientTransformation(init, update)


def monitor(measures: Mapping[str, Any]) -> GradientTransformation:
    """Keep several measurements of the updates in the state; the updates pass unchanged.

    Args:
        measures: name -> function of the updates, or transformation such as `measure_with_ema(...)`.

    Example:
        >>> from funcgrad import optim
        >>> watch = monitor({"norm": optim.global_norm})
        >>> _, state = watch.update(np.array([3.0, 4.0]), watch.init(np.zeros(2)))
        >>> float(state.measurements["norm"])
        5.0
    """
    parts = {
        name: stateless(lambda updates, _, one=one: one(updates)) if callable(one) else one
        for name, one in measures.items()
    }

    def init(params: Any) -> MonitorState:
        states = tuple([one.init(params) for one in parts.values()])
        return MonitorState({}, states)

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        found, states = {}, []
        for (name, one), old in zip(parts.items(), state.measure_states, strict=True):
            found[name], new = one.update(updates, old, params, **extra)
            states.append(new)
        return updates, MonitorState(found, tuple(states))

    return GradientTransformation(init, update)


def measure_with_ema(
    measure: Callable[[Any], Any], decay: float, debias: bool = True, accumulator_dtype: Any = None
) -> GradientTransformation:
    """A measure for `monitor`: the moving average of a function of the updates.

    Args:
        measure: updates -> value.
        decay, debias, accumulator_dtype: as for `ema`.

    Example:
        >>> from funcgrad import optim
        >>> watch = monitor({"norm": measure_with_ema(optim.global_norm, 0.9)})
        >>> _, state = watch.update(np.array([3.0, 4.0]), watch.init(np.zeros(2)))
        >>> round(float(state.measurements["norm"]), 6)
        5.0
    """
    average = ema(decay, debias, accumulator_dtype)
    first = stateless(lambda updates, _: measure(updates))
    return chain(first, average._replace(init=lambda params: average.init(measure(params))))


def flatten(inner: GradientTransformation) -> GradientTransformation:
    """Let a transformation see all parameters as one vector.

    Args:
        inner: the transformation.

    Example:
        >>> from funcgrad import optim
        >>> optimizer = flatten(optim.clip_by_block_rms(1.0))
        >>> grads = {"a": np.array([3.0]), "b": np.array([[4.0]])}
        >>> optimizer.update(grads, optimizer.init(grads))[0]["a"].round(3)
        array([0.849])
    """

    def joined(pytree: Any) -> Any:
        arrays = [leaf for leaf in tree.leaves(without_constants(pytree)) if is_trained(leaf)]
        return np.concatenate([np.reshape(leaf, -1) for leaf in arrays])

    def parted(vector: Any, like: Any) -> Any:
        leaves, treedef = tree.flatten(without_constants(like))
        new, begin = [], 0
        for leaf in leaves:
            size = np.size(leaf) if is_trained(leaf) else 0
            piece = vector[begin : begin + size]
            new.append(np.reshape(piece, np.shape(leaf)) if is_trained(leaf) else None)
            begin += size
        return treedef.unflatten(new)

    def init(params: Any) -> Any:
        return inner.init(joined(params))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        flat_params = None if params is None else joined(params)
        vector, state = inner.update(joined(updates), state, flat_params, **extra)
        return parted(vector, updates), state

    return GradientTransformation(init, update)


def stateless_with_tree_map(f: Callable[[Any, Any], Any]) -> GradientTransformation:
    """A transformation from a function (update, parameter) -> update of single arrays.

    Example:
        >>> double = stateless_with_tree_map(lambda u, p: 2 * u)
        >>> double.update(np.ones(1), double.init(None), np.ones(1))[0]
        array([2.])
    """

    def visit(update: Any, *params: Any) -> Any:
        return f(update, *params) if is_trained(update) else None

    def apply(updates: Any, params: Any) -> Any:
        if params is None:
            return tree.map(lambda u: visit(u, None), updates)
        return tree.map(visit, updates, params)

    return stateless(apply)


def init_empty_state(params: Any) -> EmptyState:
    """The `init` of a transformation that remembers nothing."""
    del params
    return EmptyState()
