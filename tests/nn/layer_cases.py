"""The layers that are compared with PyTorch: what each library calls them, inputs and calls. Values come from names.

`make_reference.py` evaluates the column of PyTorch, `test_torch.py` ours, and both where PyTorch can be imported.
"""

import dataclasses
import zlib

import numpy as np


@dataclasses.dataclass
class Case:
    """One layer.

    Attributes:
        torch, ours: expressions that make it, after `torch.nn` and `nn` have been left out.
        shapes: of the floating inputs.
        train: whether in training mode.
        call, torch_call: expressions of the module `m` and the inputs `xs`; the second where it differs.
        integers: number of classes if the inputs are integers.
        positive: whether inputs are above 0.
    """

    torch: str
    ours: str
    shapes: tuple = ()
    train: bool = False
    call: str = "m(*xs)"
    torch_call: str = ""
    integers: int = 0
    positive: bool = False


def same(text, *shapes, **options):
    """A case with one text for both, but for the key."""
    name = text.partition("(")[0]
    ours = text.replace("bias=False", "use_bias=False").replace("padding='same'", "padding='SAME'")
    needs_key = name in KEYED
    ours = f"{ours[:-1]}{', ' if not ours.endswith('()') else ''}key=0)" if needs_key else ours
    return Case(text, ours, shapes, **options)


KEYED = {
    "Linear",
    "Bilinear",
    "Embedding",
    "EmbeddingBag",
    "RNNCell",
    "GRUCell",
    "LSTMCell",
    "GRU",
    "LSTM",
    "RNN",
}
KEYED |= {f"{kind}{n}d" for kind in ("Conv", "ConvTranspose") for n in (1, 2, 3)}
X1, X2, X3 = (2, 4, 9), (2, 4, 7, 8), (2, 4, 5, 6, 4)
SEQUENCE = (5, 3, 4)

CASES = {
    "linear": same("Linear(4, 3)", (2, 5, 4)),
    "linear_plain": same("Linear(4, 3, bias=False)", (4,)),
    "bilinear": same("Bilinear(3, 4, 2)", (5, 3), (5, 4)),
    "embedding": same("Embedding(7, 3)", (2, 5), integers=7),
    "embedding_padding": same("Embedding(7, 3, padding_idx=2)", (2, 9), integers=7),
    "embedding_bag": same("EmbeddingBag(7, 3)", (4, 5), integers=7),
    "embedding_bag_sum": same("EmbeddingBag(7, 3, mode='sum', padding_idx=-3)", (4, 5), integers=7),
    "embedding_bag_weights": same(
        "EmbeddingBag(7, 3, mode='sum')",
        (9,),
        (9,),
        integers=7,
        call="m(xs[0], np.array([0, 2, 2, 5]), xs[1].astype(m.weight.dtype) / 4)",
        torch_call="m(xs[0], torch.tensor([0, 2, 2, 5]), xs[1].to(m.weight.dtype) / 4)",
    ),
    "embedding_bag_offsets": same(
        "EmbeddingBag(7, 3, mode='mean', padding_idx=1, include_last_offset=True)",
        (9,),
        integers=7,
        call="m(xs[0], np.array([0, 2, 2, 5, 9]))",
        torch_call="m(xs[0], torch.tensor([0, 2, 2, 5, 9]))",
    ),
    "embedding_bag_max": same(
        "EmbeddingBag(7, 3, mode='max', padding_idx=6)",
        (9,),
        integers=7,
        call="m(xs[0], np.array([0, 2, 2, 5]))",
        torch_call="m(xs[0], torch.tensor([0, 2, 2, 5]))",
    ),
    # convolutions
    "conv1d": same("Conv1d(4, 6, 3, stride=2, padding=1)", X1),
    "conv1d_circular": same("Conv1d(4, 2, 3, padding=2, padding_mode='circular')", X1),
    "conv1d_one_example": same("Conv1d(4, 2, 2, dilation=2)", X1[1:]),
    "conv2d": same("Conv2d(4, 3, 3)", X2),
    "conv2d_same": same("Conv2d(4, 3, (2, 3), padding='same', dilation=2)", X2),
    "conv2d_groups": same("Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), groups=2)", X2),
    "conv2d_depthwise": same("Conv2d(4, 4, 3, padding=1, groups=4, bias=False)", X2),
    "conv2d_reflect": same("Conv2d(4, 2, 3, padding=(1, 2), padding_mode='reflect')", X2),
    "conv2d_replicate": same("Conv2d(4, 2, 3, padding=1, padding_mode='replicate')", X2),
    "conv3d": same("Conv3d(4, 2, (2, 3, 2), stride=(1, 2, 1), padding=1)", X3),
    "conv_transpose1d": same("ConvTranspose1d(4, 3, 4, stride=2, padding=1)", X1),
    "conv_transpose2d": same(
        "ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2)", X2
    ),
    "conv_transpose2d_dilated": same("ConvTranspose2d(4, 2, (2, 3), dilation=2, bias=False)", X2),
    "conv_transpose3d": same("ConvTranspose3d(4, 2, 2, stride=2)", X3),
    # pooling
    "max_pool1d": same("MaxPool1d(3, stride=2, padding=1)", X1),
    "max_pool2d": same("MaxPool2d(2, stride=2)", X2),
    "max_pool2d_ceil": Case(
        "MaxPool2d((3, 2), stride=(2, 3), padding=1, ceil_mode=True)",
        "MaxPool2d((3, 2), (2, 3), 1, use_ceil=True)",
        (X2,),
    ),
    "max_pool2d_dilated": same("MaxPool2d(2, stride=1, dilation=2)", X2),
    "max_pool1d_indices": same(
        "MaxPool1d(3, stride=2, padding=1, dilation=2, return_indices=True)", X1
    ),
    "max_pool2d_indices": Case(
        "MaxPool2d((3, 2), stride=(2, 3), padding=1, ceil_mode=True, return_indices=True)",
        "MaxPool2d((3, 2), (2, 3), 1, use_ceil=True, return_indices=True)",
        (X2,),
    ),
    "max_pool3d_indices": same("MaxPool3d(2, stride=2, padding=1, return_indices=True)", X3),
    "max_unpool1d": same(
        "MaxUnpool1d(3, stride=2, padding=1)",
        (2, 4, 3),
        call="m(xs[0], np.arange(24).reshape(2, 4, 3) * 3 % 5)",
        torch_call="m(xs[0], torch.tensor(np.arange(24).reshape(2, 4, 3) * 3 % 5))",
    ),
    "max_unpool2d": same(
        "MaxUnpool2d(2)",
        (2, 4, 3, 4),
        call="m(xs[0], np.arange(96).reshape(2, 4, 3, 4) * 5 % 63, (7, 9))",
        torch_call="m(xs[0], torch.tensor(np.arange(96).reshape(2, 4, 3, 4) * 5 % 63), (7, 9))",
    ),
    "max_unpool3d": same(
        "MaxUnpool3d((2, 1, 3), stride=(2, 1, 2))",
        (2, 3, 2, 2, 2),
        call="m(xs[0], np.arange(48).reshape(2, 3, 2, 2, 2) * 3 % 40)",
        torch_call="m(xs[0], torch.tensor(np.arange(48).reshape(2, 3, 2, 2, 2) * 3 % 40))",
    ),
    "max_pool3d": same("MaxPool3d(2, stride=2, padding=1)", X3),
    "avg_pool1d": same("AvgPool1d(2, stride=2)", X1),
    "avg_pool2d": same("AvgPool2d(3, stride=2, padding=1)", X2),
    "avg_pool2d_inside": same("AvgPool2d(3, stride=2, padding=1, count_include_pad=False)", X2),
    "avg_pool2d_ceil": Case(
        "AvgPool2d(3, stride=2, padding=1, ceil_mode=True)",
        "AvgPool2d(3, 2, 1, use_ceil=True)",
        (X2,),
    ),
    "avg_pool2d_ceil_inside": Case(
        "AvgPool2d((2, 3), stride=(3, 2), ceil_mode=True, count_include_pad=False)",
        "AvgPool2d((2, 3), (3, 2), use_ceil=True, count_include_pad=False)",
        (X2,),
    ),
    "avg_pool2d_divisor": same("AvgPool2d(2, stride=2, divisor_override=3)", X2),
    "avg_pool3d": same("AvgPool3d(2, stride=2)", X3),
    "lp_pool1d": same("LPPool1d(3, 2, stride=2)", X1, positive=True),
    "lp_pool2d": same("LPPool2d(2, (2, 3), stride=2)", X2),
    "adaptive_avg_pool1d": same("AdaptiveAvgPool1d(4)", X1),
    "adaptive_avg_pool2d": same("AdaptiveAvgPool2d((3, None))", X2),
    "adaptive_avg_pool2d_even": same("AdaptiveAvgPool2d((1, 4))", X2),
    "adaptive_avg_pool3d": same("AdaptiveAvgPool3d((2, 4, 3))", X3),
    "adaptive_max_pool1d": same("AdaptiveMaxPool1d(4)", X1),
    "adaptive_max_pool2d": same("AdaptiveMaxPool2d((3, 5))", X2),
    "adaptive_max_pool3d": same("AdaptiveMaxPool3d(2)", X3),
    "adaptive_max_pool2d_indices": same("AdaptiveMaxPool2d((3, 5), return_indices=True)", X2),
    # moving elements
    "flatten": same("Flatten()", X2),
    "flatten_some": same("Flatten(0, 1)", X2),
    "unflatten": same("Unflatten(1, (2, 2))", X1),
    "pixel_shuffle": same("PixelShuffle(2)", X2),
    "pixel_unshuffle": same("PixelUnshuffle(2)", (2, 3, 4, 6)),
    "channel_shuffle": same("ChannelShuffle(2)", X2),
    "unfold": same("Unfold((2, 3), dilation=2, padding=1, stride=(2, 1))", X2),
    "fold": same("Fold((5, 6), (2, 3), padding=1, stride=2)", (2, 12, 9)),
    "zero_pad2d": same("ZeroPad2d((1, 2, 0, 3))", X2),
    "constant_pad1d": same("ConstantPad1d((2, -1), 1.5)", X1),
    "constant_pad3d": same("ConstantPad3d(1, -1.0)", X3),
    "reflection_pad1d": same("ReflectionPad1d((3, 1))", X1),
    "reflection_pad2d": same("ReflectionPad2d((1, 2, 3, 0))", X2),
    "reflection_pad2d_crop": same("ReflectionPad2d((-1, 2, 3, -2))", (2, 4, 4, 5)),
    "reflection_pad3d": same("ReflectionPad3d(1)", X3),
    "replication_pad1d": same("ReplicationPad1d(2)", X1),
    "replication_pad2d": same("ReplicationPad2d((1, 2, 3, 0))", X2),
    "replication_pad3d": same("ReplicationPad3d(1)", X3),
    "circular_pad1d": same("CircularPad1d((3, 1))", X1),
    "circular_pad2d": same("CircularPad2d((1, 2, 3, 0))", X2),
    "circular_pad3d": same("CircularPad3d(1)", X3),
    "upsample_nearest": same("Upsample(scale_factor=2)", X2),
    "upsample_nearest_size": same("Upsample(size=(5, 13))", X2),
    "upsample_exact": same("Upsample(size=(5, 13), mode='nearest-exact')", X2),
    "upsample_linear": same("Upsample(scale_factor=1.6, mode='linear')", X1),
    "upsample_bilinear": same("Upsample(scale_factor=(2, 1.5), mode='bilinear')", X2),
    "upsample_aligned": same("Upsample(size=(4, 11), mode='bilinear', align_corners=True)", X2),
    "upsample_bicubic": same("Upsample(size=(10, 5), mode='bicubic')", X2),
    "upsample_bicubic_aligned": same(
        "Upsample(scale_factor=2, mode='bicubic', align_corners=True)", X2
    ),
    "upsample_trilinear": same("Upsample(scale_factor=2, mode='trilinear')", (1, 2, 3, 4, 2)),
    # norms
    "batch_norm1d": Case(
        "BatchNorm1d(4, momentum=0.3)", "BatchNorm1d(4, momentum=0.7)", ((6, 4),), True
    ),
    "batch_norm1d_length": Case(
        "BatchNorm1d(4, momentum=0.3)", "BatchNorm1d(4, momentum=0.7)", (X1,), True
    ),
    "batch_norm2d": Case(
        "BatchNorm2d(4, momentum=0.3)", "BatchNorm2d(4, momentum=0.7)", (X2,), True
    ),
    "batch_norm2d_mean": same("BatchNorm2d(4, momentum=None)", X2, train=True),
    "batch_norm2d_plain": same("BatchNorm2d(4, affine=False, track_running_stats=False)", X2),
    "batch_norm2d_inference": same("BatchNorm2d(4)", X2),
    "batch_norm3d": Case(
        "BatchNorm3d(4, momentum=0.5)", "BatchNorm3d(4, momentum=0.5)", (X3,), True
    ),
    "layer_norm": same("LayerNorm((5, 4))", (3, 5, 4)),
    "rms_norm": Case("RMSNorm(4, eps=1e-5)", "RMSNorm(4, eps=1e-5, use_bias=False)", ((3, 5, 4),)),
    "group_norm": same("GroupNorm(2, 4)", X2),
    "instance_norm1d": same("InstanceNorm1d(4)", X1),
    "instance_norm2d": Case(
        "InstanceNorm2d(4, momentum=0.3, affine=True, track_running_stats=True)",
        "InstanceNorm2d(4, momentum=0.7, affine=True, track_running_stats=True)",
        (X2,),
        True,
    ),
    "instance_norm2d_inference": same("InstanceNorm2d(4, track_running_stats=True)", X2),
    "instance_norm3d": same("InstanceNorm3d(4, affine=True)", X3),
    "local_response_norm": same("LocalResponseNorm(3, alpha=0.5, k=2.0)", X2),
    "local_response_norm_even": same("LocalResponseNorm(2, alpha=0.5, beta=0.5)", X1),
    # activations
    "relu": same("ReLU()", (3, 5)),
    "relu6": same("ReLU6()", (3, 5)),
    "sigmoid": same("Sigmoid()", (3, 5)),
    "tanh": same("Tanh()", (3, 5)),
    "silu": same("SiLU()", (3, 5)),
    "mish": same("Mish()", (3, 5)),
    "selu": same("SELU()", (3, 5)),
    "log_sigmoid": same("LogSigmoid()", (3, 5)),
    "soft_sign": same("Softsign()", (3, 5)),
    "hard_sigmoid": same("Hardsigmoid()", (3, 5)),
    "hard_swish": same("Hardswish()", (3, 5)),
    "tanh_shrink": same("Tanhshrink()", (3, 5)),
    "elu": same("ELU(0.7)", (3, 5)),
    "celu": same("CELU(0.7)", (3, 5)),
    "leaky_relu": same("LeakyReLU(0.2)", (3, 5)),
    "hard_shrink": same("Hardshrink(0.3)", (3, 5)),
    "soft_shrink": same("Softshrink(0.3)", (3, 5)),
    "threshold": same("Threshold(0.1, 2.0)", (3, 5)),
    "glu": same("GLU(1)", (3, 4, 2)),
    "softmax": same("Softmax(1)", (3, 5)),
    "softmin": same("Softmin(0)", (3, 5)),
    "log_softmax": same("LogSoftmax(1)", (3, 5)),
    "softmax2d": same("Softmax2d()", X2),
    "gelu": same("GELU()", (3, 5)),
    "gelu_tanh": same("GELU('tanh')", (3, 5)),
    "hard_tanh": same("Hardtanh(-0.5, 0.8)", (3, 5)),
    "softplus": same("Softplus(2.0)", (3, 5)),
    "rrelu": same("RReLU()", (3, 5)),
    "prelu": same("PReLU()", (3, 5)),
    "prelu_channels": same("PReLU(4)", X1),
    # recurrent
    "rnn_cell": same("RNNCell(4, 3)", (5, 4), (5, 3)),
    "rnn_cell_relu": same("RNNCell(4, 3, nonlinearity='relu')", (5, 4)),
    "gru_cell": same("GRUCell(4, 3)", (5, 4), (5, 3)),
    "lstm_cell": same("LSTMCell(4, 3)", (5, 4), (5, 3), (5, 3), call="m(xs[0], (xs[1], xs[2]))"),
    "rnn": same("RNN(4, 3, 2, nonlinearity='relu')", SEQUENCE, (2, 3, 3)),
    "gru": same("GRU(4, 3, 2, bidirectional=True)", SEQUENCE),
    "gru_batch_first": same("GRU(4, 3, bias=False, batch_first=True)", SEQUENCE, (1, 5, 3)),
    "lstm": same("LSTM(4, 3, 2)", SEQUENCE),
    "lstm_both": same(
        "LSTM(4, 3, 2, bidirectional=True, batch_first=True)",
        SEQUENCE,
        (4, 5, 3),
        (4, 5, 3),
        call="m(xs[0], (xs[1], xs[2]))",
    ),
    "lstm_projected": same("LSTM(4, 5, 2, proj_size=2)", SEQUENCE),
    "lstm_lengths": Case(
        "LSTM(4, 3, 2, bidirectional=True)",
        "LSTM(4, 3, 2, bidirectional=True, key=0)",
        (SEQUENCE,),
        call="m(xs[0], lengths=[2, 5, 3])",
        torch_call="(lambda out: (torch.nn.utils.rnn.pad_packed_sequence(out[0])[0], out[1]))(m("
        "torch.nn.utils.rnn.pack_padded_sequence(xs[0], [2, 5, 3], enforce_sorted=False)))",
    ),
    "lstm_one_sequence": same("LSTM(4, 3)", (5, 4)),
    # attention
    "attention": Case(
        "MultiheadAttention(8, 2, bias=True, batch_first=True)",
        "MultiheadAttention(2, 8, None, None, None, None, None, True, True, True, True, key=0)",
        ((3, 5, 8), (3, 4, 8), (3, 4, 8)),
        torch_call="m(*xs)[0]",
    ),
    "attention_sizes": Case(
        "MultiheadAttention(8, 2, bias=False, kdim=6, vdim=4, batch_first=True)",
        "MultiheadAttention(2, 8, 6, 4, key=0)",
        ((3, 5, 8), (3, 4, 6), (3, 4, 4)),
        torch_call="m(*xs)[0]",
    ),
    "attention_causal": Case(
        "MultiheadAttention(8, 4, bias=False, batch_first=True)",
        "MultiheadAttention(4, 8, key=0)",
        ((3, 5, 8),),
        call="m(xs[0], xs[0], xs[0], is_causal=True)",
        torch_call="m(xs[0], xs[0], xs[0], attn_mask=torch.ones(5, 5).triu(1).bool())[0]",
    ),
    "encoder_layer": Case(
        "TransformerEncoderLayer(8, 2, 12, batch_first=True)",
        "TransformerEncoderLayer(8, 2, 12, batch_first=True, key=0)",
        ((3, 5, 8),),
    ),
    "encoder_layer_first": Case(
        "TransformerEncoderLayer(8, 2, 12, activation='gelu', norm_first=True)",
        "TransformerEncoderLayer(8, 2, 12, activation='gelu', norm_first=True, key=0)",
        ((5, 3, 8),),
        call="m(xs[0], is_causal=True)",
        torch_call="m(xs[0], src_mask=torch.ones(5, 5).triu(1).bool())",
    ),
    "decoder_layer": Case(
        "TransformerDecoderLayer(8, 2, 12)",
        "TransformerDecoderLayer(8, 2, 12, key=0)",
        ((5, 3, 8), (4, 3, 8)),
        call="m(*xs, tgt_is_causal=True)",
        torch_call="m(*xs, tgt_mask=torch.ones(5, 5).triu(1).bool())",
    ),
    "decoder_layer_masks": Case(
        "TransformerDecoderLayer(8, 2, 12, batch_first=True)",
        "TransformerDecoderLayer(8, 2, 12, batch_first=True, key=0)",
        ((3, 5, 8), (3, 4, 8)),
        call="m(*xs, tgt_mask=np.eye(5, k=1) > 0, memory_key_padding_mask=np.eye(3, 4) > 0)",
        torch_call="m(*xs, tgt_mask=torch.tensor(np.eye(5, k=1) > 0),"
        " memory_key_padding_mask=torch.tensor(np.eye(3, 4) > 0))",
    ),
    "weight_norm": Case(
        "utils.parametrizations.weight_norm(torch.nn.Conv2d(4, 3, 2))",
        "WeightNorm(nn.Conv2d(4, 3, 2, key=0))",
        (X2,),
    ),
    "spectral_norm": Case(
        "utils.parametrizations.spectral_norm(torch.nn.Conv2d(4, 3, 2), n_power_iterations=2)",
        "SpectralNorm(nn.Conv2d(4, 3, 2, key=0), num_power_iterations=2, key=1)",
        (X2,),
        True,
    ),
    # whole models
    "sequential": Case(
        "Sequential(torch.nn.Conv2d(4, 3, 3), torch.nn.BatchNorm2d(3), torch.nn.ReLU(), torch.nn.Flatten(),"
        " torch.nn.Linear(90, 2))",
        "Sequential([nn.Conv2d(4, 3, 3, key=0), nn.BatchNorm2d(3, momentum=0.9), nn.relu, nn.Flatten(),"
        " nn.Linear(90, 2, key=1)])",
        (X2,),
        True,
    ),
}


def values(name, shape, dtype):
    """The same numbers in every process."""
    return np.random.default_rng(zlib.crc32(name.encode())).normal(size=shape).astype(dtype)


def inputs(name, case, dtype):
    """The inputs of a case."""
    found = [values(f"{name} input {i}", shape, dtype) for i, shape in enumerate(case.shapes)]
    if case.integers:
        return [np.abs(x * 100).astype(int) % case.integers for x in found]
    return [np.abs(x) for x in found] if case.positive else found


def parameter(case_name, name, old, dtype):
    """The value of one parameter or buffer."""
    if np.dtype(old.dtype).kind == "i":
        return np.array(3)
    found = values(f"{case_name} {name}", old.shape, dtype) / 2
    return np.abs(found) + 0.5 if name.endswith("running_var") else found


def projections(name, array):
    """What is recorded of an array: its shape, its norm, and products with random arrays."""
    array = np.asarray(array, np.float64)
    others = [values(f"{name} projection {i}", array.shape, np.float64) for i in range(3)]
    return [
        list(array.shape),
        float(np.linalg.norm(array)),
        *[float((array * o).sum()) for o in others],
    ]
