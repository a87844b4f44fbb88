"""Layers with awkward arguments and inputs: errors that say what to write, single examples, vmap, initial values."""

from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import nn
from funcgrad.nn import initializers

# The same lines are compiled for many cases.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled:UserWarning")

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(2, 3, 8, 9)).astype(np.float32)


# --- errors ---

WRONG_INPUTS = {
    "channels last": (nn.Conv2d(3, 2, 3, key=0), (2, 8, 8, 3), r"np\.moveaxis\(x, -1, 1\)"),
    "one image, channels last": (nn.Conv2d(3, 2, 3, key=0), (8, 8, 3), r"np\.moveaxis\(x, -1, 0\)"),
    "channels": (nn.Conv2d(3, 2, 3, key=0), (2, 4, 8, 8), "made for 3 channels, and .* has 4"),
    "axes": (nn.Conv2d(3, 2, 3, key=0), (8, 8), r"x\[None, None\]"),
    "window": (nn.Conv2d(3, 2, 5, key=0), (2, 3, 4, 9), "Use padding or a smaller window"),
    "transposed": (nn.ConvTranspose1d(3, 2, 3, key=0), (2, 4, 8), "made for 3 channels"),
    "batch norm": (nn.BatchNorm2d(3), (2, 8, 8, 3), r"np\.moveaxis"),
    "batch norm 1d": (nn.BatchNorm1d(3), (2, 4), r"\(examples, 3\)"),
    "batch norm, any axes": (nn.BatchNorm(3), (2, 4), r"\(examples, 3, \.\.\.\)"),
    "group norm": (nn.GroupNorm(2, 4), (2, 3, 5), r"\(examples, 4, \.\.\.\)"),
    "instance norm": (nn.InstanceNorm1d(4), (2, 3, 5), "made for 4 channels"),
    "layer norm": (nn.LayerNorm((2, 3)), (2, 4), r"\(\.\.\., 2, 3\)"),
    "rms norm": (nn.RMSNorm(3), (2, 4), r"\(\.\.\., 3\)"),
    "pool": (nn.MaxPool2d(5), (2, 3, 4), "Use a smaller window"),
    "pool axes": (nn.AvgPool3d(1), (2, 3), "3 axes to pool"),
    "adaptive pool axes": (nn.AdaptiveAvgPool2d(1), (2,), "2 axes to pool"),
    "reflection": (nn.ReflectionPad1d(3), (2, 3), "at least 4 elements"),
    "circular": (nn.CircularPad1d(4), (2, 3), "at least 4 elements"),
    "upsample": (nn.Upsample(2, mode="bilinear"), (2, 3, 4), "2 axes for mode='bilinear'"),
    "upsample sizes": (nn.Upsample((2, 3)), (2, 3, 4), "and 2 axes"),
    "pixel shuffle": (nn.PixelShuffle(2), (2, 6, 4, 4), "divisible by 4"),
    "pixel unshuffle": (nn.PixelUnshuffle(2), (2, 6, 4, 3), "divisible by 2"),
    "channel shuffle": (nn.ChannelShuffle(2), (2, 3), "divisible by 2"),
    "flatten": (nn.Flatten(3), (2, 3), "has an axis 3"),
    "unflatten": (nn.Unflatten(1, (2, 2)), (2, 6), r"the product of \(2, 2\)"),
    "unfold": (nn.Unfold(3), (1, 1, 2, 5), "smaller window"),
    "fold": (nn.Fold((3, 3), 2), (1, 4, 5), r"\(examples, channels \* 4, 4\)"),
    "prelu": (nn.PReLU(3), (2, 4), r"\(examples, 3, \.\.\.\)"),
    "cell": (nn.GRUCell(3, 4, key=0), (2, 4), r"\(\.\.\., 3\)"),
    "recurrent": (nn.LSTM(3, 4, key=0), (2, 4), r"\(length, examples, 3\)"),
}


@pytest.mark.parametrize("name", WRONG_INPUTS)
def test_wrong_inputs_name_layer_shape_and_cure(name):
    layer, shape, text = WRONG_INPUTS[name]
    path = rf"\[{type(layer).__name__} at layers\.1\] expected (?s:.)*{text}"
    with pytest.raises(ValueError, match=path) as error:
        nn.Sequential([nn.Identity(), layer])(np.zeros(shape, np.float32))
    assert f"float32{list(shape)}" in str(error.value)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: nn.Conv2d(3, 4, 3, groups=2, key=0), "cannot be split into groups=2"),
        (lambda: nn.Conv2d(3, 4, (3, 3, 3), key=0), "kernel_size must be .* or 2 of them"),
        (lambda: nn.Conv2d(3, 4, 0, key=0), "kernel_size must be a whole number of at least 1"),
        (lambda: nn.Conv2d(3, 4, 3, padding=-1, key=0), "padding must be .* at least 0"),
        (lambda: nn.Conv2d(3, 4, 3, padding="FULL", key=0), "SAME_LOWER"),
        (lambda: nn.Conv2d(3, 4, 3, padding_mode="mirror", key=0), "padding_mode must be one of"),
        (lambda: nn.Conv2d(3.0, 4, 3, key=0), "in_channels must be a whole number"),
        (lambda: nn.MaxPool2d(2, padding=2), "at most half of kernel_size"),
        (lambda: nn.LPPool1d(0, 2), "norm_type must be greater than 0"),
        (lambda: nn.Upsample(), "give either size or scale_factor"),
        (lambda: nn.Upsample(2, mode="cubic"), "mode must be one of"),
        (lambda: nn.Upsample(2, align_corners=True), "no meaning with mode='nearest'"),
        (lambda: nn.ZeroPad2d((1, 2)), "padding is a whole number, or 4 of them"),
        (lambda: nn.GroupNorm(2), "needs channels="),
        (lambda: nn.GroupNorm(2, 3), "cannot be split into 2 equal groups"),
        (lambda: nn.BatchNorm(3, momentum=2.0), "momentum is a weight from 0 to 1"),
        (lambda: nn.Dropout(1.5), "probability of a zero"),
        (lambda: nn.RNN(3, 4, nonlinearity="elu", key=0), "'tanh' or 'relu'"),
        (lambda: nn.GRU(3, 4, proj_size=2, key=0), "proj_size=2 is for LSTM"),
    ],
)
def test_wrong_arguments(make, text):
    with pytest.raises(ValueError, match=text):
        make()


def test_wrong_labels_name_the_table():
    model = nn.Sequential([nn.Embedding(5, 2, key=0)])
    with pytest.raises(IndexError, match=r"\[Embedding at layers.0\] label 5 is out of range"):
        model([0, 5])
    with pytest.raises(TypeError, match=r"\[Embedding at layers.0\] expected integers"):
        model([0.5])
    compiled = fg.jit(lambda x: model(x))
    for native in (True, False):
        with fg.config.override(native=native):
            for label in (-1, -5, -6, 5):
                message = rf"\[Embedding at layers\.0\] label {label} is out of range: with 5 classes .* 0 to 4\."
                with pytest.raises(IndexError, match=message) as caught:
                    compiled(np.array([0, label]))
                (note,) = caught.value.__notes__
                assert "compiled = fg.jit(lambda x: model(x))" in note


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint64])
def test_small_labels_among_many_classes(dtype):
    logits, labels = np.zeros((2, 300)), np.array([0, 100], dtype)
    for loss in (nn.cross_entropy, fg.jit(nn.cross_entropy), fg.jit(fg.grad(nn.cross_entropy))):
        assert np.isfinite(loss(logits, labels)).all()
    assert fg.jit(nn.cross_entropy)(logits, labels) == nn.cross_entropy(logits, labels)


def test_no_statistics_of_one_value():
    with pytest.raises(ValueError, match="more than 1 value per channel and example"):
        nn.InstanceNorm1d(3)(np.zeros((2, 3, 1)))


# --- other ways to call ---


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(3, 2, 3, padding="same_lower", stride=2, key=0),
        nn.Conv2d(3, 2, (3, 2), padding=((1, 0), (2, 1)), padding_mode="CIRCULAR", key=0),
        nn.ConvTranspose2d(3, 2, 2, key=0),
        nn.MaxPool2d(2, padding="SAME"),
        nn.AvgPool2d(2),
        nn.LPPool2d(2, 2),
        nn.AdaptiveMaxPool2d((3, 3)),
        nn.InstanceNorm2d(3),
        nn.GroupNorm(1, 3),
        nn.Unfold(2),
        nn.ReflectionPad2d(1),
        nn.Softmax2d(),
        nn.PixelUnshuffle(1),
        nn.Dropout2d(0.5),
    ],
)
def test_one_example_and_vmap(layer):
    wanted = layer(IMAGES)
    np.testing.assert_allclose(layer(IMAGES[0]), wanted[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(fg.vmap(layer)(IMAGES), wanted, rtol=1e-5, atol=1e-6)


def test_same_lower_puts_the_odd_element_before():
    x = np.arange(1.0, 5.0)[None, None]
    weights = {"weight_init": initializers.ones, "use_bias": False, "key": 0}
    assert nn.Conv1d(1, 1, 2, padding="SAME", **weights)(x)[0, 0].tolist() == [3, 5, 7, 4]
    assert nn.Conv1d(1, 1, 2, padding="SAME_LOWER", **weights)(x)[0, 0].tolist() == [1, 3, 5, 7]


def test_half_precision_keeps_its_dtype():
    x = IMAGES.astype(np.float16)
    for layer in (nn.BatchNorm2d(3), nn.MaxPool2d(2), nn.Upsample(scale_factor=2, mode="bicubic")):
        y = layer(x) if not nn.parameters(layer) else nn.cast(layer, np.float16)(x)
        assert y.dtype == np.float16


def test_pooling_of_integers():
    x = np.array([[-3, -5, 2, 1, -7]])
    assert nn.MaxPool1d(2, 2)(x).tolist() == [[-3, 2]]
    assert nn.AdaptiveMaxPool1d(2)(x).tolist() == [[2, 2]]
    assert nn.AdaptiveMaxPool1d(2)(x).dtype == x.dtype
    assert nn.MaxPool1d(2, 2, 1)(x > 0).tolist() == [[False, True, True]]
    assert nn.AvgPool1d(2, 2)(x).tolist() == [[-4, 1.5]]


# --- initial values ---


def test_initial_values_are_those_of_pytorch():
    conv = nn.Conv2d(4, 64, 5, groups=2, key=0)
    limit = 1 / np.sqrt(2 * 25)
    for values in (conv.weight, conv.bias):
        assert abs(values).max() <= limit
        assert values.var() == pytest.approx(limit**2 / 3, rel=0.35)
    lstm = nn.LSTM(10, 100, 2, bidirectional=True, key=0)
    assert lstm.weight_ih_l1_reverse.shape == (400, 200)
    assert abs(lstm.weight_hh_l0).max() <= 0.1 and lstm.bias_ih_l0.var() > 0.002
    attention = nn.MultiheadAttention(2, 16, None, None, None, None, None, True, True, True, key=0)
    assert (
        abs(attention.in_proj_weight).max() <= np.sqrt(6 / 64)
        and (attention.in_proj_bias == 0).all()
    )
    assert nn.PReLU(3).weight.tolist() == [0.25] * 3
    own = nn.GRUCell(2, 3, key=0, weight_init=initializers.ones, bias_init=initializers.zeros)
    assert (own.weight_hh == 1).all() and (own.bias_hh == 0).all()
    assert nn.Conv1d(1, 1, 1, dtype=np.float64, key=0).weight.dtype == np.float64


def test_own_table_and_ones():
    assert (nn.Linear(2, 3, key=0, bias_init=initializers.ones).bias == 1).all()
    mlp = nn.MLP(2, 1, 3, 1, key=0, weight_init=initializers.ones, bias_init=initializers.zeros)
    assert mlp(np.ones(2)).tolist() == [6]
    assert nn.Embedding(2, 3, key=0, weight_init=initializers.zeros).weight.sum() == 0
    transposed = nn.ConvTranspose2d(2, 3, 2, key=0, weight_init=initializers.ones)
    assert transposed.weight.sum() == 24


# --- recurrent networks ---


def test_cells_in_a_loop_are_the_stack():
    x = RNG.normal(size=(6, 2, 3))
    for stack, cell in ((nn.GRU, nn.GRUCell), (nn.LSTM, nn.LSTMCell), (nn.RNN, nn.RNNCell)):
        layer = stack(3, 4, dtype=np.float64, key=0)
        one = cell(3, 4, dtype=np.float64, key=1)
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        one = one.replace(**{name: getattr(layer, f"{name}_l0") for name in names})
        state: Any = None
        outs = []
        for step in x:
            state = one(step, state)
            outs.append(state[0] if stack is nn.LSTM else state)
        out, last = layer(x)
        np.testing.assert_allclose(out, outs, rtol=1e-10)
        np.testing.assert_allclose(np.squeeze(last), state, rtol=1e-10)


def test_dropout_between_recurrent_layers():
    x = RNG.normal(size=(6, 2, 3)).astype(np.float32)
    layer = nn.GRU(3, 4, 2, dropout=0.5, key=0)
    out, _ = layer(x)
    dropped, _ = layer.apply(x, train=True, key=0)[0]
    assert not np.array_equal(out, dropped)
    np.testing.assert_array_equal(layer(x, key=1)[0], layer(x, key=1)[0])
    with pytest.raises(RuntimeError, match=r"\[Dropout at drop\] needs a random key"):
        layer.apply(x, train=True)
    with pytest.raises(ValueError, match=r"\(2, 2, 4\) as a first state"):
        layer(x, np.zeros((1, 2, 4)))
    with pytest.raises(ValueError, match=r"\(2,\) of integers as lengths"):
        layer(x, lengths=[1, 2, 3])
