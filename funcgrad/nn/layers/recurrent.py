"""Recurrent networks over sequences, in layers and in both directions: `RNN`, `GRU`, `LSTM`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import funcgrad.numpy as fnp
from funcgrad import random
from funcgrad.control.scan import scan
from funcgrad.ir.devices import beside_arguments
from funcgrad.nn.context import is_training
from funcgrad.nn.initializers import Initializer, for_layer, symmetric_uniform
from funcgrad.nn.layers.checks import positive, refuse
from funcgrad.nn.layers.dropout import Dropout
from funcgrad.nn.layers.recurrent_cells import (
    activation_named,
    affine,
    gru_step,
    lstm_step,
    rnn_step,
)
from funcgrad.nn.module import Module
from funcgrad.ops.sequences import as_array


class _Recurrent(Module):
    """What recurrent networks share. Parameters are fields with PyTorch's names, such as `weight_ih_l0_reverse`."""

    drop: Dropout
    input_size: int
    hidden_size: int
    num_layers: int
    batch_first: bool
    bidirectional: bool
    proj_size: int

    gates = 1
    has_cell = False

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        use_bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        dtype: Any = None,
        *,
        key: Any,
        proj_size: int = 0,
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
    ) -> None:
        positive(self, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        self.drop = Dropout(dropout)
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.batch_first, self.bidirectional, self.proj_size = batch_first, bidirectional, proj_size
        if proj_size and (not self.has_cell or proj_size >= hidden_size):
            raise ValueError(
                f"[{type(self).__name__}] proj_size={proj_size} is for LSTM, and must be smaller than hidden_size."
            )
        usual = symmetric_uniform(1 / math.sqrt(hidden_size))
        weight_init, bias_init = for_layer(weight_init or usual), bias_init or usual
        keys = iter(random.split(key, 5 * num_layers * self.directions))
        rows = self.gates * hidden_size
        for layer in range(num_layers):
            inputs = input_size if layer == 0 else self.output_size * self.directions
            for suffix in self.suffixes(layer):
                shapes = {"weight_ih": (rows, inputs), "weight_hh": (rows, self.output_size)}
                # Fields that are not declared: their names depend on the arguments.
                fields = vars(self)
                for name, shape in shapes.items():
                    fields[name + suffix] = weight_init(next(keys), shape, dtype)
                for name in ("bias_ih", "bias_hh"):
                    made = bias_init(next(keys), (rows,), dtype) if use_bias else None
                    fields[name + suffix] = made
                spare = next(keys)
                if proj_size:
                    fields["weight_hr" + suffix] = weight_init(
                        spare, (proj_size, hidden_size), dtype
                    )

    @property
    def directions(self) -> int:
        """1, or 2 for a network that also reads from the end."""
        return 1 + self.bidirectional

    @property
    def output_size(self) -> int:
        """Length of the hidden state of one direction."""
        return self.proj_size or self.hidden_size

    def suffixes(self, layer: int) -> list[str]:
        """The ends of the names of the parameters of a layer."""
        return [f"_l{layer}", f"_l{layer}_reverse"][: self.directions]

    def step(self, from_input: Any, from_hidden: Any, state: tuple) -> tuple:
        """The next state, a tuple that begins with the hidden state."""
        raise NotImplementedError

    def __call__(
        self, input: Any, hx: Any = None, *, lengths: Any = None, key: Any = None
    ) -> tuple[Any, Any]:
        """Read sequences.

        Args:
            input: (length, examples, input_size), with `batch_first` (examples, length, input_size), or (length,
                input_size) for one sequence.
            hx: first hidden state (layers * directions, examples, hidden_size), for `LSTM` a pair with the first cell
                state; without the axis of examples for one sequence. Zeros by default.
            lengths: (examples,), how many times of each example are there, what PyTorch packs sequences for.
                Outputs after them are 0, and last states are those at these times.
            key: random key or seed for the dropout between layers; by default made from that of `apply`.

        Returns:
            (hidden states of the last layer at all times, last states of all layers), in the layout of the arguments.
        """
        x = as_array(input)
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            lead = "examples, length" if self.batch_first else "length, examples"
            refuse(self, f"({lead}, {self.input_size}) or (length, {self.input_size})", x)
        has_examples = x.ndim == 3
        if has_examples and self.batch_first:
            x = fnp.swapaxes(x, 0, 1)
        elif not has_examples:
            x = x[:, None]
        there = self.present(lengths, x)
        given = self.initial_states(hx, x.shape[1], has_examples)
        finals: list[tuple] = []
        keys = None if key is None else random.split(key, self.num_layers)
        for layer in range(self.num_layers):
            outs = []
            for number, suffix in enumerate(self.suffixes(layer)):
                index = layer * self.directions + number
                start = tuple(part[index] for part in given) if given else None
                out, final = self.run(x, suffix, start, there, is_reverse=number == 1)
                outs.append(out)
                finals.append(final)
            x = outs[0] if len(outs) == 1 else fnp.concatenate(outs, axis=-1)
            if layer + 1 < self.num_layers and (is_training(self.drop) or keys is not None):
                x = self.drop(x, key=None if keys is None else keys[layer])
        return self.arranged(x, finals, has_examples)

    @beside_arguments
    def present(self, lengths: Any, x: Any) -> Any:
        """Whether each time of each example is there, (length, examples, 1); None for all."""
        if lengths is None:
            return None
        lengths = as_array(lengths)
        if lengths.shape != x.shape[1:2] or lengths.dtype.kind not in "iu":
            refuse(self, f"{x.shape[1:2]} of integers as lengths", lengths)
        times = fnp.expand_dims(fnp.arange(x.shape[0]), 1)
        return fnp.expand_dims(fnp.less(times, lengths), 2)

    def initial_states(self, hx: Any, examples: int, has_examples: bool) -> tuple | None:
        """The given states as a tuple of arrays (layers * directions, examples, size)."""
        if hx is None:
            return None
        parts = tuple(as_array(part) for part in (hx if self.has_cell else (hx,)))
        count = self.num_layers * self.directions
        for part, size in zip(parts, (self.output_size, self.hidden_size), strict=False):
            wanted = (count, examples, size) if has_examples else (count, size)
            if part.shape != wanted:
                refuse(self, f"{wanted} as a first state", part)
        return parts if has_examples else tuple(part[:, None] for part in parts)

    @beside_arguments
    def run(
        self, x: Any, suffix: str, start: tuple | None, there: Any, is_reverse: bool
    ) -> tuple[Any, tuple]:
        """One layer in one direction over (length, examples, features)."""
        weights = vars(self)
        weight_hh, bias_hh = weights["weight_hh" + suffix], weights["bias_hh" + suffix]
        projection = weights.get("weight_hr" + suffix)
        if start is None:
            dtype = fnp.result_type(x.dtype, weight_hh.dtype)
            sizes = (self.output_size, self.hidden_size)[: 1 + self.has_cell]
            start = tuple(fnp.zeros((x.shape[1], size), dtype) for size in sizes)
        # One product for all times; only what needs the state is left for the loop.
        from_input = affine(x, weights["weight_ih" + suffix], weights["bias_ih" + suffix])

        def body(state: tuple, given: tuple) -> tuple[tuple, Any]:
            gates, is_there = given
            new = self.step(gates, affine(state[0], weight_hh, bias_hh), state)
            if projection is not None:
                new = (affine(new[0], projection, None), *new[1:])
            if is_there is None:
                return new, new[0]
            kept = tuple(fnp.where(is_there, n, old) for n, old in zip(new, state, strict=True))
            return kept, fnp.where(is_there, new[0], 0)

        final, outs = scan(body, start, (from_input, there), reverse=is_reverse)
        return outs, final

    def arranged(self, x: Any, finals: list[tuple], has_examples: bool) -> tuple[Any, Any]:
        """Outputs and last states in the layout of the arguments."""
        states = tuple(fnp.stack(list(parts)) for parts in zip(*finals, strict=True))
        if not has_examples:
            x, states = x[:, 0], tuple(state[:, 0] for state in states)
        elif self.batch_first:
            x = fnp.swapaxes(x, 0, 1)
        return x, states if self.has_cell else states[0]


class RNN(_Recurrent):
    """Simple recurrent networks over sequences, several layers and directions (Elman, 1990).

    Args:
        input_size, hidden_size: lengths of the last axes of input and state.
        num_layers: how many networks read the hidden states of the one before.
        use_bias: whether there are biases.
        batch_first: whether the first axis is that of the examples instead of the times.
        dropout: probability of zeros between layers, in training.
        bidirectional: whether each layer also reads from the end; its states are then joined.
        dtype: of the parameters; float32 by default.
        nonlinearity: "tanh" or "relu".
        key: random key or seed.
        weight_init, bias_init: initialisers instead of the uniform distribution up to 1/sqrt(hidden_size).

    Attributes:
        weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0: the parameters of the first layer, as those of
            `RNNCell`; with `_reverse` those of the other direction.

    Example:
        >>> import numpy as np
        >>> out, last = RNN(3, 4, num_layers=2, key=0)(np.ones((7, 5, 3), np.float32))
        >>> out.shape, last.shape
        ((7, 5, 4), (2, 5, 4))
    """

    nonlinearity: str

    def __init__(self, *args: Any, nonlinearity: str = "tanh", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        activation_named(type(self).__name__, nonlinearity)
        self.nonlinearity = nonlinearity

    def step(self, from_input: Any, from_hidden: Any, state: tuple) -> tuple:
        activation: Callable[[Any], Any] = activation_named("RNN", self.nonlinearity)
        return (rnn_step(from_input, from_hidden, state[0], activation),)


class GRU(_Recurrent):
    """Gated recurrent units over sequences (Cho et al., 2014). Arguments as for `RNN` without `nonlinearity`.

    Example:
        >>> import numpy as np
        >>> layer = GRU(3, 4, batch_first=True, bidirectional=True, key=0)
        >>> out, last = layer(np.ones((5, 7, 3), np.float32))
        >>> out.shape, last.shape
        ((5, 7, 8), (2, 5, 4))
    """

    gates = 3

    def step(self, from_input: Any, from_hidden: Any, state: tuple) -> tuple:
        return (gru_step(from_input, from_hidden, state[0]),)


class LSTM(_Recurrent):
    """Long short-term memory over sequences (Hochreiter and Schmidhuber, 1997). Arguments as for `RNN`.

    Args:
        proj_size: if not 0, hidden states are projected to this length (Sak et al., 2014).

    Example:
        >>> import numpy as np
        >>> out, (hidden, cell) = LSTM(3, 4, key=0)(np.ones((7, 5, 3), np.float32))
        >>> out.shape, hidden.shape, cell.shape
        ((7, 5, 4), (1, 5, 4), (1, 5, 4))
    """

    gates = 4
    has_cell = True

    def step(self, from_input: Any, from_hidden: Any, state: tuple) -> tuple:
        return lstm_step(from_input, from_hidden, state[1])
