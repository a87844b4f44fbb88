"""Control flow, collectives, and operations under the names of `jax.lax`."""

from funcgrad.control.branches import cond, switch
from funcgrad.control.loops import associative_scan, fori_loop, map
from funcgrad.control.scan import scan
from funcgrad.control.while_loop import while_loop
from funcgrad.ops.cumulative import cumlogsumexp, cummax, cummin, cumprod, cumsum
from funcgrad.ops.dynamic_slice import (
    dynamic_index_in_dim,
    dynamic_slice,
    dynamic_slice_in_dim,
    dynamic_update_index_in_dim,
    dynamic_update_slice,
    dynamic_update_slice_in_dim,
)
from funcgrad.ops.sort import top_k
from funcgrad.transforms.collectives import (
    all_gather,
    axis_index,
    pmax,
    pmean,
    pmin,
    ppermute,
    psum,
)
from funcgrad.transforms.stop_gradient import stop_gradient

__all__ = [
    "all_gather",
    "associative_scan",
    "axis_index",
    "cond",
    "cumlogsumexp",
    "cummax",
    "cummin",
    "cumprod",
    "cumsum",
    "dynamic_index_in_dim",
    "dynamic_slice",
    "dynamic_slice_in_dim",
    "dynamic_update_index_in_dim",
    "dynamic_update_slice",
    "dynamic_update_slice_in_dim",
    "fori_loop",
    "map",
    "pmax",
    "pmean",
    "pmin",
    "ppermute",
    "psum",
    "scan",
    "stop_gradient",
    "switch",
    "top_k",
    "while_loop",
]
