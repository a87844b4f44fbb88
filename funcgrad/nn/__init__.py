"""Modules, layers, activations, initialisers and losses."""

from funcgrad.nn.filters import (
    combine,
    filter,
    is_array,
    is_array_like,
    is_inexact_array,
    partition,
)
from funcgrad.nn.module import Module, field
from funcgrad.nn.tree_at import tree_at, tree_equal
