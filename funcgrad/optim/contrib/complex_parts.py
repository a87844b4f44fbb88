"""Complex parameters as pairs of real ones."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from funcgrad import tree
from funcgrad.ir.types import is_complex
from funcgrad.optim.base import GradientTransformation, as_array, is_trained


class SplitRealAndImaginaryArrays(NamedTuple):
    """The two parts of a complex array."""

    real: Any
    imaginary: Any


class SplitRealAndImaginaryState(NamedTuple):
    """The state of `split_real_and_imaginary`: that of the inner transformation."""

    inner_state: Any


def split_real_and_imaginary(inner: GradientTransformation) -> GradientTransformation:
    """Let a transformation see the real and imaginary parts of complex arrays as two arrays.

    Args:
        inner: the transformation.

    Example:
        >>> from funcgrad import optim
        >>> signs = split_real_and_imaginary(optim.scale_by_sign())
        >>> signs.update(np.array([3.0 - 2.0j]), signs.init(np.zeros(1, complex)))[0]
        array([1.-1.j])
    """

    def init(params: Any) -> SplitRealAndImaginaryState:
        return SplitRealAndImaginaryState(inner.init(tree.map(_split, params)))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        parts = None if params is None else tree.map(_split, params)
        moved, inner_state = inner.update(
            tree.map(_split, updates), state.inner_state, parts, **extra
        )
        joined = tree.map(_join, moved, is_leaf=_is_pair)
        return joined, SplitRealAndImaginaryState(inner_state)

    return GradientTransformation(init, update)


def _split(leaf: Any) -> Any:
    if not is_trained(leaf) or not is_complex(as_array(leaf).dtype):
        return leaf
    array = as_array(leaf)
    return SplitRealAndImaginaryArrays(np.real(array), np.imag(array))


def _join(leaf: Any) -> Any:
    return leaf.real + 1j * leaf.imaginary if _is_pair(leaf) else leaf


def _is_pair(value: Any) -> bool:
    return isinstance(value, SplitRealAndImaginaryArrays)
