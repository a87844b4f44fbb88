"""`Checkpoint`: a layer whose intermediates are computed again in the backward pass."""

from __future__ import annotations

from typing import Any

from funcgrad.nn.context import Frame, current_frame, next_key, record_named
from funcgrad.nn.layers.containers import takes_key
from funcgrad.nn.module import Module
from funcgrad.nn.taps import TAPS
from funcgrad.transforms.checkpoint import checkpoint


class Checkpoint(Module):
    """A layer that keeps its inputs instead of its intermediates for the backward pass (Chen et al., 2016).

    Dropout, batch statistics and other state inside work as without it, which they do not under
    `funcgrad.checkpoint` alone.

    Args:
        layer: any module.
        policy: which intermediates are kept all the same; see `funcgrad.checkpoint_policies`.

    Example:
        >>> import numpy as np
        >>> from funcgrad import nn
        >>> model = nn.Sequential([Checkpoint(nn.MLP(2, 2, 8, 2, key=0)), nn.Linear(2, 1, key=1)])
        >>> model(np.ones((3, 2), np.float32)).shape
        (3, 1)
    """

    layer: Any
    policy: Any = None

    def pytorch_name(self, name: str) -> str:
        """What PyTorch calls an array: as it does without the checkpoint."""
        return name.removeprefix("layer.")

    def __call__(self, *args: Any, key: Any = None, **kwargs: Any) -> Any:
        """What the layer returns."""
        key = inner_key(self, key)

        def run(layer: Any, key: Any, args: tuple, kwargs: dict) -> Any:
            return called_inside(layer, key, args, kwargs)

        # Who looks on wants to see the layers inside, of which a checkpoint makes copies.
        recomputed = run if TAPS.stack else checkpoint(run, policy=self.policy)
        out, updates = recomputed(self.layer, key, args, kwargs)
        record_named(self.layer, updates)
        return out


def inner_key(module: Any, key: Any) -> Any:
    """The key for what is inside a layer: the given one, or one made from that of `apply`, if there is one."""
    frame = current_frame()
    is_there = frame is not None and frame.key is not None
    return next_key(module) if key is None and is_there else key


def called_inside(layer: Any, key: Any, args: tuple, kwargs: dict[str, Any]) -> tuple[Any, dict]:
    """What a copy of a layer returns, and its new state by path: inside `apply` it has a frame of its own."""
    frame = current_frame()
    if frame is None:
        given = {"key": key} if key is not None and takes_key(layer) else {}
        return layer(*args, **given, **kwargs), {}
    inner = Frame(layer, frame.train, key)
    with inner:
        out = layer(*args, **kwargs)
    return out, inner.named_updates()
