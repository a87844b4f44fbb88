"""Arithmetic on trees of arrays, and reading and changing single values in the state of an optimizer.

Leaves that are no arrays, such as functions, are passed through; None stays None.
"""

from funcgrad.optim.tree.arithmetic import (
    add as add,
    add_scale as add_scale,
    batch_shape as batch_shape,
    cast as cast,
    cast_like as cast_like,
    clip as clip,
    conj as conj,
    div as div,
    full_like as full_like,
    mul as mul,
    ones_like as ones_like,
    real as real,
    scale as scale,
    sub as sub,
    where as where,
    zeros_like as zeros_like,
)
from funcgrad.optim.tree.averages import (
    bias_correction as bias_correction,
    update_infinity_moment as update_infinity_moment,
    update_moment as update_moment,
    update_moment_per_elem_norm as update_moment_per_elem_norm,
)
from funcgrad.optim.tree.randomness import (
    random_like as random_like,
    split_key_like as split_key_like,
)
from funcgrad.optim.tree.reductions import (
    allclose as allclose,
    dtype as dtype,
    max as max,
    min as min,
    norm as norm,
    size as size,
    sum as sum,
    vdot as vdot,
)
from funcgrad.optim.tree.states import (
    get as get,
    get_all_with_path as get_all_with_path,
    map_params as map_params,
    set as set,
)
