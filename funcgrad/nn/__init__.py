"""Modules, layers, activations, initialisers and losses."""

from funcgrad.nn import initializers, losses
from funcgrad.nn.activations import (
    celu,
    elu,
    gelu,
    glu,
    hard_sigmoid,
    hard_silu,
    hard_swish,
    hard_tanh,
    identity,
    leaky_relu,
    log_sigmoid,
    mish,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    soft_sign,
    softplus,
    squareplus,
    swish,
    tanh,
)
from funcgrad.nn.filters import (
    combine,
    filter,
    is_array,
    is_array_like,
    is_inexact_array,
    partition,
)
from funcgrad.nn.layers import MLP, Embedding, Identity, Lambda, LayerNorm, Linear, Sequential
from funcgrad.nn.losses import (
    cosine_similarity,
    hinge_loss,
    huber_loss,
    l2_loss,
    log_cosh,
    mse,
    sigmoid_binary_cross_entropy,
    softmax_cross_entropy,
    softmax_cross_entropy_with_integer_labels,
    squared_error,
)
from funcgrad.nn.module import Module, field
from funcgrad.nn.normalization import log_softmax, logsumexp, one_hot, softmax, standardize
from funcgrad.nn.tree_at import tree_at, tree_equal
