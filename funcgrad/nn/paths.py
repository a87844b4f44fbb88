"""Arrays of a model by their paths: which there are, and which a pattern chooses."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from funcgrad import tree
from funcgrad.nn.filters import is_array, is_inexact_array
from funcgrad.nn.layout import is_buffer
from funcgrad.nn.walk import is_leaf, is_module, join

Pattern = str | Callable[[str], bool] | list | tuple


class Place(NamedTuple):
    """One place of an array in a model; a tied array has several.

    Attributes:
        path: such as "layers.0.weight".
        array: the array.
        is_buffer: whether it belongs to the state, not to the parameters.
        is_frozen: whether it was frozen.
        in_module: whether a module holds it, at any depth.
    """

    path: str
    array: Any
    is_buffer: bool
    is_frozen: bool
    in_module: bool

    @property
    def is_parameter(self) -> bool:
        """Whether optimizers change it, if it is not frozen."""
        return not self.is_buffer and is_inexact_array(self.array)

    @property
    def is_trainable(self) -> bool:
        """Whether gradients are computed for it."""
        return self.is_parameter and not self.is_frozen


def places(model: Any) -> Iterator[Place]:
    """Every place of every array, in the order of the tree."""

    def visit(
        path: str, value: Any, is_state: bool, is_frozen: bool, inside: bool
    ) -> Iterator[Place]:
        if is_module(value):
            layout = value._layout
            for name in layout.children:
                state = is_state or is_buffer(layout.cls, name)
                frozen = is_frozen or name in layout.frozen
                yield from visit(join(path, name), getattr(value, name), state, frozen, True)
            return
        for place, leaf in [("", value)] if is_leaf(value) else all_leaves(value):
            if is_module(leaf):
                yield from visit(join(path, place), leaf, is_state, is_frozen, inside)
            elif is_array(leaf):
                yield Place(join(path, place), leaf, is_state, is_frozen, inside)

    yield from visit("", model, False, False, False)


def all_leaves(value: Any) -> Iterator[tuple[str, Any]]:
    """Modules and leaves of a container with their paths, at every place."""
    leaves, treedef = tree.flatten(value, is_leaf=is_module, tie=False)
    for path, leaf in zip(treedef.paths(), leaves, strict=True):
        yield tree.path_string(path), leaf


def once(found: Iterator[Place]) -> Iterator[Place]:
    """The first place of each array."""
    seen: set[int] = set()
    for place in found:
        if id(place.array) not in seen:
            seen.add(id(place.array))
            yield place


def matcher(pattern: Any) -> Callable[[str], bool]:
    """The function path -> bool of a pattern.

    A regular expression chooses a path that it matches as a whole, and all paths inside one that it matches:
    "encoder" chooses "encoder.layers.0.weight" as well. A function decides by itself; a list chooses what any of its
    patterns chooses.

    Example:
        >>> matches = matcher(r"layers\\.\\d+\\.bias")
        >>> matches("layers.3.bias"), matches("layers.3.weight"), matcher("layers")("layers.3.weight")
        (True, False, True)
    """
    if isinstance(pattern, list | tuple):
        parts = [matcher(one) for one in pattern]
        return lambda path: any(part(path) for part in parts)
    if callable(pattern):
        decide: Callable[..., Any] = pattern
        return lambda path: bool(decide(path))
    if not isinstance(pattern, str | re.Pattern):
        raise TypeError(
            f"[matcher] a pattern is a regular expression, a function of the path, or a list of patterns, but got "
            f"{pattern!r:.60}."
        )
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(
            f"[matcher] {pattern!r} is no regular expression: {error}. For any text write '.*', for a dot r'\\.'."
        ) from None

    def matches(path: str) -> bool:
        steps = path.split(".")
        return any(compiled.fullmatch(".".join(steps[:n])) for n in range(len(steps), 0, -1))

    return matches


def chosen(name: str, model: Any, pattern: Any, where: Callable[[Place], bool]) -> set[int]:
    """Identities of the arrays at places that a pattern chooses.

    Raises:
        ValueError: there is none, though the pattern does not ask for all, which may be none.
    """
    matches = matcher(pattern)
    known = [place for place in places(model) if where(place)]
    found = {id(place.array) for place in known if matches(place.path)}
    if not found and pattern != ".*":
        raise ValueError(unmatched(name, pattern, [place.path for place in known]))
    return found


def unmatched(name: str, pattern: Any, paths: list[str]) -> str:
    """The text of an error: a pattern chooses nothing."""
    close = difflib.get_close_matches(str(pattern), paths, n=3)
    close = close or [path for path in paths if path][:6]
    known = (
        f"There are {len(paths)}, such as {', '.join(close)}." if paths else "There is none at all."
    )
    return (
        f"[{name}] no path matches {pattern!r}. {known} A "
        'pattern is a regular expression for the whole path, or for the path of a layer: "layers.0".'
    )


def select(model: Any, pattern: Any) -> Any:
    """Which arrays of a model a pattern chooses, as a tree of bools like the model.

    It is a mask for `partition`, `filter` and for optimizers: `optim.masked(inner, nn.select(model, pattern))`.

    Args:
        model: any tree.
        pattern: a regular expression for whole paths of parameters or layers, a function path -> bool, or a list of
            these. A tied array is chosen if one of its paths is.

    Returns:
        A tree like `model` with True for the chosen arrays and False for all other leaves.

    Raises:
        ValueError: no path matches.

    Example:
        >>> from funcgrad import nn
        >>> model = nn.MLP(2, 1, 4, 1, key=0)
        >>> biases = nn.filter(model, nn.select(model, r".*\\.bias"))
        >>> [path for path, _ in nn.named_parameters(biases)]
        ['layers.0.bias', 'layers.1.bias']
    """
    found = chosen("select", model, pattern, lambda place: True)
    return tree.map(lambda leaf: id(leaf) in found, model)


def label(model: Any, rules: Mapping[Any, Any], default: Any = None) -> Any:
    """A label for each array of a model by its path: parameter groups, for `optim.partition`.

    Args:
        model: any tree.
        rules: pattern -> label; the first pattern that chooses an array counts.
        default: label of all others. None leaves them without one, which `optim.partition` refuses.

    Returns:
        A tree like `model` with a label for each leaf.

    Raises:
        ValueError: a pattern chooses nothing.

    Example:
        >>> from funcgrad import nn
        >>> model = nn.Linear(2, 3, key=0)
        >>> groups = label(model, {"bias": "no decay"}, "decay")
        >>> groups.weight, groups.bias
        ('decay', 'no decay')
    """
    found: dict[int, Any] = {}
    for pattern, name in rules.items():
        for identity in chosen("label", model, pattern, lambda place: True):
            found.setdefault(identity, name)
    return tree.map(lambda leaf: found.get(id(leaf), default), model)
