"""Arrays of a model as a flat dict, and back: `state_dict`, `load_state_dict`, with PyTorch's names if wanted."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.device import device_get, device_of, device_put
from funcgrad.errors import CheckpointError
from funcgrad.ir.types import BFLOAT16
from funcgrad.nn.filters import is_array
from funcgrad.nn.paths import Place, all_leaves, places
from funcgrad.nn.walk import is_leaf, is_module, join


def state_dict(model: Any, *, names: str = "funcgrad") -> dict[str, Any]:
    """All arrays of a model by their paths: parameters and buffers.

    Args:
        model: any tree.
        names: "funcgrad" for paths as everywhere else, "layers.0.weight"; "pytorch" for those that a PyTorch module
            with the same fields has: without the step `layers` of `Sequential`, for example.

    Returns:
        dict path -> array, not copied; a tied array stands under all its paths.

    Example:
        >>> from funcgrad import nn
        >>> model = nn.Sequential([nn.Linear(2, 3, key=0)])
        >>> list(state_dict(model)), list(state_dict(model, names="pytorch"))
        (['layers.0.weight', 'layers.0.bias'], ['0.weight', '0.bias'])
    """
    if names not in ("funcgrad", "pytorch"):
        raise ValueError(f"[state_dict] names must be 'funcgrad' or 'pytorch', but got {names!r}.")
    found = list(places(model))
    other = dict(pytorch_names(model)) if names == "pytorch" else {}
    return {other.get(place.path, place.path): place.array for place in found}


def pytorch_names(value: Any) -> Iterator[tuple[str, str]]:
    """The path of each array at each of its places, and what PyTorch calls it there.

    A module whose arrays have other names in PyTorch has a method `pytorch_name(name)` that changes them.
    """
    if is_module(value):
        steps = [(name, getattr(value, name)) for name in value._layout.children]
    elif is_leaf(value):
        yield from [("", "")] if is_array(value) else []
        return
    else:
        steps = all_leaves(value)
    rename = getattr(type(value), "pytorch_name", None)
    for step, child in steps:
        for path, name in pytorch_names(child):
            known = join(step, name)
            yield join(step, path), rename(value, known) if rename else known


def load_state_dict(
    model: Any, state: Mapping[str, Any], *, strict: bool = True, cast: bool = False
) -> Any:
    """A copy of a model with the arrays of a dict, whose names are the model's paths or PyTorch's.

    Args:
        model: any tree.
        state: name -> array; PyTorch's tensors are taken as well.
        strict: False takes what fits, keeps the model's arrays for the rest, and warns with a list.
        cast: convert to the dtypes of the model.

    Returns:
        A tree like `model`; tied arrays stay tied.

    Raises:
        CheckpointError: names are missing or unexpected, or shapes or dtypes differ: all are listed.
        TypeError: `state` is no dict.

    Example:
        >>> from funcgrad import nn
        >>> first, second = nn.Linear(2, 3, key=0), nn.Linear(2, 3, key=1)
        >>> nn.tree_equal(load_state_dict(first, state_dict(second)), second)
        True
    """
    if not isinstance(state, Mapping):
        raise TypeError(
            f"[load_state_dict] expected a dict of arrays by their names, but got {type(state).__name__}. From a file: "
            "funcgrad.io.load_model(path, model)."
        )
    found = list(places(model))
    other = dict(pytorch_names(model))
    new: dict[int, Any] = {}
    problems: list[str] = []
    used: set[str] = set()
    for place in found:
        name = next((n for n in (place.path, other[place.path]) if n in state), None)
        if name is None:
            if not any(place.array is p.array and p.path != place.path for p in found):
                problems.append(f"missing: {place.path} {_described(place.array)}")
            continue
        used.add(name)
        value, problem = _fitted(place, state[name], cast)
        known = new.get(id(place.array))
        if problem:
            problems.append(f"mismatched: {place.path} {problem}")
        elif known is None:
            new[id(place.array)] = value
        elif not np.array_equal(*device_get((known, value))):
            problems.append(f"mismatched: {place.path} is tied to another path whose value differs")
    unexpected = [name for name in state if name not in used]
    problems += [f"unexpected: {name} {_described(state[name])}" for name in unexpected]
    _report(problems, strict)
    return tree.map(lambda leaf: new.get(id(leaf), leaf), model)


def _fitted(place: Place, given: Any, cast: bool) -> tuple[Any, str]:
    """A value as the array that the place needs, and what is wrong with it, if anything."""
    old = place.array
    if not hasattr(given, "dtype") or not isinstance(given.dtype, np.dtype):
        given = _from_tensor(given) if hasattr(given, "detach") else np.asarray(given)
    if given.shape != old.shape:
        return None, f"has {_described(old)}, got {_described(given)}"
    if given.dtype != old.dtype and not cast:
        return None, f"has {_described(old)}, got {_described(given)}; cast=True converts it"
    return device_put(given.astype(old.dtype, copy=True), device_of(old)), ""


def _from_tensor(tensor: Any) -> np.ndarray:
    """A tensor of PyTorch as an array."""
    tensor = tensor.detach().cpu()
    if str(tensor.dtype) == "torch.bfloat16":  # which PyTorch does not hand to NumPy
        return tensor.float().numpy().astype(BFLOAT16)
    return np.asarray(tensor)


def _described(array: Any) -> str:
    shape, dtype = getattr(array, "shape", ()), getattr(array, "dtype", type(array).__name__)
    return f"{dtype}{list(shape)}"


def _report(problems: list[str], strict: bool) -> None:
    if not problems:
        return
    listed = "\n".join(f"  {problem}" for problem in problems)
    if strict:
        raise CheckpointError(
            f"[load_state_dict] the names or arrays do not fit the model:\n{listed}\nUse strict=False to take "
            "what fits."
        )
    warnings.warn(
        f"[load_state_dict] kept the model's arrays where needed:\n{listed}", stacklevel=3
    )
