"""Arithmetic on trees of arrays, and reading and changing single values in the state of an optimizer.

Leaves that are no arrays, such as functions, are passed through; None stays None.
"""

from funcgrad.optim.tree.arithmetic import (
    add,
    add_scale,
    batch_shape,
    cast,
    cast_like,
    clip,
    conj,
    div,
    full_like,
    mul,
    ones_like,
    real,
    scale,
    sub,
    where,
    zeros_like,
)
from funcgrad.optim.tree.averages import (
    bias_correction,
    update_infinity_moment,
    update_moment,
    update_moment_per_elem_norm,
)
from funcgrad.optim.tree.randomness import random_like, split_key_like
from funcgrad.optim.tree.reductions import allclose, dtype, max, min, norm, size, sum, vdot
from funcgrad.optim.tree.states import get, get_all_with_path, map_params, set
