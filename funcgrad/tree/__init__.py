"""Trees: nested containers of arrays, taken apart into leaves and a structure.

This layer knows containers and object identity.  It must not know programs, tracers or modules;
those make themselves known through `funcgrad.tree.registry`.
"""

from funcgrad.tree.flattening import (
    compile_flatten,
    compile_unflatten,
    flatten,
    flatten_with_path,
    leaves,
    leaves_with_path,
    structure,
    unflatten,
)
from funcgrad.tree.functions import (
    all,
    broadcast,
    broadcast_prefix,
    map,
    map_with_path,
    reduce,
    transpose,
)
from funcgrad.tree.keys import keystr, path_string
from funcgrad.tree.treedef import PyTreeDef

__all__ = [
    "PyTreeDef",
    "all",
    "broadcast",
    "broadcast_prefix",
    "compile_flatten",
    "compile_unflatten",
    "flatten",
    "flatten_with_path",
    "keystr",
    "leaves",
    "leaves_with_path",
    "map",
    "map_with_path",
    "path_string",
    "reduce",
    "structure",
    "transpose",
    "unflatten",
]
