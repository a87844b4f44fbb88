"""Errors about arguments, attributes and names that are not there: they name the class and say what to write."""

from typing import Any

import numpy as np
import pytest

from funcgrad import nn, optim

LINEAR = nn.Linear(2, 3, key=0)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: nn.Linear(2, 3), r"\[Linear\] needs key=.*Linear\(\.\.\., key=0\)"),
        (lambda: nn.LSTM(2, 3), r"\[LSTM\] needs key="),
        (lambda: nn.TransformerDecoderLayer(8, 2), r"\[TransformerDecoderLayer\] needs key="),
        (lambda: nn.Linear(2, 3, bias=False, key=0), r"no argument 'bias'\. Write use_bias=\."),
        (lambda: nn.MaxPool2d(2, ceil_mode=True), r"\[MaxPool2d\].*Write use_ceil="),
        (
            lambda: nn.LayerNorm(3, elementwise_affine=False),
            r"\[LayerNorm\].*use_weight= and use_bias=",
        ),
        (lambda: nn.GroupNorm(num_groups=1, num_channels=3), r"\[GroupNorm\].*Write groups="),
        (lambda: nn.Embedding(3, embedding_dim=2, key=0), "Write embedding_size="),
        (lambda: nn.AdaptiveAvgPool2d(output_size=1), "Write target_shape="),
        (lambda: nn.MultiheadAttention(embed_dim=8, num_heads=2, key=0), "Write query_size="),
        (lambda: nn.TransformerDecoderLayer(8, 2, bias=False, key=0), "Write use_bias="),
        (lambda: nn.ReLU(inplace=True), r"\[ReLU\] .*Leave it out"),
        (lambda: nn.Linear(2, 3, device="cuda", key=0), r"funcgrad\.device_put"),
        (lambda: nn.Conv2d(2, 3, 3, strides=2, key=0), r"\[Conv2d\].*Did you mean 'stride'"),
        (lambda: nn.Conv2d(2, 3, key=0), r"\[Conv2d\] missing 1 .* It takes in_channels, out_ch"),
        (lambda: nn.Flatten(1, -1, 2), r"\[Flatten\] takes "),
        (lambda: nn.Sequential([nn.ReLU]), r"layer 0 is the class ReLU\. Write ReLU\(\.\.\.\)"),
        (lambda: nn.load_state_dict(LINEAR, "a.safetensors"), r"funcgrad\.io\.load_model"),
        (
            lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, key=0), 2, key=0),
            r"lambda key: TransformerEncoderLayer\(\.\.\., key=key\), 2, key=key",
        ),
    ],
)
def test_arguments_of_layers(make, text):
    with pytest.raises(TypeError, match=text):
        make()


def test_heads_come_first():
    with pytest.raises(ValueError, match=r"heads comes first, MultiheadAttention\(2, 8"):
        nn.MultiheadAttention(8, 2, key=0)


def test_errors_inside_of_constructors_stay():
    class Outer(nn.Module):
        def __init__(self):
            self.inner = len(3)

    with pytest.raises(TypeError, match=r"object of type 'int' has no len\(\)"):
        Outer()

    class Holder(nn.Module):
        def __init__(self):
            self.inner = nn.Linear(2, 3)

    with pytest.raises(TypeError, match=r"\[Linear\] needs key="):
        Holder()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("parameters", r"funcgrad\.nn\.parameters\(model\)"),
        ("train", r"apply\(x, train=True, key=key\)"),
        ("eval", "which is evaluation"),
        ("to", r"funcgrad\.device_put\(model, device\)"),
        ("state_dict", r"funcgrad\.nn\.state_dict\(model\)"),
        ("zero_grad", "gradients are returned"),
        ("wieght", "Did you mean 'weight'"),
    ],
)
def test_methods_of_pytorch(name, text):
    with pytest.raises(AttributeError, match=f"'Linear' object has no attribute '{name}'.*{text}"):
        getattr(LINEAR, name)


def test_forward_instead_of_call():
    class Net(nn.Module):
        inner: Any

        def __init__(self):
            super().__init__()
            self.inner = LINEAR

        def forward(self, x):
            return self.inner(x)

    class Better(Net):
        def __call__(self, x):
            return self.forward(x)

    x = np.ones((1, 2), np.float32)
    with pytest.raises(TypeError, match=r"\[Net\] .*Rename forward to __call__"):
        Net()(x)
    np.testing.assert_array_equal(Better()(x), LINEAR(x))
    np.testing.assert_array_equal(Net().apply(x, method="forward")[0], LINEAR(x))


@pytest.mark.parametrize(
    ("package", "name", "text"),
    [
        (nn, "ModuleList", "tuple or list of modules is a field"),
        (nn, "functional", r"funcgrad\.nn\.relu"),
        (nn, "make_with_state", r"model\.apply\(x, train=True"),
        (nn, "filter_jit", r"Write funcgrad\.jit"),
        (nn, "Linaer", "Did you mean 'Linear'"),
        (optim, "Adam", r"Write optim\.adam\(learning_rate\)"),
        (optim, "muon", r"Write optim\.contrib\.muon"),
        (optim, "lr_scheduler", "schedule in place of the learning rate"),
        (optim, "StepLR", r"exponential_decay\(rate, step_size, gamma, staircase=True\)"),
        (optim, "ReduceLROnPlateau", r"contrib\.reduce_on_plateau"),
        (optim, "Muon", r"Write optim\.contrib\.muon"),
        (optim, "adma", "Did you mean 'adam"),
    ],
)
def test_names_in_packages(package, name, text):
    with pytest.raises(AttributeError, match=f"no attribute '{name}'.*{text}"):
        getattr(package, name)
    assert not hasattr(package, "__wrapped__")


@pytest.mark.parametrize(
    ("loss", "shapes", "text"),
    [
        (
            nn.TripletMarginLoss(),
            [(2, 3), (2, 4), (2, 3)],
            r"triplet_margin_loss\].*positive of \(2, 4\)",
        ),
        (
            nn.losses.triplet_margin_loss,
            [(2, 3), (2, 3), (5, 3)],
            r"triplet_margin_loss\].*negatives of",
        ),
        (
            nn.TripletMarginWithDistanceLoss(),
            [(2, 3), (2, 4), (2, 3)],
            r"pairwise_distance\].*x2 of",
        ),
        (nn.CosineEmbeddingLoss(), [(2, 3), (2, 4), (2,)], r"cosine_embedding_loss\].*input2 of"),
        (nn.CosineEmbeddingLoss(), [(2, 3), (2, 3), (3,)], r"cosine_embedding_loss\].*target of"),
        (
            nn.MarginRankingLoss(),
            [(2,), (3,), (2,)],
            r"margin_ranking_loss\].*input1 of.*input2 of",
        ),
        (nn.pairwise_distance, [(2, 3), (4, 3)], r"pairwise_distance\] .*x1 of \(2, 3\) and x2 of"),
    ],
)
def test_shapes_of_losses(loss, shapes, text):
    with pytest.raises(ValueError, match=rf"\[{text}.*Write x\.reshape"):
        loss(*[np.ones(shape) for shape in shapes])


@pytest.mark.parametrize("word", ["training", "is_training", "inference", "deterministic"])
def test_words_for_training(word):
    with pytest.raises(TypeError, match=rf"\[apply\] there is no argument '{word}'. Write train="):
        LINEAR.apply(np.ones((1, 2), np.float32), **{word: True})

    class Own(nn.Module):
        def __init__(self):
            pass

        def __call__(self, x, **options):
            return x, options

    assert Own().apply(1.0, **{word: True})[0] == (1.0, {word: True})
