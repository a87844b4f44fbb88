"""Functions of vectors applied to every line of an array."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.numpy.register import numpy_function
from funcgrad.numpy.shape import axis_tuple, expand_dims, moveaxis, normalize_axis
from funcgrad.ops.operands import ndim_of, shape_of
from funcgrad.ops.sequences import as_array
from funcgrad.transforms.vmap import vmap


@numpy_function(np.apply_along_axis)
def apply_along_axis(
    func1d: Callable[..., Any], axis: int, arr: Any, *args: Any, **kwargs: Any
) -> Any:
    """`func1d` of every vector of `arr` that lies along `axis`.

    Args:
        func1d: function of a vector; of traced values it is called once, for all vectors together.
        axis: the axis of the vectors; the axes of the results take its place.
        arr: array.
        args, kwargs: handed to `func1d`.

    Example:
        >>> import funcgrad.numpy as fnp
        >>> fnp.apply_along_axis(fnp.max, 1, fnp.asarray([[1, 5], [7, 2]]))
        array([5, 7])
    """
    arr = as_array(arr)
    rank = ndim_of(arr)
    axis = normalize_axis("apply_along_axis", axis, rank)

    def of_vector(vector: Any) -> Any:
        return as_array(func1d(vector, *args, **kwargs))

    function = of_vector
    for _ in range(rank - 1):
        function = vmap(function)
    out = function(moveaxis(arr, axis, -1))
    new = range(rank - 1, ndim_of(out))
    return moveaxis(out, tuple(new), tuple(axis + i for i in range(len(new))))


@numpy_function(np.apply_over_axes)
def apply_over_axes(func: Callable[..., Any], a: Any, axes: Any) -> Any:
    """`func(a, axis)` for one axis after the other, each kept with length 1."""
    a = as_array(a)
    rank = ndim_of(a)
    for axis in axis_tuple(axes):
        place = normalize_axis("apply_over_axes", axis, rank)
        result = func(a, place)
        a = result if ndim_of(result) == rank else expand_dims(result, place)
        if ndim_of(a) != rank:
            raise ValueError(
                f"[apply_over_axes] the function must drop or keep axis {place}, but returned shape "
                f"{shape_of(result)}."
            )
    return a
