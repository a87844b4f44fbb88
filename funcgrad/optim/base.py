"""What an optimizer is, joining several into one, and applying updates to parameters.

A gradient transformation is a pair of functions, as in Optax: `init(params) -> state` and
`update(grads, state, params) -> (updates, state)`. Updates are *added* to the parameters, so the sign is
part of the transformation. Half-precision gradients become float32 updates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from funcgrad import tree
from funcgrad.ir.tracer import Tracer
from funcgrad.ir.types import FLOAT32, real_dtype
from funcgrad.nn.filters import is_inexact_array, is_none
from funcgrad.nn.hints import unknown_attribute
from funcgrad.optim.foreign_names import METHODS
from funcgrad.tree.registry import kind_of


class GradientTransformation(NamedTuple):
    """A pair of functions that turns gradients into updates.

    Attributes:
        init: params -> state.
        update: (grads, state, params=None) -> (updates, state).
    """

    init: Callable[..., Any]
    update: Callable[..., tuple[Any, Any]]

    if not TYPE_CHECKING:  # which would take every attribute as one that is there

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(unknown_attribute(type(self), name, self._fields, METHODS))


class EmptyState(NamedTuple):
    """The state of a transformation that remembers nothing."""


def stateless(f: Callable[[Any, Any], Any]) -> GradientTransformation:
    """A transformation from a function (updates, params) -> updates."""

    def init(params: Any) -> EmptyState:
        del params
        return EmptyState()

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        del extra
        return f(updates, params), state

    return GradientTransformation(init, update)


def chain(*transformations: GradientTransformation) -> GradientTransformation:
    """Apply transformations one after the other; the state is the tuple of their states.

    Example:
        >>> from funcgrad import optim
        >>> optimizer = optim.chain(optim.clip(1.0), optim.scale(-0.1))
        >>> updates, state = optimizer.update(np.array([5.0, 0.5]), optimizer.init(np.zeros(2)))
        >>> updates
        array([-0.1 , -0.05])
    """

    for one in transformations:
        if not (hasattr(one, "init") and hasattr(one, "update")):
            raise TypeError(
                f"[chain] expected transformations such as optim.clip(1.0), but got {one!r:.60}. Give them one "
                "by one: chain(first, second)."
            )

    def init(params: Any) -> tuple:
        return tuple([one.init(params) for one in transformations])

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        if not isinstance(state, tuple) or len(state) != len(transformations):
            raise ValueError(
                f"[chain] the state of {len(transformations)} transformations is a tuple of as many, but got "
                f"{type(state).__name__}. Make it with optimizer.init(params), and pass the state that the "
                "last update returned."
            )
        states = []
        for one, old in zip(transformations, state, strict=True):
            try:
                updates, new = one.update(updates, old, params, **extra)
            except (AttributeError, TypeError):
                _check_state(one, old, params)
                raise
            states.append(new)
        return updates, tuple(states)

    return GradientTransformation(init, update)


def _check_state(transformation: GradientTransformation, state: Any, params: Any) -> None:
    """Raise ValueError if a state was made by another transformation, as far as its type says so."""
    expected = type(transformation.init(params)) if params is not None else type(state)
    if type(state) is not expected:
        raise ValueError(
            f"[chain] a transformation needs its {expected.__name__}, but the state has {type(state).__name__} in its "
            "place: it is the state of another optimizer. Make it with optimizer.init(params)."
        )


def apply_updates(params: Any, updates: Any) -> Any:
    """Add updates to parameters.

    Args:
        params: any tree of arrays.
        updates: a tree like it; where it has None the parameter stays as it is.

    Returns:
        A tree like `params`, with its dtypes.

    Raises:
        ValueError: the trees differ (names the path), or an integer would be changed.

    Example:
        >>> apply_updates({"w": np.ones(2, np.float32), "f": abs}, {"w": np.full(2, 0.5), "f": None})
        {'f': <built-in function abs>, 'w': array([1.5, 1.5], dtype=float32)}
    """
    return map_leaves(_add, "apply_updates", params, updates)


def _add(param: Any, update: Any) -> Any:
    if update is None:
        return param
    if not is_trained(param):
        raise ValueError(
            f"[apply_updates] got an update for {param!r:.60}, which is no floating array. Its update must "
            "be None."
        )
    shape, found = (getattr(value, "shape", ()) for value in (param, update))
    if found not in ((), shape):
        raise LeafError(
            f"a parameter of shape {shape} got an update of shape {found}. Pass the updates of these "
            "parameters."
        )
    total = param + update
    dtype = getattr(param, "dtype", total.dtype)
    return total if total.dtype == dtype else total.astype(dtype)


# --- for the other files of this package ---


def is_trained(leaf: Any) -> bool:
    """Whether optimizers change a leaf: floating and complex arrays and numbers."""
    return is_inexact_array(leaf) or type(leaf) in (float, complex)


class LeafError(ValueError):
    """A leaf does not fit; `map_leaves` says which."""


def map_leaves(f: Callable[..., Any], name: str, first: Any, *rest: Any) -> Any:
    """`tree.map` in which None is a leaf, with errors that say whose structure is wrong."""
    leaves, treedef = tree.flatten(first)
    columns = [leaves]
    for other in rest:
        found, structure = tree.flatten(other)
        if structure is not treedef:
            return _map_unlike(f, name, first, *rest)
        columns.append(found)
    results: list[Any] = []
    try:
        for row in zip(*columns, strict=True):
            results.append(f(*row))
    except LeafError as error:
        path = tree.path_string(treedef.paths()[len(results)])
        raise ValueError(f"[{name}] {path}: {error}" if path else f"[{name}] {error}") from None
    return treedef.unflatten(results)


def _map_unlike(f: Callable[..., Any], name: str, first: Any, *rest: Any) -> Any:
    """For trees with None in different places."""
    where = "tree.map_with_path: "

    def visit(path: Any, *values: Any) -> Any:
        if not all(value is None or kind_of(type(value)).is_leaf for value in values):
            raise ValueError(
                f"{where}at {tree.path_string(path)}: expected a leaf, got a container"
            )
        return f(*values)

    try:
        return tree.map_with_path(visit, first, *rest, is_leaf=is_none)
    except ValueError as error:
        if not str(error).startswith(where):
            raise
        raise ValueError(
            f"[{name}] the gradients do not have the structure of the parameters: "
            f"{str(error).removeprefix(where)}. Pass the gradients of the parameters that `init` got, or call init "
            "again with those that are trained now."
        ) from None


def without_constants(pytree: Any) -> Any:
    """The tree with None where its structure declares constants: frozen parameters and the state of layers."""
    leaves, treedef = tree.flatten(pytree)
    constants = treedef.constants
    if not constants:
        return pytree
    kept = [None if place in constants else leaf for place, leaf in enumerate(leaves)]
    return treedef.unflatten(kept)


def map_updates(f: Callable[[Any], Any], updates: Any, name: str = "update") -> Any:
    """Apply a function to the arrays that are trained; everything else becomes None."""
    visited = without_constants(updates)
    return map_leaves(lambda u: f(u) if is_trained(u) else None, name, visited)


def map_moments(f: Callable[..., Any], name: str, moments: Any, updates: Any, *rest: Any) -> Any:
    """Apply f(moment, update, ...) where there is an update; a moment without one stays."""

    def visit(moment: Any, update: Any, *others: Any) -> Any:
        if not is_trained(update):
            return moment
        check_moment(name, moment, update)
        return f(moment, update, *others)

    return map_leaves(visit, name, moments, without_constants(updates), *rest)


def check_moment(name: str, moment: Any, update: Any, like_update: bool = True) -> None:
    """Raise where a gradient meets a moment that was not made for it."""
    if moment is None:
        raise ValueError(
            f"[{name}] got a gradient for a leaf that `init` saw as no floating array. Call init with the "
            "parameters that are trained now."
        )
    if like_update and getattr(update, "shape", ()) != moment.shape:
        raise LeafError(
            f"a parameter of shape {moment.shape} got a gradient of shape {update.shape}. Pass the "
            "gradients of the parameters that `init` got."
        )


def zeros_like_params(params: Any, dtype_of: Callable[[np.dtype], Any]) -> Any:
    """A fresh array of zeros for each trained leaf, None for the others."""

    def zeros(leaf: Any) -> Any:
        return np.zeros_like(leaf, dtype=dtype_of(np.result_type(leaf)))

    return map_updates(zeros, params, "init")


def moment_dtype(dtype: np.dtype) -> np.dtype:
    """Half precision is too coarse for running averages."""
    return FLOAT32 if dtype.itemsize < 4 else dtype


def moment_real_dtype(dtype: np.dtype) -> np.dtype:
    return moment_dtype(real_dtype(dtype))


def as_weak(value: Any) -> Any:
    """A scalar that takes the precision of the array it meets, as a Python number does."""
    if isinstance(value, Tracer):
        return value.as_weak() if value.shape == () else value
    is_scalar = isinstance(value, np.ndarray | np.generic) and value.ndim == 0
    return value.item() if is_scalar else value


def as_array(leaf: Any) -> Any:
    """A leaf that is a Python number as an array."""
    return np.asarray(leaf) if type(leaf) in (float, complex) else leaf


def as_factor(value: Any, update: Any) -> Any:
    """A number or array in a form that does not raise the precision of an update."""
    if type(value) in (int, float, bool):
        return value
    return value.astype(moment_real_dtype(np.result_type(update)))


def at_step(value: Any, count: Any) -> Any:
    """A hyperparameter that is a number, or a schedule: number of steps -> number."""
    return as_weak(value(count)) if callable(value) else value


def check_decays(name: str, **decays: Any) -> None:
    """Raise ValueError for a decay outside 0 <= decay < 1, TypeError for several in one; traced ones pass."""
    for parameter, value in decays.items():
        if isinstance(value, tuple | list):
            raise TypeError(
                f"[{name}] {parameter} must be a number, but got {value!r:.60}. Write each decay by its name: "
                "b1=0.9, b2=0.999."
            )
        if isinstance(value, int | float) and not 0 <= value < 1:
            raise ValueError(
                f"[{name}] {parameter} must be at least 0 and less than 1, but got {value}."
            )
