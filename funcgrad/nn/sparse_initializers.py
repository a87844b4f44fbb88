"""Initialisers of weights that are mostly zero: identities, and sparse matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad import random
from funcgrad.nn.weight_axes import ByLayout, Initializer, check_kernel, with_window


def identity(scale: Any = 1.0, dtype: Any = None) -> Initializer:
    """A matrix that is `scale` where both indices are equal, and 0 elsewhere.

    Example:
        >>> identity()(None, (2, 3))
        array([[1., 0., 0.],
               [0., 1., 0.]], dtype=float32)
    """

    def init(key: Any, shape: Sequence[int], dtype: Any = dtype) -> Any:
        del key
        _check_matrix("identity", shape, "dirac")
        return scale * fnp.eye(*shape, dtype=np.float32 if dtype is None else dtype)

    return init


def dirac(groups: int = 1, dtype: Any = None) -> Initializer:
    """Kernels of convolutions that hand channels on unchanged, as many as there are on both sides.

    Args:
        groups: those of the convolution.
        dtype: used if `init` gets none; float32 by default.

    Raises:
        ValueError: the shape is no kernel's, or its outputs cannot be split into groups.

    Example:
        >>> import numpy as np
        >>> from funcgrad import nn
        >>> layer = nn.Conv1d(2, 2, 3, padding="SAME", use_bias=False, weight_init=dirac(), key=0)
        >>> layer(np.array([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]))
        array([[[1., 2., 3.],
                [4., 5., 6.]]])
    """

    def make(in_axis: Any, out_axis: Any) -> Initializer:
        def init(key: Any, shape: Sequence[int], dtype: Any = dtype) -> Any:
            del key
            check_kernel("dirac", tuple(shape), "identity")
            inputs, outputs = shape[in_axis], shape[out_axis]
            if outputs % groups:
                raise ValueError(
                    f"[dirac] {outputs} outputs cannot be split into groups={groups} equal groups."
                )
            own = fnp.eye(inputs, outputs // groups, dtype=np.float32 if dtype is None else dtype)
            matrix = fnp.tile(own, (1, groups))
            return with_window(matrix, tuple(shape), in_axis, out_axis, lambda n: n // 2)

        return init

    return ByLayout(make)


def sparse(sparsity: float, stddev: Any = 1e-2, dtype: Any = None) -> Initializer:
    """Normal matrices in which each input reaches only some outputs (Martens, 2010).

    Args:
        sparsity: share of the outputs that an input does not reach, rounded up to whole outputs.
        stddev: standard deviation of the others.
        dtype: used if `init` gets none; float32 by default.

    Raises:
        ValueError: the shape is no matrix's, or the share is not between 0 and 1.

    Example:
        >>> (sparse(0.5)(0, (3, 4)) == 0).sum(1)
        array([2, 2, 2])
    """
    if not 0 <= sparsity <= 1:
        raise ValueError(f"[sparse] sparsity is a share from 0 to 1, but got {sparsity}.")

    def make(in_axis: Any, out_axis: Any) -> Initializer:
        del in_axis

        def init(key: Any, shape: Sequence[int], dtype: Any = dtype) -> Any:
            _check_matrix("sparse", shape, "normal")
            own, other = random.split(key)
            values = random.normal(own, tuple(shape), dtype) * stddev
            order = fnp.argsort(random.uniform(other, tuple(shape)), axis=out_axis)
            is_left = fnp.argsort(order, axis=out_axis) >= math.ceil(sparsity * shape[out_axis])
            return fnp.where(is_left, values, fnp.zeros((), values.dtype))

        return init

    return ByLayout(make)


def _check_matrix(name: str, shape: Sequence[int], instead: str) -> None:
    if len(shape) != 2:
        raise ValueError(
            f"[{name}] needs the shape of a matrix, but got {tuple(shape)}. Use {instead}."
        )
