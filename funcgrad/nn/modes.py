"""Whole models in inference mode."""

from __future__ import annotations

from typing import Any

from funcgrad.nn.walk import map_modules


def inference_mode(pytree: Any, value: bool = True) -> Any:
    """The model with all layers kept in inference mode, also in `apply(..., train=True)`; or released again.

    Args:
        pytree: a model, or a tree of modules.
        value: False lets training mode have its effect again.

    Returns:
        A copy in which the field `inference` of all modules that have one is `value`.

    Example:
        >>> from funcgrad import nn
        >>> model = inference_mode(nn.Sequential([nn.Dropout(0.5)]))
        >>> model[0].inference
        True
    """

    def switched(module: Any, original: Any) -> Any:
        del original
        layout = module._layout
        return module.replace(inference=value) if "inference" in layout.fields else module

    return map_modules(switched, pytree)
