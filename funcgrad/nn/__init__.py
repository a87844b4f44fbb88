"""Modules, layers, activations, initialisers and losses."""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from funcgrad.nn import initializers as initializers, losses as losses
from funcgrad.nn.activations import (
    celu as celu,
    elu as elu,
    gelu as gelu,
    glu as glu,
    hard_sigmoid as hard_sigmoid,
    hard_silu as hard_silu,
    hard_swish as hard_swish,
    hard_tanh as hard_tanh,
    identity as identity,
    leaky_relu as leaky_relu,
    log_sigmoid as log_sigmoid,
    mish as mish,
    relu as relu,
    relu6 as relu6,
    selu as selu,
    sigmoid as sigmoid,
    silu as silu,
    soft_sign as soft_sign,
    softplus as softplus,
    squareplus as squareplus,
    swish as swish,
    tanh as tanh,
)
from funcgrad.nn.attention import dot_product_attention as dot_product_attention
from funcgrad.nn.capture import Capture as Capture, capture as capture
from funcgrad.nn.context import (
    current_state as current_state,
    is_training as is_training,
    next_key as next_key,
    record_state as record_state,
)
from funcgrad.nn.drawing import Drawing as Drawing, draw as draw
from funcgrad.nn.error_if import error_if as error_if
from funcgrad.nn.filters import (
    combine as combine,
    filter as filter,
    is_array as is_array,
    is_array_like as is_array_like,
    is_inexact_array as is_inexact_array,
    partition as partition,
)
from funcgrad.nn.foreign_names import ELSEWHERE as _ELSEWHERE
from funcgrad.nn.freezing import (
    freeze as freeze,
    is_trainable as is_trainable,
    unfreeze as unfreeze,
)
from funcgrad.nn.hints import unknown_name as _unknown_name
from funcgrad.nn.layers.activations import (
    CELU as CELU,
    ELU as ELU,
    GELU as GELU,
    GLU as GLU,
    SELU as SELU,
    Hardshrink as Hardshrink,
    Hardsigmoid as Hardsigmoid,
    Hardswish as Hardswish,
    Hardtanh as Hardtanh,
    LeakyReLU as LeakyReLU,
    LogSigmoid as LogSigmoid,
    LogSoftmax as LogSoftmax,
    Mish as Mish,
    PReLU as PReLU,
    ReLU as ReLU,
    ReLU6 as ReLU6,
    RReLU as RReLU,
    Sigmoid as Sigmoid,
    SiLU as SiLU,
    Softmax as Softmax,
    Softmax2d as Softmax2d,
    Softmin as Softmin,
    Softplus as Softplus,
    Softshrink as Softshrink,
    Softsign as Softsign,
    Tanh as Tanh,
    Tanhshrink as Tanhshrink,
    Threshold as Threshold,
)
from funcgrad.nn.layers.adaptive_pooling import (
    AdaptiveAvgPool1d as AdaptiveAvgPool1d,
    AdaptiveAvgPool2d as AdaptiveAvgPool2d,
    AdaptiveAvgPool3d as AdaptiveAvgPool3d,
    AdaptiveMaxPool1d as AdaptiveMaxPool1d,
    AdaptiveMaxPool2d as AdaptiveMaxPool2d,
    AdaptiveMaxPool3d as AdaptiveMaxPool3d,
)
from funcgrad.nn.layers.add_lora import add_lora as add_lora, merge_lora as merge_lora
from funcgrad.nn.layers.average_pooling import (
    AvgPool1d as AvgPool1d,
    AvgPool2d as AvgPool2d,
    AvgPool3d as AvgPool3d,
    LPPool1d as LPPool1d,
    LPPool2d as LPPool2d,
    LPPool3d as LPPool3d,
)
from funcgrad.nn.layers.batch_norm import (
    BatchNorm as BatchNorm,
    BatchNorm1d as BatchNorm1d,
    BatchNorm2d as BatchNorm2d,
    BatchNorm3d as BatchNorm3d,
)
from funcgrad.nn.layers.bilinear import Bilinear as Bilinear
from funcgrad.nn.layers.checkpoint import Checkpoint as Checkpoint
from funcgrad.nn.layers.containers import (
    Identity as Identity,
    Lambda as Lambda,
    Sequential as Sequential,
)
from funcgrad.nn.layers.conv_transpose import (
    ConvTranspose1d as ConvTranspose1d,
    ConvTranspose2d as ConvTranspose2d,
    ConvTranspose3d as ConvTranspose3d,
)
from funcgrad.nn.layers.convolution import Conv1d as Conv1d, Conv2d as Conv2d, Conv3d as Conv3d
from funcgrad.nn.layers.dropout import (
    AlphaDropout as AlphaDropout,
    Dropout as Dropout,
    Dropout1d as Dropout1d,
    Dropout2d as Dropout2d,
    Dropout3d as Dropout3d,
    FeatureAlphaDropout as FeatureAlphaDropout,
)
from funcgrad.nn.layers.embedding import Embedding as Embedding
from funcgrad.nn.layers.embedding_bag import EmbeddingBag as EmbeddingBag
from funcgrad.nn.layers.group_norm import (
    GroupNorm as GroupNorm,
    InstanceNorm1d as InstanceNorm1d,
    InstanceNorm2d as InstanceNorm2d,
    InstanceNorm3d as InstanceNorm3d,
    LocalResponseNorm as LocalResponseNorm,
)
from funcgrad.nn.layers.lazy import (
    LazyBatchNorm1d as LazyBatchNorm1d,
    LazyBatchNorm2d as LazyBatchNorm2d,
    LazyBatchNorm3d as LazyBatchNorm3d,
    LazyConv1d as LazyConv1d,
    LazyConv2d as LazyConv2d,
    LazyConv3d as LazyConv3d,
    LazyConvTranspose1d as LazyConvTranspose1d,
    LazyConvTranspose2d as LazyConvTranspose2d,
    LazyConvTranspose3d as LazyConvTranspose3d,
    LazyInstanceNorm1d as LazyInstanceNorm1d,
    LazyInstanceNorm2d as LazyInstanceNorm2d,
    LazyInstanceNorm3d as LazyInstanceNorm3d,
    LazyLinear as LazyLinear,
    materialize as materialize,
)
from funcgrad.nn.layers.linear import MLP as MLP, Linear as Linear
from funcgrad.nn.layers.lora import LoRA as LoRA, LoRAAttention as LoRAAttention
from funcgrad.nn.layers.multihead_attention import MultiheadAttention as MultiheadAttention
from funcgrad.nn.layers.norm import LayerNorm as LayerNorm, RMSNorm as RMSNorm
from funcgrad.nn.layers.padding import (
    CircularPad1d as CircularPad1d,
    CircularPad2d as CircularPad2d,
    CircularPad3d as CircularPad3d,
    ConstantPad1d as ConstantPad1d,
    ConstantPad2d as ConstantPad2d,
    ConstantPad3d as ConstantPad3d,
    ReflectionPad1d as ReflectionPad1d,
    ReflectionPad2d as ReflectionPad2d,
    ReflectionPad3d as ReflectionPad3d,
    ReplicationPad1d as ReplicationPad1d,
    ReplicationPad2d as ReplicationPad2d,
    ReplicationPad3d as ReplicationPad3d,
    ZeroPad1d as ZeroPad1d,
    ZeroPad2d as ZeroPad2d,
    ZeroPad3d as ZeroPad3d,
)
from funcgrad.nn.layers.pooling import (
    MaxPool1d as MaxPool1d,
    MaxPool2d as MaxPool2d,
    MaxPool3d as MaxPool3d,
)
from funcgrad.nn.layers.positions import (
    RotaryPositionalEmbedding as RotaryPositionalEmbedding,
    SinusoidalPositionalEncoding as SinusoidalPositionalEncoding,
)
from funcgrad.nn.layers.recurrent import GRU as GRU, LSTM as LSTM, RNN as RNN
from funcgrad.nn.layers.recurrent_cells import (
    GRUCell as GRUCell,
    LSTMCell as LSTMCell,
    RNNCell as RNNCell,
)
from funcgrad.nn.layers.repeated import Repeated as Repeated
from funcgrad.nn.layers.reshaping import (
    ChannelShuffle as ChannelShuffle,
    Flatten as Flatten,
    PixelShuffle as PixelShuffle,
    PixelUnshuffle as PixelUnshuffle,
    Unflatten as Unflatten,
)
from funcgrad.nn.layers.transformer import (
    TransformerDecoder as TransformerDecoder,
    TransformerDecoderLayer as TransformerDecoderLayer,
    TransformerEncoder as TransformerEncoder,
    TransformerEncoderLayer as TransformerEncoderLayer,
)
from funcgrad.nn.layers.unfold import Fold as Fold, Unfold as Unfold
from funcgrad.nn.layers.unpooling import (
    MaxUnpool1d as MaxUnpool1d,
    MaxUnpool2d as MaxUnpool2d,
    MaxUnpool3d as MaxUnpool3d,
)
from funcgrad.nn.layers.upsample import Upsample as Upsample
from funcgrad.nn.layers.weight_norm import SpectralNorm as SpectralNorm, WeightNorm as WeightNorm
from funcgrad.nn.losses.names import *  # noqa: F403 - a list of names, all of them public
from funcgrad.nn.modes import inference_mode as inference_mode
from funcgrad.nn.module import Module as Module, field as field
from funcgrad.nn.normalization import (
    log_softmax as log_softmax,
    logsumexp as logsumexp,
    one_hot as one_hot,
    softmax as softmax,
    standardize as standardize,
)
from funcgrad.nn.parameters import (
    cast as cast,
    count_parameters as count_parameters,
    get as get,
    named_buffers as named_buffers,
    named_parameters as named_parameters,
    parameters as parameters,
    replace as replace,
)
from funcgrad.nn.paths import label as label, select as select
from funcgrad.nn.show import tree_pformat as tree_pformat
from funcgrad.nn.state_dict import load_state_dict as load_state_dict, state_dict as state_dict
from funcgrad.nn.summary import Summary as Summary, summary as summary
from funcgrad.nn.thresholds import (
    hard_shrink as hard_shrink,
    log1mexp as log1mexp,
    logmeanexp as logmeanexp,
    prelu as prelu,
    soft_shrink as soft_shrink,
    softmin as softmin,
    sparse_plus as sparse_plus,
    sparse_sigmoid as sparse_sigmoid,
    tanh_shrink as tanh_shrink,
    threshold as threshold,
)
from funcgrad.nn.tree_at import tree_at as tree_at, tree_equal as tree_equal
from funcgrad.nn.walk import named_modules as named_modules

if not _TYPE_CHECKING:  # which would take every name as one that is there

    def __getattr__(name: str) -> object:
        raise AttributeError(_unknown_name("funcgrad.nn", name, globals(), _ELSEWHERE))
