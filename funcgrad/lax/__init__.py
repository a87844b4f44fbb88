"""Control flow, collectives, and operations under the names of `jax.lax`."""

from funcgrad.control.branches import cond, switch
from funcgrad.control.loops import associative_scan, fori_loop, map
from funcgrad.control.scan import scan
from funcgrad.control.while_loop import while_loop
from funcgrad.lax.convolution import (
    conv,
    conv_general_dilated,
    conv_transpose,
    conv_with_general_padding,
)
from funcgrad.lax.dimension_numbers import ConvDimensionNumbers, conv_dimension_numbers
from funcgrad.lax.windows import pad, reduce_window
from funcgrad.ops.arithmetic import add, multiply as mul
from funcgrad.ops.cumulative import cumlogsumexp, cummax, cummin, cumprod, cumsum
from funcgrad.ops.dynamic_slice import (
    dynamic_index_in_dim,
    dynamic_slice,
    dynamic_slice_in_dim,
    dynamic_update_index_in_dim,
    dynamic_update_slice,
    dynamic_update_slice_in_dim,
)
from funcgrad.ops.extrema import maximum as max, minimum as min
from funcgrad.ops.top_k import top_k
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
    "ConvDimensionNumbers",
    "add",
    "all_gather",
    "associative_scan",
    "axis_index",
    "cond",
    "conv",
    "conv_dimension_numbers",
    "conv_general_dilated",
    "conv_transpose",
    "conv_with_general_padding",
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
    "max",
    "min",
    "mul",
    "pad",
    "pmax",
    "pmean",
    "pmin",
    "ppermute",
    "psum",
    "reduce_window",
    "scan",
    "stop_gradient",
    "switch",
    "top_k",
    "while_loop",
]
