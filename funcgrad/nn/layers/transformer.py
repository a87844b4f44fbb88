"""Layers of transformers: `TransformerEncoderLayer`, `TransformerDecoderLayer`, and stacks of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import funcgrad.numpy as fnp
from funcgrad import random
from funcgrad.nn.activations import gelu, relu
from funcgrad.nn.context import described
from funcgrad.nn.layers.dropout import Dropout
from funcgrad.nn.layers.linear import Linear
from funcgrad.nn.layers.multihead_attention import MultiheadAttention
from funcgrad.nn.layers.norm import LayerNorm
from funcgrad.nn.module import Module
from funcgrad.ops.sequences import as_array


class _TransformerLayer(Module):
    """What encoder and decoder layers share: attention to themselves, and a network of two layers."""

    self_attn: MultiheadAttention
    linear1: Linear
    dropout: Dropout
    linear2: Linear
    activation: Callable[[Any], Any]
    norm_first: bool
    batch_first: bool

    blocks = 2

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Any], Any] = relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        use_bias: bool = True,
        dtype: Any = None,
        *,
        key: Any,
    ) -> None:
        keys = random.split(key, 4)
        self.self_attn = _attention(d_model, nhead, dropout, use_bias, dtype, keys[0])
        self.linear1 = Linear(d_model, dim_feedforward, use_bias, dtype, key=keys[1])
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, use_bias, dtype, key=keys[2])
        for number in range(1, self.blocks + 1):
            norm = LayerNorm(d_model, layer_norm_eps, use_bias=use_bias, dtype=dtype)
            setattr(self, f"norm{number}", norm)
            setattr(self, f"dropout{number}", Dropout(dropout))
        self.activation = _activation(type(self).__name__, activation)
        self.norm_first, self.batch_first = norm_first, batch_first

    def residual(self, x: Any, number: int, block: Callable[[Any], Any]) -> Any:
        """`x` plus what a block makes of it, normalised before or after."""
        norm, drop = getattr(self, f"norm{number}"), getattr(self, f"dropout{number}")
        if self.norm_first:
            return x + drop(block(norm(x)))
        return norm(x + drop(block(x)))

    def feed_forward(self, x: Any) -> Any:
        """The network of two layers."""
        return self.linear2(self.dropout(self.activation(self.linear1(x))))

    def to_batch_first(self, x: Any) -> Any:
        """(..., times, features) from the layout of the arguments, or back."""
        return fnp.swapaxes(x, 0, 1) if x.ndim == 3 and not self.batch_first else x


class TransformerEncoderLayer(_TransformerLayer):
    """Attention of a sequence to itself, then a network of two layers, both added to their input.

    Args:
        d_model: length of the last axis.
        nhead: number of heads.
        dim_feedforward: width of the network.
        dropout: probability of zeros, in training.
        activation: "relu", "gelu" or a function.
        layer_norm_eps: of the normalisations.
        batch_first: whether the first axis is that of the examples instead of the times.
        norm_first: whether inputs of the blocks are normalised, instead of results.
        use_bias: whether there are biases.
        dtype: of the parameters; float32 by default.
        key: random key or seed.

    Attributes:
        self_attn, linear1, linear2, norm1, norm2: as in PyTorch.

    Example:
        >>> import numpy as np
        >>> layer = TransformerEncoderLayer(8, 2, 16, batch_first=True, key=0)
        >>> layer(np.ones((3, 5, 8), np.float32)).shape
        (3, 5, 8)
    """

    norm1: LayerNorm
    norm2: LayerNorm
    dropout1: Dropout
    dropout2: Dropout

    def __call__(
        self,
        src: Any,
        src_mask: Any = None,
        src_key_padding_mask: Any = None,
        is_causal: bool = False,
        *,
        key: Any = None,
    ) -> Any:
        """Encode.

        Args:
            src: (times, examples, d_model), with `batch_first` (examples, times, d_model), or (times, d_model).
            src_mask: (times, times) bool, True where a time must not see another: PyTorch's meaning, the opposite of
                that of `mask` in `MultiheadAttention`.
            src_key_padding_mask: (examples, times) bool, True where there is only padding.
            is_causal: whether each time sees only those up to it.
            key: not used: keys for dropout come from `apply`.

        Returns:
            An array like `src`.
        """
        del key
        x = self.to_batch_first(as_array(src))
        mask = visible(self, src_mask, src_key_padding_mask)

        def attend(x: Any) -> Any:
            return self.self_attn(x, x, x, mask, is_causal=is_causal)

        x = self.residual(x, 1, attend)
        x = self.residual(x, 2, self.feed_forward)
        return self.to_batch_first(x)


class TransformerDecoderLayer(_TransformerLayer):
    """Attention of a sequence to itself, then to the results of an encoder, then a network of two layers.

    Args as for `TransformerEncoderLayer`.

    Attributes:
        self_attn, multihead_attn, linear1, linear2, norm1, norm2, norm3: as in PyTorch.

    Example:
        >>> import numpy as np
        >>> layer = TransformerDecoderLayer(8, 2, 16, batch_first=True, key=0)
        >>> layer(np.ones((3, 5, 8), np.float32), np.ones((3, 7, 8), np.float32), tgt_is_causal=True).shape
        (3, 5, 8)
    """

    multihead_attn: MultiheadAttention
    norm1: LayerNorm
    norm2: LayerNorm
    norm3: LayerNorm
    dropout1: Dropout
    dropout2: Dropout
    dropout3: Dropout

    blocks = 3

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        *args: Any,
        key: Any,
        **kwargs: Any,
    ) -> None:
        own, other = random.split(key)
        super().__init__(d_model, nhead, dim_feedforward, dropout, *args, key=own, **kwargs)
        has_bias, dtype = self.linear1.bias is not None, self.linear1.weight.dtype
        self.multihead_attn = _attention(d_model, nhead, dropout, has_bias, dtype, other)

    def __call__(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool = False,
        *,
        key: Any = None,
    ) -> Any:
        """Decode.

        Args:
            tgt, memory: (times, examples, d_model), with `batch_first` (examples, times, d_model), or (times, d_model).
            tgt_mask, memory_mask: (times, times) bool, True where a time of `tgt` must not see one of `tgt` or
                `memory`.
            tgt_key_padding_mask, memory_key_padding_mask: (examples, times) bool, True where there is only padding.
            tgt_is_causal: whether each time of `tgt` sees only those up to it.
            key: not used: keys for dropout come from `apply`.

        Returns:
            An array like `tgt`.
        """
        del key
        x, memory = self.to_batch_first(as_array(tgt)), self.to_batch_first(as_array(memory))
        own_mask = visible(self, tgt_mask, tgt_key_padding_mask)
        other_mask = visible(self, memory_mask, memory_key_padding_mask)

        def attend(x: Any) -> Any:
            return self.self_attn(x, x, x, own_mask, is_causal=tgt_is_causal)

        def look(x: Any) -> Any:
            return self.multihead_attn(x, memory, memory, other_mask)

        x = self.residual(x, 1, attend)
        x = self.residual(x, 2, look)
        x = self.residual(x, 3, self.feed_forward)
        return self.to_batch_first(x)


class _Stack(Module):
    """Layers one after the other, each with parameters of its own, then a normalisation."""

    layers: tuple
    norm: Any

    def __init__(
        self, make_layer: Callable[[Any], Any], num_layers: int, norm: Any = None, *, key: Any
    ) -> None:
        if isinstance(make_layer, Module):
            name = type(self).__name__
            raise TypeError(
                f"[{name}] the first argument makes a layer from a key, so that each begins with other weights. Write "
                f"{name}(lambda key: {type(make_layer).__name__}(..., key=key), {num_layers}, key=key)."
            )
        self.layers = tuple(make_layer(one) for one in random.split(key, num_layers))
        self.norm = norm

    def __call__(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """The layers' results in turn; other arguments go to every layer."""
        for layer in self.layers:
            x = layer(x, *args, **kwargs)
        return x if self.norm is None else self.norm(x)


class TransformerEncoder(_Stack):
    """A stack of encoder layers.

    Args:
        make_layer: key -> layer.
        num_layers: how many.
        norm: a layer for the result, or None.
        key: random key or seed; split into one for each layer.

    Example:
        >>> import numpy as np
        >>> def layer(key):
        ...     return TransformerEncoderLayer(8, 2, 16, key=key)
        >>> TransformerEncoder(layer, 2, key=0)(np.ones((5, 8), np.float32)).shape
        (5, 8)
    """


class TransformerDecoder(_Stack):
    """A stack of decoder layers; arguments as for `TransformerEncoder`."""


def visible(module: Any, hidden: Any, padding: Any) -> Any:
    """What may be seen, to be broadcast to (examples, heads, times, times), from what must not; None for all."""
    seen = []
    for mask, is_padding in ((hidden, False), (padding, True)):
        if mask is None:
            continue
        mask = as_array(mask)
        if mask.dtype != bool:
            raise TypeError(
                f"[{described(module)}] masks are arrays of bools, True for what is left out, but got {mask.dtype}. "
                "Write mask == -inf for one of numbers that are added."
            )
        if is_padding:
            mask = fnp.reshape(mask, (*mask.shape[:-1], 1, 1, mask.shape[-1]))
        seen.append(fnp.logical_not(mask))
    return fnp.logical_and(*seen) if len(seen) == 2 else (seen or [None])[0]


def _attention(
    size: int, heads: int, dropout: float, bias: bool, dtype: Any, key: Any
) -> MultiheadAttention:
    biases = (bias,) * 4
    return MultiheadAttention(
        heads, size, None, None, None, None, None, *biases, dropout, dtype=dtype, key=key
    )


def _activation(module: str, activation: str | Callable[[Any], Any]) -> Callable[[Any], Any]:
    known: dict[Any, Callable[[Any], Any]] = {"relu": relu, "gelu": exact_gelu}
    found = known.get(activation, activation)
    if not callable(found):
        raise ValueError(
            f"[{module}] activation must be 'relu', 'gelu' or a function, but got {activation!r}."
        )
    return found


def exact_gelu(x: Any) -> Any:
    """`gelu` without the approximation by tanh, PyTorch's default."""
    return gelu(x, approximate=False)
