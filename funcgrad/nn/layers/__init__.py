"""Layers: modules that are called with an array and return one."""

from funcgrad.nn.layers.containers import Identity, Lambda, Sequential
from funcgrad.nn.layers.embedding import Embedding
from funcgrad.nn.layers.linear import MLP, Linear
from funcgrad.nn.layers.norm import LayerNorm
