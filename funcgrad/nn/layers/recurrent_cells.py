"""One step of recurrent networks: `RNNCell`, `GRUCell`, `LSTMCell`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import funcgrad.numpy as fnp
from funcgrad import random
from funcgrad.ir.devices import beside_arguments
from funcgrad.nn.activations import relu, sigmoid
from funcgrad.nn.initializers import Initializer, for_layer, symmetric_uniform
from funcgrad.nn.layers.checks import positive, refuse
from funcgrad.nn.module import Module
from funcgrad.ops.products import matmul
from funcgrad.ops.sequences import as_array


class _Cell(Module):
    """What cells share: weights for the input and for the hidden state, for all gates at once."""

    weight_ih: Any
    weight_hh: Any
    bias_ih: Any
    bias_hh: Any
    input_size: int
    hidden_size: int

    gates, states = 1, 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        use_bias: bool = True,
        dtype: Any = None,
        *,
        key: Any,
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
    ) -> None:
        positive(self, input_size=input_size, hidden_size=hidden_size)
        self.input_size, self.hidden_size = input_size, hidden_size
        keys = random.split(key, 4)
        usual = symmetric_uniform(1 / math.sqrt(hidden_size))
        weight_init, bias_init = for_layer(weight_init or usual), bias_init or usual
        rows = self.gates * hidden_size
        self.weight_ih = weight_init(keys[0], (rows, input_size), dtype)
        self.weight_hh = weight_init(keys[1], (rows, hidden_size), dtype)
        self.bias_ih = bias_init(keys[2], (rows,), dtype) if use_bias else None
        self.bias_hh = bias_init(keys[3], (rows,), dtype) if use_bias else None

    def __call__(self, input: Any, hidden: Any = None, *, key: Any = None) -> Any:
        """One step.

        Args:
            input: (..., input_size).
            hidden: (..., hidden_size), for `LSTMCell` a pair (hidden state, cell state) of such arrays; zeros by
                default.
            key: not used.

        Returns:
            The new hidden state, for `LSTMCell` the new pair.
        """
        del key
        x = self.checked(input, self.input_size)
        if hidden is None:
            found = [self.initial(x)] * self.states
        else:
            given = (hidden,) if self.states == 1 else hidden
            found = [self.checked(state, self.hidden_size) for state in given]
        return self.step(*self.gate_parts(x, found[0]), found[-1])

    def step(self, from_input: Any, from_hidden: Any, state: Any) -> Any:
        """What a call returns, from what input and hidden state give to the gates, and the last of the states."""
        raise NotImplementedError

    def checked(self, x: Any, size: int) -> Any:
        """The input or a state as an array, after a look at its size."""
        x = as_array(x)
        if x.shape[-1:] != (size,):
            refuse(self, f"(..., {size})", x)
        return x

    @beside_arguments
    def initial(self, x: Any) -> Any:
        """A hidden state of zeros for an input."""
        return fnp.zeros((*x.shape[:-1], self.hidden_size), self.weight_hh.dtype)

    def gate_parts(self, x: Any, hidden: Any) -> tuple[Any, Any]:
        """What the input and what the hidden state give to all gates."""
        weights = (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        return affine(x, weights[0], weights[2]), affine(hidden, weights[1], weights[3])


def affine(x: Any, weight: Any, bias: Any) -> Any:
    """`x @ weight.T + bias`."""
    y = matmul(x, fnp.matrix_transpose(weight))
    return y if bias is None else y + bias


# --- the steps, from what input and state give to the gates ---


def rnn_step(from_input: Any, from_hidden: Any, hidden: Any, activation: Callable) -> Any:
    """The next hidden state of a simple recurrent network."""
    del hidden
    return activation(from_input + from_hidden)


def gru_step(from_input: Any, from_hidden: Any, hidden: Any) -> Any:
    """The next hidden state of a GRU; gates in the order reset, update, new."""
    reset_x, update_x, new_x = fnp.split(from_input, 3, axis=-1)
    reset_h, update_h, new_h = fnp.split(from_hidden, 3, axis=-1)
    reset, update = sigmoid(reset_x + reset_h), sigmoid(update_x + update_h)
    new = fnp.tanh(new_x + reset * new_h)
    return new + update * (hidden - new)


def lstm_step(from_input: Any, from_hidden: Any, cell: Any) -> tuple[Any, Any]:
    """The next hidden and cell state of an LSTM; gates in the order input, forget, cell, output."""
    into, forget, new, out = fnp.split(from_input + from_hidden, 4, axis=-1)
    cell = sigmoid(forget) * cell + sigmoid(into) * fnp.tanh(new)
    return sigmoid(out) * fnp.tanh(cell), cell


class RNNCell(_Cell):
    """`h' = tanh(weight_ih @ x + bias_ih + weight_hh @ h + bias_hh)` (Elman, 1990).

    Args:
        input_size, hidden_size: lengths of the last axes of input and state.
        use_bias: whether there are biases.
        nonlinearity: "tanh" or "relu".
        dtype: of the parameters; float32 by default.
        key: random key or seed.
        weight_init, bias_init: initialisers instead of the uniform distribution up to 1/sqrt(hidden_size).

    Attributes:
        weight_ih: (hidden_size, input_size).
        weight_hh: (hidden_size, hidden_size).
        bias_ih, bias_hh: (hidden_size,), or None.

    Example:
        >>> import numpy as np
        >>> cell = RNNCell(3, 4, key=0)
        >>> cell(np.ones((5, 3), np.float32)).shape
        (5, 4)
    """

    nonlinearity: str

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        use_bias: bool = True,
        nonlinearity: str = "tanh",
        dtype: Any = None,
        *,
        key: Any,
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            use_bias,
            dtype,
            key=key,
            weight_init=weight_init,
            bias_init=bias_init,
        )
        activation_named(type(self).__name__, nonlinearity)
        self.nonlinearity = nonlinearity

    def step(self, from_input: Any, from_hidden: Any, state: Any) -> Any:
        activation = activation_named(type(self).__name__, self.nonlinearity)
        return rnn_step(from_input, from_hidden, state, activation)


class GRUCell(_Cell):
    """A gated recurrent unit (Cho et al., 2014), with PyTorch's separate bias of the hidden state in its new gate.

    Args:
        input_size, hidden_size: lengths of the last axes of input and state.
        use_bias: whether there are biases.
        dtype: of the parameters; float32 by default.
        key: random key or seed.
        weight_init, bias_init: initialisers instead of the uniform distribution up to 1/sqrt(hidden_size).

    Attributes:
        weight_ih: (3 * hidden_size, input_size), gates in the order reset, update, new.
        weight_hh: (3 * hidden_size, hidden_size).
        bias_ih, bias_hh: (3 * hidden_size,), or None.

    Example:
        >>> import numpy as np
        >>> GRUCell(3, 4, key=0)(np.ones(3, np.float32), np.zeros(4, np.float32)).shape
        (4,)
    """

    gates = 3

    def step(self, from_input: Any, from_hidden: Any, state: Any) -> Any:
        return gru_step(from_input, from_hidden, state)


class LSTMCell(_Cell):
    """A long short-term memory unit (Hochreiter and Schmidhuber, 1997).

    Args:
        input_size, hidden_size: lengths of the last axes of input and states.
        use_bias: whether there are biases.
        dtype: of the parameters; float32 by default.
        key: random key or seed.
        weight_init, bias_init: initialisers instead of the uniform distribution up to 1/sqrt(hidden_size).

    Attributes:
        weight_ih: (4 * hidden_size, input_size), gates in the order input, forget, cell, output.
        weight_hh: (4 * hidden_size, hidden_size).
        bias_ih, bias_hh: (4 * hidden_size,), or None.

    Example:
        >>> import numpy as np
        >>> hidden, cell = LSTMCell(3, 4, key=0)(np.ones((5, 3), np.float32))
        >>> hidden.shape, cell.shape
        ((5, 4), (5, 4))
    """

    gates, states = 4, 2

    def step(self, from_input: Any, from_hidden: Any, state: Any) -> Any:
        return lstm_step(from_input, from_hidden, state)


def activation_named(module: str, name: str) -> Callable[[Any], Any]:
    """The function behind `nonlinearity`."""
    known: dict[str, Callable[[Any], Any]] = {"tanh": fnp.tanh, "relu": relu}
    if name not in known:
        raise ValueError(f"[{module}] nonlinearity must be 'tanh' or 'relu', but got {name!r}.")
    return known[name]
