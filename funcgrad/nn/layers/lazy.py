"""Layers whose input size is found at their first input: `LazyLinear` and its relatives, and `materialize`."""

from __future__ import annotations

import threading
from typing import Any

from funcgrad.config import config
from funcgrad.nn.context import described
from funcgrad.nn.layers.batch_norm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from funcgrad.nn.layers.checks import refuse
from funcgrad.nn.layers.conv_transpose import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from funcgrad.nn.layers.convolution import Conv1d, Conv2d, Conv3d
from funcgrad.nn.layers.group_norm import InstanceNorm1d, InstanceNorm2d, InstanceNorm3d
from funcgrad.nn.layers.linear import Linear
from funcgrad.nn.module import Module, field
from funcgrad.nn.structures import as_structures
from funcgrad.nn.walk import map_modules
from funcgrad.ops.sequences import as_array
from funcgrad.transforms.staging import eval_shape


class _Found(threading.local):
    """Sizes found while a model is materialized, by the identity of the lazy layer; None at other times."""

    sizes: dict[int, int] | None = None


FOUND = _Found()


class _Lazy(Module):
    """Stands for a layer until its input size is known.

    `arguments` and `options` are those of the layer, without the size. Arrays among them, such as a random key, are
    not trained.
    """

    arguments: tuple = field(buffer=True)
    options: dict = field(buffer=True)

    kind = Linear

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.arguments = arguments
        self.options = options

    def size_of(self, x: Any) -> int:
        """The size of the layer for an input."""
        raise NotImplementedError

    def made(self, size: int) -> Any:
        """The layer."""
        return self.kind(size, *self.arguments, **self.options)

    def __call__(self, x: Any, **kwargs: Any) -> Any:
        """Find the size, and apply the layer, while `materialize` runs."""
        if FOUND.sizes is None:
            raise RuntimeError(
                f"[{described(self)}] has no parameters yet. Write model = funcgrad.nn.materialize(model, x) with an "
                "example or a shape of the model's input."
            )
        size = self.size_of(as_array(x))
        known = FOUND.sizes.setdefault(id(self), size)
        if known != size:
            raise ValueError(
                f"[{described(self)}] is called with inputs of sizes {known} and {size}. Use two layers."
            )
        return self.made(size)(x, **kwargs)


def materialize(model: Any, *inputs: Any) -> Any:
    """The model with real layers in the place of lazy ones.

    Args:
        model: a module with lazy layers anywhere inside, or a lazy layer.
        *inputs: what the model is called with: arrays, or shapes as tuples of ints, or trees of these. Shapes are those
            of float32 arrays; nothing is computed.

    Returns:
        A copy of the model, with sizes as the call has shown them.

    Raises:
        ValueError: a lazy layer was not reached by the call; names its path.

    Example:
        >>> from funcgrad import nn
        >>> model = nn.Sequential([nn.LazyLinear(8, key=0), nn.relu, nn.LazyLinear(2, key=1)])
        >>> model = materialize(model, (32, 5))
        >>> [layer.weight.shape for layer in (model[0], model[2])]
        [(8, 5), (2, 8)]
    """
    if FOUND.sizes is not None:
        raise RuntimeError("[materialize] cannot be called inside a model that is materialized.")
    FOUND.sizes = {}
    try:
        with config.override(disable_jit=True):
            eval_shape(lambda *given: model(*given), *as_structures(inputs))
        sizes = FOUND.sizes
    finally:
        FOUND.sizes = None

    def real(module: Any, original: Any) -> Any:
        if not isinstance(original, _Lazy):
            return module
        if id(original) not in sizes:
            raise ValueError(
                f"[materialize] a {type(original).__name__} is not reached by a call with these inputs. Call the model "
                "so that all layers run, or give the sizes."
            )
        return original.made(sizes[id(original)])

    return map_modules(real, model)


class LazyLinear(_Lazy):
    """`Linear(in_features, ...)` for the length of the last axis of the first input.

    Args:
        *arguments, **options: those of `Linear` without `in_features`: `LazyLinear(out_features, key=key)`.

    Example:
        >>> LazyLinear(4, key=0)
        LazyLinear(arguments=(4,), options={'key': 0})
    """

    kind = Linear

    def size_of(self, x: Any) -> int:
        return x.shape[-1] if x.ndim else refuse(self, "(..., features)", x)


class _LazyChannels(_Lazy):
    """Sizes are the number of channels, the axis before the last `rank`."""

    rank = 0

    def size_of(self, x: Any) -> int:
        if x.ndim not in (self.rank + 1, self.rank + 2):
            refuse(self, f"(examples, channels, and {self.rank} axes)", x)
        return x.shape[-self.rank - 1]


class LazyBatchNorm1d(_Lazy):
    """`BatchNorm1d` for the number of channels of the first input."""

    kind = BatchNorm1d

    def size_of(self, x: Any) -> int:
        return x.shape[1] if x.ndim in (2, 3) else refuse(self, "(examples, channels, ...)", x)


def _lazy(kind: Any) -> type[_LazyChannels]:
    """The class that stands for a layer whose rank is known."""
    name = f"Lazy{kind.__name__}"
    shape = (1, 4, *(9,) * kind.rank)
    options = "" if "Norm" in name else "8, 3, key=0"
    text = (
        f"`{kind.__name__}` for the number of channels of the first input.\n\n"
        f"Args:\n    *arguments, **options: those of `{kind.__name__}` without the first one.\n\n"
        f"Example:\n    >>> layer = materialize({name}({options}), {shape})\n"
        f"    >>> type(layer).__name__\n    {kind.__name__!r}"
    )
    return type(_LazyChannels)(
        name,
        (_LazyChannels,),
        {"__doc__": text, "__module__": __name__, "kind": kind, "rank": kind.rank},
    )


LazyConv1d, LazyConv2d, LazyConv3d = map(_lazy, (Conv1d, Conv2d, Conv3d))
LazyConvTranspose1d = _lazy(ConvTranspose1d)
LazyConvTranspose2d = _lazy(ConvTranspose2d)
LazyConvTranspose3d = _lazy(ConvTranspose3d)
LazyBatchNorm2d, LazyBatchNorm3d = map(_lazy, (BatchNorm2d, BatchNorm3d))
LazyInstanceNorm1d = _lazy(InstanceNorm1d)
LazyInstanceNorm2d = _lazy(InstanceNorm2d)
LazyInstanceNorm3d = _lazy(InstanceNorm3d)
