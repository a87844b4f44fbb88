"""Models whose layers report their calls: what `capture`, `summary` and `draw` look through.

`tapped` gives every module of a model a subclass of its class whose `__call__` asks the running `Tap` first. Nothing is
patched, and models that are not tapped pay nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from funcgrad.nn.layers.containers import Lambda, Sequential
from funcgrad.nn.layout import build, make_layout
from funcgrad.nn.taps import TAPS
from funcgrad.nn.walk import is_module, map_modules, named_modules

# (path, module, run) -> result, where `run()` is the call itself.
Handler = Callable[[str, Any, Callable[[], Any]], Any]


class Tap:
    """A tapped copy of a model, and who is asked when its layers are called.

    Attributes:
        model: the copy. In its `Sequential`s plain functions have become `Lambda`s.
        paths: the path of each module of the copy, by identity.
    """

    def __init__(self, model: Any, handler: Handler) -> None:
        self.model = tapped(model)
        self.handler = handler
        self.paths = {id(module): path for path, module in named_modules(self.model)}

    def __enter__(self) -> Any:
        TAPS.stack.append(self)
        return self.model

    def __exit__(self, *error: Any) -> None:
        TAPS.stack.pop()


def tapped(model: Any) -> Any:
    """A copy of a model whose modules report their calls."""

    def changed(module: Any, original: Any) -> Any:
        del original
        layout = module._layout
        children = {name: getattr(module, name) for name in layout.children}
        static = dict(layout.static)
        if isinstance(module, Sequential):
            static.pop("layers", None)  # where it holds nothing but functions
            children["layers"] = tuple(
                one if is_module(one) else _reporting(Lambda(one)) for one in module.layers
            )
        cls = _tapped_class(layout.cls)
        new = make_layout(cls, layout.fields, tuple(children), static, layout.frozen)
        return build(new, tuple(children.values()))

    return map_modules(changed, model)


def _reporting(module: Any) -> Any:
    layout = module._layout
    new = make_layout(_tapped_class(layout.cls), layout.fields, layout.children, layout.static)
    return build(new, ())


@functools.cache
def _tapped_class(cls: Any) -> Any:
    """The subclass that reports; the same for one class."""
    if getattr(cls, "is_tapped", False):
        return cls
    plain_call = next(
        (vars(base)["__call__"] for base in cls.__mro__ if "__call__" in vars(base)), None
    )
    if plain_call is None:
        return cls

    @functools.wraps(plain_call)
    def reporting_call(self: Any, *args: Any, **kwargs: Any) -> Any:
        run = functools.partial(plain_call, self, *args, **kwargs)
        tap = TAPS.stack[-1] if TAPS.stack else None
        if tap is None or id(self) not in tap.paths:
            return run()
        return tap.handler(tap.paths[id(self)], self, run)

    names = ("__module__", "__qualname__", "__doc__")
    namespace = {name: getattr(cls, name) for name in names}
    namespace |= {"__call__": reporting_call, "is_tapped": True}
    return type(cls)(cls.__name__, (cls,), namespace)


def type_name(module: Any) -> str:
    """The name of a layer's class, or of the function that it is."""
    if isinstance(module, Lambda):
        return getattr(module.fn, "__name__", type(module.fn).__name__)
    return type(module).__name__
