"""Files between PyTorch and funcgrad: weights out and loaded there, weights in from there, the same outputs."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import io, nn
from funcgrad.errors import CheckpointError

torch = pytest.importorskip("torch", reason="PyTorch is not installed here")
safetensors_torch = pytest.importorskip(
    "safetensors.torch", reason="PyTorch's part of safetensors is not installed here"
)


class Block(nn.Module):
    """A residual block with names of its own."""

    conv: nn.Conv2d
    norm: nn.GroupNorm
    scale: Any

    def __init__(self, channels, *, key):
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, key=key)
        self.norm = nn.GroupNorm(2, channels)
        self.scale = np.full((channels, 1, 1), 0.5, np.float32)

    def __call__(self, x):
        return x + self.scale * nn.silu(self.norm(self.conv(x)))


class Net(nn.Module):
    """Lists, Sequentials and blocks inside of each other."""

    stem: nn.Sequential
    blocks: list
    head: dict

    def __init__(self, *, key):
        keys = fg.random.split(key, 4)
        self.stem = nn.Sequential(
            [nn.Conv2d(3, 4, 3, use_bias=False, key=keys[0]), nn.BatchNorm2d(4), nn.PReLU(4)]
        )
        self.blocks = [Block(4, key=keys[1]), nn.Sequential([Block(4, key=keys[2])])]
        self.head = {"classes": nn.Linear(4, 5, key=keys[3])}

    def __call__(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head["classes"](x.mean((2, 3)))


class TorchBlock(torch.nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = torch.nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = torch.nn.GroupNorm(2, channels)
        self.scale = torch.nn.Parameter(torch.full((channels, 1, 1), 0.5))

    def forward(self, x):
        return x + self.scale * torch.nn.functional.silu(self.norm(self.conv(x)))


class TorchNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        stem = torch.nn.Conv2d(3, 4, 3, bias=False), torch.nn.BatchNorm2d(4), torch.nn.PReLU(4)
        self.stem = torch.nn.Sequential(*stem)
        self.blocks = torch.nn.ModuleList([TorchBlock(4), torch.nn.Sequential(TorchBlock(4))])
        self.head = torch.nn.ModuleDict({"classes": torch.nn.Linear(4, 5)})

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head["classes"](x.mean((2, 3)))


def torch_stack():
    layer = torch.nn.TransformerEncoderLayer(8, 2, 12, batch_first=True)
    norm = torch.nn.LayerNorm(8)
    return torch.nn.TransformerEncoder(layer, 2, norm, enable_nested_tensor=False)


def stack(key):
    def layer(key):
        return nn.TransformerEncoderLayer(8, 2, 12, batch_first=True, key=key)

    return nn.TransformerEncoder(layer, 2, nn.LayerNorm(8), key=key)


def torch_words():
    return torch.nn.Sequential(torch.nn.Embedding(7, 4), torch.nn.LSTM(4, 3, 2, bidirectional=True))


def words(key):
    first, second = fg.random.split(key)
    table = nn.Embedding(7, 4, key=first)
    return nn.Sequential([table, nn.LSTM(4, 3, 2, bidirectional=True, key=second)])


class Pair(NamedTuple):
    """The same model in both libraries, and inputs: shapes, or numbers of classes of (5, 2) integers."""

    ours: Callable[[Any], Any]
    theirs: Callable[[], Any]
    given: Any


PAIRS = {
    "modules": Pair(lambda key: Net(key=key), TorchNet, (6, 3, 7, 6)),
    "transformer": Pair(stack, torch_stack, (3, 5, 8)),
    "recurrent": Pair(words, torch_words, 7),
    "attention": Pair(
        lambda key: nn.MultiheadAttention(2, 8, 6, 6, key=key),
        lambda: torch.nn.MultiheadAttention(8, 2, bias=False, kdim=6, vdim=6, batch_first=True),
        [(3, 5, 8), (3, 4, 6), (3, 4, 6)],
    ),
    "transposed": Pair(
        lambda key: nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2, key=key),
        lambda: torch.nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2),
        (2, 4, 5, 4),
    ),
}


def inputs(pair):
    rng = np.random.default_rng(0)
    if isinstance(pair.given, int):
        return [rng.integers(0, pair.given, (5, 2))]
    shapes = pair.given if isinstance(pair.given, list) else [pair.given]
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def first_leaf(out):
    while isinstance(out, tuple):
        out = out[0]
    return out


def assert_same(ours, theirs, xs):
    """Both give the same in inference mode."""
    with torch.no_grad():
        wanted = first_leaf(theirs.eval()(*map(torch.tensor, xs))).numpy()
    np.testing.assert_allclose(first_leaf(ours(*xs)), wanted, rtol=1e-4, atol=1e-5)


@pytest.fixture(params=PAIRS)
def pair(request):
    return PAIRS[request.param]


def test_weights_out(pair, tmp_path):
    xs = inputs(pair)
    ours = pair.ours(fg.random.key(1))
    _, ours = ours.apply(*xs, train=True, key=2)  # batch statistics that are not the first ones
    io.save_model(tmp_path / "out.safetensors", ours)
    theirs = pair.theirs()
    theirs.load_state_dict(safetensors_torch.load_file(tmp_path / "out.safetensors"))
    assert_same(ours, theirs, xs)


def test_weights_in(pair, tmp_path):
    torch.manual_seed(0)
    xs, theirs = inputs(pair), pair.theirs()
    optimizer = torch.optim.SGD(theirs.parameters(), 0.1)
    loss = first_leaf(theirs.train()(*map(torch.tensor, xs))).square().sum()
    loss.backward()
    optimizer.step()
    safetensors_torch.save_file(theirs.state_dict(), tmp_path / "in.safetensors")
    ours = io.load_model(tmp_path / "in.safetensors", pair.ours(fg.random.key(3)))
    assert_same(ours, theirs, xs)
    assert_same(nn.load_state_dict(pair.ours(fg.random.key(4)), theirs.state_dict()), theirs, xs)


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_other_dtypes(tmp_path, dtype):
    theirs = torch.nn.Linear(3, 2).to(getattr(torch, dtype))
    safetensors_torch.save_file(theirs.state_dict(), tmp_path / "in.safetensors")
    like = nn.cast(nn.Linear(3, 2, key=0), dtype)
    ours = io.load_model(tmp_path / "in.safetensors", like)
    assert ours.weight.dtype == dtype
    np.testing.assert_array_equal(
        ours.weight.astype(np.float64), theirs.weight.detach().double().numpy()
    )
    with pytest.raises(CheckpointError, match=rf"mismatched: weight .*{dtype}.*cast=True"):
        io.load_model(tmp_path / "in.safetensors", nn.Linear(3, 2, key=0))
    converted = io.load_model(tmp_path / "in.safetensors", nn.Linear(3, 2, key=0), cast=True)
    assert converted.weight.dtype == np.float32
    io.save_model(tmp_path / "out.safetensors", ours)
    again = safetensors_torch.load_file(tmp_path / "out.safetensors")
    assert torch.equal(again["weight"], theirs.weight)


class Tied(nn.Module):
    """One table for words in and words out."""

    table: nn.Embedding
    out: nn.Linear

    def __init__(self, *, key):
        self.table = nn.Embedding(7, 4, key=key)
        out = nn.Linear(4, 7, use_bias=False, key=key)
        self.out = out.replace(weight=self.table.weight)

    def __call__(self, x):
        return self.out(self.table(x))


class TorchTied(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(7, 4)
        self.out = torch.nn.Linear(4, 7, bias=False)
        self.out.weight = self.table.weight

    def forward(self, x):
        return self.out(self.table(x))


def test_tied_weights_stay_tied(tmp_path):
    words, ours, theirs = np.array([[1, 6, 0]]), Tied(key=0), TorchTied()
    io.save_model(tmp_path / "out.safetensors", ours)
    safetensors_torch.load_model(theirs, tmp_path / "out.safetensors")
    assert theirs.out.weight is theirs.table.weight
    assert_same(ours, theirs, [words])
    safetensors_torch.save_model(TorchTied(), str(tmp_path / "in.safetensors"))
    safetensors_torch.load_model(theirs, tmp_path / "in.safetensors")
    loaded = io.load_model(tmp_path / "in.safetensors", ours)
    assert loaded.out.weight is loaded.table.weight
    assert_same(loaded, theirs, [words])
    assert_same(nn.load_state_dict(ours, theirs.state_dict()), theirs, [words])
