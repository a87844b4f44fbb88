"""`capture`: results of layers inside a model, gradients with respect to them, and changing them on the way."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import funcgrad.numpy as fnp
from funcgrad import tree
from funcgrad.ir.types import is_inexact
from funcgrad.nn.paths import unmatched
from funcgrad.nn.tapping import Tap, tapped
from funcgrad.nn.walk import named_modules
from funcgrad.transforms.grad import value_and_grad
from funcgrad.transforms.staging import eval_shape


def capture(
    model: Any,
    paths: str | Sequence[str] = r".+",
    *,
    edit: Mapping[str, Callable[[Any], Any]] | None = None,
) -> Capture:
    """A function that calls a model and also returns the results of layers inside: what hooks are for.

    Args:
        model: a module. Functions in a `Sequential` count as layers.
        paths: regular expressions for whole paths of layers; all layers by default.
        edit: path -> function of a layer's result, whose result takes its place.

    Returns:
        A `Capture`: `capture(model, paths)(x)` returns (output, activations), and
        `capture(model, paths).gradients(loss, x)` also the gradients with respect to the activations.

    Raises:
        ValueError: no layer matches.
        RuntimeError: in a call: none of the layers of a pattern was called.

    Example:
        >>> import numpy as np
        >>> from funcgrad import nn
        >>> model = nn.Sequential([nn.Linear(3, 4, key=0), nn.relu, nn.Linear(4, 2, key=1)])
        >>> y, activations = capture(model, ["layers.0", "layers.1"])(np.ones((5, 3), np.float32))
        >>> {path: array.shape for path, array in activations.items()}
        {'layers.0': (5, 4), 'layers.1': (5, 4)}
    """
    return Capture(model, paths, edit or {})


class Capture:
    """A model that also returns activations; made by `capture`."""

    def __init__(self, model: Any, paths: str | Sequence[str], edit: Mapping[str, Any]) -> None:
        self.model = model
        known = [path for path, _ in named_modules(tapped(model))]
        patterns = (paths,) if isinstance(paths, str) else tuple(paths)
        self.paths: set[str] = set()
        self.wanted: dict[str, set[str]] = {}
        for pattern in (*patterns, *map(re.escape, edit)):
            found = {path for path in known if re.fullmatch(pattern, path)}
            if not found:
                raise ValueError(unmatched("capture", pattern, known))
            if pattern in patterns:
                self.paths |= found
                self.wanted[pattern] = found
        self.edit = dict(edit)

    def __call__(
        self,
        *args: Any,
        train: bool = False,
        key: Any = None,
        method: Any = "__call__",
        **kwargs: Any,
    ) -> tuple[Any, dict[str, Any]]:
        """Call the model.

        Args:
            *args, train, key, method, **kwargs: as for `model.apply`.

        Returns:
            (output, activations): a dict path -> result of the layer. A layer that is called again has the paths
            "path#2", "path#3".
        """
        return self._run(None, args, {"train": train, "key": key, "method": method, **kwargs})

    def gradients(
        self, loss: Callable[[Any], Any], *args: Any, **kwargs: Any
    ) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        """Call the model, and differentiate a scalar of its output by the activations.

        Args:
            loss: output -> scalar.
            *args, **kwargs: as for the call.

        Returns:
            (value, activations, gradients), with gradients like the activations.

        Example:
            >>> import numpy as np
            >>> from funcgrad import nn
            >>> model = nn.Sequential([nn.Lambda(np.square), nn.Lambda(np.sum)])
            >>> value, activations, gradients = capture(model, "layers.0").gradients(lambda y: 3 * y, np.ones(2))
            >>> float(value), activations["layers.0"], gradients["layers.0"]
            (6.0, array([1., 1.]), array([3., 3.]))
        """

        def run(shifts: Any) -> tuple[Any, Any]:
            output, activations = self._run(shifts, args, kwargs)
            return loss(output), activations

        found = eval_shape(lambda: self._run(None, args, kwargs)[1])
        shifts = tree.map(
            lambda one: fnp.zeros(one.shape, one.dtype) if is_inexact(one.dtype) else None, found
        )
        (value, activations), gradients = value_and_grad(run, has_aux=True)(shifts)
        return value, activations, gradients

    def _run(self, shifts: Any, args: tuple, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Output and activations, to which `shifts` are added."""
        activations: dict[str, Any] = {}

        def handler(path: str, module: Any, run: Callable[[], Any]) -> Any:
            del module
            out = run()
            if path in self.edit:
                out = self.edit[path](out)
            if path not in self.paths:
                return out
            count = sum(name.partition("#")[0] == path for name in activations)
            name = f"{path}#{count + 1}" if count else path
            if shifts is not None:
                out = tree.map(_shifted, out, shifts[name], is_leaf=lambda leaf: leaf is None)
            activations[name] = out
            return out

        with Tap(self.model, handler) as model:
            output, _ = model.apply(*args, **kwargs)
        for pattern, found in self.wanted.items():
            if found.isdisjoint(activations):
                raise RuntimeError(
                    f"[capture] {', '.join(sorted(found))} (from {pattern!r}) was not called, or only inside "
                    "vmap, scan or "
                    "funcgrad.checkpoint, which call copies of layers. funcgrad.nn.Checkpoint lets layers inside "
                    "be seen."
                )
        return output, activations


def _shifted(value: Any, shift: Any) -> Any:
    return value if shift is None else value + shift
