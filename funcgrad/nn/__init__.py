"""Modules, layers, activations, initialisers and losses."""

from typing import TYPE_CHECKING as _TYPE_CHECKING

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
from funcgrad.nn.attention import dot_product_attention
from funcgrad.nn.capture import Capture, capture
from funcgrad.nn.context import current_state, is_training, next_key, record_state
from funcgrad.nn.drawing import Drawing, draw
from funcgrad.nn.filters import (
    combine,
    filter,
    is_array,
    is_array_like,
    is_inexact_array,
    partition,
)
from funcgrad.nn.freezing import freeze, is_trainable, unfreeze
from funcgrad.nn.hints import IN_PYTORCH as _IN_PYTORCH, unknown_name as _unknown_name
from funcgrad.nn.layers.activations import (
    CELU,
    ELU,
    GELU,
    GLU,
    SELU,
    Hardshrink,
    Hardsigmoid,
    Hardswish,
    Hardtanh,
    LeakyReLU,
    LogSigmoid,
    LogSoftmax,
    Mish,
    PReLU,
    ReLU,
    ReLU6,
    RReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softmax2d,
    Softmin,
    Softplus,
    Softshrink,
    Softsign,
    Tanh,
    Tanhshrink,
    Threshold,
)
from funcgrad.nn.layers.adaptive_pooling import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveAvgPool3d,
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
    AdaptiveMaxPool3d,
)
from funcgrad.nn.layers.add_lora import add_lora, merge_lora
from funcgrad.nn.layers.batch_norm import BatchNorm, BatchNorm1d, BatchNorm2d, BatchNorm3d
from funcgrad.nn.layers.bilinear import Bilinear
from funcgrad.nn.layers.checkpoint import Checkpoint
from funcgrad.nn.layers.containers import Identity, Lambda, Sequential
from funcgrad.nn.layers.conv_transpose import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from funcgrad.nn.layers.convolution import Conv1d, Conv2d, Conv3d
from funcgrad.nn.layers.dropout import (
    AlphaDropout,
    Dropout,
    Dropout1d,
    Dropout2d,
    Dropout3d,
    FeatureAlphaDropout,
)
from funcgrad.nn.layers.embedding import Embedding
from funcgrad.nn.layers.embedding_bag import EmbeddingBag
from funcgrad.nn.layers.group_norm import (
    GroupNorm,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
    LocalResponseNorm,
)
from funcgrad.nn.layers.lazy import (
    LazyBatchNorm1d,
    LazyBatchNorm2d,
    LazyBatchNorm3d,
    LazyConv1d,
    LazyConv2d,
    LazyConv3d,
    LazyConvTranspose1d,
    LazyConvTranspose2d,
    LazyConvTranspose3d,
    LazyInstanceNorm1d,
    LazyInstanceNorm2d,
    LazyInstanceNorm3d,
    LazyLinear,
    materialize,
)
from funcgrad.nn.layers.linear import MLP, Linear
from funcgrad.nn.layers.lora import LoRA, LoRAAttention
from funcgrad.nn.layers.multihead_attention import MultiheadAttention
from funcgrad.nn.layers.norm import LayerNorm, RMSNorm
from funcgrad.nn.layers.padding import (
    CircularPad1d,
    CircularPad2d,
    CircularPad3d,
    ConstantPad1d,
    ConstantPad2d,
    ConstantPad3d,
    ReflectionPad1d,
    ReflectionPad2d,
    ReflectionPad3d,
    ReplicationPad1d,
    ReplicationPad2d,
    ReplicationPad3d,
    ZeroPad1d,
    ZeroPad2d,
    ZeroPad3d,
)
from funcgrad.nn.layers.pooling import (
    AvgPool1d,
    AvgPool2d,
    AvgPool3d,
    LPPool1d,
    LPPool2d,
    LPPool3d,
    MaxPool1d,
    MaxPool2d,
    MaxPool3d,
)
from funcgrad.nn.layers.positions import RotaryPositionalEmbedding, SinusoidalPositionalEncoding
from funcgrad.nn.layers.recurrent import GRU, LSTM, RNN
from funcgrad.nn.layers.recurrent_cells import GRUCell, LSTMCell, RNNCell
from funcgrad.nn.layers.repeated import Repeated
from funcgrad.nn.layers.reshaping import (
    ChannelShuffle,
    Flatten,
    PixelShuffle,
    PixelUnshuffle,
    Unflatten,
)
from funcgrad.nn.layers.transformer import (
    TransformerDecoder,
    TransformerDecoderLayer,
    TransformerEncoder,
    TransformerEncoderLayer,
)
from funcgrad.nn.layers.unfold import Fold, Unfold
from funcgrad.nn.layers.unpooling import MaxUnpool1d, MaxUnpool2d, MaxUnpool3d
from funcgrad.nn.layers.upsample import Upsample
from funcgrad.nn.layers.weight_norm import SpectralNorm, WeightNorm
from funcgrad.nn.losses.names import *  # noqa: F403 - a list of names, all of them public
from funcgrad.nn.modes import inference_mode
from funcgrad.nn.module import Module, field
from funcgrad.nn.normalization import log_softmax, logsumexp, one_hot, softmax, standardize
from funcgrad.nn.parameters import (
    cast,
    count_parameters,
    get,
    named_buffers,
    named_parameters,
    parameters,
    replace,
)
from funcgrad.nn.paths import label, select
from funcgrad.nn.state_dict import load_state_dict, state_dict
from funcgrad.nn.summary import Summary, summary
from funcgrad.nn.thresholds import (
    hard_shrink,
    log1mexp,
    logmeanexp,
    prelu,
    soft_shrink,
    softmin,
    sparse_plus,
    sparse_sigmoid,
    tanh_shrink,
    threshold,
)
from funcgrad.nn.tree_at import tree_at, tree_equal
from funcgrad.nn.walk import named_modules

if not _TYPE_CHECKING:  # which would take every name as one that is there

    def __getattr__(name: str) -> object:
        raise AttributeError(_unknown_name("funcgrad.nn", name, globals(), _IN_PYTORCH))
