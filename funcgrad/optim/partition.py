"""Different transformations for different parameters: groups by label, frozen parameters, named chains."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

from funcgrad import tree
from funcgrad.nn.module import is_module
from funcgrad.optim.base import GradientTransformation
from funcgrad.optim.masks import masked, set_to_zero


class PartitionState(NamedTuple):
    """The state of `partition`: label -> state of its transformation."""

    inner_states: dict[Any, Any]


def partition(
    transforms: Mapping[Hashable, GradientTransformation], param_labels: Any
) -> GradientTransformation:
    """A transformation for each group of parameters: another learning rate, another weight decay, none at all.

    Args:
        transforms: label -> transformation.
        param_labels: tree of labels, prefix of the tree of parameters, or a function params -> such a tree.

    Raises:
        ValueError: a label has no transformation, or an array no label.

    Example:
        >>> import numpy as np
        >>> from funcgrad import optim
        >>> groups = {"slow": optim.sgd(0.1), "fast": optim.sgd(1.0)}
        >>> optimizer = partition(groups, {"encoder": "slow", "head": "fast"})
        >>> params = {"encoder": np.ones(1), "head": np.ones(1)}
        >>> optimizer.update(params, optimizer.init(params), params)[0]
        {'encoder': array([-0.1]), 'head': array([-1.])}
    """

    def labels_of(params: Any) -> Any:
        is_function = callable(param_labels) and not is_module(param_labels)
        return param_labels(params) if is_function else param_labels

    def groups_of(params: Any) -> dict[Any, GradientTransformation]:
        labels = labels_of(params)
        found = set(tree.leaves(labels))
        if not found <= set(transforms):
            raise ValueError(
                f"[partition] no transformation for the labels {sorted(map(str, found - set(transforms)))}; "
                f"there are {sorted(map(str, transforms))}. Add them to `transforms`, set_to_zero() for "
                "frozen parameters."
            )
        return {
            label: masked(one, tree.map(lambda other, label=label: other == label, labels))
            for label, one in transforms.items()
        }

    def init(params: Any) -> PartitionState:
        try:
            tree.broadcast_prefix(labels_of(params), params, what="param_labels")
        except ValueError as error:
            raise ValueError(
                f"[partition] every array needs a label: {error}. A third argument of `nn.label` labels all others."
            ) from None
        return PartitionState({k: one.init(params) for k, one in groups_of(params).items()})

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        states = {}
        for label, one in groups_of(updates if params is None else params).items():
            updates, states[label] = one.update(updates, state.inner_states[label], params, **extra)
        return updates, PartitionState(states)

    return GradientTransformation(init, update)


multi_transform = partition


def freeze(mask: Any) -> GradientTransformation:
    """Zero updates for some parameters: the last part of a chain.

    Args:
        mask: tree prefix of bools, or a function params -> such a tree: which parameters stay as they are.

    Example:
        >>> import numpy as np
        >>> stop = freeze({"a": True, "b": False})
        >>> params = {"a": np.ones(1), "b": np.ones(1)}
        >>> stop.update(params, stop.init(params), params)[0]
        {'a': array([0.]), 'b': array([1.])}
    """
    return masked(set_to_zero(), mask)


def selective_transform(
    optimizer: GradientTransformation, *, freeze_mask: Any
) -> GradientTransformation:
    """An optimizer for some parameters; the others get zero updates and no state.

    Args:
        optimizer: for those that are trained.
        freeze_mask: tree prefix of bools, or a function params -> such a tree: which are frozen.

    Example:
        >>> import numpy as np
        >>> from funcgrad import optim
        >>> optimizer = selective_transform(optim.sgd(0.1), freeze_mask={"a": True, "b": False})
        >>> params = {"a": np.ones(1), "b": np.ones(1)}
        >>> optimizer.update(params, optimizer.init(params), params)[0]
        {'a': array([0.]), 'b': array([-0.1])}
    """

    def labels(params: Any) -> Any:
        is_function = callable(freeze_mask) and not is_module(freeze_mask)
        mask = freeze_mask(params) if is_function else freeze_mask
        return tree.map(lambda is_frozen: "freeze" if is_frozen else "train", mask)

    return partition({"train": optimizer, "freeze": set_to_zero()}, labels)


def named_chain(*transformations: tuple[str, GradientTransformation]) -> GradientTransformation:
    """`chain` whose state is a dict by name.

    Args:
        *transformations: pairs (name, transformation).

    Example:
        >>> from funcgrad import optim
        >>> optimizer = named_chain(("clip", optim.clip(1.0)), ("step", optim.scale(-0.1)))
        >>> sorted(optimizer.init(1.0))
        ['clip', 'step']
    """
    names = [name for name, _ in transformations]
    if len(names) != len(set(names)):
        raise ValueError(f"[named_chain] every name may occur once, but got {names}.")

    def init(params: Any) -> dict[str, Any]:
        return {name: one.init(params) for name, one in transformations}

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        new = {}
        for name, one in transformations:
            updates, new[name] = one.update(updates, state[name], params, **extra)
        return updates, new

    return GradientTransformation(init, update)
