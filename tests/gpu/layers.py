"""Layers, losses and optimizers with sample arguments, for tests of what they do on a GPU."""

import inspect

import numpy as np

import funcgrad as fg
from funcgrad import nn, optim

KEY = fg.random.key(0)
random = np.random.default_rng(0)


def floats(*shape):
    return random.normal(size=shape).astype(np.float32)


ACTIVATIONS = """
    CELU ELU GELU Hardshrink Hardsigmoid Hardswish Hardtanh Identity LeakyReLU LogSigmoid Mish ReLU ReLU6 SELU SiLU
    Sigmoid Softplus Softshrink Softsign Tanh Tanhshrink
"""
PADDINGS = ("CircularPad", "ReflectionPad", "ReplicationPad", "ZeroPad")

# name: (what makes the layer, its arguments, its named arguments)
LAYERS = {name: (getattr(nn, name), (floats(4, 5),), {}) for name in ACTIVATIONS.split()}


def add(name, make, *args, **named):
    LAYERS[name] = (make, args, named)


def kind(name, *args, **named):
    return lambda: getattr(nn, name)(*args, **named)


add("GLU", kind("GLU"), floats(4, 6))
for name in ("Softmax", "LogSoftmax", "Softmin"):
    add(name, kind(name, -1), floats(4, 5))
add("Threshold", kind("Threshold", 0.1, 2.0), floats(4, 5))
add("PReLU", kind("PReLU"), floats(4, 5))
add("Linear", kind("Linear", 5, 3, key=KEY), floats(4, 5))
add("Bilinear", kind("Bilinear", 5, 4, 3, key=KEY), floats(2, 5), floats(2, 4))
add("MLP", kind("MLP", 6, 3, 8, 2, key=KEY), floats(5, 6))
add("Embedding", kind("Embedding", 7, 3, key=KEY), random.integers(0, 7, (2, 4)))
for rank in (1, 2, 3):
    x = floats(2, 2, *(6,) * rank)
    for name in ("Conv", "ConvTranspose"):
        add(f"{name}{rank}d", kind(f"{name}{rank}d", 2, 3, 3, key=KEY), x)
    for name in ("MaxPool", "AvgPool"):
        add(f"{name}{rank}d", kind(f"{name}{rank}d", 2, 2), x)
    for name in ("AdaptiveAvgPool", "AdaptiveMaxPool"):
        add(f"{name}{rank}d", kind(f"{name}{rank}d", 3), x)
    add(f"LPPool{rank}d", kind(f"LPPool{rank}d", 2, 2), abs(x))
    for name in PADDINGS:
        add(f"{name}{rank}d", kind(f"{name}{rank}d", 1), x)
    add(f"ConstantPad{rank}d", kind(f"ConstantPad{rank}d", 1, 0.5), x)
    add(f"InstanceNorm{rank}d", kind(f"InstanceNorm{rank}d", 2), x)
    add(f"BatchNorm{rank}d", lambda n=f"BatchNorm{rank}d": nn.inference_mode(getattr(nn, n)(2)), x)
    add(f"Dropout{rank}d", kind(f"Dropout{rank}d", 0.5), x, key=KEY)
add("Dropout", kind("Dropout", 0.5), floats(4, 5), key=KEY)
add("AlphaDropout", kind("AlphaDropout", 0.5), floats(4, 5), key=KEY)
add("LayerNorm", kind("LayerNorm", 5), floats(4, 5))
add("RMSNorm", kind("RMSNorm", 5), floats(4, 5))
add("GroupNorm", kind("GroupNorm", 2, 4), floats(3, 4, 5))
add("LocalResponseNorm", kind("LocalResponseNorm", 2), floats(2, 4, 5, 5))
add("SpectralNorm", lambda: nn.SpectralNorm(nn.Linear(5, 3, key=KEY), key=KEY), floats(4, 5))
add("WeightNorm", lambda: nn.WeightNorm(nn.Linear(5, 3, key=KEY)), floats(4, 5))
add("LoRA", lambda: nn.LoRA(nn.Linear(5, 3, key=KEY), 2, key=KEY), floats(4, 5))
add("ChannelShuffle", kind("ChannelShuffle", 2), floats(2, 4, 3, 3))
add("PixelShuffle", kind("PixelShuffle", 2), floats(2, 4, 3, 3))
add("PixelUnshuffle", kind("PixelUnshuffle", 2), floats(2, 1, 4, 4))
add("Upsample", kind("Upsample", scale_factor=2), floats(2, 2, 3, 3))
add("Upsample-bilinear", kind("Upsample", scale_factor=2, mode="bilinear"), floats(2, 2, 3, 3))
add("Flatten", kind("Flatten"), floats(2, 3, 4))
add("Unfold", kind("Unfold", 2), floats(1, 2, 4, 4))
add("Fold", kind("Fold", (4, 4), 2), floats(1, 8, 9))
for name in ("RNN", "GRU", "LSTM"):
    add(name, kind(name, 3, 4, key=KEY), floats(5, 2, 3))
deep = {"num_layers": 2, "bidirectional": True, "key": KEY}
add("LSTM-deep", kind("LSTM", 3, 4, **deep), floats(5, 2, 3))
add("MultiheadAttention", kind("MultiheadAttention", 2, 4, key=KEY), *[floats(3, 4)] * 3)
encoder = {"dropout": 0.0, "key": KEY}
add("TransformerEncoderLayer", kind("TransformerEncoderLayer", 4, 2, 8, **encoder), floats(2, 3, 4))
add("RotaryPositionalEmbedding", kind("RotaryPositionalEmbedding", 4), floats(3, 4))
add("SinusoidalPositionalEncoding", kind("SinusoidalPositionalEncoding", 4), floats(3, 4))
add(
    "Sequential",
    lambda: nn.Sequential([nn.Linear(6, 8, key=KEY), nn.Lambda(nn.gelu), nn.Linear(8, 2, key=KEY)]),
    floats(5, 6),
)

# --- losses: the first arguments that one takes ---

shares = abs(floats(3, 4)) + 0.1
shares /= shares.sum(-1, keepdims=True)
scores = floats(3, 4)
LOSS_ARGUMENTS = [
    (scores, floats(3, 4)), (scores, random.integers(0, 4, 3)), (shares, shares[::-1].copy()),
    (shares, (scores > 0).astype(np.float32)), (scores, scores > 0), (np.log(shares), shares),
    (scores, floats(3, 4), abs(floats(3, 4))), (scores, np.sign(floats(3, 4))),
]  # fmt: skip
LOSS_WORDS = ("loss", "entropy", "error", "log_cosh", "cosine", "divergence")


def losses():
    """Names of losses with arguments that they take."""
    found = {}
    for name, function in vars(nn).items():
        if name[0].isupper() or inspect.ismodule(function):
            continue
        if not any(word in name for word in LOSS_WORDS):
            continue
        for args in LOSS_ARGUMENTS:
            try:
                with np.errstate(all="ignore"):
                    out = function(*args)
            except (TypeError, ValueError, IndexError):
                continue
            if np.all(np.isfinite(out)):
                found[name] = args
                break
    return found


LOSSES = losses()


def optimizers():
    """Names of optimizers with the leading arguments that they take."""
    found = {}
    for name, make in vars(optim).items():
        if name.startswith("_") or inspect.isclass(make) or not callable(make):
            continue
        for args in ((), (0.1,)):
            try:
                made = make(*args)
            except (AttributeError, TypeError, ValueError):
                continue
            if hasattr(made, "init") and hasattr(made, "update") and takes_gradients(made):
                found[name] = args
                break
    return found


def takes_gradients(optimizer):
    """Whether gradients and parameters are all that it needs."""
    params = {"w": floats(2, 3)}
    try:
        optimizer.update(params, optimizer.init(params), params)
    except (AttributeError, TypeError, ValueError):
        return False
    return True


OPTIMIZERS = optimizers()
