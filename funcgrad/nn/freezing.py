"""Frozen parameters: part of the model, but without gradient, update or any work for these."""

from __future__ import annotations

from typing import Any

from funcgrad import tree
from funcgrad.nn.filters import is_inexact_array
from funcgrad.nn.layout import build, is_buffer, make_layout
from funcgrad.nn.paths import chosen, places
from funcgrad.nn.walk import is_module, map_modules


def freeze(model: Any, pattern: Any = r".*") -> Any:
    """The model with frozen parameters: gradients have None for them, and optimizers keep no state for them.

    Derivatives with respect to other parameters and to inputs pass through frozen layers as before.

    Args:
        model: a module, or a tree of modules.
        pattern: which parameters, as for `select`; all by default.

    Returns:
        A copy. `replace`, saving and loading keep what is frozen in it.

    Raises:
        ValueError: no parameter matches, or only some arrays of one field match.

    Example:
        >>> import numpy as np
        >>> import funcgrad as fg
        >>> from funcgrad import nn
        >>> model = freeze(nn.MLP(2, 1, 4, 1, key=0), "layers.0")
        >>> gradient = fg.grad(lambda m: m(np.ones(2, np.float32)).sum())(model)
        >>> gradient.layers[0].weight is None, gradient.layers[1].weight.shape
        (True, (1, 4))
    """
    return _marked("freeze", model, pattern, True)


def unfreeze(model: Any, pattern: Any = r".*") -> Any:
    """The model with parameters that are trained again; arguments as for `freeze`.

    Example:
        >>> from funcgrad import nn
        >>> model = unfreeze(freeze(nn.Linear(2, 3, key=0)), "bias")
        >>> [path for path, _ in nn.named_parameters(model, trainable=True)]
        ['bias']
    """
    return _marked("unfreeze", model, pattern, False)


def is_trainable(model: Any) -> Any:
    """Which leaves of a model are trained, as a tree of bools: parameters that are not frozen.

    Example:
        >>> from funcgrad import nn
        >>> trained = is_trainable(freeze(nn.Linear(2, 3, key=0), "bias"))
        >>> trained.weight, trained.bias
        (True, False)
    """
    found = {id(place.array) for place in places(model) if place.is_trainable}
    return tree.map(lambda leaf: id(leaf) in found, model)


def _marked(name: str, model: Any, pattern: Any, is_frozen: bool) -> Any:
    found = chosen(name, model, pattern, lambda place: place.is_parameter)
    for place in places(model):
        if id(place.array) in found and not place.in_module:
            raise ValueError(
                f"[{name}] {place.path or 'the array'} is not part of a module. Only modules can have frozen "
                "parameters; "
                "split other trees: trained, rest = funcgrad.partition(tree, mask)."
            )

    def marked(module: Any, original: Any) -> Any:
        layout = original._layout
        names = set(layout.frozen)
        for field in layout.children:
            if _is_chosen(name, original, field, found):
                names = names | {field} if is_frozen else names - {field}
        ordered = tuple(one for one in layout.children if one in names)
        if ordered == layout.frozen:
            return module
        new = make_layout(layout.cls, layout.fields, layout.children, layout.static, ordered)
        return build(new, tuple(getattr(module, one) for one in layout.children))

    return map_modules(marked, model)


def _is_chosen(name: str, module: Any, field: str, found: set[int]) -> bool:
    """Whether a field holds chosen arrays; raises if only some of them are."""
    if is_buffer(type(module), field):
        return False
    leaves = tree.leaves(getattr(module, field), is_leaf=is_module)
    arrays = [id(leaf) in found for leaf in leaves if is_inexact_array(leaf)]
    if any(arrays) and not all(arrays):
        raise ValueError(
            f"[{name}] the field {field!r} of {type(module).__name__} holds several arrays, of which the pattern "
            "matches "
            "only some. Match all of them, or give them fields or modules of their own."
        )
    return any(arrays)
