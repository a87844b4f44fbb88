"""One flat vector for a tree of arrays, as optimizers from elsewhere want it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.ir.tracer import type_of
from funcgrad.ops.cast import convert
from funcgrad.ops.complex import real
from funcgrad.ops.operands import shape_of
from funcgrad.ops.pieces import concatenate, slice_axis
from funcgrad.ops.shape import reshape
from funcgrad.transforms.arguments import Flat, fresh_outputs

__all__ = ["ravel_pytree"]


def ravel_pytree(pytree: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Join the arrays of a tree into one vector.

    Args:
        pytree: tree of arrays; dtypes are promoted to a common one.

    Returns:
        (flat, unravel): a vector, and the function that makes a tree of the original shapes and dtypes of a
        vector of that length.

    Example:
        >>> import numpy as np
        >>> from funcgrad.flatten_util import ravel_pytree
        >>> flat, unravel = ravel_pytree({"a": np.ones(2), "b": np.zeros((1, 1))})
        >>> flat
        array([1., 1., 0.])
        >>> unravel(flat)["b"]
        array([[0.]])
    """
    tree = Flat(pytree, "the tree")
    types = [type_of(x) for x in tree.arrays]
    shapes = [shape_of(x) for x in tree.arrays]
    sizes = [math.prod(shape) for shape in shapes]
    dtype = np.result_type(*[t.dtype for t in types]) if types else np.dtype(np.float32)
    parts = [
        reshape(convert(x, dtype), (size,)) for x, size in zip(tree.arrays, sizes, strict=True)
    ]
    flat = concatenate(parts) if parts else np.zeros(0, dtype)

    def unravel(vector: Any) -> Any:
        found = shape_of(vector)
        if found != (sum(sizes),):
            raise ValueError(
                f"[unravel] expected a vector of length {sum(sizes)}, but got shape {found}."
            )
        if type_of(vector).dtype.kind == "c" and dtype.kind != "c":
            raise TypeError(
                f"[unravel] the tree holds {dtype} and other real numbers, but the vector is "
                f"{type_of(vector)}. Pass its real part."
            )
        leaves, start = [], 0
        for shape, size, type in zip(shapes, sizes, types, strict=True):
            part = slice_axis(vector, 0, start, start + size)
            if type_of(part).dtype.kind == "c" and type.dtype.kind != "c":
                part = real(part)
            leaves.append(convert(reshape(part, shape), type.dtype))
            start += size
        return tree.rebuild(fresh_outputs(leaves, [vector]))

    return fresh_outputs([flat], tree.arrays)[0], unravel
