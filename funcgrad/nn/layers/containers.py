"""Layers made of other layers and functions: `Sequential`, `Lambda`, `Identity`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from funcgrad import random
from funcgrad.nn.module import Module
from funcgrad.nn.walk import is_module


class Sequential(Module):
    """Layers, one after the other.

    Args:
        layers: modules and plain functions, in order.

    Example:
        >>> import numpy as np
        >>> from funcgrad import nn
        >>> model = Sequential([nn.Linear(4, 8, key=0), nn.relu, nn.Linear(8, 2, key=1)])
        >>> model(np.ones((3, 4), np.float32)).shape
        (3, 2)
        >>> len(model[:2])
        2
    """

    layers: tuple

    def __init__(self, layers: Iterable[Callable[..., Any]], *more: Any) -> None:
        if more or callable(layers) or not isinstance(layers, Iterable):
            raise TypeError(
                "[Sequential] put the layers in a list: Sequential([first, second, ...])."
            )
        self.layers = tuple(layers)
        for number, layer in enumerate(self.layers):
            if isinstance(layer, type):
                raise TypeError(
                    f"[Sequential] layer {number} is the class {layer.__name__}. Write {layer.__name__}(...)."
                )
            if not callable(layer):
                raise TypeError(
                    f"[Sequential] layer {number} is {layer!r:.60}, which cannot be called. Use modules, or "
                    "functions of one array such as nn.relu."
                )

    def __call__(self, x: Any, *, key: Any = None) -> Any:
        """Apply all layers.

        Args:
            x: what the first layer takes.
            key: split into one key for each layer that takes one.

        Returns:
            What the last layer returns.
        """
        keys = None if key is None else random.split(key, max(len(self.layers), 1))
        for number, layer in enumerate(self.layers):
            x = layer(x, key=keys[number]) if keys is not None and takes_key(layer) else layer(x)
        return x

    def pytorch_name(self, name: str) -> str:
        """What PyTorch calls an array: the same without `layers`."""
        return name.removeprefix("layers.")

    def __getitem__(self, index: Any) -> Any:
        return Sequential(self.layers[index]) if isinstance(index, slice) else self.layers[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)


def takes_key(layer: Any) -> bool:
    """Whether a layer is a module whose call has an argument `key`."""
    return is_module(layer) and _has_key(type(layer))


@functools.cache
def _has_key(cls: type) -> bool:
    parameters = inspect.signature(cls.__call__).parameters
    return "key" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


class Lambda(Module):
    """A function as a layer.

    Args:
        fn: a function of one array.

    Example:
        >>> import numpy as np
        >>> Lambda(np.abs)(np.array([-1.0]))
        array([1.])
    """

    fn: Callable[[Any], Any]

    def __post_init__(self) -> None:
        if not callable(self.fn):
            raise TypeError(f"[Lambda] expected a function of one array, but got {self.fn!r:.60}.")

    def __call__(self, x: Any, *, key: Any = None) -> Any:
        """`fn(x)`; `key` is not used."""
        del key
        return self.fn(x)


class Identity(Module):
    """A layer that returns its input. Takes any arguments, so that it can stand for another layer.

    Example:
        >>> Identity()(3.0)
        3.0
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        del args, kwargs

    def __call__(self, x: Any, *, key: Any = None) -> Any:
        """`x` itself; `key` is not used."""
        del key
        return x
