"""Layers: modules that are called with an array and return one."""

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
