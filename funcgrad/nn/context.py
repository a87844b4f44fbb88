"""Training mode, random keys and state inside `model.apply`: what its layers ask for and report to.

From outside `apply` is a function: it puts a `Frame` on a stack of this thread, calls the model, and takes the frame
away. Layers find it there, so models need not hand keys and states through. A frame knows layers by identity;
`jit` inside is switched off, because it would hand out copies (and what is outside compiles the whole).
"""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Callable
from typing import Any

from funcgrad import random
from funcgrad.config import config
from funcgrad.ir.tracer import Tracer, state
from funcgrad.nn.foreign_names import MODES
from funcgrad.nn.walk import is_module, map_modules, named_modules, path_of, with_arrays
from funcgrad.ops.create import iota
from funcgrad.random.keys import as_key
from funcgrad.transforms.batch import BatchTrace, BatchTracer
from funcgrad.transforms.stop_gradient import stop_gradient


class Frame:
    """One running `apply`.

    Attributes:
        model: what it was called on.
        train: whether layers are in training mode.
        key: what the keys of layers are made from, or None.
        draws: how many keys were made.
        depth: how many traces ran when it began.
        updates: new values of fields, by the identity of the module.
    """

    def __init__(self, model: Any, train: bool, key: Any) -> None:
        self.model = model
        self.train = train
        self.key = None if key is None else as_key(key, "apply")
        self.draws = 0
        self.depth = len(state.stack)
        self.updates: dict[int, dict[str, Any]] = {}
        self.members: set[int] | None = None

    def __enter__(self) -> None:
        FRAMES.stack.append(self)
        self.without_jit = config.override(disable_jit=True)
        self.without_jit.__enter__()

    def __exit__(self, *error: Any) -> None:
        self.without_jit.__exit__(*error)
        FRAMES.stack.pop()

    def holds(self, module: Any) -> bool:
        """Whether a module is part of the model."""
        if self.members is None:
            self.members = {id(found) for _, found in named_modules(self.model)}
        return id(module) in self.members

    def is_staged(self) -> bool:
        """Whether a loop or a recorded function was begun inside, which may run what is called many times."""
        inside = state.stack[self.depth :]
        return not all(t.differentiates or isinstance(t, BatchTrace) for t in inside)

    def drawn_key(self) -> Any:
        """The next key; inside a vmap that was begun inside one for each example."""
        key = random.fold_in(self.key, self.draws)
        self.draws += 1
        for trace in state.stack[self.depth :]:
            if isinstance(trace, BatchTrace):
                key = random.fold_in(key, BatchTracer(trace, iota((trace.size,)), 0))
        return key

    def changed_model(self) -> Any:
        """The model with all updates."""
        if not self.updates:
            return self.model

        def changed(rebuilt: Any, original: Any) -> Any:
            values = self.updates.get(id(original))
            return with_arrays(rebuilt, values) if values else rebuilt

        return map_modules(changed, self.model)

    def named_updates(self) -> dict[str, dict[str, Any]]:
        """The new values of fields by the path of their module."""
        found = named_modules(self.model)
        return {path: self.updates[id(m)] for path, m in found if id(m) in self.updates}


class Frames(threading.local):
    """The frames of this thread, innermost last."""

    def __init__(self) -> None:
        self.stack: list[Frame] = []


FRAMES = Frames()


def apply(
    model: Any,
    args: tuple,
    kwargs: dict[str, Any],
    *,
    train: bool,
    key: Any,
    method: str | Callable[..., Any] = "__call__",
) -> tuple[Any, Any]:
    """What `Module.apply` does."""
    if isinstance(train, Tracer):
        raise TypeError(
            "[apply] train must be True or False when the model is traced, but it is an argument of jit. Write it into "
            'the function, or use jit(function, static_argnames="train").'
        )
    for name in kwargs.keys() & MODES.keys():
        called = getattr(type(model), method) if isinstance(method, str) else method
        parameters = inspect.signature(called).parameters
        if name not in parameters and not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            raise TypeError(f"[apply] there is no argument {name!r}. Write {MODES[name]}.")
    frame = Frame(model, bool(train), key)
    with frame:
        if isinstance(method, str):
            out = getattr(model, method)(*args, **kwargs)
        else:
            out = method(model, *args, **kwargs)
    return out, frame.changed_model()


# --- what layers ask ---


def current_frame() -> Frame | None:
    """The innermost `apply` that runs, or None in plain calls."""
    return FRAMES.stack[-1] if FRAMES.stack else None


def is_training(module: Any = None, inference: bool | None = None) -> bool:
    """Whether a layer is called in training mode.

    Args:
        module: a layer whose attribute `inference`, if it is true, keeps it in inference mode.
        inference: the argument of a call that decides alone, unless it is None.

    Example:
        >>> from funcgrad import nn
        >>> nn.is_training()
        False
        >>> nn.Lambda(lambda x: nn.is_training()).apply(1.0, train=True)[0]
        True
    """
    if inference is not None:
        return not inference
    frame = current_frame()
    return frame is not None and frame.train and not getattr(module, "inference", False)


def next_key(module: Any) -> Any:
    """A random key for one use in a layer, made from the key of `apply`.

    Raises:
        RuntimeError: there is no key, or it would be the same in every step of a loop; names the layer's path.

    Example:
        >>> from funcgrad import nn, random
        >>> class Noise(nn.Module):
        ...     def __call__(self, x):
        ...         return x + random.normal(nn.next_key(self), x.shape) if nn.is_training() else x
        >>> import numpy as np
        >>> Noise().apply(np.zeros((2, 3)), train=True, key=0)[0].shape
        (2, 3)
    """
    frame = current_frame()
    if frame is None or frame.key is None:
        call = "model.apply(x, train=True, key=key)"
        raise RuntimeError(
            f"[{described(module)}] needs a random key in training mode, but got none. Write {call}, or give this "
            "layer key=key. Without randomness: model(x), or funcgrad.nn.inference_mode(model)."
        )
    if frame.is_staged():
        raise RuntimeError(
            f"[{described(module)}] would draw the same random numbers in every step of the loop or recorded "
            "function that was begun inside the model. Split a key outside and hand it in, layer(x, key=key), "
            "or use funcgrad.nn.Checkpoint in place of funcgrad.checkpoint."
        )
    return frame.drawn_key()


def current_state(module: Any, name: str) -> Any:
    """The value of a field of a layer, as the last `record_state` inside this `apply` left it."""
    frame = current_frame()
    values = frame.updates.get(id(module), {}) if frame is not None else {}
    return values[name] if name in values else getattr(module, name)


def record_state(module: Any, **values: Any) -> None:
    """Set fields of a layer in the model that `apply` returns. Plain calls forget them.

    Args:
        module: the layer, as it was found in the model.
        **values: new values of its fields, as constants: no derivative goes through them.

    Raises:
        RuntimeError: the layer is a copy, or a value differs between the steps of a loop or the examples of vmap.

    Example:
        >>> from funcgrad import nn
        >>> class Counter(nn.Module):
        ...     count: np.ndarray = nn.field(buffer=True)
        ...     def __call__(self, x):
        ...         nn.record_state(self, count=nn.current_state(self, "count") + 1)
        ...         return x
        >>> import numpy as np
        >>> y, counter = Counter(np.array(0)).apply("anything")
        >>> int(counter.count)
        1
    """
    frame = current_frame()
    if frame is None:
        return
    if not frame.holds(module):
        raise RuntimeError(
            f"[{type(module).__name__}] changes its state, but is not part of the model that `apply` was called on: "
            "a copy that vmap, scan, checkpoint or tree.map made, or a module that is kept elsewhere. Call the layer "
            "itself, or funcgrad.nn.Checkpoint(layer)."
        )
    values = stop_gradient(values)
    for name, value in values.items():
        if isinstance(value, Tracer) and value.owner.level >= frame.depth:
            raise RuntimeError(
                f"[{described(module)}] the new {name} belongs to {value.owner.describe()}, begun inside the model: "
                "it has another value for each step or example. Under vmap give the layer axis_name=, with which "
                "it averages over the examples; in loops hand the state through the carry; in place of "
                "funcgrad.checkpoint use funcgrad.nn.Checkpoint."
            )
    frame.updates.setdefault(id(module), {}).update(values)


def record_named(model: Any, updates: dict[str, dict[str, Any]]) -> None:
    """Record what a copy of a part of the model has changed; see `Frame.named_updates`."""
    modules = dict(named_modules(model)) if updates else {}
    for path, values in updates.items():
        record_state(modules[path], **values)


# --- names for errors ---


def described(module: Any) -> str:
    """'Linear at layers.0' for errors: the class of a layer and its path in the outermost model that was called."""
    name = type(module).__name__
    path = _path_in_callers(module)
    return f"{name} at {path}" if path else name


def _path_in_callers(module: Any) -> str:
    """The path inside the outermost of the modules whose methods are running."""
    frame = current_frame()
    callers = [] if frame is None else [frame.model]
    python_frame: Any = sys._getframe(1)
    outer = []
    while python_frame is not None:
        code = python_frame.f_code
        if code.co_argcount:
            first = python_frame.f_locals.get(code.co_varnames[0])
            if is_module(first) and first is not module:
                outer.append(first)
        python_frame = python_frame.f_back
    for model in [*callers, *reversed(outer)]:
        path = path_of(model, module)
        if path:
            return path
    return ""
