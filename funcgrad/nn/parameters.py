"""Parameters of a model: listing, counting, replacing, other dtypes and devices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.ir.types import is_complex, is_inexact
from funcgrad.nn.filters import is_array, is_inexact_array
from funcgrad.nn.paths import Place, chosen, matcher, once, places
from funcgrad.nn.walk import is_module, with_children


def parameters(model: Any, *, trainable: bool | None = None) -> list[Any]:
    """The parameters of a model, each once; `named_parameters` without names.

    Example:
        >>> from funcgrad import nn
        >>> sum(p.size for p in parameters(nn.Linear(2, 3, key=0)))
        9
    """
    return [array for _, array in named_parameters(model, trainable=trainable)]


def named_parameters(model: Any, *, trainable: bool | None = None) -> list[tuple[str, Any]]:
    """The parameters of a model with their paths: floating and complex arrays that are no buffers.

    Args:
        model: any tree, gradients of a model included.
        trainable: True for those that are not frozen, False for those that are.

    Returns:
        Pairs (path, array) in the order of the tree; a tied array has its first path.

    Example:
        >>> from funcgrad import nn
        >>> [(path, p.shape) for path, p in named_parameters(nn.Linear(2, 3, key=0))]
        [('weight', (3, 2)), ('bias', (3,))]
    """

    def wanted(place: Place) -> bool:
        return place.is_parameter and trainable in (None, not place.is_frozen)

    return [(place.path, place.array) for place in once(places(model)) if wanted(place)]


def named_buffers(model: Any) -> list[tuple[str, Any]]:
    """Arrays of a model's state with their paths, such as running averages of batch statistics.

    Example:
        >>> from funcgrad import nn
        >>> [path for path, _ in named_buffers(nn.BatchNorm1d(3))]
        ['running_mean', 'running_var', 'num_batches_tracked']
    """
    return [(place.path, place.array) for place in once(places(model)) if place.is_buffer]


def count_parameters(model: Any, pattern: Any = r".*", *, trainable: bool | None = None) -> int:
    """How many numbers the parameters of a model are; tied ones count once.

    Args:
        model: any tree.
        pattern: which, as for `select`.
        trainable: True for those that are not frozen, False for those that are.

    Example:
        >>> from funcgrad import nn
        >>> count_parameters(nn.MLP(2, 1, 4, 1, key=0))
        17
    """
    matches = matcher(pattern)
    found = named_parameters(model, trainable=trainable)
    return sum(array.size for path, array in found if matches(path))


# --- changing ---


def get(model: Any, path: str) -> Any:
    """The part of a model at a path: an array, a layer, or any field.

    Raises:
        KeyError: there is no such path; says how far it goes.

    Example:
        >>> from funcgrad import nn
        >>> get(nn.MLP(2, 1, 4, 1, key=0), "layers.1.bias").shape
        (1,)
    """
    value, done = model, ""
    for step in path.split(".") if path else []:
        try:
            value = _child(value, step)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            raise KeyError(
                f"[get] there is no {path!r}: {done or 'the model'} is {type(value).__name__} and has no {step!r}."
            ) from None
        done = f"{done}.{step}" if done else step
    return value


def replace(model: Any, changes: Mapping[str, Any]) -> Any:
    """A copy of a model with other parameters, layers or fields at some paths.

    Args:
        model: any tree.
        changes: path -> new value. A tied array or shared layer is replaced at all its places.

    Returns:
        A tree like `model`.

    Raises:
        KeyError: there is no such path.
        ValueError: a new array has another shape than the one it replaces.

    Example:
        >>> from funcgrad import nn
        >>> model = nn.Sequential([nn.Linear(2, 3, key=0), nn.relu])
        >>> model = replace(model, {"layers.0.bias": np.zeros(3, np.float32), "layers.1": nn.tanh})
        >>> model(np.zeros(2, np.float32))
        array([0., 0., 0.], dtype=float32)
    """
    for path, value in changes.items():
        old = get(model, path)
        if is_array(old) and is_array(value) and old.shape != value.shape:
            raise ValueError(
                f"[replace] {path} has shape {old.shape}, but its new value has shape {value.shape}. Replace the whole "
                "layer if its sizes change."
            )
        if is_array(old) or is_module(old):
            model = _substituted(model, old, value)
        else:
            holder, steps = _innermost_module(model, path.split("."))
            changed = _with_part(holder, steps, value)
            model = changed if holder is model else _substituted(model, holder, changed)
    return model


def _innermost_module(model: Any, steps: list[str]) -> tuple[Any, list[str]]:
    """The last module on a path, or else the model, and the steps from there on."""
    found, value = (model, steps), model
    for number, step in enumerate(steps):
        if is_module(value):
            found = value, steps[number:]
        value = _child(value, step)
    return found


def _with_part(holder: Any, steps: list[str], value: Any) -> Any:
    """A copy of a module or container with another value at the end of some steps."""
    first, *rest = steps
    return _with_child(
        holder, first, _with_part(_child(holder, first), rest, value) if rest else value
    )


def _child(value: Any, step: str) -> Any:
    if is_module(value):
        return getattr(value, step)
    if isinstance(value, Mapping):
        return value[step] if step in value else value[int(step)]
    if hasattr(value, "_fields"):
        return getattr(value, step)
    return value[int(step)]


def _with_child(holder: Any, name: str, value: Any) -> Any:
    if is_module(holder):
        return holder.replace(**{name: value})
    if isinstance(holder, Mapping):
        return {**holder, name if name in holder else int(name): value}
    items = list(holder)
    items[int(name)] = value
    return type(holder)(items)


def _substituted(model: Any, old: Any, new: Any) -> Any:
    """The tree with `new` wherever `old` is."""
    done: dict[int, Any] = {}

    def visit(value: Any) -> Any:
        if value is old:
            return new
        if is_module(value):
            if id(value) not in done:
                done[id(value)] = with_children(value, visit)
            return done[id(value)]
        leaves, treedef = tree.flatten(
            value, is_leaf=lambda part: part is old or is_module(part), tie=False
        )
        changed = [visit(leaf) if is_module(leaf) or leaf is old else leaf for leaf in leaves]
        if all(a is b for a, b in zip(leaves, changed, strict=True)):
            return value
        return treedef.unflatten(changed)

    return visit(model)


def cast(model: Any, dtype: Any, pattern: Any = r".*") -> Any:
    """The model with its floating parameters and buffers in another dtype.

    Args:
        model: any tree.
        dtype: a floating dtype; complex arrays get the complex dtype of the same precision.
        pattern: which, as for `select`.

    Raises:
        ValueError: the dtype is one of integers or bools.

    Example:
        >>> from funcgrad import nn
        >>> cast(nn.Linear(2, 3, key=0), np.float64).weight.dtype
        dtype('float64')
    """
    dtype = np.dtype(dtype)
    if not is_inexact(dtype):
        raise ValueError(f"[cast] parameters have a floating or complex dtype, but got {dtype}.")
    found = chosen("cast", model, pattern, lambda place: is_inexact_array(place.array))
    wide = dtype if is_complex(dtype) else np.result_type(dtype, np.complex64)

    def converted(leaf: Any) -> Any:
        if id(leaf) not in found:
            return leaf
        return leaf.astype(wide if is_complex(leaf.dtype) else dtype)

    return tree.map(converted, model)
